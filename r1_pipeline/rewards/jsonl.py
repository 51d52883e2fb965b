"""Grading anybody's answers: what a line of a file says, and verdicts in the order of the lines, many judged at once.

    {"id", "domain", "answer", "reference", "tests", "language", "question"}  a row; id, domain and answer must be
    there, other keys are ignored, null says the same as no key
    {"id", "outcome", "score", "extracted", "detail", "seconds"}              what comes out

`answer` is all that a model said, `domain` one of the grader's or `choice`. Where the final part stands: in `<answer>`
tags where there are any, else after the last `</think>`, else it is all of it; the rest is the verifier's rule.
A line that cannot be read is a `BadLine` and stops nothing. Memory is bounded by the lines that are being judged.
Not covered: files, interruptions, progress (`r1_pipeline.cli.grade`).
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
"""Lines that are read ahead for each worker."""
_AHEAD_BYTES = 64 << 20
"""Bytes that are read ahead by all, at most, and one line."""


def _written(value: Any) -> Any:
    """Returns numbers, and lists of numbers and texts, as the text that data sets mean by them."""
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
    """Decides what a percent sign or a number base means (`rewards.maths`)."""

    @property
    def problem(self) -> Problem:
        """The question behind the line, as verifiers want it."""
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
    """A line that says nothing that can be graded."""

    number: int
    """Number of the row, from 1."""
    reason: str


class Graded(Record):
    """The verdict on one line."""

    id: str | int
    """Identifier that the row has."""
    outcome: Outcome
    score: float | None
    """Score: 1.0 for correct, 0.0 for wrong, malformed and truncated, None if the outcome does not judge the answer."""
    extracted: str | None
    detail: str
    seconds: float
    """Wall time of judging, in seconds."""


def read_lines(rows: Iterable[Row | Broken]) -> Iterator[tuple[int, Line | BadLine]]:
    """Every row as its size in bytes, about, and the answer that it holds or why it holds none."""
    for row in rows:
        if isinstance(row, Broken):
            yield 0, BadLine(number=row.line, reason=row.fault)
        else:
            yield len(row.raw) or len(str(row.columns)), parse(row.line, row.columns)


def parse(number: int, columns: Mapping[str, Any]) -> Line | BadLine:
    """The answer that a row holds, or why it holds none."""
    try:
        return Line.model_validate({name: value for name, value in columns.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return BadLine(number=number, reason=f"{where}: {first['msg']}" if where else first["msg"])


def grade_lines(
    grader: Grader, lines: Iterable[tuple[int, Line | BadLine]], workers: int
) -> Iterator[Graded | BadLine]:
    """What becomes of each line, in order. Raises `GraderError` where nothing can be judged on this machine."""

    def judged(sized: tuple[int, Line | BadLine]) -> Graded | BadLine:
        line = sized[1]
        return line if isinstance(line, BadLine) else _graded(grader, line)

    return in_order(judged, lines, workers, _AHEAD * workers, lambda sized: sized[0], _AHEAD_BYTES)


def grade_rows(
    rows: Iterable[Mapping[str, Any]], *, workers: int = 1, rule: Rule = "lenient"
) -> Iterator[Graded | BadLine]:
    """Judges answers as `r1 grade` does and yields, in order, a `Graded` or a `BadLine` for each row.

    Each of `rows` has `id`, `domain`, `answer` and, as its domain needs, `reference`, `tests`, `language` and
    `question`, as lines of a file have them. `workers` answers are judged at once. `rule` says how an answer is found:
    "strict" as in training, or "lenient". The children that judge end with the iteration.

    Raises `GraderError` where nothing can be judged on this machine.
    """
    with default_grader(Runtime(threads=workers), rule) as grader:
        yield from grade_lines(grader, ((len(str(row)), parse(n, row)) for n, row in enumerate(rows, 1)), workers)


def _graded(grader: Grader, line: Line) -> Graded:
    started = time.perf_counter()
    judged = grader.judge_reply(line.problem, line.answer, template_of(line.answer))
    seconds = round(time.perf_counter() - started, 6)
    shown = judged.model_dump(include={"outcome", "score", "extracted", "detail"})
    return Graded(id=line.id, seconds=seconds, **shown)
