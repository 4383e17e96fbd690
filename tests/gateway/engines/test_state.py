"""What is kept between runs."""

import stat

import pytest

from gateway.engines.process import Account
from gateway.engines.state import Folder, hand_over
from gateway.kernel.errors import Misconfigured


@pytest.fixture
def folder(tmp_path):
    held = Folder(tmp_path / "e")
    held.claim()
    yield held
    held.release()


def test_a_password_is_random_private_and_kept(folder):
    first = folder.secret("nats").reveal()
    assert folder.secret("nats").reveal() == first != folder.secret("valkey").reveal()
    assert stat.S_IMODE((folder.path / "secrets" / "nats").stat().st_mode) == 0o600


def test_a_folder_is_claimed_by_one_and_free_after_its_release(folder):
    other = Folder(folder.path)
    with pytest.raises(Misconfigured) as refusal:
        other.claim()
    assert refusal.value.code == "engines.locked"
    folder.release()
    other.claim()
    other.release()


def test_a_damaged_state_file_is_refused_and_the_folder_is_free_again(folder):
    folder.release()
    (folder.path / "state.json").write_text('{"ports": {"nats"')
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"state\.json is damaged .* delete it"):
            Folder(folder.path).claim()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured) as refusal:
        Folder(tmp_path / "file" / "e").claim()
    assert refusal.value.code == "engines.folder_not_writable"
    assert "Not a directory" in refusal.value.detail


def test_a_root_that_may_not_change_owners_is_told_what_to_do(folder, monkeypatch):
    def refused(*_args, **_named):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chown", refused)
    with pytest.raises(Misconfigured, match="run as an ordinary user") as refusal:
        hand_over(folder.path, Account(uid=4242, gid=4242, name="crossdock"))
    assert refusal.value.code == "engines.cannot_hand_over"


@pytest.mark.integration
def test_a_port_is_kept_over_runs_and_below_those_of_clients(folder):
    port, new = folder.port("nats")
    assert new
    assert 1024 < port < 32768
    folder.release()
    again = Folder(folder.path)
    again.claim()
    assert again.port("nats") == (port, False)
    again.release()
