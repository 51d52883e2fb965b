"""The work behind `r1 grade`: grades a file of answers in order and resumes after an interruption.

Verdicts are appended to OUT as they come, or printed without OUT. `OUT.made-by.json` records the input file and the
verifiers, so that only the same work is resumed. A half-written last line is removed. Not covered: the meaning of a
line and its grading (`r1_pipeline.rewards.jsonl`).
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.data.ingest.files import rows_of
from r1_pipeline.errors import ArtifactError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome, Record
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.jsonl import BadLine, Graded, Line, grade_lines, read_lines

QUIET_PERIOD = 15.0
"""Seconds between progress lines if standard error is not a terminal."""


class OutputOrigin(Record):
    """The input file and the verifiers that OUT was started with."""

    input_sha256: str
    verifiers: dict[str, str]


@dataclass
class Tally:
    """Counts of the lines graded so far."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    before: int = 0
    """Number of lines graded by an earlier, interrupted run."""
    bad: int = 0
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        graded, seconds = self.outcomes.total() - self.before, time.monotonic() - self.started
        counts = ", ".join(f"{outcome} {self.outcomes[outcome]:,}" for outcome in Outcome if self.outcomes[outcome])
        earlier = f", {self.before:,} before" if self.before else ""
        return f"{graded:,} graded in {seconds:.1f} s, {graded / seconds:,.0f}/s{earlier}: {counts or 'nothing'}"


def grade_file(source: Path, out: Path | None, workers: int, console: Console, rule: Rule = "lenient") -> Tally:
    """Grades the lines of `source` that are not graded yet, and returns the counts.

    Raises `ArtifactError` if OUT was started with another file or other verifiers.
    """
    tally = Tally()
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb"))
        grader = stack.enter_context(default_grader(Runtime(threads=workers), rule))
        lines = read_lines(rows_of(file, source, otherwise=".jsonl"))
        sink: BinaryIO = sys.stdout.buffer
        if out is not None:
            prepare_output(out, OutputOrigin(input_sha256=sha256_of(source), verifiers=grader.identity))
            sink = stack.enter_context(out.open("ab"))
            for previous in read_previous(lines, out):
                _count(tally, previous, source, console)
            tally.before = tally.outcomes.total()
        progress = _Progress(console, file, source.stat().st_size, tally)
        if console.is_terminal:
            stack.enter_context(progress.bars)
        for result in grade_lines(grader, lines, workers):
            _count(tally, result, source, console)
            if isinstance(result, Graded):
                sink.write(result.model_dump_json().encode() + b"\n")
                sink.flush()
            progress.update()
    return tally


def prepare_output(out: Path, made_by: OutputOrigin) -> None:
    """Prepares OUT for appending; raises `ArtifactError` if it was started with other work."""
    note = out.with_name(f"{out.name}.made-by.json")
    if not out.exists():
        note.write_text(made_by.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return
    try:
        before = OutputOrigin.model_validate_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{out} exists, but {note.name} does not say how it was made; choose another --out"
        ) from error
    if before != made_by:
        what = "other verifiers" if before.input_sha256 == made_by.input_sha256 else "another file"
        raise ArtifactError(f"{out} was started with {what}; remove it, or choose another --out")
    _cut_half_line(out)


def _cut_half_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


def read_previous(lines: Iterator[tuple[int, Line | BadLine]], out: Path) -> Iterator[Graded | BadLine]:
    """Yields the verdicts that OUT holds and the bad lines between them, consuming their input from `lines`."""
    with out.open("rb") as file:
        for raw in file:
            row = Graded.model_validate_json(raw)
            for _, line in lines:
                if isinstance(line, Line):
                    if line.id != row.id:
                        raise ArtifactError(f"{out} has {row.id!r} where {line.id!r} belongs; remove it")
                    yield row
                    break
                yield line


def _count(tally: Tally, result: Graded | BadLine, source: Path, console: Console) -> None:
    if isinstance(result, BadLine):
        tally.bad += 1
        message = f"{source.name}, line {result.number}: {result.reason}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    else:
        tally.outcomes[result.outcome] += 1


class _Progress:
    """Progress display: a bar on a terminal, otherwise a line now and then."""

    def __init__(self, console: Console, file: BinaryIO, size: int, tally: Tally) -> None:
        columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.fields[tally]}"))
        self.bars = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, transient=True)
        self._bar = self.bars.add_task("", total=size, tally="")
        self._console, self._file, self._size, self._tally = console, file, size, tally
        self._last_update = time.monotonic()

    def update(self) -> None:
        """Refreshes the display if enough time has passed; called after every verdict."""
        now = time.monotonic()
        if now - self._last_update < (0.2 if self._console.is_terminal else QUIET_PERIOD):
            return
        self._last_update = now
        read = self._size if self._file.closed else self._file.tell()  # the reader closes the file after the last row
        if self._console.is_terminal:
            self.bars.update(self._bar, completed=read, tally=str(self._tally))
        else:
            self._console.print(f"{read / self._size:.0%}: {self._tally}", highlight=False, soft_wrap=True)
