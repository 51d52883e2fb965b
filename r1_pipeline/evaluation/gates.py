"""Gates: the checks that an artifact must pass before other artifacts may be built on it.

A `Gate` is a measured value with a limit. Limits belong to the profile and to no fingerprint: a gate decides if the run
continues, and never changes what is computed. Not covered: which artifacts have which gates (`graph`), and the claims
about a run (`bars`).
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
"""The files that `same_tokenizer` compares."""

READ: Mapping[type[Artifact], tuple[str, ...]] = {
    ProblemSet: ("question",),
    PreferenceSet: ("prompt", "chosen", "rejected"),
    Corpus: ("question", "response"),
}
"""The columns that a model reads, for each kind of set."""
SHOWN = 20
"""The number of unknown characters that a gate names, at most."""

PROBED = 4
"""The number of problems with a reference, in each domain and language, on which reward hacks are tried."""


class GateLimits(Recipe):
    """The limits of a profile's gates."""

    gain_over_base: float
    """The smallest gain of R1-Zero over its base, in pass@1 on held-out maths, or on all problems if none is maths."""
    format_rate: float
    """The smallest share of well-formed completions of R1-Zero."""
    language_consistency: float
    """The smallest language consistency of models trained with the language reward."""
    preference_accuracy: float
    """The smallest accuracy of a reward model on held-out pairs."""
    unknown_characters: float
    """The largest share of a set's characters that are unknown to the tokenizer of a model that reads it."""
    licences: tuple[str, ...]
    """The SPDX licences that the corpus may contain; an SPDX expression is allowed if these satisfy it."""
    regression: float
    """The largest loss of a model against its predecessor, in pass@1 of a domain or in the reward models' score; a
    model fails if the whole interval shows a larger loss. With 0 any significant loss fails."""
    answer_excess: float
    """The largest significant excess of one multiple-choice answer: its share of the corpus rows minus its share of
    the problems' references."""
    suspect_references: float = 1.0
    """The largest share of suspect references among the problems of a reinforced model; 1 looks for none, because a
    small model that repeats one mistake looks like a faulty reference."""


class Gate(Record):
    """The result of one gate: a measured value, its limit, and a detail for the reader."""

    name: str
    value: float
    sense: Literal["at least", "at most"]
    limit: float
    detail: str
    looked_at: int | None = None
    """The number of rows examined, if the value is a count."""
    blocking: bool = True
    """True if a failure stops the artifacts downstream, False if it is only a warning."""

    @property
    def passed(self) -> bool:
        """True if the value meets the limit."""
        return self.value >= self.limit if self.sense == "at least" else self.value <= self.limit

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.name} {verdict}: {self.value:.4g}, must be {self.sense} {self.limit:.4g} ({self.detail})"


def beats_base(report: EvalReport, base: EvalReport, limits: GateLimits) -> Gate:
    """Checks that reinforcement improved pass@1 on held-out maths over the base; on all problems if none is maths."""
    scores = [scores_of(each) for each in (report, base)]
    maths = all("math" in each.by_domain for each in scores)
    after, before = ((each.by_domain["math"] if maths else each.overall).pass_at_1 for each in scores)
    detail = f"{'maths ' if maths else ''}pass@1 {after:.3f} against {before:.3f} of {base.name}"
    return Gate(name="beats_base", value=after - before, sense="at least", limit=limits.gain_over_base, detail=detail)


def format_rate(report: EvalReport, limits: GateLimits) -> Gate:
    """Checks that replies have the format that the next stage relies on."""
    value = _measured(report, scores_of(report).overall.format_rate)
    return Gate(name="format_rate", value=value, sense="at least", limit=limits.format_rate, detail="reasoning domains")


def language_consistency(report: EvalReport, limits: GateLimits) -> Gate:
    """Checks that the language reward made the reasoning consistent in language."""
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
            f"{report.name} has no replies to reasoning problems; evaluate some (EvaluateRecipe.ask.problems)"
        )
    return value


