"""What one model scored, and how judged completions become scores.

`score` reads a table of judged completions (made by `evaluation.runner`) and nothing else. A domain's numbers are
averages over its problems or completions; a model's overall numbers are **unweighted means over domains**, so that
five hundred sums do not drown a hundred programs. Format rate and language consistency are over reasoning domains:
general answers have no reasoning to judge.
"""

import math
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from r1_pipeline.artifacts.kinds import EvalReport
from r1_pipeline.errors import ArtifactError, GraderError
from r1_pipeline.evaluation.estimators import (
    Interval,
    Tally,
    cons_at_k,
    interval,
    mean_pass_at_k,
    pass_at_1,
)
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.records import DOMAINS, Domain, Outcome, PromptKind, Record

if TYPE_CHECKING:
    import polars as pl


class Identity(SamplingRecord):
    """What was measured, and with what: two scores are comparable where all but the model agree."""

    verifiers: dict[str, str]
    """Domain -> `name@version`."""


class Scores(Record):
    """The numbers of one domain, or of a model over its domains."""

    pass_at_1: float
    pass_at_1_ci: Interval
    """95%, clustered by fact: problems that ask the same in several languages count once."""
    pass_at_k: dict[int, float]
    """Unbiased; k -> chance that one of k samples is right."""
    cons_at_k: float
    """Right by majority vote of all samples of a problem; equal values are one vote."""
    format_rate: float | None
    """Share of well-formed completions; None over no reasoning domain."""
    language_consistency: float | None
    """Mean share of words of the reasoning that are in the question's language; None over no reasoning domain."""
    mean_tokens: float
    tokens: int
    """Generated in all."""
    problems: int
    facts: int
    """Distinct facts that the problems are about: what the interval counts."""
    n: int
    """Judged completions: those with a score."""
    outcomes: dict[Outcome, int]
    """All completions, by outcome."""


class Refusals(Record):
    """How often a model declined, by the rule of `rewards.refusal`."""

    n: int
    """Completions."""
    declined: int
    """Of those, refusals."""
    problems: int


class EvalScores(Record):
    """All scores of one model, with what they depend on."""

    identity: Identity
    overall: Scores
    by_domain: dict[Domain, Scores]
    """Without a domain none of whose problems has a reference."""
    unreferenced: dict[Domain, int] = Field(default_factory=dict, exclude_if=lambda counts: not counts)
    """Completions for problems without a reference: a verifier has no say in them, `evaluation.general` has."""
    refusals: dict[PromptKind, Refusals] = Field(default_factory=dict, exclude_if=lambda kinds: not kinds)
    """How often general prompts of each kind were declined."""


def scores_of(report: EvalReport) -> EvalScores:
    """The scores that an evaluation holds; raises `ArtifactError` where another version wrote them."""
    try:
        return EvalScores.model_validate(report.scores())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"the scores in {report.path} were written by another version ({field}: {first['msg']}); "
            "run the evaluation again"
        ) from error


def score(frame: "pl.DataFrame", identity: Identity, ks: tuple[int, ...]) -> EvalScores:
    """Scores of judged completions. Raises `GraderError` where a domain has no judged completion, though its problems
    have references, and `ArtifactError` where no problem at all has one."""
    strata: dict[Domain, list[Tally]] = {}
    by_domain: dict[Domain, Scores] = {}
    unreferenced: dict[Domain, int] = {}
    for domain in DOMAINS:
        asked = frame.filter(frame["domain"] == domain)
        rows = asked.filter(asked["outcome"] != Outcome.UNREFERENCED)
        if rows.height < asked.height:
            unreferenced[domain] = asked.height - rows.height
        if not rows.is_empty():
            votes = _votes(rows)
            strata[domain] = [Tally(judged=len(v), correct=sum(s == 1.0 for _, s in v), fact=f) for f, v in votes]
            by_domain[domain] = _domain_scores(rows, [v for _, v in votes], strata[domain], ks)
    if not by_domain:
        raise ArtifactError("no problem that was asked has a reference, so there is nothing to score; ask some that do")
    overall = _overall(by_domain, interval(list(strata.values())), sum(unreferenced.values()))
    return EvalScores(
        identity=identity,
        overall=overall,
        by_domain=by_domain,
        unreferenced=unreferenced,
        refusals=refusals_of(frame),
    )


