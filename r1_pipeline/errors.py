"""The exception tree of the project.

    R1Error
    ├── RecipeError        (ValueError)    an invalid recipe; raised before work starts
    ├── GraphError         (ValueError)    nodes that do not form a graph, or a profile that does not fit one
    ├── UnknownNameError   (KeyError)      an unknown profile, asset or model; lists the valid ones
    ├── SourceError        (ValueError)    a file of problems that cannot be used; names file and line
    ├── ArtifactError      (RuntimeError)
    │   ├── CorruptArtifactError           a file does not match the digest in its manifest
    │   ├── WrongKindError                 an artifact is of another kind than the handle
    │   └── SchemaVersionError             an artifact has another schema version
    ├── OutOfDiskError     (OSError)       the disk is full; no incomplete artifact is kept
    ├── RequirementError   (RuntimeError)  hardware, a model or a package that a profile needs is missing
    ├── GateFailedError    (RuntimeError)  a blocking gate failed; carries the value and the limit
    ├── GuardTrippedError  (RuntimeError)  a guard stopped a training run; carries the value and the limit
    ├── LaunchError        (RuntimeError)  the processes that compute a stage failed, or disagree
    ├── EngineError        (RuntimeError)  text generation failed
    │   └── UnreachableError               a server did not answer; a retry may succeed
    └── GraderError        (RuntimeError)  the grading machinery (not the answer) is broken
        ├── GraderBusyError                it lacked resources or was killed; a retry may succeed
        └── NoSandboxError                 this machine cannot run programs safely; a retry does not help

Every message names the value and, after a semicolon or dash, what to do about it.
A new class derives from the nearest parent, and from the builtin that it refines.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class R1Error(Exception):
    """Base class of all errors that this project raises on purpose."""


class RecipeError(R1Error, ValueError):
    """An invalid recipe."""


class GraphError(R1Error, ValueError):
    """Nodes that do not form a graph, or a profile that does not fit one; names the node."""


class SourceError(R1Error, ValueError):
    """A file of problems that cannot be used; names file and line."""


class UnknownNameError(R1Error, KeyError):
    """An unknown name; the message suggests the name that was probably meant, and lists the known ones."""

    def __init__(self, what: str, name: str, valid: Iterable[str]) -> None:
        self.args_for_pickle = (what, name, tuple(valid))
        names = self.args_for_pickle[2]
        super().__init__(f"unknown {what} {name!r};{did_you_mean(name, names)} valid: {', '.join(names) or 'none'}")

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[str, ...]]]:
        return type(self), self.args_for_pickle


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Returns ` did you mean NAME?` if one of the valid names is similar to `name`, otherwise an empty string."""
    by_form = {each.casefold().replace("-", "_"): each for each in valid}
    near = get_close_matches(name.casefold().replace("-", "_"), by_form, 1)
    return f" did you mean {by_form[near[0]]}?" if near else ""


class ArtifactError(R1Error, RuntimeError):
    """An artifact directory that cannot be used."""


class CorruptArtifactError(ArtifactError):
    """A file does not match the digest in its manifest."""


class WrongKindError(ArtifactError):
    """An artifact is of another kind than the handle that opens it."""


class SchemaVersionError(ArtifactError):
    """An artifact was made by another schema version of this software."""


class OutOfDiskError(R1Error, OSError):
    """The disk is full; no incomplete artifact is kept."""


class RequirementError(R1Error, RuntimeError):
    """Hardware, a model or a package that a profile needs is missing."""


class GateFailedError(R1Error, RuntimeError):
    """A blocking gate failed."""


class GuardTrippedError(R1Error, RuntimeError):
    """A guard stopped a training run that had gone wrong."""


class LaunchError(R1Error, RuntimeError):
    """The processes that compute a stage failed in a way that has no class of its own, or disagree."""


class EngineError(R1Error, RuntimeError):
    """Text generation failed."""


class UnreachableError(EngineError):
    """A server did not answer; a retry may succeed."""


class GraderError(R1Error, RuntimeError):
    """The grading machinery itself is broken; the answer is not to blame."""


class GraderBusyError(GraderError):
    """The grading machinery lacked resources or was killed; a retry may succeed."""


class NoSandboxError(GraderError):
    """This machine cannot run programs safely until it is reconfigured; a retry does not help."""


PASSING = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.EHOSTUNREACH})
"""Error numbers that network file systems and busy machines cause temporarily."""


def may_pass(error: BaseException) -> bool:
    """Returns True if a retry may succeed without any change: after errors of servers, networks and busy machines.

    Errors of recipes, sources, gates, guards and full disks recur until their cause is fixed.
    """
    if isinstance(error, R1Error):
        return isinstance(error, UnreachableError | GraderBusyError)
    passing = isinstance(error, OSError) and error.errno in PASSING
    return passing or isinstance(error, ConnectionError | TimeoutError)
