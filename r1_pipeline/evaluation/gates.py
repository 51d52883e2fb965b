"""Gates: what an artifact must show before anything may be built on it.

A `Gate` is a measured value beside a limit. Limits belong to the profile and to no fingerprint: a gate decides who may
go on, not what is computed. Not covered: which artifacts have which gates (`graph`), what is claimed of a run (`bars`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Corpus,
    EvalReport,
    PreferenceSet,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.data.corpus import heldout_problem
from r1_pipeline.data.licences import allowed
from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.rejudge import Rejudged
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation.scripted_replies import ENGINE
from r1_pipeline.generation.tokens import character_counts, unknown_characters
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Language, Outcome, Problem, Record
from r1_pipeline.rewards.reward_hacks import undetected_hacks
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.training.callbacks import Guards, medians

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

READ: Mapping[type[Artifact], tuple[str, ...]] = {
    ProblemSet: ("question",),
    PreferenceSet: ("prompt", "chosen", "rejected"),
    Corpus: ("question", "response"),
}
"""Kind of set -> the columns that a model reads."""
SHOWN = 20
"""Unknown characters that a gate names."""

PROBED = 4
"""Problems of each domain and language that reward hacks are tried on; each has a reference (`data.subset` draws)."""


class GateLimits(Recipe):
    """Limits of a profile."""

    gain_over_base: float
    """Least pass@1 of R1-Zero above its base, held-out maths."""
    format_rate: float
    """Least share of well-formed completions of R1-Zero."""
    language_consistency: float
    """Least language consistency of models trained with the language reward."""
    preference_accuracy: float
    """Least accuracy of a reward model on held-out pairs."""
    unknown_characters: float
    """Greatest share of the characters of a set that the tokenizer of a model that reads it does not know."""
    licences: tuple[str, ...]
    """SPDX licences that the corpus may hold; an expression of them may, where they suffice for it."""
    regression: float
    """Greatest loss of a model against the one that it came from, in pass@1 of a domain or score of the reward models;
    a model fails that surely loses more: 0 where any sure loss fails."""
    answer_excess: float
    """Greatest share, beyond its share of the problems' references, that one answer to multiple choice may surely have
    among the rows of a corpus."""


class Gate(Record):
    """One decision."""

    name: str
    value: float
    sense: Literal["at least", "at most"]
    limit: float
    detail: str
    looked_at: int | None = None
    """Out of how many, where the value is a count."""
    blocking: bool = True
    """Whether a failure stops what lies below; one that does not is a warning."""

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.sense == "at least" else self.value <= self.limit

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.name} {verdict}: {self.value:.4g}, must be {self.sense} {self.limit:.4g} ({self.detail})"


def beats_base(report: EvalReport, base: EvalReport, limits: GateLimits) -> Gate:
    """Reinforcement has taught something."""
    after, before = (scores_of(each).by_domain["math"].pass_at_1 for each in (report, base))
    detail = f"maths pass@1 {after:.3f} against {before:.3f} of {base.name}"
    return Gate(name="beats_base", value=after - before, sense="at least", limit=limits.gain_over_base, detail=detail)


def format_rate(report: EvalReport, limits: GateLimits) -> Gate:
    """Replies have the form that the next stage relies on."""
    value = _measured(report, scores_of(report).overall.format_rate)
    return Gate(name="format_rate", value=value, sense="at least", limit=limits.format_rate, detail="reasoning domains")


def language_consistency(report: EvalReport, limits: GateLimits) -> Gate:
    """The language reward has done its work."""
    value = _measured(report, scores_of(report).overall.language_consistency)
    return Gate(
        name="language_consistency",
        value=value,
        sense="at least",
        limit=limits.language_consistency,
        detail="share of reasoning words in the question's language",
    )


def _measured(report: EvalReport, value: float | None) -> float:
    if value is None:
        raise ArtifactError(
            f"{report.name} holds no answers to reasoning problems; ask some (EvaluateRecipe.ask.problems)"
        )
    return value


def all_verified(corpus: Corpus) -> Gate:
    """Every row of the corpus was judged correct, or is what somebody wrote where there is no reference."""
    import polars as pl

    written = (pl.col("outcome") == str(Outcome.UNREFERENCED)) & (pl.col("engine") == ENGINE)
    wrong = (pl.col("outcome") != str(Outcome.CORRECT)) & ~written
    counts = corpus.scan().select(wrong.sum(), written=written.sum(), rows=pl.len()).collect(engine="streaming")
    unverified, unreferenced, rows = counts.row(0)
    detail = f"unverified among {rows} rows" + (f", {unreferenced} written without a reference" * bool(unreferenced))
    return Gate(name="all_verified", value=unverified, sense="at most", limit=0, detail=detail)


def no_heldout(corpus: Corpus, heldout: ProblemSet) -> Gate:
    """No row is about a held-out problem."""
    return Gate(
        name="no_heldout", value=heldout_overlap(corpus, heldout), sense="at most", limit=0, detail="rows shared"
    )


def heldout_overlap(corpus: Corpus, heldout: ProblemSet) -> int:
    """Rows whose problem or question is in the held-out set."""
    leaks = heldout_problem(heldout.problems()).is_not_null().sum()
    return int(corpus.scan().select(leaks).collect(engine="streaming").item())


def licences_allowed(corpus: Corpus, limits: GateLimits) -> Gate:
    """Every row of the corpus has a licence of the profile's list."""
    found = corpus.scan().group_by("licence").len().collect()
    other = found.filter([not allowed(licence, limits.licences) for licence in found["licence"]])
    names = ", ".join(sorted(other["licence"])) or "none"
    detail = f"rows under other licences than the profile allows ({names}); allow them there, or leave out the source"
    return Gate(name="licences_allowed", value=int(other["len"].sum()), sense="at most", limit=0, detail=detail)