def refusals_of(frame: "pl.DataFrame") -> dict[PromptKind, Refusals]:
    """Of the general completions that have a kind of prompt: how many there are, and how many decline."""
    import polars as pl

    counted = (
        frame.filter(pl.col("declined").is_not_null())
        .group_by("kind")
        .agg(n=pl.len(), declined=pl.col("declined").sum(), problems=pl.col("problem_id").n_unique())
        .sort("kind")
    )
    return {row.pop("kind"): Refusals.model_validate(row) for row in counted.to_dicts()}


Votes = list[tuple[int | None, float]]
"""(vote, score) of each judged sample of a problem."""


def _votes(rows: "pl.DataFrame") -> list[tuple[str, Votes]]:
    """Per problem, its fact and its votes; problems without a judged sample are left out."""
    found: dict[str, tuple[str, Votes]] = {}
    for problem_id, fact, vote, value in rows.select("problem_id", "fact", "vote", "score").iter_rows():
        if value is not None:
            found.setdefault(problem_id, (fact, []))[1].append((vote, value))
    if not found:
        domain = rows["domain"][0]
        raise GraderError(f"none of {rows.height} completions in {domain} has a score; look at the column `detail`")
    return list(found.values())


def _domain_scores(rows: "pl.DataFrame", votes: list[Votes], tallies: list[Tally], ks: tuple[int, ...]) -> Scores:
    at_k = {k: mean_pass_at_k(tallies, k) for k in ks}
    return Scores(
        pass_at_1=pass_at_1(tallies),
        pass_at_1_ci=interval([tallies]),
        pass_at_k={k: value for k, value in at_k.items() if value is not None},
        cons_at_k=_mean([cons_at_k(v) for v in votes]),
        format_rate=_mean([float(x) for x in rows["well_formed"]]),
        language_consistency=_mean(rows["language_share"].to_list()),
        mean_tokens=_mean([float(x) for x in rows["tokens"]]),
        tokens=int(rows["tokens"].sum()),
        problems=len(tallies),
        facts=len({t.fact for t in tallies}),
        n=sum(t.judged for t in tallies),
        outcomes={Outcome(name): count for name, count in sorted(Counter(rows["outcome"]).items())},
    )


def _overall(by_domain: dict[Domain, Scores], ci: Interval, unreferenced: int) -> Scores:
    every = list(by_domain.values())
    reasoning = [scores for domain, scores in by_domain.items() if DOMAINS[domain].reasoning]
    outcomes = Counter({Outcome.UNREFERENCED: unreferenced} if unreferenced else {})
    for scores in every:
        outcomes.update(scores.outcomes)
    shared = set.intersection(*(set(scores.pass_at_k) for scores in every))
    return Scores(
        pass_at_1=_mean([s.pass_at_1 for s in every]),
        pass_at_1_ci=ci,
        pass_at_k={k: _mean([s.pass_at_k[k] for s in every]) for k in sorted(shared)},
        cons_at_k=_mean([s.cons_at_k for s in every]),
        format_rate=_mean([s.format_rate for s in reasoning if s.format_rate is not None]) if reasoning else None,
        language_consistency=_mean([s.language_consistency for s in reasoning if s.language_consistency is not None])
        if reasoning
        else None,
        mean_tokens=_mean([s.mean_tokens for s in every]),
        tokens=sum(s.tokens for s in every),
        problems=sum(s.problems for s in every),
        facts=sum(s.facts for s in every),
        n=sum(s.n for s in every),
        outcomes=dict(outcomes),
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
