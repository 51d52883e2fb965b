"""Runs a command that cannot outlive its parent process.

    python -m r1_pipeline.runtime.process_guard PARENT COMMAND…

All processes that the command starts are ended when the guard gets a signal, when its parent dies in any way (Linux
notifies it), and when the command ends but leaves processes behind. Orphaned descendants become children of the
guard, so that it also finds processes that left the group.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL; ranks have already written what they must keep."""
PERIOD_S = 0.05


def main(parent: int, command: list[str]) -> int:
    """Runs the command and returns its exit code, or 128 + N if signal N ended it or the guard."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    kernel = ctypes.CDLL(None)
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the line above
        return 128 + signal.SIGTERM
    leader = subprocess.Popen(command, start_new_session=True).pid
    code = None
    while code is None and not asked:
        code = _reap().get(leader)
        time.sleep(PERIOD_S)
    _end(leader)
    if code is None:
        return 128 + asked[0]
    return code if code >= 0 else 128 - code


def _end(leader: int) -> None:
    """Ends the command's process group with SIGTERM, then kills all remaining descendants."""
    deadline = time.monotonic() + GRACE_S
    try:
        os.killpg(leader, signal.SIGTERM)
    except ProcessLookupError:
        deadline = 0.0
    while children := _children():
        for child in children if time.monotonic() > deadline else ():
            os.kill(child, signal.SIGKILL)
        _reap()
        time.sleep(PERIOD_S)


def _children() -> list[int]:
    pid = os.getpid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _reap() -> dict[int, int]:
    """Collects the exit codes of the children that have ended."""
    codes = {}
    for child in _children():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            codes[child] = os.waitstatus_to_exitcode(status)
    return codes


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
