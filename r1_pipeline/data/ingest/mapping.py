"""From the columns of a row to a `Problem` or a `PreferencePair`, as a mapping declares it.

A mapping is a small TOML file whose values are Jinja templates over the columns of a row (`row` is the whole row, for
columns whose names are no identifiers), filled in a sandbox:

    makes = "problem"
    domain = "math"
    language = "en"
    question = '{{ question }}'
    answer = '{{ answer | after("####") }}'

Filters beside Jinja's own: `after(mark)`, the text behind the last `mark`; `boxed`, what the last `\\boxed{}` holds;
`match(pattern)`, what the first group of a regular expression finds; `choices`, options as lines `A. …`. A column that
is missing, null, NaN, a list, a duration or bytes that are no text, a filter that finds nothing, and a field that comes
out empty are faults of the row.
Mappings that ship with the project are in `data/mappings`. Not covered: files (`files`), grading.
"""

import hashlib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from jinja2 import StrictUndefined, TemplateError, Undefined, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from r1_pipeline.data.problems import problem_id
from r1_pipeline.data.words import LANGUAGES
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.recipe import Later, Recipe
from r1_pipeline.records import Domain, Language, PreferenceKind, PreferencePair, Problem, TestCase

M = TypeVar("M", Problem, PreferencePair)
SHIPPED = files("r1_pipeline.data") / "mappings"
LETTERS = "ABCDEFGHIJ"
_COLUMN = re.compile(r"\{\{ *(?!(?:[Tt]rue|[Ff]alse|[Nn]one) *\})([A-Za-z_][A-Za-z0-9_]*) *\}\}")


class RowError(Exception):
    """Why a row does not fit its mapping."""


def _plain(value: Any) -> Any:
    """What a template may print: text, dates and finite numbers, whole ones without a point."""
    if value is None:
        raise RowError("a column is null")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(f"a number is {value}")
        return int(value) if value.is_integer() else value
    if isinstance(value, list | dict):
        raise RowError("a column is a list or a record; pick from it or join it")
    if isinstance(value, bytes):
        raise RowError("a column is bytes that are not UTF-8")
    if not isinstance(value, str | int | Decimal | date | time | UUID | Undefined):
        raise RowError(f"a column is a {type(value).__name__}, which has no one form as text; convert it")
    return value


def _after(text: str, mark: str) -> str:
    _, found, tail = text.rpartition(mark)
    if not found:
        raise RowError(f"{mark!r} does not occur")
    return tail.strip()


