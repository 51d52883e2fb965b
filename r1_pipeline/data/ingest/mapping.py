"""A mapping declares how the columns of a row make a record.

    makes = "problem"         a question with its reference, or a prompt without one      -> Problem
    makes = "demonstration"   a general prompt, of one turn or several, and a written reply -> Problem with `reply`
    makes = "pair"            a better and a worse reply to one prompt                     -> PreferencePair

A mapping is a small TOML file whose values are Jinja templates over the columns of a row (`row` is the whole row, for
columns whose names are not identifiers), rendered in a sandbox:

    makes = "problem"
    domain = "math"
    language = "en"
    question = '{{ question }}'
    answer = '{{ answer | after("####") }}'

Mappings that ship with the project are in `data/mappings`. Not covered: rendering (`rendering`), files (`files`),
grading.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from r1_pipeline.data.ingest.rendering import (
    Expression,
    RowError,
    Template,
    evaluate,
    expression_of,
    render_stripped,
    render_text,
)
from r1_pipeline.data.language_id import LANGUAGES
from r1_pipeline.data.templates import dialogue, reply, split_reply
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Domain, Language, PreferenceKind, PreferencePair, Problem, PromptKind, TestCase

SHIPPED = files("r1_pipeline.data") / "mappings"
PROMPT_KINDS: tuple[PromptKind, ...] = get_args(PromptKind)
PREFERENCE_KINDS: tuple[PreferenceKind, ...] = get_args(PreferenceKind)
K = TypeVar("K", PromptKind, PreferenceKind)


def _one_of(valid: tuple[str, ...]) -> AfterValidator:
    """Returns a validator that rejects a kind that is neither a template nor one of `valid`."""

    def check(source: str) -> str:
        if "{" not in source and source not in valid:
            raise ValueError(f"{source!r} is not one of {', '.join(valid)}, nor a template such as '{{{{ kind }}}}'")
        return source

    return AfterValidator(check)


PromptKindTemplate = Annotated[Template, _one_of(PROMPT_KINDS)]
PreferenceKindTemplate = Annotated[Template, _one_of(PREFERENCE_KINDS)]


class TestsMapping(Recipe):
    """The mapping of the hidden tests of a code problem; its fields are those of `records.TestCase`."""

    __test__ = False  # not a pytest class

    kind: Literal["call", "stdin", "unit", "instruction", "turn"]
    each: Expression
    """An expression for a list; each of its elements is `case` in the templates below and becomes one test."""
    function: Template
    given: Template
    expected: Template
    limit_s: float = Field(gt=0)
    tolerance: Annotated[float | None, Field(gt=0), AddedField()] = None
    prelude: Annotated[Template | None, AddedField()] = None

    def tests(self, columns: Mapping[str, Any]) -> tuple[TestCase, ...]:
        """Returns one test for each element; raises `RowError` if there are none."""
        cases = list(evaluate(expression_of(self.each), columns))
        if not cases:
            raise RowError("there are no tests")
        return tuple(self._test({**columns, "case": case}) for case in cases)

    def _test(self, columns: Mapping[str, Any]) -> TestCase:
        return TestCase(
            kind=self.kind,
            function=render_text(self.function, columns),
            given=render_text(self.given, columns),
            expected=render_text(self.expected, columns),
            limit_s=self.limit_s,
            tolerance=self.tolerance,
            prelude=None if self.prelude is None else render_text(self.prelude, columns),
        )


class _Mapping(Recipe):
    language: Template
    """A template that renders to a code of `data.language_id.LANGUAGES`, such as `en`."""
    require: Expression | None = None
    """A condition; rows for which it is false are dropped."""
    fact: Template | None = None
    """A template for the fact that the row is about, the question or prompt by default; all rows of one fact are on one
    side of the split."""

    def _language(self, columns: Mapping[str, Any]) -> Language:
        found = render_text(self.language, columns)
        for language in LANGUAGES:
            if found == language:
                return language
        raise RowError(f"the language is {found!r}, not one of {', '.join(LANGUAGES)}")

    def _check(self, columns: Mapping[str, Any]) -> None:
        if self.require is not None and not evaluate(expression_of(self.require), columns):
            raise RowError(f"not so: {self.require}")

    def _kind(self, source: str, valid: tuple[K, ...], columns: Mapping[str, Any]) -> K:
        found = render_text(source, columns).strip()
        for kind in valid:
            if found == kind:
                return kind
        raise RowError(f"the kind is {found!r}, not one of {', '.join(valid)}; translate it in the mapping")

    def _named(self, place: str, about: str, columns: Mapping[str, Any]) -> str:
        """Returns the source of a row: `place#fact`."""
        fact = about if self.fact is None else render_stripped("fact", self.fact, columns)
        return f"{place}#{hashlib.sha256(fact.encode()).hexdigest()[:16]}"


class ProblemMapping(_Mapping):
    """The mapping of a row to a problem."""

    makes: Literal["problem"]
    domain: Domain
    """The domain, which decides the verifier: maths by value, stem and logic by letter or word, code by its tests."""
    question: Template
    answer: Template | None = None
    """The reference answer, for code a passing program; None for prompts, and for code that has tests alone."""
    tests: TestsMapping | None = None
    verifier: Annotated[str | None, AddedField()] = None
    """The verifier of these problems, if not that of their domain (`rewards.graders.VERIFIERS`)."""
    kind: Annotated[PromptKindTemplate | None, AddedField()] = None
    """The kind of general prompts, a template that renders to helpful, safety (to be declined) or harmless (only looks
    harmful); None means helpful."""
    difficulty: Annotated[Template | None, AddedField()] = None
    """A template for the difficulty, by which the scores of a benchmark are also given."""

    @model_validator(mode="after")
    def _has_a_kind_if_general(self) -> Self:
        if self.kind is not None and self.domain != "general":
            raise ValueError(f"kind belongs to prompts of the domain general, this one is {self.domain}; leave it out")
        return self

    def record(self, columns: Mapping[str, Any], place: str, licence: str) -> Problem:
        """Returns the problem of the row at `place`; raises `RowError` if the row does not fit the mapping."""
        columns = {**columns, "row": columns}
        self._check(columns)
        question = render_stripped("question", self.question, columns)
        answer = None if self.answer is None else render_stripped("answer", self.answer, columns)
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
            kind=_stated(self, columns),
            difficulty=None if self.difficulty is None else render_stripped("difficulty", self.difficulty, columns),
        )


class DemonstrationMapping(_Mapping):
    """The mapping of a row to a general prompt and a reply that somebody wrote."""

    makes: Literal["demonstration"]
    prompt: Template | None = None
    """A template for a prompt of one turn."""
    turns: Expression | None = None
    """An expression for the turns of a dialogue, in place of `prompt`: a list of texts, the user's first and last, the
    assistant's between."""
    reply: Template
    reasoning: Template | None = None
    """A template for the writer's reasoning, where the data set has it; None: models learn the reply alone."""
    kind: PromptKindTemplate | None = None
    """The kind of the prompt, as in `ProblemMapping`."""

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if (self.prompt is None) == (self.turns is None):
            raise ValueError("a demonstration needs prompt, or turns for a dialogue; give one of them")
        return self

    @property
    def domain(self) -> Domain:
        """The domain of demonstrations, which are general prompts."""
        return "general"

    def record(self, columns: Mapping[str, Any], place: str, licence: str) -> Problem:
        """Returns the prompt of the row at `place` with its reply; raises `RowError` if the row does not fit the
        mapping."""
        columns = {**columns, "row": columns}
        self._check(columns)
        turns = self._turns(columns)
        question, written = dialogue(turns), render_stripped("reply", self.reply, columns)
        if split_reply("chat", written).final != written:
            raise RowError("the reply has tags of reasoning in it; take them apart with reasoning and reply")
        thought = None if self.reasoning is None else render_stripped("reasoning", self.reasoning, columns)
        return Problem(
            id=problem_id(question, None, (), self.domain),
            question=question,
            answer=None,
            tests=(),
            domain=self.domain,
            language=self._language(columns),
            source=self._named(place, question, columns),
            licence=licence,
            kind=_stated(self, columns),
            reply=written if thought is None else reply(thought, written),
            rounds=len(turns) // 2 + 1 if len(turns) > 1 else None,
        )

    def _turns(self, columns: Mapping[str, Any]) -> list[str]:
        """Returns the turns: the user's first and last, the assistant's between; raises `RowError` for anything
        else."""
        if self.turns is None:
            return [render_stripped("prompt", str(self.prompt), columns)]
        turns = evaluate(expression_of(self.turns), columns)
        if not isinstance(turns, list) or not all(isinstance(turn, str) and turn.strip() for turn in turns):
            raise RowError("turns are not a list of texts")
        if len(turns) % 2 == 0:
            raise RowError(f"there are {len(turns)} turns; an odd number, so that the user says the first and the last")
        return [turn.strip() for turn in turns]


