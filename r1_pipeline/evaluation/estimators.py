"""Numbers from judged answers: pass@k, majority vote, and intervals that know which samples belong together.

Pure functions over counts. Every average here is an average over problems. Samples of one problem share its difficulty,
and so do problems about one fact, such as a sum that is asked in two languages: they are not independent draws, and the
interval counts facts. Verdicts without a score (`ungradable`, `grader_error`)
are left out by the caller before counting; they are never zeros.
Not covered: where the counts come from (`evaluation.runner`), which answers are equal (`evaluation.votes`).
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist

from r1_pipeline.records import Record


class Tally(Record):
    """The judged samples of one problem."""

    judged: int
    """Samples with a score; at least 1."""
    correct: int
    fact: str
    """What the problem is about; problems about one fact are not independent."""


class Interval(Record):
    """A two-sided 95% interval inside [0, 1]."""

    lo: float
    hi: float


class Gap(Record):
    """What one problem scored with one model less what it scored with another."""

    fact: str
    """What the problem is about; problems about one fact are not independent."""
    gap: float
    """In [-1, 1] for shares."""


class Difference(Record):
    """How much higher one model scores than another on the same problems, with a two-sided 95% interval."""

    value: float
    lo: float
    hi: float
    facts: int
    """Distinct facts that both were asked about."""


def pass_at_1(tallies: Sequence[Tally]) -> float:
    """Mean over problems of the share of right samples (paper, supplement D.1)."""
    return math.fsum(t.correct / t.judged for t in tallies) / len(tallies)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, hold at least one of the c right ones.

    The unbiased estimator 1 - C(n-c, k) / C(n, k).
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {c} right among {n} samples has no meaning; need 0 <= c <= n and 1 <= k <= n")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def mean_pass_at_k(tallies: Sequence[Tally], k: int) -> float | None:
    """Mean pass@k over the problems that have at least k judged samples; None if there is none."""
    able = [t for t in tallies if t.judged >= k]
    return math.fsum(pass_at_k(t.judged, t.correct, k) for t in able) / len(able) if able else None


def cons_at_k(votes: Iterable[tuple[Hashable | None, float]]) -> float:
    """Credit of the majority answer of one problem; `votes` are (vote, score) of its judged samples.

    A sample without an answer does not vote; with no votes at all the credit is 0. Tied leaders share the credit
    equally (what a random tie-break gives on average), so open questions, where no two answers coincide, fall back to
    the mean score of the answers. An answer judged both ways counts with its mean score.
    """
    ballots: dict[Hashable, list[float]] = {}
    for answer, score in votes:
        if answer is not None:
            ballots.setdefault(answer, []).append(score)
    if not ballots:
        return 0.0
    most = max(len(scores) for scores in ballots.values())
    leaders = [math.fsum(scores) / most for scores in ballots.values() if len(scores) == most]
    return math.fsum(leaders) / len(leaders)


def _effective_n(tallies: Sequence[Tally]) -> float:
    """Independent samples that would be as informative: p(1-p) / se², se over facts; at most all judged samples.

    se² = G/(G-1) Σ_g (Σ_{i in g} (p_i - p))² / m² over the m problems of G facts, the usual variance of a mean over
    clusters. Where se says nothing (one fact, or all right, or all wrong) the facts are counted: the cautious answer.
    """
    m, p = len(tallies), pass_at_1(tallies)
    off: dict[str, float] = {}
    for t in tallies:
        off[t.fact] = off.get(t.fact, 0.0) + t.correct / t.judged - p
    facts = len(off)
    if facts < 2 or p in (0.0, 1.0):
        return float(facts)
    total = float(sum(t.judged for t in tallies))
    variance = facts / (facts - 1) * math.fsum(each * each for each in off.values()) / (m * m)
    return min(total, p * (1 - p) / variance) if variance > 0 else total


def interval(strata: Sequence[Sequence[Tally]], comparisons: int = 1) -> Interval:
    """95% interval for the unweighted mean over `strata` (domains) of pass@1, clustered by fact.

    Wilson's score interval at the effective sample size n. One stratum: n as in `_effective_n`. Several, D of them:
    n = D² p(1-p) / Σ p_d(1-p_d)/n_d, the size at which a binomial has the variance of the mean; where every p_d is 0
    or 1, n = D² / Σ 1/n_d. Of `comparisons` intervals all hold at once with 95% (Bonferroni).
    """
    z = _z(comparisons)
    rates = [pass_at_1(tallies) for tallies in strata]
    sizes = [_effective_n(tallies) for tallies in strata]
    p = math.fsum(rates) / len(rates)
    spread = math.fsum(rate * (1 - rate) / size for rate, size in zip(rates, sizes, strict=True))
    n = len(rates) ** 2 * p * (1 - p) / spread if spread > 0 else len(rates) ** 2 / math.fsum(1 / s for s in sizes)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n * n)) / (1 + z**2 / n)
    return Interval(lo=max(0.0, centre - half), hi=min(1.0, centre + half))


def paired(
    strata: Sequence[Sequence[Gap]], comparisons: int = 1, counts: bool = True, largest: float = 1.0
) -> Difference:
    """The unweighted mean over `strata` (domains) of the mean gap, with a 95% interval clustered by fact.

    The variance of a stratum is that of a mean over clusters, as in `interval`; one fact alone says nothing of it. For
    shares of right answers (`counts`) two made-up facts are added to each stratum: half a fact of gap 1, half of gap
    -1 and one of gap 0 (Agresti and Min 2005 for matched pairs, with facts in the place of subjects), so that a few
    facts which happen to agree prove nothing. Of `comparisons` intervals all hold at once with 95% (Bonferroni).
    No gap can be larger than `largest`. Raises `ValueError` for a stratum without a problem.
    """
    parts = [_gap(gaps, counts) for gaps in strata]
    centre = math.fsum(mean for mean, _ in parts) / len(parts)
    half = _z(comparisons) * math.sqrt(math.fsum(variance for _, variance in parts)) / len(parts)
    values = [math.fsum(each.gap for each in gaps) / len(gaps) for gaps in strata]
    return Difference(
        value=math.fsum(values) / len(values),
        lo=max(-largest, centre - half),
        hi=min(largest, centre + half),
        facts=sum(len({each.fact for each in gaps}) for gaps in strata),
    )


def _gap(gaps: Sequence[Gap], counts: bool) -> tuple[float, float]:
    """(mean, its variance) of a stratum, made-up facts included; each of those has as many problems as a real one."""
    if not gaps:
        raise ValueError("no problem was answered by both models; ask them the same ones")
    sums: dict[str, list[float]] = {}
    for each in gaps:
        sums.setdefault(each.fact, []).append(each.gap)
    weight = len(gaps) / len(sums) if counts else 0.0
    count, problems = len(sums) + 2 * counts, len(gaps) + 2 * weight
    if count < 2:
        return gaps[0].gap, math.inf
    mean = math.fsum(each.gap for each in gaps) / problems
    squares = math.fsum((math.fsum(found) - len(found) * mean) ** 2 for found in sums.values())
    squares += weight**2 * ((1 - mean) ** 2 / 2 + (-1 - mean) ** 2 / 2 + mean**2)
    return mean, count / (count - 1) * squares / problems**2


def _z(comparisons: int) -> float:
    """Half the width, in standard errors, of intervals that all hold with 95%."""
    return NormalDist().inv_cdf(1 - 0.025 / comparisons)
