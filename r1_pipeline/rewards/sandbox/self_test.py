"""The sandbox's self-test: ten representative attacks that run on this machine before any program does.

It takes about a second. An attack is a program that prints nothing unless it succeeds, or one that must be cut off with
the right status. Harm is checked from outside. The full suite is in `tests/rewards/sandbox`.

The result is a fact about this machine: programs are contained, or they are not, because something is missing, the
kernel forbids it, or an attack succeeded. A test that cannot be completed, because the machine is busy, a process was
killed, or this user is at the process limit, is not a result: it is tried again, and then raises `GraderBusyError`.
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
"""The advice for a machine that cannot contain programs."""
_BUSY = (
    "nothing was computed without it: wait until the machine is less busy, or allow this user more processes "
    "(ulimit -u; those of other runs count too), and run the same command again"
)
_alone = Lock()

_PATIENT_S = 60.0
"""The time limit, in seconds, of a repeated attack that was out of time: a busy machine is slow, not unsafe."""
_PAUSES_S = (0.0, 2.0, 10.0, 30.0)
"""The pause, in seconds, before each further attempt at a test that was not completed."""
_LASTING = (
    "No permissions", "Operation not permitted", "Permission denied", "Function not implemented", "Invalid argument",
    "Unknown option", "No such file or directory", "this kernel cannot",
)  # fmt: skip
"""Parts of the messages of bubblewrap and the kernel that mean that a sandbox will never start here."""
_NAMESPACES = Path("/proc/sys/user")


class Attack(Record):
    """The result of one attack."""

    name: str
    contained: bool
    """True if the attack ended as it must."""
    through: bool
    """True if the attack succeeded; an attack that is neither contained nor through was not completed."""
    detail: str
    """One line on how the attack ended."""

    @property
    def unsettled(self) -> bool:
        """True if the attack was not completed, and therefore says nothing about the sandbox."""
        return not self.contained and not self.through


class SelfTest(Record):
    """The result of the self-test on this machine; it belongs in the manifest of graded artifacts."""

    problem: str | None
    """The reason why programs are never run on this machine and what to do, in one line; None if they run safely."""
    bubblewrap: str
    """The output of `bwrap --version`; empty if bubblewrap is missing."""
    kernel: str
    """The release of the kernel."""
    user: int
    """The effective user id of the grader; if it is 0, sandboxes run under user ids of their own."""
    seconds: float
    """The duration of the test, in seconds."""
    attacks: tuple[Attack, ...]
    """The result of each attack; empty if no sandbox starts."""


@contextmanager
def _bait() -> Iterator[tuple[dict[str, str], Path, socket.socket]]:
    """Yields the targets of attacks by name, the secret file, and a listener that must stay unreachable."""
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
    """Repeats an attack that was not completed, alone and with more time; returns any other unchanged."""
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


def _require_start(sandboxes: Sandboxes) -> None:
    """Runs an honest program; raises `NoSandboxError` if no sandbox will ever start here, else `GraderBusyError`."""
    for pause in (0.0, *_PAUSES_S):
        time.sleep(pause)
        try:
            run = sandboxes.feed(Program(source=HONEST, language="python"), ["abc"], _PATIENT_S)
        except NoSandboxError:
            raise
        except GraderError as error:
            message = str(error)
        else:
            if run.status == "ran" and run.tests[0].output == "cba\n":
                return
            message = run.detail or f"{run.tests[0].status} {run.tests[0].detail}"
        if _is_permanent(message):
            raise NoSandboxError(f"programs cannot be run safely here ({message}); {ADVICE}")
    raise GraderBusyError(f"no sandbox for programs could be started ({message}); {_BUSY}")


def _is_permanent(message: str) -> bool:
    """Returns True if a sandbox that fails with this message will never start on this machine."""
    if "ENOSPC" in message or "No space left on device" in message:  # namespaces are forbidden, or all are in use
        limits = _NAMESPACES.glob("max_*_namespaces")
        return any(limit.read_text(encoding="ascii").strip() == "0" for limit in limits)
    return any(reason in message for reason in _LASTING)


def _run_attacks() -> list[Attack]:
    """Runs every attack until all are contained or one succeeds; raises `GraderBusyError` if neither is reached."""
    sandboxes = Sandboxes(workers=2)
    try:
        _require_start(sandboxes)
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
def _tested() -> SelfTest:
    begin = time.monotonic()
    try:
        attacks = _run_attacks()
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
    """Tests this machine's sandbox, once per process, and returns the result.

    Raises `GraderBusyError` if the test cannot be completed now, because results without programs would differ.
    """
    with _alone:
        return _tested()


def forget() -> None:
    """Discards the result, so that the next call tests again."""
    _tested.cache_clear()
    _memory().unlink(missing_ok=True)


def sandbox_problem() -> str | None:
    """Returns one line on why programs cannot run safely and what to do, or None if they can; raises as `self_test`."""
    return self_test().problem


def remembered_problem() -> str | None:
    """Returns the `sandbox_problem` that this user's last process on this machine found, without running programs.

    It serves fingerprints only: a process that runs programs tests again. Without a stored result it runs the test.
    """
    file = _memory()
    try:
        if file.stat().st_uid == os.geteuid():
            return SelfTest.model_validate_json(file.read_bytes()).problem
    except (OSError, ValueError):  # no stored result, or an incomplete one
        pass
    return sandbox_problem()


def _remember(tested: SelfTest) -> None:
    file = _memory()
    partial = file.with_suffix(f".{os.getpid()}")
    try:
        partial.write_text(tested.model_dump_json(), encoding="utf-8")
        partial.chmod(0o600)
        partial.replace(file)
    except OSError:  # a machine on which nothing can be stored tests each time
        partial.unlink(missing_ok=True)


def _memory() -> Path:
    """Returns the file of the result: one for each user, boot of the machine, bubblewrap and version of the trials."""
    bubblewrap = shutil.which("bwrap")
    changed = Path(bubblewrap).stat().st_mtime_ns if bubblewrap else 0
    boot = Path("/proc/sys/kernel/random/boot_id")
    known = [bubblewrap, changed, boot.read_text().strip() if boot.exists() else "", version("r1-pipeline")]
    return Path(gettempdir()) / f"r1-sandbox-{os.geteuid()}-{fingerprint([*known, len(TRIALS)])[:16]}.json"
