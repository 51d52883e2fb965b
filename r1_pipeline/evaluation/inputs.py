"""Everything a report is made of, as plain values: it can be built from artifacts or by hand in a test."""

from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.evaluation.sizes import Sizes
from r1_pipeline.records import Domain, Language, Outcome, Record


class RewardModelScore(Record):
    """How often a reward model prefers the better answer of a held-out pair."""

    accuracy: float
    n: int


class CorpusDomain(Record):
    """One domain of the SFT corpus."""

    rows: int
    tokens: int
    """Of all responses, under the generator's tokenizer."""


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
    """A blocking check."""

    passed: bool
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


class ReportInputs(Record):
    """Everything `evaluation.report` shows. Models and stages go by asset key, partition after a slash."""

    profile: str
    seed: int
    home: str
    left_out: dict[Domain, str]
    """Domains without problems in this run -> why."""
    models: dict[str, EvalScores]
    reward_models: dict[str, RewardModelScore]
    general_preference: dict[str, float]
    """Model -> mean score in (0, 1) that the reward models give its answers to general prompts; may be empty."""
    corpus: CorpusStats
    sizes: dict[str, Sizes]
    """Of the bases."""
    stages: dict[str, StageFacts]
    gates: dict[str, GateResult]
    training: dict[str, tuple[dict[str, float], ...]]
    """Model -> its step metrics, under the names of `training.callbacks`, each row with `step`."""
    exchanges: tuple[Exchange, ...]
    total_seconds: float
    environment: dict[str, str]