def recheck_agrees(rows: Iterable[Rejudged]) -> Gate:
    """Random rows of the corpus, judged once more, get the verdict that they were kept for."""
    agreed = [row.agrees for row in rows]
    return Gate(
        name="recheck_agrees",
        value=agreed.count(False),
        sense="at most",
        limit=0,
        detail=f"disagreements among {len(agreed)} random rows judged again",
        looked_at=len(agreed),
    )


def known_characters(rows: Artifact, tokenizers: Mapping[str, "PreTrainedTokenizerBase"], limits: GateLimits) -> Gate:
    """The models that read a set see what it says: none of their tokenizers, by base, lacks many of its characters."""
    found = character_counts("".join(frame[name]) for frame in rows.batches(READ[type(rows)]) for name in frame.columns)
    total = sum(found.values())
    missing = {name: unknown_characters(found, tokenizer) for name, tokenizer in tokenizers.items()}
    worst = max(missing, key=lambda name: sum(found[character] for character in missing[name]))
    count = sum(found[character] for character in missing[worst])
    shown = ", ".join(f"{character!r}" for character in missing[worst][:SHOWN])
    detail = f"{count:,} of {total:,} characters are unknown to the tokenizer of {worst}" + (
        f": {shown}" if shown else ""
    )
    return Gate(
        name="known_characters",
        value=count / max(total, 1),
        sense="at most",
        limit=limits.unknown_characters,
        detail=detail,
    )


def reward_hacks(problems: Sequence[Problem], templates: Iterable[TemplateName], grader: Grader) -> Gate:
    """No reply that solves nothing is rewarded, whichever template the models are asked in."""
    asked = [p for group in _few_of_each(problems).values() for p in group]
    found = [hack for template in sorted(set(templates)) for hack in undetected_hacks(asked, template, grader)]
    shown = f"; first: {found[0].probe} of {found[0].problem_id}, {found[0].values}" if found else ""
    detail = f"misjudged replies to {len(asked)} problems{shown}"
    return Gate(name="reward_hacks", value=len(found), sense="at most", limit=0, detail=detail)


def _few_of_each(problems: Iterable[Problem]) -> dict[tuple[Domain, Language], list[Problem]]:
    groups: dict[tuple[Domain, Language], list[Problem]] = {}
    for problem in shuffled(problems):
        group = groups.setdefault((problem.domain, problem.language), [])
        if problem.answer is not None and len(group) < PROBED:
            group.append(problem)
    return groups


def preference_accuracy(model: RewardModel, limits: GateLimits) -> Gate:
    """The reward model prefers what people prefer, on pairs that it has not seen."""
    return Gate(
        name="preference_accuracy",
        value=model.accuracy,
        sense="at least",
        limit=limits.preference_accuracy,
        detail=f"{model.heldout_pairs} held-out pairs",
    )


def same_tokenizer(model: Checkpoint, base: Checkpoint) -> Gate:
    """Tokenizer and chat template are, byte for byte, those of the base that the line started from."""
    ours, theirs = ({f.path: f.sha256 for f in m.manifest.files if f.path in TOKENIZER_FILES} for m in (model, base))
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    detail = f"files that differ from {base.name}: {', '.join(differing) or 'none'}"
    return Gate(name="same_tokenizer", value=len(differing), sense="at most", limit=0, detail=detail)


def training_guards(model: Checkpoint, guards: Guards) -> list[Gate]:
    """The worst value that a run came to, beside the guard that would have stopped it."""
    rows = model.metrics()
    kl = medians([row["kl"] for row in rows if "kl" in row])
    gates = []
    if guards.entropy_floor is not None:
        gates.append(_worst(rows, "entropy", min, "at least", guards.entropy_floor))
    if guards.kl_ceiling is not None:
        gates.append(_worst([{"kl": value} for value in kl], "kl", max, "at most", guards.kl_ceiling))
    if guards.empty_think_ceiling is not None:
        gates.append(_worst(rows, "empty_think", max, "at most", guards.empty_think_ceiling))
    return [gate for gate in gates if gate]


def _worst(
    rows: Sequence[dict[str, Any]],
    metric: str,
    pick: Any,
    sense: Literal["at least", "at most"],
    limit: float,
) -> Gate | None:
    values = [row[metric] for row in rows if metric in row]
    if not values:
        return None
    detail = f"worst of {len(values)} steps"
    return Gate(name=f"{metric}_guard", value=pick(values), sense=sense, limit=limit, detail=detail)


def failures(gates: Iterable[Gate]) -> list[Gate]:
    """The gates that say no, warnings among them."""
    return [gate for gate in gates if not gate.passed]
