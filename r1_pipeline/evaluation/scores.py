"""This module computes the scores of a model from its judged completions.

`score` reads only a table of judged completions (made by `evaluation.runner`). A domain's numbers are averages over its
problems or completions; a model's overall numbers are **unweighted means over domains**, so that five hundred sums do
not outweigh a hundred programs. Format rate and language consistency are over reasoning domains, because general
replies have no reasoning to judge.
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
from r1_pipeline.evaluation.groups import GroupedBy, GroupScore
from r1_pipeline.evaluation.judged_scores import JudgedScores
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.records import DOMAINS, Domain, Outcome, PromptKind, Record

if TYPE_CHECKING:
    import polars as pl


class Identity(SamplingRecord):
    """The model, sampling and verifiers of an evaluation; two scores are comparable if all but the model agree."""

    verifiers: dict[str, str]
    """The `name@version` of each domain's verifier."""


class Scores(Record):
    """The numbers of one domain, or of a model over its domains."""

    pass_at_1: float
    """The mean over problems of the share of correct samples."""
    pass_at_1_ci: Interval
    """The 95% interval of pass@1, clustered by fact: the same problem in several languages counts once."""
    pass_at_k: dict[int, float]
    """The unbiased estimate of the probability that one of k samples is correct, by k."""
    cons_at_k: float
    """The score of the majority vote over all samples of a problem; equal values are one vote."""
    format_rate: float | None
    """The share of well-formed completions; None without a reasoning domain."""
    language_consistency: float | None
    """The mean share of reasoning words in the question's language; None without a reasoning domain."""
    mean_tokens: float
    """The mean number of generated tokens for each completion."""
    tokens: int
    """The number of generated tokens in total."""
    problems: int
    """The number of problems with a judged completion."""
    facts: int
    """The number of distinct facts of the problems, which the interval counts."""
    n: int
    """The number of judged completions, those with a score."""
    outcomes: dict[Outcome, int]
    """The number of completions by outcome."""


class Refusals(Record):
    """The refusals of a model, by the rule of `rewards.refusal`."""

    n: int
    """The number of completions."""
    declined: int
    """The number of refusals among them."""
    problems: int
    """The number of prompts."""


class EvalScores(Record):
    """All scores of one model, with the identity of the evaluation."""

    identity: Identity
    overall: Scores
    by_domain: dict[Domain, Scores]
    """The scores of each domain that has a problem with a reference."""
    unreferenced: dict[Domain, int] = Field(default_factory=dict, exclude_if=lambda counts: not counts)
    """The number of completions for problems without a reference, by domain; `evaluation.general` evaluates them."""
    refusals: dict[PromptKind, Refusals] = Field(default_factory=dict, exclude_if=lambda kinds: not kinds)
    """The refusals of general prompts by kind."""
    groups: dict[GroupedBy, dict[str, GroupScore]] = Field(default_factory=dict, exclude_if=lambda groups: not groups)
    """The scores by language or difficulty, where the recipe wants them."""
    judged: JudgedScores | None = Field(default=None, exclude_if=lambda scores: scores is None)
    """The scores that judges gave; None if rules gave the verdicts."""


def scores_of(report: EvalReport) -> EvalScores:
    """Returns the scores of an evaluation; raises `ArtifactError` if another version wrote them."""
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
    """Computes the scores of judged completions, with pass@k for each of `ks`.

    Raises `GraderError` if a domain with references has no judged completion, and `ArtifactError` if no problem has a
    reference.
    """
    strata: dict[Domain, list[Tally]] = {}
    by_domain: dict[Domain, Scores] = {}
    unreferenced: dict[Domain, int] = {}
    for domain in DOMAINS:
        completions = frame.filter(frame["domain"] == domain)
        rows = completions.filter(completions["outcome"] != Outcome.UNREFERENCED)
        if rows.height < completions.height:
            unreferenced[domain] = completions.height - rows.height
        if not rows.is_empty():
            votes = _votes(rows)
            strata[domain] = [Tally(judged=len(v), correct=sum(s == 1.0 for _, s in v), fact=f) for f, v in votes]
            by_domain[domain] = _domain_scores(rows, [v for _, v in votes], strata[domain], ks)
    if not by_domain:
        raise ArtifactError("no problem has a reference, so nothing can be scored; evaluate problems with references")
    overall = _overall(by_domain, interval(list(strata.values())), sum(unreferenced.values()))
    return EvalScores(
        identity=identity,
        overall=overall,
        by_domain=by_domain,
        unreferenced=unreferenced,
        refusals=refusals_of(frame),
    )


def refusals_of(frame: "pl.DataFrame") -> dict[PromptKind, Refusals]:
    """Counts the general completions and their refusals by kind of prompt."""
    import polars as pl

    counted = (
        frame.filter(pl.col("declined").is_not_null())
        .group_by("kind")
        .agg(n=pl.len(), declined=pl.col("declined").sum(), problems=pl.col("problem_id").n_unique())
        .sort("kind")
    )
    return {row.pop("kind"): Refusals.model_validate(row) for row in counted.to_dicts()}


Votes = list[tuple[int | None, float]]
"""The vote and score of each judged sample of a problem."""


def _votes(rows: "pl.DataFrame") -> list[tuple[str, Votes]]:
    """Returns fact and votes of each problem; problems without a judged sample are left out."""
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
