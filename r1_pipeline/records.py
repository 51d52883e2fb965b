"""The nouns: frozen records that cross package boundaries.

A `Problem` becomes a rendered prompt, an engine answers it with `Completion`s, a verifier judges each with a
`Verdict`, a rubric turns verdicts into a reward. Rows of the corpus are `Sample`s, with everything needed to
trace them. Not covered: artifacts on disk (`r1_pipeline.artifacts`) and settings (`r1_pipeline.recipe`).
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from r1_pipeline.registry import Registry

Language = Literal[
    "en", "zh", "ja", "ko", "fr", "de", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "pl", "cs", "hu", "ro", "tr",
    "vi", "id", "ru", "uk", "bg", "el", "he", "ar", "fa", "ur", "hi", "mr", "ne", "bn", "ta", "te", "th", "ka", "hy",
]  # fmt: skip
"""ISO 639-1; what of a text is in a language: `data.language_id`."""
FinishReason = Literal["stop", "length"]


class Record(BaseModel):
    """Base of all records: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainKind(Record):
    """A kind of problem: how it is called, how a reply states its answer, and who judges that."""

    title: str
    """In reports."""
    summary: Literal["boxed", "fenced", "plain"]
    """How a chat reply states a final answer: in `\\boxed{}`, as a fenced program, or as plain text."""
    verifier: str
    """Name among `rewards.graders.VERIFIERS`; a problem may name another."""
    reasoning: bool = True
    """Whether there is a right answer to reason towards; general prompts have none."""


DOMAINS = Registry(
    "domain",
    {
        "math": DomainKind(title="Mathematics", summary="boxed", verifier="maths"),
        "code": DomainKind(title="Code", summary="fenced", verifier="code"),
        "stem": DomainKind(title="STEM", summary="boxed", verifier="choice"),
        "logic": DomainKind(title="Logic", summary="boxed", verifier="choice"),
        "general": DomainKind(title="General", summary="plain", verifier="keywords", reasoning=False),
    },
)
"""Every domain; a recipe file may add its own."""
Domain = Annotated[str, AfterValidator(DOMAINS.valid)]
REASONING_DOMAINS: tuple[Domain, ...] = ("math", "code", "stem", "logic")
BUILTIN_DOMAINS: tuple[Domain, ...] = (*REASONING_DOMAINS, "general")
"""Domains for which the package makes problems."""


def _is_none(value: object) -> bool:
    """Fields that records did not always have stay out of rows and hashes while they say nothing."""
    return value is None


class Sparse:
    """Marks a field that is no column of a table in which no row has it: tables without it keep their bytes."""


def sparse(kind: type[Record]) -> tuple[str, ...]:
    """Names of the sparse fields of a record, in order."""
    found = kind.model_fields.items()
    return tuple(name for name, field in found if any(isinstance(mark, Sparse) for mark in field.metadata))


PreferenceKind = Literal["helpful", "safety"]
"""What a reply is preferred for."""
PromptKind = Literal["helpful", "safety", "harmless"]
"""What a general prompt asks for: help; something harmful, which is to be declined; or something that only looks so."""


class TestCase(Record):
    """One hidden test of a code problem. What counts as equal: `rewards.code`."""

    __test__ = False  # not a pytest class

    kind: Literal["call", "stdin", "unit"]
    """A function is called; a whole program reads standard input; the test is itself a program that calls."""
    function: str
    """Name of the function under test; empty for `stdin`."""
    given: str
    """`call`: JSON array of positional arguments; `stdin`: the text on standard input; `unit`: Python source."""
    expected: str
    """`call`: JSON value to be returned; `stdin`: the text on standard output; `unit`: empty."""
    limit_s: float
    """Wall time that the program may take, in seconds; the paper's accuracy reward counts slow as wrong."""
    tolerance: float | None = Field(default=None, exclude_if=_is_none)
    """`stdin` and `call`: how far a number with a point may be off, absolutely or relative to the expected one; None:
    nothing is rounded. Numbers without a point are exact."""
    prelude: str | None = Field(default=None, exclude_if=_is_none)
    """Python that the problem gives beside the program: imports and classes such as `ListNode`, run before it (and
    before a `unit` test) under the same names. None: nothing. A program in C++ gets none."""