def _stated(mapping: "ProblemMapping | DemonstrationMapping", columns: Mapping[str, Any]) -> PromptKind | None:
    return None if mapping.kind is None else mapping._kind(mapping.kind, PROMPT_KINDS, columns)


class PairMapping(_Mapping):
    """The mapping of a row to a better and a worse reply to one prompt."""

    makes: Literal["pair"]
    kind: PreferenceKindTemplate
    """A template that renders to helpful or safety, the reward model that is trained on the pair."""
    prompt: Template
    chosen: Template
    rejected: Template

    def record(self, columns: Mapping[str, Any], place: str, licence: str) -> PreferencePair:
        """Returns the pair of the row at `place`; raises `RowError` if the row does not fit the mapping."""
        columns = {**columns, "row": columns}
        self._check(columns)
        prompt, chosen, rejected = (
            render_stripped(name, getattr(self, name), columns) for name in ("prompt", "chosen", "rejected")
        )
        if chosen == rejected:
            raise RowError("both replies are the same")
        return PreferencePair(
            id=hashlib.sha256("\x1f".join((prompt, chosen, rejected)).encode()).hexdigest()[:16],
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            kind=self._kind(self.kind, PREFERENCE_KINDS, columns),
            language=self._language(columns),
            source=self._named(place, prompt, columns),
            licence=licence,
        )


