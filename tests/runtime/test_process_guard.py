"""Laws of the guard: nothing that a command started outlives it, the guard or its parent; exit codes pass through."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GUARD = (sys.executable, "-m", "r1_pipeline.runtime.process_guard")
FAMILY = """
import os, subprocess, sys, time
here = subprocess.Popen(["sleep", "600"])
apart = subprocess.Popen(["sleep", "600"], start_new_session=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {here.pid} {apart.pid}")
if sys.argv[2] == "stay":
    time.sleep(600)
"""
PARENT = """
import os, subprocess, sys
subprocess.Popen([*sys.argv[2:5], str(os.getpid()), sys.executable, "-c", sys.argv[1], sys.argv[5], "stay"]).wait()
"""


def alive(pids: list[int]) -> list[int]:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return [pid for pid in pids if runs(pid)]


def family(file: Path) -> list[int]:
    for _ in range(6000):
        if file.exists() and file.read_text().count(" ") == 2:
            return [int(pid) for pid in file.read_text().split()]
        time.sleep(0.05)
    raise AssertionError("the command was not started")


def gone(pids: list[int]) -> bool:
    for _ in range(6000):
        if not alive(pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_whole_family_also_who_left_its_group(number: signal.Signals, tmp_path: Path) -> None:
    command = [*GUARD, str(os.getpid()), sys.executable, "-c", FAMILY, str(tmp_path / "pids"), "stay"]
    guard = subprocess.Popen(command)
    pids = family(tmp_path / "pids")
    assert len(alive(pids)) == 3
    guard.send_signal(number)
    assert guard.wait() == 128 + number
    assert not alive(pids)


def test_a_parent_that_is_killed_takes_all_with_it(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, FAMILY, *GUARD, str(tmp_path / "pids")])
    pids = family(tmp_path / "pids")
    parent.kill()
    parent.wait()
    assert gone(pids)


def test_what_a_command_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    command = [*GUARD, str(os.getpid()), sys.executable, "-c", FAMILY, str(tmp_path / "pids"), "go"]
    assert subprocess.run(command).returncode == 0
    assert not alive(family(tmp_path / "pids"))


def test_the_exit_code_is_the_commands() -> None:
    guard = [*GUARD, str(os.getpid()), sys.executable, "-c"]
    assert subprocess.run([*guard, "raise SystemExit(3)"]).returncode == 3
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([*guard, killed]).returncode == 128 + signal.SIGKILL
