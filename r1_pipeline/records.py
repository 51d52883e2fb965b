"""The nouns: frozen records that cross package boundaries.

A `Problem` becomes a rendered prompt, an engine generates `Completion`s, a verifier gives each a `Verdict`, and a
rubric turns verdicts into a reward. Rows of the corpus are `Sample`s, with everything needed to trace them. Artifacts
on disk are in `r1_pipeline.artifacts`, settings in `r1_pipeline.recipe`.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from r1_pipeline.registry import Registry

Language = Literal[
    "en", "zh", "ja", "ko", "fr", "de", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "pl", "cs", "hu", "ro", "tr",
    "vi", "id", "ru", "uk", "bg", "el", "he", "ar", "fa", "ur", "hi", "mr", "ne", "bn", "ta", "te", "th", "ka", "hy",
]  # fmt: skip
"""Language code, ISO 639-1; `data.language_id` identifies the language of text."""
FinishReason = Literal["stop", "length"]


class Record(BaseModel):
    """Base class of all records, which are immutable and refuse unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainKind(Record):
    """A kind of problem: its title, the form of a final answer, and its verifier."""

    title: str
    """Title in reports."""
    summary: Literal["boxed", "fenced", "plain"]
    """Form of a final answer in a chat reply: in `\\boxed{}`, as a fenced program, or as plain text."""
    verifier: str
    """Name of the verifier in `rewards.graders.VERIFIERS`; a problem may name another."""
    reasoning: bool = True
    """True if there is a correct answer to reason towards; general prompts have none."""


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
"""All domains; a recipe file can add more."""
Domain = Annotated[str, AfterValidator(DOMAINS.valid)]
REASONING_DOMAINS: tuple[Domain, ...] = ("math", "code", "stem", "logic")
BUILTIN_DOMAINS: tuple[Domain, ...] = (*REASONING_DOMAINS, "general")
"""Domains with built-in problems."""


def _is_empty(value: tuple[str, ...]) -> bool:
    """Fields that records did not always have stay out of rows and hashes while they say nothing."""
    return not value


def _is_none(value: object) -> bool:
    """Returns True for None, so that fields which were added later stay out of rows and hashes when unset."""
    return value is None


class Sparse:
    """Marks a field that is not a column of tables in which no row has it, so that old tables keep their bytes."""


def sparse(kind: type[Record]) -> tuple[str, ...]:
    """Returns the names of the sparse fields of a record, in order."""
    found = kind.model_fields.items()
    return tuple(name for name, field in found if any(isinstance(mark, Sparse) for mark in field.metadata))


PreferenceKind = Literal["helpful", "safety"]
"""Kind of preference between replies."""
PromptKind = Literal["helpful", "safety", "harmless"]
"""Kind of general prompt: a request for help, a harmful request to decline, or one that only looks harmful."""


class TestCase(Record):
    """One hidden test of a problem; `rewards.code` defines equality of results, `rewards.instructions` obedience."""

    __test__ = False  # not a pytest class

    kind: Literal["call", "stdin", "unit", "instruction", "turn"]
    """Kind of test: a function call, a program that reads standard input, a test that is itself a program, an
    instruction that a reply in words follows or not, or the user's next turn."""
    function: str
    """Name of the function under test, or of the instruction; empty for `stdin`."""
    given: str
    """`call`: JSON array of positional arguments; `stdin`: the text on standard input; `unit`: Python source;
    `instruction`: JSON object of its arguments; `turn`: what the user says next."""
    expected: str
    """`call`: JSON value to be returned; `stdin`: the text on standard output; `unit`, `instruction`: empty; `turn`:
    the reference of the reply to it, or empty."""
    limit_s: float
    """Wall-clock limit in seconds; as in the paper's accuracy reward, a slow program counts as wrong."""
    tolerance: float | None = Field(default=None, exclude_if=_is_none)
    """Largest error, absolute or relative, of a number with a decimal point, for `stdin` and `call`.

    None means exact comparison; numbers without a point are always exact."""
    prelude: str | None = Field(default=None, exclude_if=_is_none)
    """Python code that the problem provides: imports and classes such as `ListNode`.

    It runs before the program (and before a `unit` test) under the same names; programs in C++ get none."""


