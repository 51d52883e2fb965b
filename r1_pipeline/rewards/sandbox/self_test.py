"""The ten most telling attacks, tried on this machine before any program is run; takes about a second.

Each attack is a program of ours that prints nothing unless it got through, or one that must be cut off with the right
status. Whether it did harm is looked up outside. The full suite is `tests/rewards/sandbox`.

Two answers are facts about this machine: programs are held, or they are not, because something is missing, the kernel
forbids it, or an attack got through. A test that could not be brought to its end, because the machine is busy, a
process was killed, or this user's processes are at their limit, is neither: it is tried again, and then stops the work.
"""

import os
import platform
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock

from r1_pipeline.errors import GraderBusyError, GraderError, NoSandboxError
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Record
from r1_pipeline.rewards.sandbox import jail
from r1_pipeline.rewards.sandbox.runner import Program, TestRun
from r1_pipeline.rewards.sandbox.sandboxes import Sandboxes
from r1_pipeline.rewards.sandbox.trials import HONEST, TRIALS, Trial

ADVICE = (
    "programs are not run unprotected: install the package bubblewrap (0.8 or newer) and allow unprivileged user "
    "namespaces (user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits them)"
)
"""What to do where the machine cannot hold programs."""
_BUSY = (
    "nothing was computed without it: wait until the machine is less busy, or allow this user more processes "
    "(ulimit -u; those of other runs count too), and run the same command again"
)
_alone = Lock()

_PATIENT_S = 60.0
"""For a program of ours that ran out of time and should not have: a busy machine is slow, not unsafe."""
_PAUSES_S = (0.0, 2.0, 10.0, 30.0)
"""Before each further try of what came to no end."""
_LASTING = (
    "No permissions", "Operation not permitted", "Permission denied", "Function not implemented", "Invalid argument",
    "Unknown option", "No such file or directory", "this kernel cannot",
)  # fmt: skip
"""What bubblewrap or the kernel says where a sandbox will not start tomorrow either."""
_NAMESPACES = Path("/proc/sys/user")


class Attack(Record):
    """One attack and what became of it."""

    name: str
    contained: bool
    through: bool
    """Whether it saw or did what it must not; one that is neither contained nor through came to no end."""
    detail: str
    """How it went, in a line."""

    @property
    def unsettled(self) -> bool:
        """Whether it says nothing about the sandbox."""
        return not self.contained and not self.through


class SelfTest(Record):
    """What this machine's sandbox withstood; belongs in the manifest of what was graded."""

    problem: str | None
    """None if programs can be run safely, else why they never are on this machine and what to do, in one line."""
    bubblewrap: str
    """Its version, in its own words; empty where it is missing."""
    kernel: str
    user: int
    """Effective user id of the grader; for 0 sandboxes run under ids of their own."""
    seconds: float
    attacks: tuple[Attack, ...]
    """Empty where no sandbox starts."""


@contextmanager
def _bait() -> Iterator[tuple[dict[str, str], Path, socket.socket]]:
    """Something to steal, something to spoil, someone to call; the names under which attacks know them."""
    token = secrets.token_hex(16)
    with TemporaryDirectory(prefix="r1-self-test-") as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        canary = Path(folder)
        canary.chmod(0o777)
        secret = canary / "secret"
        secret.write_text(token, encoding="utf-8")
        secret.chmod(0o666)
        listener.setblocking(False)
        names = {"SECRET": str(secret), "CANARY": folder, "TOKEN": token}
        yield {**names, "PORT": str(listener.getsockname()[1])}, secret, listener


def _attacked(sandboxes: Sandboxes, trial: Trial, names: dict[str, str]) -> Attack:
    header = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    program = Program(source=header + trial.source, language="python")
    try:
        run = sandboxes.feed(program, [""], trial.limit_s)
    except GraderError as error:
        return Attack(name=trial.name, contained=False, through=False, detail=str(error))
    if run.status != "ran":
        return Attack(name=trial.name, contained=False, through=False, detail=f"{run.status}: {run.detail}")
    test: TestRun = run.tests[0]
    through = bool(test.output.strip()) or names["TOKEN"] in test.detail
    detail = f"{test.status} {' '.join((test.output or test.detail).split())[:200]}".strip()
    return Attack(
        name=trial.name, contained=test.status == trial.status and not through, through=through, detail=detail
    )


def _again(sandboxes: Sandboxes, trial: Trial, attack: Attack, names: dict[str, str]) -> Attack:
    """An attack that came to no end, tried alone and with time; any other as it is."""
    patient = trial if trial.status == "out_of_time" else trial._replace(limit_s=_PATIENT_S)
    return _attacked(sandboxes, patient, names) if attack.unsettled else attack


def _harm(names: dict[str, str], secret: Path, listener: socket.socket) -> str:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        left = [path.name for path in secret.parent.iterdir()]
        unchanged = secret.read_text(encoding="utf-8") == names["TOKEN"] and secret.stat().st_mode & 0o777 == 0o666
        return "" if left == ["secret"] and unchanged else "a file outside was changed"
    return "the host's listener was reached"