class Problem(Record):
    """A question with the means to check an answer. Not a prompt: that is the rendered string."""

    id: str
    """Content hash of question, answer, tests and domain (see `data.toy_problems.problem_id`); 16 hex digits."""
    question: str
    answer: str | None
    """Reference answer; for `general` the required words, comma-separated; for `code` a passing program."""
    tests: tuple[TestCase, ...]
    """Hidden tests, `code` only."""
    domain: Domain
    language: Language
    """Language of the question, and the target language of the reasoning."""
    source: str
    """Where it comes from: generator and version, or data set and row."""
    licence: str
    """SPDX identifier."""
    verifier: str | None = Field(default=None, exclude_if=_is_none)
    """Who judges it where that is not its domain's verifier; a name among `rewards.graders.VERIFIERS`."""
    kind: Annotated[PromptKind | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """`general` only: what the prompt asks for; None means `helpful`. It decides which reward model has a say, and
    whether a refusal is right."""
    reply: Annotated[str | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """`general` only: what somebody wrote in reply, in the chat form, for models to learn; no reference answer."""
    rounds: Annotated[int | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Requests of the user in a dialogue whose earlier turns are part of `question`; None: the one."""


class Sampling(Record):
    """How tokens are drawn."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """Nucleus mass in (0, 1]."""
    max_tokens: int
    """Completion tokens, at most."""


class Request(Record):
    """One completion to be made: engines take these, so that shards and order cannot matter."""

    problem_id: str
    prompt: str
    """The rendered prompt, complete; the engine adds nothing to it."""
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    seed: int
    """63-bit seed of this very sample (see `generation.engine.sample_seed`)."""


class Completion(Record):
    """What a model said."""

    problem_id: str
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    seed: int
    """63-bit seed of this very sample."""
    text: str
    """Decoded completion without the prompt and without the end-of-sequence token."""
    token_ids: tuple[int, ...]
    """Sampled ids, the end-of-sequence token included where the model produced it."""
    finish_reason: FinishReason
    """`stop`: the model ended; `length`: it was cut off."""
    engine: str
    """Identity of the engine, e.g. `transformers-5.17.0/float32`."""
    logprobs: tuple[float, ...] | None = Field(default=None, exclude=True, repr=False)
    """Natural logarithm of each token's probability under the model at temperature 1; None where the engine does not
    say. Not stored: the last bits depend on the batch."""


STORED = tuple(name for name, field in Completion.model_fields.items() if not field.exclude)
"""Fields of a `Completion` that are columns of tables."""


class Outcome(StrEnum):
    """Why an answer got its score. Compare by identity; every member is truthy."""

    CORRECT = "correct"
    WRONG = "wrong"
    MALFORMED = "malformed"
    """No final answer could be found, or several that differ."""
    TRUNCATED = "truncated"
    """Cut off before an answer."""
    UNREFERENCED = "unreferenced"
    """There is no reference to compare with: a reward model or a judge may have an opinion, a verifier has none."""
    UNGRADABLE = "ungradable"
    """The reference is at fault."""
    GRADER_ERROR = "grader_error"
    """The grader is at fault."""


UNSCORED = frozenset({Outcome.UNREFERENCED, Outcome.UNGRADABLE, Outcome.GRADER_ERROR})
"""Outcomes that say nothing about the answer."""


class Verdict(Record):
    """A judgement. `score` is None exactly for the outcomes of `UNSCORED`, which are never zeros."""

    outcome: Outcome
    score: float | None
    """1.0 for correct, 0.0 for wrong, malformed and truncated, None otherwise."""
    extracted: str | None
    """What was judged: the answer, the program, the text; None where none was found."""
    detail: str
    """One line: what was compared, or why it failed."""
    verifier: str
    """`name@version` of the verifier."""


class Sample(Record):
    """One row of a corpus: a chat-format training sample with its provenance."""

    sample_id: str
    """Hash of everything that made the row; unique in a corpus; 16 hex digits."""
    problem_id: str
    domain: Domain
    language: Language
    source: str
    licence: str
    question: str
    response: str
    """What the student learns to say: `<think>…</think>` and the summary."""
    generator: str
    """Content digest of the checkpoint that wrote it, or `template@version`."""
    engine: str
    temperature: float
    """At which it was sampled; 0 is greedy."""
    top_p: float
    """Nucleus mass in (0, 1]."""
    max_tokens: int
    """Completion tokens, at most."""
    seed: int
    """63-bit seed of this very sample."""
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    outcome: Outcome
    verifier: str
    tokens: int
    """Tokens of the response under the generator's tokenizer."""
    language_share: float
    """Share of words of the reasoning that are in `language` (paper eq. 7)."""
    rounds: Annotated[int | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Requests of the user in a dialogue whose earlier turns are part of `question`; None: the one."""
    writer: Annotated[str | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Who put the generator's reply into other words: `template@VERSION`, the content digest of a checkpoint, or
    `server/RUNS/MODEL`; None: nobody did."""


class PreferencePair(Record):
    """Two answers to one prompt, the better one first. For safety: chosen = safe, rejected = unsafe."""

    id: str
    prompt: str
    chosen: str
    rejected: str
    kind: PreferenceKind
    language: Language
    source: str
    licence: str
