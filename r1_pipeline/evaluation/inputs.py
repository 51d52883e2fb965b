"""The inputs of a report as plain values, which are built from artifacts, or by hand in a test."""

from statistics import fmean

from pydantic import Field

from r1_pipeline.evaluation.agreement import SecondOpinion
from r1_pipeline.evaluation.answer_bias import FrequentAnswer
from r1_pipeline.evaluation.controls import Controlled
from r1_pipeline.evaluation.general import General
from r1_pipeline.evaluation.paired import Mark
from r1_pipeline.evaluation.reflection import Depth
from r1_pipeline.evaluation.rollout_view import ShownRollouts
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.evaluation.sizes import Sizes
from r1_pipeline.evaluation.support import Support
from r1_pipeline.records import Domain, Language, Outcome, Record
from r1_pipeline.rewards.preference import Confidence
from r1_pipeline.training.callbacks import WINDOW
from r1_pipeline.training.experts import LOAD


class RewardModelScore(Record):
    """The accuracy and calibration of a reward model on held-out pairs."""

    accuracy: float
    """The share of pairs whose preferred reply gets the higher score."""
    n: int
    """The number of pairs."""
    calibration: tuple[Confidence, ...]
    """The calibration curve: predicted and observed shares, by bins of confidence."""
    calibration_error: float
    """The expected calibration error: the mean over pairs of |predicted - observed|."""


class CorpusDomain(Record):
    """The statistics of one domain of the SFT corpus."""

    rows: int
    tokens: int
    """The number of tokens of all responses, under the generator's tokenizer."""
    rounds: float = 1.0
    """The mean number of user turns in a row."""


class CorpusStats(Record):
    """The statistics of the SFT corpus."""

    by_domain: dict[Domain, CorpusDomain]
    dropped: dict[str, int]
    """The number of dropped candidates by reason."""
    heldout_overlap: int
    """The number of rows whose problem is also in the held-out set."""
    rechecked: int
    """The number of random rows that were judged again; 0 if none were."""
    agreed: int
    """The number of those rows with the same verdict."""
    support: Support


class StageFacts(Record):
    """The cost and the identity of one asset."""

    seconds: float
    """The time that making the artifact took, in seconds."""
    reused: bool
    """True if the artifact existed and this run computed nothing."""
    fingerprint: str
    digest: str
    tokens: int | None
    """The number of tokens generated and trained on; None if tokens do not apply."""


class GateResult(Record):
    """The result of a gate, as the report shows it."""

    passed: bool
    blocking: bool
    """True if a failure stops the artifacts downstream, False if it is only a warning."""
    value: float | str
    limit: float | str


class Reply(Record):
    """The reply of one model, and its outcome."""

    text: str
    outcome: Outcome


class Exchange(Record):
    """One held-out problem and the replies of several models."""

    question: str
    domain: Domain
    language: Language
    reference: str
    """The reference answer, or the tests if those decide."""
    replies: dict[str, Reply]
    """The reply of each model."""


class Cast(Record):
    """The names of the graph's nodes by their role in the paper's tables, figures and claims."""

    base: str
    """The base from which both SFT stages start; DeepSeek-V3-Base in the paper."""
    zero: str
    """R1-Zero."""
    cold: str
    """Dev1, tuned on the cold start."""
    language: str
    """Dev2, reinforced with the language reward."""
    unrewarded: str
    """The ablation of Dev2 without the language reward."""
    broad: str
    """Dev3, tuned on the whole corpus."""
    final: str
    """R1."""
    student_base: str
    """The base of the students."""
    distilled: str
    """The distilled students."""
    reinforced_student: str
    """A student that is reinforced, with the compute of distilling it."""
    helpful: str
    """The reward model for helpfulness."""
    safety: str
    """The reward model for safety."""
    corpus: str
    """The SFT corpus."""
    heldout: str
    """The held-out problems."""

    @property
    def beginning(self) -> tuple[str, str]:
        """The base, and R1-Zero, which is the base after reinforcement alone."""
        return (self.base, self.zero)

    @property
    def line(self) -> tuple[str, ...]:
        """The line of R1 with its ablation, in the paper's order."""
        return (self.base, self.zero, self.cold, self.unrewarded, self.language, self.broad, self.final)


class ReportInputs(Record):
    """Everything that `evaluation.report` shows; models and stages have their asset keys, with slash and partition."""

    cast: Cast
    node_of: dict[str, str]
    """The node of each model, in the order of the graph."""
    profile: str
    seed: int
    home: str
    overrides: tuple[str, ...] = ()
    """The fields of recipes that a user has set, with the profile's value and the value now."""
    left_out: dict[Domain, str]
    """The reason for each domain without problems in this run."""
    models: dict[str, EvalScores]
    """The scores of each model on the held-out problems."""
    marks: dict[str, tuple[Mark, ...]]
    """The score of each held-out problem, by model; models are compared problem by problem."""
    favourites: dict[str, dict[Domain, FrequentAnswer]]
    """The most frequent answer to held-out multiple choice, by model and domain."""
    depths: dict[str, tuple[Depth, ...]]
    """The statistics of replies to held-out toy sums, by model and number of calculations; may be empty."""
    benchmarks: dict[str, dict[str, EvalScores]]
    """The scores on further benchmarks, by benchmark and model."""
    published: dict[str, str] = Field(default_factory=dict)
    """The row of the paper's table of stages, by benchmark; benchmarks that it does not have are absent."""
    agreements: tuple[SecondOpinion, ...] = ()
    """The agreements with outside graders on these evaluations that the home stores (`r1 agree`)."""
    reward_models: dict[str, RewardModelScore]
    general_preference: dict[str, float]
    """The reward models' mean score, in (0, 1), of each model's replies to general prompts; may be empty."""
    liked: dict[str, tuple[Mark, ...]]
    """The reward models' score of each general prompt, by model and kind of preference; may be empty."""
    general: dict[str, General]
    """The summary of each model's replies to general prompts."""
    corpus: CorpusStats
    sizes: dict[str, Sizes]
    """The sizes of the bases."""
    stages: dict[str, StageFacts]
    gates: dict[str, GateResult]
    training: dict[str, tuple[dict[str, float], ...]]
    """The step metrics of each model, under the names of `training.callbacks`, each row with `step`."""
    rollouts: dict[str, ShownRollouts] = Field(default_factory=dict)
    """The health and examples of the rollouts of each reinforced model that keeps them."""
    controls: tuple[Controlled, ...]
    """The effects with their controls; empty for a graph without controls."""
    exchanges: tuple[Exchange, ...]
    total_seconds: float
    """The time in which at least one artifact was being made, in seconds."""
    environment: dict[str, str]

    @property
    def expert_load(self) -> dict[str, float]:
        """The load of the busiest expert over the mean load at the end of training, for each model with experts."""
        loads = {name: [row[LOAD] for row in rows if LOAD in row] for name, rows in self.training.items()}
        return {name: fmean(last[-WINDOW:]) for name, last in loads.items() if last}
