"""The one exception tree of the project.

    R1Error
    ├── RecipeError        (ValueError)    a recipe that cannot mean anything; raised before work starts
    ├── GraphError         (ValueError)    nodes that do not make a graph, or a profile that does not fit one
    ├── UnknownNameError   (KeyError)      a profile, asset or model that does not exist; lists the valid ones
    ├── SourceError        (ValueError)    a file of problems that cannot be used; names file and line
    ├── ArtifactError      (RuntimeError)
    │   ├── CorruptArtifactError           a file does not match the digest in its manifest
    │   ├── WrongKindError                 a handle was asked to open another kind of artifact
    │   └── SchemaVersionError             made by another schema version of this software
    ├── OutOfDiskError     (OSError)       the disk filled up; nothing half-written is kept
    ├── RequirementError   (RuntimeError)  hardware, a model or a package that a profile needs is not there
    ├── GateFailedError    (RuntimeError)  a blocking check said no; carries the value and the limit
    ├── GuardTrippedError  (RuntimeError)  a guard stopped a training run; carries the value and the limit
    ├── LaunchError        (RuntimeError)  the processes that compute a stage failed, or disagree
    ├── EngineError        (RuntimeError)  text generation could not be done
    │   └── UnreachableError               a server did not answer; it may do so later
    └── GraderError        (RuntimeError)  the grading machinery (not the answer) is broken
        ├── GraderBusyError                it was starved, or ended from outside; it may work later
        └── NoSandboxError                 this machine cannot hold programs, for a reason that stays

Every message names the value and, after a semicolon or dash, what to do about it.
To add one: derive from the nearest parent, and from the builtin it refines.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class R1Error(Exception):
    """Root of everything this project raises on purpose."""


class RecipeError(R1Error, ValueError):
    """A recipe that cannot mean anything."""


class GraphError(R1Error, ValueError):
    """Nodes that do not make a graph, or a profile that does not fit one; names the node."""


class SourceError(R1Error, ValueError):
    """A file of problems that cannot be used; names file and line."""


class UnknownNameError(R1Error, KeyError):
    """A name that does not exist; the message says which was probably meant, and lists the names that do."""

    def __init__(self, what: str, name: str, valid: Iterable[str]) -> None:
        self.args_for_pickle = (what, name, tuple(valid))
        names = self.args_for_pickle[2]
        super().__init__(f"unknown {what} {name!r};{did_you_mean(name, names)} valid: {', '.join(names) or 'none'}")

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[str, ...]]]:
        return type(self), self.args_for_pickle


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """` did you mean NAME?` where one of the valid names looks like `name`, else nothing."""
    by_form = {each.casefold().replace("-", "_"): each for each in valid}
    near = get_close_matches(name.casefold().replace("-", "_"), by_form, 1)
    return f" did you mean {by_form[near[0]]}?" if near else ""


class ArtifactError(R1Error, RuntimeError):
    """An artifact directory that cannot be used."""


class CorruptArtifactError(ArtifactError):
    """A file does not match the digest in its manifest."""


class WrongKindError(ArtifactError):
    """A handle was asked to open another kind of artifact."""


class SchemaVersionError(ArtifactError):
    """Made by another schema version of this software."""


class OutOfDiskError(R1Error, OSError):
    """The disk filled up; nothing half-written is kept."""


class RequirementError(R1Error, RuntimeError):
    """Hardware, a model or a package that a profile needs is not there."""


class GateFailedError(R1Error, RuntimeError):
    """A blocking check said no."""


class GuardTrippedError(R1Error, RuntimeError):
    """A guard stopped a training run that had gone wrong."""


class LaunchError(R1Error, RuntimeError):
    """The processes that compute a stage failed in a way that has no class of its own, or disagree."""


class EngineError(R1Error, RuntimeError):
    """Text generation could not be done."""


class UnreachableError(EngineError):
    """A server did not answer; it may do so later."""


class GraderError(R1Error, RuntimeError):
    """The grading machinery itself is broken; says nothing about the answer."""


class GraderBusyError(GraderError):
    """The grading machinery was starved, or ended from outside; it may work later."""


class NoSandboxError(GraderError):
    """This machine cannot hold programs, for a reason that stays until somebody changes the machine."""


PASSING = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.EHOSTUNREACH})
"""Of the operating system: what network file systems and busy machines say."""


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed later with nothing changed: servers, networks and busy machines.

    Recipes, sources, gates, guards and full disks fail again until somebody mends them.
    """
    if isinstance(error, R1Error):
        return isinstance(error, UnreachableError | GraderBusyError)
    passing = isinstance(error, OSError) and error.errno in PASSING
    return passing or isinstance(error, ConnectionError | TimeoutError)