def all_verified(corpus: Corpus) -> Gate:
    """Checks that every row of the corpus was judged correct, or is a human reply to a prompt without a reference."""
    import polars as pl

    written = (pl.col("outcome") == str(Outcome.UNREFERENCED)) & (pl.col("engine") == ENGINE)
    wrong = (pl.col("outcome") != str(Outcome.CORRECT)) & ~written
    counts = corpus.scan().select(wrong.sum(), written=written.sum(), rows=pl.len()).collect(engine="streaming")
    unverified, unreferenced, rows = counts.row(0)
    detail = f"unverified among {rows} rows" + (f", {unreferenced} written without a reference" * bool(unreferenced))
    return Gate(name="all_verified", value=unverified, sense="at most", limit=0, detail=detail)


def no_heldout(corpus: Corpus, heldout: ProblemSet) -> Gate:
    """Checks that no row is about a held-out problem."""
    return Gate(
        name="no_heldout", value=heldout_overlap(corpus, heldout), sense="at most", limit=0, detail="rows shared"
    )


def heldout_overlap(corpus: Corpus, heldout: ProblemSet) -> int:
    """Returns the number of rows whose problem or question is in the held-out set."""
    leaks = heldout_problem(heldout.problems()).is_not_null().sum()
    return int(corpus.scan().select(leaks).collect(engine="streaming").item())


def licences_allowed(corpus: Corpus, limits: GateLimits) -> Gate:
    """Checks that every row of the corpus has a licence that the profile allows."""
    found = corpus.scan().group_by("licence").len().collect()
    other = found.filter([not allowed(licence, limits.licences) for licence in found["licence"]])
    names = ", ".join(sorted(other["licence"])) or "none"
    detail = f"rows under other licences than the profile allows ({names}); allow them there, or leave out the source"
    return Gate(name="licences_allowed", value=int(other["len"].sum()), sense="at most", limit=0, detail=detail)


def recheck_agrees(rows: Iterable[Rejudged]) -> Gate:
    """Checks that random rows of the corpus, judged again, get the same verdict."""
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
    """Checks that the tokenizers of the models that read a set know its characters.

    `tokenizers` are those of the bases, by name; the value is the share of unknown characters for the worst of them.
    """
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
    """Checks that no reply that solves nothing is rewarded, in any template of the models."""
    probed = [p for group in _few_of_each(problems).values() for p in group]
    found = [hack for template in sorted(set(templates)) for hack in undetected_hacks(probed, template, grader)]
    shown = f"; first: {found[0].probe} of {found[0].problem_id}, {found[0].values}" if found else ""
    detail = f"misjudged replies to {len(probed)} problems{shown}"
    return Gate(name="reward_hacks", value=len(found), sense="at most", limit=0, detail=detail)


def _few_of_each(problems: Iterable[Problem]) -> dict[tuple[Domain, Language], list[Problem]]:
    groups: dict[tuple[Domain, Language], list[Problem]] = {}
    for problem in shuffled(problems):
        group = groups.setdefault((problem.domain, problem.language), [])
        if problem.answer is not None and len(group) < PROBED:
            group.append(problem)
    return groups


def preference_accuracy(model: RewardModel, limits: GateLimits) -> Gate:
    """Checks that the reward model agrees with people's preferences on held-out pairs."""
    return Gate(
        name="preference_accuracy",
        value=model.accuracy,
        sense="at least",
        limit=limits.preference_accuracy,
        detail=f"{model.heldout_pairs} held-out pairs",
    )


def same_tokenizer(model: Checkpoint, base: Checkpoint) -> Gate:
    """Checks that tokenizer and chat template are byte for byte those of the base of the model's line."""
    ours, theirs = ({f.path: f.sha256 for f in m.manifest.files if f.path in TOKENIZER_FILES} for m in (model, base))
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    detail = f"files that differ from {base.name}: {', '.join(differing) or 'none'}"
    return Gate(name="same_tokenizer", value=len(differing), sense="at most", limit=0, detail=detail)


def training_guards(model: Checkpoint, guards: Guards) -> list[Gate]:
    """Returns one gate for each training guard: the worst value of the run, with the guard's limit."""
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
    """Returns the gates that failed, including warnings."""
    return [gate for gate in gates if not gate.passed]