def _match(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RowError(f"nothing matches {pattern!r}")
    return found[1]


def _boxed(text: str) -> str:
    opening = text.rfind("\\boxed{")
    if opening < 0:
        raise RowError("no \\boxed{}")
    start, depth = opening + len("\\boxed{"), 1
    for end in range(start, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if not depth:
            return text[start:end]
    raise RowError("\\boxed{ is not closed")


def _choices(options: Iterable[Any] | Mapping[str, Any]) -> str:
    pairs = options.items() if isinstance(options, Mapping) else zip(LETTERS, options, strict=False)
    return "\n".join(f"{letter}. {_plain(option)}" for letter, option in pairs)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_plain, keep_trailing_newline=True)
    environment.filters |= {"after": _after, "match": _match, "boxed": _boxed, "choices": _choices}
    environment.globals["zip"] = lambda *lists: list(zip(*lists, strict=True))
    return environment


def columns_named(template: str) -> set[str]:
    """Columns of a row that a template names."""
    return meta.find_undeclared_variables(_environment().parse(template)) - {"row"}


def _compiles(source: str) -> str:
    try:
        _template(source)
    except TemplateError as error:
        raise ValueError(f"{source!r} is not a template: {error}") from error
    return source


def _evaluates(source: str) -> str:
    try:
        _expression(source)
    except TemplateError as error:
        raise ValueError(f"{source!r} is not an expression: {error}") from error
    return source


@cache
def _template(source: str) -> Callable[..., str]:
    if "{" not in source:
        return lambda _: source
    if (column := _COLUMN.fullmatch(source)) and column[1] not in _environment().globals:
        return partial(_one, column[1])
    return _environment().from_string(source).render


def _one(name: str, columns: Mapping[str, Any]) -> str:
    """What the commonest template says, `{{ name }}`, ten times as fast."""
    if name not in columns:
        raise RowError(f"{name!r} is undefined")
    return str(_plain(columns[name]))


@cache
def _expression(source: str) -> Callable[..., Any]:
    return _environment().compile_expression(source, undefined_to_none=False)


Template = Annotated[str, AfterValidator(_compiles)]
"""Text with `{{ column }}` in it."""
Expression = Annotated[str, AfterValidator(_evaluates)]
"""What would stand inside `{{ }}`."""


class TestsMapping(Recipe):
    """Where the hidden tests of a code problem come from; fields as in `records.TestCase`."""

    __test__ = False  # not a pytest class

    kind: Literal["call", "stdin", "unit"]
    each: Expression
    """A list; each of its elements is `case` in the templates below and becomes one test."""
    function: Template
    given: Template
    expected: Template
    limit_s: float = Field(gt=0)
    tolerance: Annotated[float | None, Field(gt=0), Later()] = None
    prelude: Annotated[Template | None, Later()] = None

    def tests(self, columns: Mapping[str, Any]) -> tuple[TestCase, ...]:
        """One test for each element."""
        cases = list(_filled(_expression(self.each), columns))
        if not cases:
            raise RowError("there are no tests")
        return tuple(self._test({**columns, "case": case}) for case in cases)

    def _test(self, columns: Mapping[str, Any]) -> TestCase:
        return TestCase(
            kind=self.kind,
            function=_text(self.function, columns),
            given=_text(self.given, columns),
            expected=_text(self.expected, columns),
            limit_s=self.limit_s,
            tolerance=self.tolerance,
            prelude=None if self.prelude is None else _text(self.prelude, columns),
        )


class _Mapping(Recipe):
    language: Template
    """Comes out as a code of `data.words.LANGUAGES`, such as `en`."""
    require: Expression | None = None
    """Rows for which this is false are set aside."""
    fact: Template | None = None
    """What the row is about; rows of one fact fall on one side of the split. The question or prompt if left out."""

    def _language(self, columns: Mapping[str, Any]) -> Language:
        found = _text(self.language, columns)
        for language in LANGUAGES:
            if found == language:
                return language
        raise RowError(f"the language is {found!r}, not one of {', '.join(LANGUAGES)}")

    def _check(self, columns: Mapping[str, Any]) -> None:
        if self.require is not None and not _filled(_expression(self.require), columns):
            raise RowError(f"not so: {self.require}")

    def _named(self, place: str, about: str, columns: Mapping[str, Any]) -> str:
        """The source of a row: `place#fact`."""
        fact = about if self.fact is None else _stripped("fact", self.fact, columns)
        return f"{place}#{hashlib.sha256(fact.encode()).hexdigest()[:16]}"


class ProblemMapping(_Mapping):
    """A row is a problem."""

    makes: Literal["problem"]
    domain: Domain
    """Decides who verifies: maths by value, stem and logic by letter or word, code by its tests."""
    question: Template
    answer: Template | None = None
    """Reference answer, for code a passing program; None for prompts, and for code that has tests alone."""
    tests: TestsMapping | None = None
    verifier: Annotated[str | None, Later()] = None
    """Who judges these problems, if not the verifier of their domain (`rewards.graders.VERIFIERS`)."""

    def record(self, columns: Mapping[str, Any], place: str, licence: str) -> Problem:
        """The problem of a row that stands at `place`; raises `RowError`."""
        columns = {**columns, "row": columns}
        self._check(columns)
        question = _stripped("question", self.question, columns)
        answer = None if self.answer is None else _stripped("answer", self.answer, columns)
        tests = () if self.tests is None else self.tests.tests(columns)
        return Problem(
            id=problem_id(question, answer, tests, self.domain),
            question=question,
            answer=answer,
            tests=tests,
            domain=self.domain,
            language=self._language(columns),
            source=self._named(place, question, columns),
            licence=licence,
            verifier=self.verifier,
        )


class PairMapping(_Mapping):
    """A row is a better and a worse reply to one prompt."""

    makes: Literal["pair"]
    kind: PreferenceKind
    prompt: Template
    chosen: Template
    rejected: Template

    def record(self, columns: Mapping[str, Any], place: str, licence: str) -> PreferencePair:
        """The pair of a row that stands at `place`; raises `RowError`."""
        columns = {**columns, "row": columns}
        self._check(columns)
        prompt, chosen, rejected = (
            _stripped(name, getattr(self, name), columns) for name in ("prompt", "chosen", "rejected")
        )
        if chosen == rejected:
            raise RowError("both replies are the same")
        return PreferencePair(
            id=hashlib.sha256("\x1f".join((prompt, chosen, rejected)).encode()).hexdigest()[:16],
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            kind=self.kind,
            language=self._language(columns),
            source=self._named(place, prompt, columns),
            licence=licence,
        )


def _filled(fill: Callable[..., Any], columns: Mapping[str, Any]) -> Any:
    try:
        return fill(columns)
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError, re.error) as error:
        raise RowError(str(error)) from error


def _text(source: str, columns: Mapping[str, Any]) -> str:
    text = str(_filled(_template(source), columns))
    if not text.isascii() and (lone := re.search("[\ud800-\udfff]", text)):
        raise RowError(f"half a character, \\u{ord(lone[0]):x}")
    return text


def _stripped(name: str, source: str, columns: Mapping[str, Any]) -> str:
    text = _text(source, columns).strip()
    if not text:
        raise RowError(f"the {name} is empty")
    return text


AnyMapping = Annotated[ProblemMapping | PairMapping, Field(discriminator="makes")]
_ADAPTER: TypeAdapter[ProblemMapping | PairMapping] = TypeAdapter(AnyMapping)


def shipped_mappings() -> list[str]:
    """Names of the mappings that come with the project."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def load_mapping(name: str, beside: Path) -> ProblemMapping | PairMapping:
    """A shipped mapping by its name, or one from a `.toml` file, relative to the folder `beside`.

    Raises `UnknownNameError` with the names there are, or `RecipeError` naming file and field.
    """
    if not name.endswith(".toml"):
        if name not in shipped_mappings():
            raise UnknownNameError("mapping", name, [*shipped_mappings(), "a .toml file"])
        return parse_toml((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), name, _ADAPTER)
    path = beside / name
    try:
        return parse_toml(path.read_text(encoding="utf-8"), str(path), _ADAPTER)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the mapping {path} cannot be read: {error}; give its path from {beside}") from error


T = TypeVar("T")


def parse_toml(text: str, name: str, adapter: TypeAdapter[T]) -> T:
    """What `text` declares; raises `RecipeError` that names file and line, or field."""
    try:
        return adapter.validate_python(tomllib.loads(text.removeprefix("\ufeff")))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{name}: {'; '.join(faults_of(error))}") from error


def faults_of(error: ValidationError) -> Iterator[str]:
    """Every fault of a validation, as `field: what is wrong`."""
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        yield f"{place}: {fault['msg'].removeprefix('Value error, ')}" if place else fault["msg"]
