"""Laws of failing closed: a machine that cannot contain programs runs none, and one line says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r1_pipeline.errors import GraderBusyError, may_pass
from r1_pipeline.rewards.sandbox import jail, sandboxes, self_test
from r1_pipeline.rewards.sandbox.trials import CUT_S, TRIALS

TRY = """
from r1_pipeline.errors import GraderBusyError, NoSandboxError
from r1_pipeline.rewards.sandbox.bubblewrap import BubblewrapRunner
from r1_pipeline.rewards.sandbox.runner import Program
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
runner = BubblewrapRunner(workers=1)
try: print(runner.feed(Program(source="print('it ran')", language="python"), [""], 1.0))
except NoSandboxError as error: assert str(error) == sandbox_problem(); print("refused:", error)
except GraderBusyError as error: print("not found out:", error)
"""
WEAKENED = """#!/usr/bin/python3
import os, sys
words = sys.argv[1:]
{}
os.execv({!r}, ["bwrap", *words])
"""
NO_FILTER = "at = words.index('--seccomp') if '--seccomp' in words else -1\nif at >= 0: del words[at:at + 2]"
SHARED_NETWORK = NO_FILTER + "; words.insert(words.index('--'), '--share-net')"
WRITABLE = "if '--' in words: words[words.index('--'):words.index('--')] = ['--bind', '/tmp', '/tmp']"
SAYS_NO = "print('bwrap: No permissions to create new namespace', file=sys.stderr); sys.exit(1)"


def weakened(folder, how):
    """Writes a `bwrap` to `folder` that changes the command line by `how` and then calls the real one."""
    script = folder / "bwrap"
    script.write_text(WEAKENED.format(how, shutil.which("bwrap")))
    script.chmod(0o755)


def tried(path, prefix=()):
    done = subprocess.run(
        [*prefix, sys.executable, "-c", TRY], env={"PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return line


def test_without_bubblewrap_programs_are_refused(tmp_path):
    line = tried(str(tmp_path))
    assert line.startswith("refused:") and "install the package bubblewrap" in line


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (NO_FILTER, "reaches into the kernel"),
        (SHARED_NETWORK, "reaches the network"),
        (WRITABLE, "writes"),
        (SAYS_NO, "No permissions to create new namespace"),
    ],
    ids=["no filter", "the host's network", "a writable folder", "no namespaces"],
)
def test_a_bubblewrap_that_contains_nothing_is_detected(how, says, safe, open_folder):
    weakened(open_folder, how)
    line = tried(f"{open_folder}:{os.environ['PATH']}")
    assert line.startswith("refused:") and says in line and "allow unprivileged user namespaces" in line


@pytest.fixture
def impatient(monkeypatch):
    """Further attempts follow without a pause."""
    monkeypatch.setattr(self_test, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(sandboxes, "_PAUSES_S", (0.0, 0.0))
    self_test.forget()
    yield
    self_test.forget()


def test_a_machine_that_is_slow_is_not_called_unsafe(safe, monkeypatch):
    hurried = [trial if trial.limit_s == CUT_S else trial._replace(limit_s=0.001) for trial in TRIALS]
    monkeypatch.setattr(self_test, "TRIALS", hurried)
    assert all(attack.contained for attack in self_test._run_attacks())


@pytest.mark.parametrize(
    ("source", "says", "limit_s"),
    [
        ("while True: pass", "out_of_time", 3.0),
        ("import os; os.abort()", "killed SIGABRT", 60.0),
        ("1 / 0", "failed ZeroDivisionError", 60.0),
    ],
)
def test_an_attack_that_comes_to_no_end_says_nothing_about_the_sandbox(
    source, says, limit_s, safe, impatient, monkeypatch
):
    monkeypatch.setattr(self_test, "_PATIENT_S", limit_s)
    monkeypatch.setattr(self_test, "TRIALS", [TRIALS[0]._replace(name="dies", source=source, limit_s=limit_s)])
    with pytest.raises(GraderBusyError, match=f"dies: {says}.*run the same command again") as raised:
        self_test.self_test()
    assert may_pass(raised.value) and "\n" not in str(raised.value)
    monkeypatch.setattr(self_test, "TRIALS", TRIALS)
    assert self_test.sandbox_problem() is None  # the failed test was not stored


def test_an_attack_that_gets_through_counts_whatever_else_came_to_no_end(safe, impatient, monkeypatch):
    both = ("import os; os.abort()", "print('got it')")
    monkeypatch.setattr(self_test, "TRIALS", [TRIALS[0]._replace(name=source, source=source) for source in both])
    assert "print('got it'): finished got it" in self_test.sandbox_problem()


BUSY = {
    "no process": "print('bwrap: Creating new namespace failed: Resource temporarily unavailable', file=sys.stderr)",
    "no memory": "print('bwrap: Creating new namespace failed: Cannot allocate memory', file=sys.stderr)",
    "namespaces in use": "print('bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/"
    "max_*_namespaces exceeded (ENOSPC)', file=sys.stderr)",
    "killed": "import signal; os.kill(os.getpid(), signal.SIGKILL)",
    "silent": "",
}


@pytest.mark.parametrize("why", BUSY)
def test_a_sandbox_that_does_not_start_just_now_is_not_called_missing(why, safe, impatient, monkeypatch, open_folder):
    weakened(open_folder, BUSY[why] + "; sys.exit(1)")
    monkeypatch.setenv("PATH", f"{open_folder}:{os.environ['PATH']}")
    with pytest.raises(GraderBusyError, match=r"no sandbox for programs could be started.*run the same command again"):
        self_test.sandbox_problem()


def test_a_self_test_that_is_interrupted_once_goes_on(safe, impatient, monkeypatch, open_folder):
    once = (
        f"mark = {str(open_folder / 'once')!r}\nif not os.path.exists(mark): open(mark, 'w'); os.kill(os.getpid(), 9)"
    )
    (open_folder / "bin").mkdir()
    weakened(open_folder / "bin", once)
    monkeypatch.setenv("PATH", f"{open_folder / 'bin'}:{os.environ['PATH']}")
    open_folder.chmod(0o777)  # the one that ends it may be another user
    assert self_test.sandbox_problem() is None and (open_folder / "once").exists()


def test_a_supervisor_that_cannot_start_is_not_taken_for_a_missing_sandbox(safe, impatient, monkeypatch, tmp_path):
    for ends, says in (("exit 1", "exit code 1"), ("kill -9 $$", r"\(signal 9\)")):
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\n{ends}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        with pytest.raises(GraderBusyError, match=rf"supervisor\.py did not start.* {says}"):
            self_test.sandbox_problem()


@pytest.mark.parametrize(
    ("message", "permanent"),
    [
        ("a sandbox did not start: bwrap: No permissions to create new namespace", True),
        ("a sandbox did not start: bwrap: setting up uid map: Permission denied", True),
        ("a sandbox did not start: bwrap: Unknown option --disable-userns", True),
        ("a sandbox did not start: bwrap: Creating new namespace failed: Resource temporarily unavailable", False),
        ("a sandbox did not start: it said nothing", False),
        ("a sandbox was killed from outside by signal 9", False),
        ("its supervisor was lost 3 times: died", False),
        ("out_of_time out of time", False),
        ("grading process supervisor.py cannot work here: this kernel cannot adopt or list child processes", True),
        ("grading process supervisor.py did not start: exit code 1; install this project's packages again", False),
    ],
)
def test_only_what_the_machine_forbids_is_permanent(message, permanent):
    assert self_test._is_permanent(message) is permanent


def test_a_program_of_the_host_that_gives_no_answer_in_time_is_not_called_missing(tmp_path):
    (tmp_path / "ended").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "fails").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "says").write_text("#!/bin/sh\necho 1.2.3\n")
    for script in tmp_path.iterdir():
        script.chmod(0o755)
    with pytest.raises(GraderBusyError, match="killed by signal 9; run the same command again"):
        jail.output_of([str(tmp_path / "ended")])
    found = [jail.output_of([str(tmp_path / name)]) for name in ("says", "fails", "missing")]
    assert found == ["1.2.3", None, None]


def test_without_user_namespaces_programs_are_refused(safe):
    none_left = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    words = ["unshare", "--user", "sh", "-c", 'echo; read go; exec sh -c "$0" "$@"', none_left, "sh", sys.executable]
    with subprocess.Popen([*words, "-c", TRY], stdin=-1, stdout=-1, text=True) as inside:
        assert inside.stdin and inside.stdout and inside.stdout.readline() == "\n"
        span = 65536 if os.geteuid() == 0 else 1
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {os.geteuid()} {span}"),
            ("gid_map", f"0 {os.getegid()} {span}"),
        ):
            if name != "setgroups" or span == 1:
                Path(f"/proc/{inside.pid}/{name}").write_text(text)
        line, _ = inside.communicate("go\n", timeout=120)
    assert inside.returncode == 0
    assert line.startswith("refused:") and "allow unprivileged user namespaces" in line
