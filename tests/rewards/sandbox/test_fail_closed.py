"""Where a machine cannot hold programs, nothing is run, and one line says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r1_pipeline.rewards.sandbox import self_test

TRIALS = self_test._TRIALS
TRY = """
from r1_pipeline.errors import GraderError
from r1_pipeline.rewards.sandbox.bubblewrap import BubblewrapRunner
from r1_pipeline.rewards.sandbox.runner import Program
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
runner = BubblewrapRunner(workers=1)
try: print(runner.feed(Program(source="print('it ran')", language="python"), [""], 1.0))
except GraderError as error: assert str(error) == sandbox_problem(); print("refused:", error)
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
def test_a_bubblewrap_that_does_not_hold_is_found_out(how, says, safe, tmp_path):
    script = tmp_path / "bwrap"
    script.write_text(WEAKENED.format(how, shutil.which("bwrap")))
    script.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    line = tried(f"{tmp_path}:{os.environ['PATH']}")
    assert line.startswith("refused:") and says in line and "allow unprivileged user namespaces" in line


def test_a_machine_that_is_slow_is_not_called_unsafe(safe, monkeypatch):
    hurried = [trial if trial.limit_s == self_test._CUT_S else trial._replace(limit_s=0.001) for trial in TRIALS]
    monkeypatch.setattr(self_test, "_TRIALS", hurried)
    attacks = self_test._tried()
    assert [attack for attack in attacks if not attack.contained] == []
    monkeypatch.setattr(self_test, "_PATIENT_S", 3.0)
    monkeypatch.setattr(
        self_test, "_TRIALS", [TRIALS[0]._replace(name="hangs", source="while True: pass", limit_s=0.3)]
    )
    assert [attack.contained for attack in self_test._tried()] == [False]


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