class Problem(Record):
    """A question with the means to check an answer; the prompt is a string that is rendered from it."""

    id: str
    """Content hash of question, answer, tests and domain (see `data.toy_problems.problem_id`); 16 hex digits."""
    question: str
    """The question as it is asked, without a prompt form."""
    answer: str | None
    """Reference answer; for `general` the required words, comma-separated; for `code` a passing program."""
    tests: tuple[TestCase, ...]
    """Hidden tests: of programs, instructions that a reply in words must follow, or the user's next turns."""
    domain: Domain
    """Kind of problem, which decides the verifier."""
    language: Language
    """Language of the question, and the target language of the reasoning."""
    source: str
    """Origin: generator and version, or data set and row."""
    licence: str
    """Licence as an SPDX identifier."""
    verifier: str | None = Field(default=None, exclude_if=_is_none)
    """Name of its verifier in `rewards.graders.VERIFIERS`; None for the verifier of its domain."""
    kind: Annotated[PromptKind | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Kind of request, for `general` only; None means `helpful`.

    It decides which reward model scores a reply, and if a refusal is correct."""
    reply: Annotated[str | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Written reply in chat form, for `general` only; a demonstration for training, not a reference answer."""
    rounds: Annotated[int | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Number of user turns in a dialogue whose earlier turns are part of `question`; None for a single turn."""
    difficulty: Annotated[str | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Difficulty as its data set states it, such as `Level 5`; None if it states none."""


class Sampling(Record):
    """The settings of token sampling."""

    temperature: float
    """Sampling temperature; 0 is greedy."""
    top_p: float
    """Nucleus mass in (0, 1]."""
    max_tokens: int
    """Completion tokens, at most."""
    stop: tuple[str, ...] = Field(default=(), exclude_if=_is_empty)
    """Strings that end a completion as soon as it holds one."""


class Request(Record):
    """A request to an engine for one completion, whose result does not depend on shards and order."""

    problem_id: str
    prompt: str
    """The rendered prompt, complete; the engine adds nothing to it, unless the form is the model's own."""
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    seed: int
    """Seed of this sample, 63 bits (see `generation.engine.sample_seed`)."""
    own: bool = False
    """True if `prompt` is a user's message, which the engine puts into the model's own chat template."""
    opened: bool = False
    """True if the engine then opens `<think>`."""


class Completion(Record):
    """A completion of a model, with its sampling."""

    problem_id: str
    """Id of the problem that was asked."""
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    seed: int
    """Seed of this sample, 63 bits."""
    text: str
    """Decoded completion without the prompt and without the end-of-sequence token; a stop string ends it, and `<think>`
    begins it where the prompt has opened that."""
    token_ids: tuple[int, ...]
    """Sampled token ids, with the end-of-sequence token if the model produced it."""
    finish_reason: FinishReason
    """Reason for the end: `stop` if the model or a stop string ended the text, `length` if it was cut off."""
    engine: str
    """Identity of the engine, such as `transformers-5.17.0/float32`."""
    logprobs: tuple[float, ...] | None = Field(default=None, exclude=True, repr=False)
    """Natural logarithm of each token's probability under the model at temperature 1, in nats.

    None if the engine does not report it. It is not stored, because its last bits depend on the batch."""


STORED = tuple(name for name, field in Completion.model_fields.items() if not field.exclude)
"""Fields of a `Completion` that are columns of tables."""


class Outcome(StrEnum):
    """The reason for an answer's score; compare members by identity, since every member is truthy."""

    CORRECT = "correct"
    WRONG = "wrong"
    MALFORMED = "malformed"
    """The reply has no final answer, or several that differ."""
    TRUNCATED = "truncated"
    """The reply was cut off before an answer."""
    UNREFERENCED = "unreferenced"
    """There is no reference to compare with, so that only a reward model or an LLM judge can give a score."""
    UNGRADABLE = "ungradable"
    """The reference is faulty."""
    GRADER_ERROR = "grader_error"
    """The grader failed."""


UNSCORED = frozenset({Outcome.UNREFERENCED, Outcome.UNGRADABLE, Outcome.GRADER_ERROR})
"""Outcomes without information about the answer."""


class Verdict(Record):
    """The result of grading; `score` is None exactly for the outcomes in `UNSCORED`, which never count as zero."""

    outcome: Outcome
    """Judgement of the answer; some say that there was nothing to judge."""
    score: float | None
    """Score: 1.0 for correct, 0.0 for wrong, malformed and truncated, None otherwise."""
    extracted: str | None
    """Answer, program or text that was graded; None if none was found."""
    detail: str
    """One line with the comparison, or the reason of a failure."""
    verifier: str
    """`name@version` of the verifier."""


class PartScore(Record):
    """The score of one part of a reward."""

    part: str
    score: float | None
    """Value of the part; None where it does not apply."""


class Rollout(Record):
    """A completion that a policy was reinforced with, its verdict, its reward, and the advantage that moved weights."""

    rollout_id: str
    """Hash of everything that made the row; 16 hex digits."""
    step: int
    """Optimizer steps that the policy had made when it sampled the completion."""
    prompt: int
    """Number of the prompt in the run, from 0; the rollouts of one prompt are a group."""
    problem_id: str
    domain: Domain
    language: Language
    template: str
    """Prompt form."""
    sample_index: int
    """Number of the sample in its group, from 0."""
    seed: int
    """Seed of the run."""
    text: str
    """Decoded completion, as in `Completion`."""
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    engine: str
    outcome: Outcome | None
    """Outcome of grading; None for a general prompt, and where accuracy is not part of the reward."""
    verifier: str | None
    """`name@version` of the verifier; None without a verdict."""
    detail: str | None
    """One line with the comparison, or the reason of a failure; None without a verdict."""
    parts: tuple[PartScore, ...]
    """Parts of the reward, weighted or only watched, in order."""
    reward: float | None
    """Weighted sum over the parts that apply; None if none applies."""
    advantage: float
    """Advantage (paper, equation 3); 0 without a reward."""
    sampler_gap: float | None
    """Mean absolute difference between the log-probabilities under the sampler and under the policy, in nats per token.

    None if both are one."""
    flat: bool
    """True if all rewards of the group are equal, so that it has no gradient."""
    trained: Annotated[bool | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """False if the policy was not trained on it, because another group took its place; None in a run that replaces
    none."""


class PassRate(Record):
    """The share of a policy's completions for one problem that are correct."""

    problem_id: str
    domain: Domain
    samples: int
    """Number of completions with a score, at least 1."""
    correct: int

    @property
    def rate(self) -> float:
        """Share of correct completions, in [0, 1]."""
        return self.correct / self.samples


class Sample(Record):
    """One row of a corpus: a chat-format training sample with its provenance."""

    sample_id: str
    """Hash of everything that made the row; unique in a corpus; 16 hex digits."""
    problem_id: str
    """Id of the problem that the response answers."""
    domain: Domain
    language: Language
    source: str
    licence: str
    question: str
    response: str
    """Text to train on: `<think>…</think>` and the summary."""
    generator: str
    """Content digest of the checkpoint that wrote it, or `template@version`."""
    engine: str
    temperature: float
    """Sampling temperature; 0 is greedy."""
    top_p: float
    """Nucleus mass in (0, 1]."""
    max_tokens: int
    """Completion tokens, at most."""
    seed: int
    """Seed of this sample, 63 bits."""
    sample_index: int
    """Number of the sample among those of one problem, from 0."""
    outcome: Outcome
    """Judgement of the response by its verifier."""
    verifier: str
    """`name@version` of the verifier."""
    tokens: int
    """Tokens of the response under the generator's tokenizer."""
    language_share: float
    """Share of the reasoning's words that are in `language`, in [0, 1] (paper, equation 7)."""
    rounds: Annotated[int | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Number of user turns in a dialogue whose earlier turns are part of `question`; None for a single turn."""
    writer: Annotated[str | None, Sparse()] = Field(default=None, exclude_if=_is_none)
    """Writer that rephrased the generator's reply; None if it is verbatim.

    It is `template@VERSION`, the content digest of a checkpoint, or `server/RUNS/MODEL`."""


class PreferencePair(Record):
    """Two replies to one prompt, a chosen and a rejected one; for safety, a safe and an unsafe one."""

    id: str
    """Content hash of the pair; 16 hex digits."""
    prompt: str
    """The request of a person."""
    chosen: str
    """The reply that people prefer."""
    rejected: str
    """The other reply."""
    kind: PreferenceKind
    """The subject of the preference: helpfulness or safety."""
    language: Language
    source: str
    licence: str
