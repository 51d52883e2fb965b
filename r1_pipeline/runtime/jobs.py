"""A job: one verb call, written down so that other processes can make the same call and report back.

Everything passes through files in `{scratch}/job/`, which all ranks of all nodes see:

    job.json       what is to be done, from the launcher to the ranks
    events.jsonl   steps and notes, from the first rank to the launcher's observer
    outcome.json   the facts, or the first error of any rank; there once, never changed

Not covered: how ranks are started (`launch`), what a rank does (`rank`).
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
"""What a verb does: trains a model, only uses one, or needs none."""


@dataclass(frozen=True)
class Call:
    """A verb's function and what it was called with, the build context left out."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    work: Work


class Job(Record):
    """What a rank must know."""

    verb: str
    """`package.module:function`."""
    arguments: dict[str, Any]
    """By parameter, as JSON; artifacts by path and manifest."""
    ranks: int
    """Processes that make the call together."""
    name: str
    """Of the artifact."""
    fingerprint: str
    """Of what is made; a rank that would make something else stops."""
    runtime: Runtime
    home: str
    """Of the store."""
    path: str
    """The draft's staging directory."""
    scratch: str
    """The draft's directory that survives interruptions."""
    recipe_files: dict[str, str] = Field(default_factory=dict)
    """Recipe files of users to be run first, with the sha256 that they must have."""

    @property
    def folder(self) -> Path:
        """Where launcher and ranks leave messages for each other."""
        return Path(self.scratch) / "job"

    @property
    def file(self) -> Path:
        """This very record, for the ranks to read."""
        return self.folder / "job.json"

    def write(self) -> None:
        """Leave the job for its ranks; what an earlier attempt left is forgotten."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.file.write_text(self.model_dump_json(indent=1), encoding="utf-8")

    def resolved(self) -> tuple[Any, dict[str, Any]]:
        """The verb, and the arguments that its function takes beside the build context."""
        verb = resolve_name(self.verb)
        hints = get_type_hints(verb.function)
        return verb, {name: TypeAdapter(hints[name]).validate_python(it) for name, it in self.arguments.items()}

    def add_event(self, event: str, *arguments: Any) -> None:
        """Add an event: a method of `Observer` and its arguments."""
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([event, *arguments]) + "\n")

    def succeed(self, facts: BuildResult) -> None:
        """Leave the facts of the finished draft."""
        self._end({"facts": asdict(facts)})

    def fail(self, error: BaseException) -> None:
        """Leave an error, unless another rank has left one."""
        kind = "UnreachableError" if may_pass(error) else type(error).__name__
        text = "".join(traceback.format_exception(error))
        self._end({"error": kind, "message": str(error), "traceback": text})

    def outcome(self, code: int) -> BuildResult:
        """The facts; raises the error of the rank that failed first, `LaunchError` where all died without a word."""
        try:
            said = json.loads((self.folder / "outcome.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LaunchError(
                f"the processes that make {self.name} ended with exit code {code} and said nothing; "
                "killed, or out of memory? run again: it goes on from the last checkpoint"
            ) from None
        if "error" in said:
            raise _raised(said["error"], said["message"]) from RuntimeError(said["traceback"])
        return BuildResult(**said["facts"])

    def _end(self, outcome: Mapping[str, Any]) -> None:
        written = self.folder / f"outcome.{uuid.uuid4().hex}"
        written.write_text(json.dumps(outcome), encoding="utf-8")
        try:
            (self.folder / "outcome.json").hardlink_to(written)  # whole, and only if there is none yet
        except FileExistsError:
            pass
        finally:
            written.unlink()


def job_of(call: Call, fingerprint: str, home: Path, runtime: Runtime, draft: Draft) -> Job:
    """`call` as a job that fills `draft`."""
    hints = get_type_hints(call.function)
    return Job(
        verb=f"{call.function.__module__}:{call.function.__qualname__}",
        arguments={
            name: TypeAdapter(hints[name]).dump_python(value, mode="json") for name, value in call.arguments.items()
        },
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
    """The job in a `job.json`, the recipe files of users that it needs run; raises `LaunchError` if one has changed."""
    job = Job.model_validate_json(file.read_bytes())
    for recipe in job.recipe_files:
        load_file(Path(recipe))
    if loaded_files() != job.recipe_files:
        raise LaunchError(f"{', '.join(job.recipe_files)} changed after the run began; run again")
    return job


class JobObserver(Observer):
    """What the first rank's draft is watched by: passes everything on to the launcher."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self._job.add_event("stepped", name, step, total, dict(metrics))

    def noted(self, name: str, message: str) -> None:
        self._job.add_event("noted", name, message)


def _raised(kind: str, message: str) -> Exception:
    """The error as the rank raised it where it is one of ours, which callers tell apart; else a `LaunchError`."""
    ours = getattr(errors, kind, None)
    if isinstance(ours, type) and issubclass(ours, R1Error) and "__init__" not in vars(ours):
        return ours(message)
    return LaunchError(f"{kind}: {message}")