AnyMapping = Annotated[ProblemMapping | DemonstrationMapping | PairMapping, Field(discriminator="makes")]
_ADAPTER: TypeAdapter[ProblemMapping | DemonstrationMapping | PairMapping] = TypeAdapter(AnyMapping)


def shipped_mappings() -> list[str]:
    """Returns the names of the mappings that ship with the project, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def load_mapping(name: str, base: Path) -> ProblemMapping | DemonstrationMapping | PairMapping:
    """Returns a shipped mapping by its name, or one from a `.toml` file, relative to the folder `base`.

    Raises `UnknownNameError` with the valid names, or `RecipeError` with the file and the field.
    """
    if not name.endswith(".toml"):
        if name not in shipped_mappings():
            raise UnknownNameError("mapping", name, [*shipped_mappings(), "a .toml file"])
        return parse_toml((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), name, _ADAPTER)
    path = base / name
    try:
        return parse_toml(path.read_text(encoding="utf-8"), str(path), _ADAPTER)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the mapping {path} cannot be read: {error}; give its path from {base}") from error


T = TypeVar("T")


def parse_toml(text: str, name: str, adapter: TypeAdapter[T]) -> T:
    """Parses and validates `text`; raises `RecipeError` with the file and the line or field."""
    try:
        return adapter.validate_python(tomllib.loads(text.removeprefix("\ufeff")))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{name}: {'; '.join(faults_of(error))}") from error


def faults_of(error: ValidationError) -> Iterator[str]:
    """Yields every fault of a validation, as `field: what is wrong`."""
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ") + ("; add it" if fault["type"] == "missing" else "")
        yield f"{place}: {message}" if place else message
