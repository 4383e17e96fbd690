"""Processes are known by more than their pid."""

import asyncio
import os
import signal
import subprocess

import pytest

from gateway.engines.process import Identity, log_tail, run, spawn


def test_a_process_is_not_mistaken_for_a_later_one_with_its_pid():
    me = Identity.of(os.getpid())
    assert me.alive
    assert not Identity(os.getpid(), "another start").alive


def test_a_signal_goes_to_no_other_process_than_the_one_meant():
    with subprocess.Popen(["sleep", "60"]) as innocent:
        Identity(innocent.pid, "another start").signal(signal.SIGKILL)
        assert Identity.of(innocent.pid).alive
        innocent.kill()


def test_unreaped_remains_are_no_process():
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert Identity.of(ended.pid) is None


async def test_a_process_that_ignores_its_signals_is_killed(tmp_path):
    log = tmp_path / "log"
    stubborn = ["/bin/sh", "-c", "trap '' INT TERM; echo armed; while :; do sleep 0.1; done"]
    child = spawn(stubborn, folder=tmp_path, log=log, account=None, dies_by=signal.SIGTERM)
    while "armed" not in log_tail(log):
        assert not await child.ended(0.02)
    await child.end([(signal.SIGINT, 0.2), (signal.SIGTERM, 0.2)])
    assert child.exit_status == -signal.SIGKILL


async def test_a_session_is_killed_with_all_that_was_started_in_it(tmp_path):
    log = tmp_path / "log"
    child = spawn(
        ["/bin/sh", "-c", "sleep 60 & echo $! ; wait"], folder=tmp_path, log=log, account=None, dies_by=signal.SIGTERM
    )
    while not log_tail(log):
        assert not await child.ended(0.02)
    started = Identity.of(int(log_tail(log)))
    await child.kill_session()
    assert child.exit_status == -signal.SIGKILL
    for _ in range(500):
        if not started.alive:
            break
        await asyncio.sleep(0.02)
    assert not started.alive


async def test_nothing_of_our_environment_reaches_an_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSDOCK_TEST_SECRET", "hush")
    log = tmp_path / "log"
    assert await run(["/usr/bin/env"], folder=tmp_path, log=log, account=None) == 0
    assert "hush" not in log.read_text()
    assert "TZ=UTC" in log.read_text()


async def test_a_long_log_is_moved_aside_once(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.engines.process._LOG_LIMIT", 10)
    log = tmp_path / "engine.log"
    for _ in range(3):
        await run(["/bin/sh", "-c", "echo a line of some length"], folder=tmp_path, log=log, account=None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["engine.log", "engine.old.log"]


@pytest.mark.parametrize("program", ["/nonexistent/postgres", "/etc/passwd"])
async def test_a_program_that_cannot_be_run_says_so_in_the_log(tmp_path, program):
    log = tmp_path / "log"
    assert await run([program], folder=tmp_path, log=log, account=None) == 97
    assert f"cannot run {program}" in log_tail(log)
