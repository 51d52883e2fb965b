"""Everything a report is made of, as plain values: it can be built from artifacts or by hand in a test."""

from statistics import fmean

from r1_pipeline.evaluation.answer_bias import FrequentAnswer
from r1_pipeline.evaluation.controls import Controlled
from r1_pipeline.evaluation.general import General
from r1_pipeline.evaluation.paired import Mark
from r1_pipeline.evaluation.reflection import Depth
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.evaluation.sizes import Sizes
from r1_pipeline.evaluation.support import Support
from r1_pipeline.records import Domain, Language, Outcome, Record
from r1_pipeline.rewards.preference import Confidence
from r1_pipeline.training.callbacks import WINDOW
from r1_pipeline.training.experts import LOAD


class RewardModelScore(Record):
    """How often a reward model prefers the better answer of a held-out pair."""

    accuracy: float
    n: int
    calibration: tuple[Confidence, ...]
    """How often it is right, by how sure it is."""
    calibration_error: float
    """Mean over pairs of how far the two are apart."""


class CorpusDomain(Record):
    """One domain of the SFT corpus."""

    rows: int
    tokens: int
    """Of all responses, under the generator's tokenizer."""
    rounds: float = 1.0
    """Requests of the user in a row, in the mean."""


class CorpusStats(Record):
    """The SFT corpus."""

    by_domain: dict[Domain, CorpusDomain]
    dropped: dict[str, int]
    """Reason -> candidates left out."""
    heldout_overlap: int
    """Problems that are also in the held-out set."""
    rechecked: int
    """Random rows judged once more; 0: not done."""
    agreed: int
    """Of those, rows whose verdict was the same."""
    support: Support


class StageFacts(Record):
    """What one asset cost and what identifies it."""

    seconds: float
    reused: bool
    """Nothing was computed: the artifact existed."""
    fingerprint: str
    digest: str
    tokens: int | None
    """Generated and trained on; None where tokens mean nothing."""


class GateResult(Record):
    """What a gate decided."""

    passed: bool
    blocking: bool
    """Whether a failure stops what lies below; else it warns."""
    value: float | str
    limit: float | str


class Reply(Record):
    """What one model said, and what came of it."""

    text: str
    outcome: Outcome


class Exchange(Record):
    """One held-out problem and the replies of several models."""

    question: str
    domain: Domain
    language: Language
    reference: str
    """Reference answer, or the tests where those decide."""
    replies: dict[str, Reply]
    """Model -> reply."""


class Cast(Record):
    """Which node of the graph plays which part in the paper's tables, figures and claims, by name."""

    base: str
    """The base that both SFT stages start from; DeepSeek-V3-Base in the paper."""
    zero: str
    """R1-Zero."""
    cold: str
    """Dev1, tuned on the cold start."""
    language: str
    """Dev2, reinforced with the language reward."""
    unrewarded: str
    """The same without the language reward."""
    broad: str
    """Dev3, tuned on the whole corpus."""
    final: str
    """R1."""
    student_base: str
    distilled: str
    reinforced_student: str
    """A student that is reinforced at the cost of distilling it."""
    helpful: str
    """The reward model for helpfulness."""
    safety: str
    """The reward model for safety."""
    corpus: str
    heldout: str

    @property
    def beginning(self) -> tuple[str, str]:
        """The base and what reinforcement alone makes of it."""
        return (self.base, self.zero)

    @property
    def line(self) -> tuple[str, ...]:
        """The line of R1 with its ablation, in the paper's order."""
        return (self.base, self.zero, self.cold, self.unrewarded, self.language, self.broad, self.final)


class ReportInputs(Record):
    """Everything `evaluation.report` shows. Models and stages go by asset key, partition after a slash."""

    cast: Cast
    node_of: dict[str, str]
    """Model -> the node that it is an artifact of; in the order of the graph."""
    profile: str
    seed: int
    home: str
    left_out: dict[Domain, str]
    """Domains without problems in this run -> why."""
    models: dict[str, EvalScores]
    """Scores on the held-out problems."""
    marks: dict[str, tuple[Mark, ...]]
    """Model -> what each held-out problem scored, by domain: models are compared problem by problem."""
    favourites: dict[str, dict[Domain, FrequentAnswer]]
    """Model -> domain -> its most frequent answer to held-out multiple choice."""
    depths: dict[str, tuple[Depth, ...]]
    """Model -> its replies to held-out sums of the toy world, by the calculations that those need; may be empty."""
    benchmarks: dict[str, dict[str, EvalScores]]
    """Further benchmark -> model -> scores."""
    reward_models: dict[str, RewardModelScore]
    general_preference: dict[str, float]
    """Model -> mean score in (0, 1) that the reward models give its answers to general prompts; may be empty."""
    liked: dict[str, tuple[Mark, ...]]
    """Model -> what the reward models give its answers to each general prompt, by kind of preference; may be empty."""
    general: dict[str, General]
    """Model -> what is known of its replies to general prompts."""
    corpus: CorpusStats
    sizes: dict[str, Sizes]
    """Of the bases."""
    stages: dict[str, StageFacts]
    gates: dict[str, GateResult]
    training: dict[str, tuple[dict[str, float], ...]]
    """Model -> its step metrics, under the names of `training.callbacks`, each row with `step`."""
    controls: tuple[Controlled, ...]
    """Effects beside their controls; empty for a graph that has none."""
    exchanges: tuple[Exchange, ...]
    total_seconds: float
    environment: dict[str, str]

    @property
    def expert_load(self) -> dict[str, float]:
        """Model with experts -> tokens of its busiest expert over those of the mean one, at the end of its training."""
        loads = {name: [row[LOAD] for row in rows if LOAD in row] for name, rows in self.training.items()}
        return {name: fmean(last[-WINDOW:]) for name, last in loads.items() if last}
