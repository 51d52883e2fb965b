"""Jobs: calls of verbs in files, so that other processes can make the same call and report back.

All messages are files in `{scratch}/job/`, which all ranks of all nodes can read:

    job.json       the call, from the launcher to the ranks
    events.jsonl   steps and notes, from the first rank to the launcher's observer
    outcome.json   the result, or the first error of any rank; written once

`launch` starts the ranks, and `rank` is what a rank runs.
"""

import json
import shutil
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter

from r1_pipeline import errors
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.errors import LaunchError, R1Error, may_pass
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Record
from r1_pipeline.registry import load_file, loaded_files

Work = Literal["training", "inference", "data"]
"""Use of a model by a verb: it trains one, only uses one, or needs none."""


@dataclass(frozen=True)
class Call:
    """A verb's function and the arguments of a call, without the build context."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    work: Work


class Job(Record):
    """The information that a rank needs."""

    verb: str
    """Function of the verb, as `package.module:function`."""
    arguments: dict[str, Any]
    """Parameter -> argument as JSON; artifacts are given by path and manifest."""
    work: Work
    """Use of a model by the verb."""
    ranks: int
    """Number of processes that make the call together."""
    name: str
    """Name of the artifact."""
    fingerprint: str
    """Fingerprint of the artifact; a rank that would make another artifact stops."""
    runtime: Runtime
    home: str
    """Home directory of the store."""
    path: str
    """Staging directory of the draft."""
    scratch: str
    """Scratch directory of the draft, which survives interruptions."""
    recipe_files: dict[str, str] = Field(default_factory=dict)
    """Recipe file of a user to load first -> the sha256 that it must have."""

    @property
    def folder(self) -> Path:
        """Folder of the messages between launcher and ranks."""
        return Path(self.scratch) / "job"

    @property
    def file(self) -> Path:
        """File of this record."""
        return self.folder / "job.json"

    def write(self) -> None:
        """Writes the job for its ranks and removes the messages of an earlier attempt."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.file.write_text(self.model_dump_json(indent=1), encoding="utf-8")

    def resolved(self) -> tuple[Any, dict[str, Any]]:
        """Returns the verb, and the arguments of its function without the build context."""
        verb = resolve_name(self.verb)
        hints = get_type_hints(verb.function)
        return verb, {name: TypeAdapter(hints[name]).validate_python(it) for name, it in self.arguments.items()}

    def add_event(self, event: str, *arguments: Any) -> None:
        """Appends an event: a method of `Observer` and its arguments."""
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([event, *arguments]) + "\n")

    def succeed(self, facts: BuildResult) -> None:
        """Writes the result of the finished draft."""
        self._end({"facts": asdict(facts)})

    def fail(self, error: BaseException) -> None:
        """Writes an error, unless another rank has written one."""
        kind = "UnreachableError" if may_pass(error) else type(error).__name__
        text = "".join(traceback.format_exception(error))
        self._end({"error": kind, "message": str(error), "traceback": text})

    def outcome(self, code: int) -> BuildResult:
        """Returns the result; raises the error of the rank that failed first, or `LaunchError` if all died silently."""
        try:
            said = json.loads((self.folder / "outcome.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LaunchError(
                f"the processes that make {self.name} ended with exit code {code} and said nothing; "
                "killed, or out of memory? run again to resume from the last checkpoint"
            ) from None
        if "error" in said:
            raise _raised(said["error"], said["message"]) from RuntimeError(said["traceback"])
        return BuildResult(**said["facts"])

    def _end(self, outcome: Mapping[str, Any]) -> None:
        written = self.folder / f"outcome.{uuid.uuid4().hex}"
        written.write_text(json.dumps(outcome), encoding="utf-8")
        try:
            (self.folder / "outcome.json").hardlink_to(written)  # atomic, and only if there is none yet
        except FileExistsError:
            pass
        finally:
            written.unlink()


def job_of(call: Call, fingerprint: str, home: Path, runtime: Runtime, draft: Draft) -> Job:
    """Describes `call` as a job that fills `draft`."""
    hints = get_type_hints(call.function)
    return Job(
        verb=f"{call.function.__module__}:{call.function.__qualname__}",
        arguments={
            name: TypeAdapter(hints[name]).dump_python(value, mode="json") for name, value in call.arguments.items()
        },
        work=call.work,
        ranks=runtime.launcher.ranks if call.work == "training" else 1,
        name=draft.name,
        fingerprint=fingerprint,
        runtime=runtime,
        home=str(home),
        path=str(draft.path),
        scratch=str(draft.scratch),
        recipe_files=loaded_files(),
    )


def read_job(file: Path) -> Job:
    """Reads a `job.json` and loads the recipe files that it needs; raises `LaunchError` if one has changed."""
    job = Job.model_validate_json(file.read_bytes())
    for recipe in job.recipe_files:
        load_file(Path(recipe))
    if loaded_files() != job.recipe_files:
        raise LaunchError(f"{', '.join(job.recipe_files)} changed after the run began; run again")
    return job


class JobObserver(Observer):
    """Observer of the first rank's draft, which passes all events to the launcher."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self._job.add_event("stepped", name, step, total, dict(metrics))

    def noted(self, name: str, message: str) -> None:
        self._job.add_event("noted", name, message)


def _raised(kind: str, message: str) -> Exception:
    """Returns the rank's error if it is one of ours, which callers distinguish, otherwise a `LaunchError`."""
    ours = getattr(errors, kind, None)
    if isinstance(ours, type) and issubclass(ours, R1Error) and "__init__" not in vars(ours):
        return ours(message)
    return LaunchError(f"{kind}: {message}")