def _starts(sandboxes: Sandboxes) -> None:
    """Returns when a program of ours ran; raises where none does: `NoSandboxError` if that will stay so."""
    for pause in (0.0, *_PAUSES_S):
        time.sleep(pause)
        try:
            run = sandboxes.feed(Program(source=HONEST, language="python"), ["abc"], _PATIENT_S)
        except NoSandboxError:
            raise
        except GraderError as error:
            said = str(error)
        else:
            if run.status == "ran" and run.tests[0].output == "cba\n":
                return
            said = run.detail or f"{run.tests[0].status} {run.tests[0].detail}"
        if _will_stay(said):
            raise NoSandboxError(f"programs cannot be run safely here ({said}); {ADVICE}")
    raise GraderBusyError(f"no sandbox for programs could be started ({said}); {_BUSY}")


def _will_stay(said: str) -> bool:
    """Whether a sandbox that says this will not start tomorrow either."""
    if "ENOSPC" in said or "No space left on device" in said:  # namespaces are forbidden, or all in use just now
        limits = _NAMESPACES.glob("max_*_namespaces")
        return any(limit.read_text(encoding="ascii").strip() == "0" for limit in limits)
    return any(reason in said for reason in _LASTING)


def _tried() -> list[Attack]:
    """What became of every attack, all contained or some through; raises where that cannot be found out."""
    sandboxes = Sandboxes(workers=2)
    try:
        _starts(sandboxes)
        with _bait() as (names, secret, listener), ThreadPoolExecutor(2) as threads:
            attacks = list(threads.map(lambda trial: _attacked(sandboxes, trial, names), TRIALS))
            for pause in _PAUSES_S:
                if any(attack.through for attack in attacks) or not any(attack.unsettled for attack in attacks):
                    break
                time.sleep(pause)
                pairs = zip(TRIALS, attacks, strict=True)
                attacks = [_again(sandboxes, trial, attack, names) for trial, attack in pairs]
            harm = _harm(names, secret, listener)
    finally:
        sandboxes.close()
    if harm:
        attacks.append(Attack(name="harm outside", contained=False, through=True, detail=harm))
    if not any(attack.through for attack in attacks) and (unsettled := _not_contained(attacks)):
        raise GraderBusyError(f"the sandbox's self-test came to no end ({unsettled}); {_BUSY}")
    return attacks


def _not_contained(attacks: Iterable[Attack]) -> str:
    return "; ".join(f"{attack.name}: {attack.detail}" for attack in attacks if not attack.contained)


@cache
def _found_out() -> SelfTest:
    begin = time.monotonic()
    try:
        attacks = _tried()
        through = _not_contained(attacks)
        problem = f"the sandbox does not hold ({through}); {ADVICE}" if through else None
    except NoSandboxError as error:
        attacks, problem = [], str(error)
    bubblewrap = shutil.which("bwrap")
    tested = SelfTest(
        problem=problem, bubblewrap=(jail.output_of([bubblewrap, "--version"]) or "") if bubblewrap else "",
        kernel=platform.release(), user=os.geteuid(), seconds=time.monotonic() - begin, attacks=tuple(attacks),
    )  # fmt: skip
    _remember(tested)
    return tested


def self_test() -> SelfTest:
    """What this machine's sandbox withstands, found out once per process.

    Raises `GraderBusyError` where that cannot be found out now: to go on without programs would compute something else.
    """
    with _alone:
        return _found_out()


def forget() -> None:
    """Find it out once more when it is asked for the next time."""
    _found_out.cache_clear()
    _memory().unlink(missing_ok=True)


def sandbox_problem() -> str | None:
    """None where programs can be run safely, else one line that says what to do; raises like `self_test`."""
    return self_test().problem


def remembered_problem() -> str | None:
    """`sandbox_problem` as this user's processes last found it on this machine, without starting anything.

    For fingerprints only: a process that runs programs tests again. Where nothing is remembered, the self-test is run.
    """
    file = _memory()
    try:
        if file.stat().st_uid == os.geteuid():
            return SelfTest.model_validate_json(file.read_bytes()).problem
    except (OSError, ValueError):  # never found out, or half of it is there
        pass
    return sandbox_problem()


def _remember(tested: SelfTest) -> None:
    file = _memory()
    partial = file.with_suffix(f".{os.getpid()}")
    try:
        partial.write_text(tested.model_dump_json(), encoding="utf-8")
        partial.chmod(0o600)
        partial.replace(file)
    except OSError:  # a machine on which nothing can be kept finds out each time
        partial.unlink(missing_ok=True)


def _memory() -> Path:
    """Where the outcome is kept: one file a user, boot of the machine, bubblewrap and version of the trials."""
    bubblewrap = shutil.which("bwrap")
    changed = Path(bubblewrap).stat().st_mtime_ns if bubblewrap else 0
    boot = Path("/proc/sys/kernel/random/boot_id")
    known = [bubblewrap, changed, boot.read_text().strip() if boot.exists() else "", version("r1-pipeline")]
    return Path(gettempdir()) / f"r1-sandbox-{os.geteuid()}-{fingerprint([*known, len(TRIALS)])[:16]}.json"
