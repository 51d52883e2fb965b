"""This module grades JSON lines: it parses each row, judges several rows at once and yields verdicts in their order.

    {"id", "domain", "answer", "reference", "tests", "language", "question"}  an input row; `id`, `domain` and `answer`
    are required, other keys are ignored, and null means that the key is absent
    {"id", "outcome", "score", "extracted", "detail", "seconds"}              an output row

`answer` is the whole reply of a model, and `domain` a domain of the grader or `choice`. The final part of a reply is
the text in its `<answer>` tags if it has any, else the text after the last `</think>`, else the whole reply; the
verifier then extracts the answer from it. A line that cannot be read becomes a `BadLine`, and grading continues.
Memory is bounded by the lines in progress. Not covered: files, interruptions, progress (`r1_pipeline.cli.grade`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, ValidationError

from r1_pipeline.data.ingest.files import Broken, Row
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain, Language, Outcome, Problem, Record, TestCase
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.verifier import Grader, template_of
from r1_pipeline.settings.threads import in_order

_AHEAD = 64
"""The number of lines that are read ahead for each worker."""
_AHEAD_BYTES = 64 << 20
"""The number of bytes that all workers together read ahead, at most, plus one line."""


def _written(value: Any) -> Any:
    """Returns a number, or a list of numbers and texts, as text; any other value unchanged."""
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(str(_written(each)) for each in value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Written = Annotated[str, BeforeValidator(_written)]


class Line(Record):
    """One answer to be graded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str | int
    domain: Literal["math", "code", "choice", "stem", "logic", "general"]
    answer: Written
    reference: Written | None = None
    tests: tuple[TestCase, ...] = ()
    language: Language = "en"
    question: str = ""
    """The question; it decides what a percent sign or a number base means (`rewards.maths`)."""

    @property
    def problem(self) -> Problem:
        """The line as the `Problem` that verifiers take."""
        domain: Domain = "stem" if self.domain == "choice" else self.domain
        return Problem(
            id=problem_id(self.question, self.reference, self.tests, domain),
            question=self.question,
            answer=self.reference,
            tests=self.tests,
            domain=domain,
            language=self.language,
            source="",
            licence="",
        )


class BadLine(Record):
    """A line that cannot be graded."""

    number: int
    """The line's number in the file, counted from 1."""
    reason: str
    """The first fault of the line."""


class Graded(Record):
    """The verdict on one line."""

    id: str | int
    """The row's own id."""
    outcome: Outcome
    score: float | None
    """The score: 1.0 for correct; 0.0 for wrong, malformed and truncated; None for all other outcomes."""
    extracted: str | None
    detail: str
    seconds: float
    """The wall time of judging, in seconds."""


def read_lines(rows: Iterable[Row | Broken]) -> Iterator[tuple[int, Line | BadLine]]:
    """Yields the approximate size of each row in bytes, and its parsed line, or a `BadLine` with the reason."""
    for row in rows:
        if isinstance(row, Broken):
            yield 0, BadLine(number=row.line, reason=row.fault)
        else:
            yield len(row.raw) or len(str(row.columns)), parse(row.line, row.columns)


def parse(number: int, columns: Mapping[str, Any]) -> Line | BadLine:
    """Returns the parsed row, or a `BadLine` with the first fault; `number` counts rows from 1."""
    try:
        return Line.model_validate({name: value for name, value in columns.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return BadLine(number=number, reason=f"{where}: {first['msg']}" if where else first["msg"])


def grade_lines(
    grader: Grader, lines: Iterable[tuple[int, Line | BadLine]], workers: int
) -> Iterator[Graded | BadLine]:
    """Yields the verdict on each line in order, or the `BadLine` itself, with `workers` lines judged at once.

    Raises `GraderError` if this machine cannot grade, for example without a sandbox for programs.
    """

    def judged(sized: tuple[int, Line | BadLine]) -> Graded | BadLine:
        line = sized[1]
        return line if isinstance(line, BadLine) else _graded(grader, line)

    return in_order(judged, lines, workers, _AHEAD * workers, lambda sized: sized[0], _AHEAD_BYTES)


def grade_rows(
    rows: Iterable[Mapping[str, Any]], *, workers: int = 1, rule: Rule = "lenient"
) -> Iterator[Graded | BadLine]:
    """Judges answers as `r1 grade` does and yields, in order, a `Graded` or a `BadLine` for each row.

    Each of `rows` has `id`, `domain`, `answer` and, as its domain needs, `reference`, `tests`, `language` and
    `question`, like a line of a file. `workers` answers are judged at once. `rule` is the extraction rule: "strict" as
    in training, or "lenient". The grading processes end with the iteration.

    Raises `GraderError` if this machine cannot grade, for example without a sandbox for programs.
    """
    with default_grader(Runtime(threads=workers), rule) as grader:
        yield from grade_lines(grader, ((len(str(row)), parse(n, row)) for n, row in enumerate(rows, 1)), workers)


def _graded(grader: Grader, line: Line) -> Graded:
    started = time.perf_counter()
    judged = grader.judge_reply(line.problem, line.answer, template_of(line.answer))
    seconds = round(time.perf_counter() - started, 6)
    shown = judged.model_dump(include={"outcome", "score", "extracted", "detail"})
    return Graded(id=line.id, seconds=seconds, **shown)
