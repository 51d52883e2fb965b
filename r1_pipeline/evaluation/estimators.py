"""The estimators of an evaluation: pass@k, majority vote, and confidence intervals clustered by fact.

All are pure functions of counts, and every average is an average over problems. Samples of one problem share its
difficulty, and so do problems about one fact, such as a sum in two languages: they are not independent, and the
interval counts facts. The caller leaves out verdicts without a score (`ungradable`, `grader_error`) before counting;
they never count as zero. Not covered: the counting (`evaluation.runner`), and the equality of answers
(`evaluation.votes`).
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist

from r1_pipeline.records import Record


class Tally(Record):
    """The counts of the judged samples of one problem."""

    judged: int
    """The number of samples with a score, at least 1."""
    correct: int
    """The number of correct samples."""
    fact: str
    """The fact that the problem is about; problems about one fact are not independent."""


class Interval(Record):
    """A two-sided 95% interval inside [0, 1]."""

    lo: float
    hi: float


class Gap(Record):
    """The score of one model on a problem minus that of another model."""

    fact: str
    """The fact that the problem is about; problems about one fact are not independent."""
    gap: float
    """The difference, in [-1, 1] for shares."""


class Difference(Record):
    """The mean difference of two models' scores on the same problems, with a two-sided 95% interval."""

    value: float
    lo: float
    hi: float
    facts: int
    """The number of distinct facts among the problems of both models."""


def pass_at_1(tallies: Sequence[Tally]) -> float:
    """Returns the mean over problems of the share of correct samples (paper, supplement D.1)."""
    return math.fsum(t.correct / t.judged for t in tallies) / len(tallies)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Returns the unbiased estimate 1 - C(n-c, k) / C(n, k) of pass@k, from n samples of which c are correct.

    It is the probability that k of the n samples, drawn without replacement, include a correct one (Chen et al. 2021).
    Raises `ValueError` unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} is undefined for {c} correct of {n} samples; need 0 <= c <= n and 1 <= k <= n")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def mean_pass_at_k(tallies: Sequence[Tally], k: int) -> float | None:
    """Returns the mean pass@k over the problems with at least k judged samples; None if there are none."""
    able = [t for t in tallies if t.judged >= k]
    return math.fsum(pass_at_k(t.judged, t.correct, k) for t in able) / len(able) if able else None


def cons_at_k(votes: Iterable[tuple[Hashable | None, float]]) -> float:
    """Returns the score of the majority answer to one problem; `votes` has vote and score of each judged sample.

    A sample without an answer does not vote; without any vote the score is 0. Tied answers share the score equally, as
    a random tie-break does on average; open questions, where no two answers are equal, therefore get the mean score of
    the answers. An answer that was judged both ways counts with its mean score.
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
    """Returns the effective sample size p(1-p) / se², with se clustered by fact; at most the number of judged samples.

    se² = G/(G-1) Σ_g (Σ_{i in g} (p_i - p))² / m² over the m problems of G facts, the usual variance of a mean over
    clusters. If se cannot be estimated (one fact, or all correct, or all wrong), the size is the number of facts, which
    is the conservative choice.
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
    """Returns the 95% interval of the unweighted mean over `strata` (domains) of pass@1, clustered by fact.

    It is Wilson's score interval at the effective sample size n. For one stratum, n is that of `_effective_n`. For D
    strata, n = D² p(1-p) / Σ p_d(1-p_d)/n_d, the size at which a binomial has the variance of the mean; if every p_d
    is 0 or 1, n = D² / Σ 1/n_d. `comparisons` intervals hold jointly with 95% (Bonferroni).
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
    """Returns the unweighted mean over `strata` (domains) of the mean gap, with a 95% interval clustered by fact.

    The variance of a stratum is that of a mean over clusters, as in `interval`; it cannot be estimated from one fact.
    For shares of correct answers (`counts`), two pseudo-facts are added to each stratum: half a fact of gap 1, half of
    gap -1 and one of gap 0 (Agresti and Min 2005 for matched pairs, with facts in place of subjects), so that a few
    facts that happen to agree prove nothing. `comparisons` intervals hold jointly with 95% (Bonferroni). `largest` is
    the largest possible gap. Raises `ValueError` for a stratum without a problem.
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
    """Returns the mean of a stratum and its variance, with pseudo-facts, each of the mean number of problems a fact."""
    if not gaps:
        raise ValueError("the two models share no problem; evaluate both on the same problems")
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


def exact_p(gaps: Sequence[Gap]) -> float:
    """Returns the two-sided p-value of the exact permutation test that two models are alike on the same problems.

    If they are alike, the summed gap of every fact could as well have the other sign; p is the probability that the
    size of the total is at least the one that was seen, over all 2^n choices of signs. With one sample a problem and
    one problem a fact it is McNemar's exact test. It is counted, not drawn; gaps are rounded to 1/5040 of a problem if
    their denominators do not divide that.
    """
    import numpy as np

    sums: dict[str, float] = {}
    for each in gaps:
        sums[each.fact] = sums.get(each.fact, 0.0) + each.gap
    scaled = [round(abs(total) * _GRID) for total in sums.values()]
    seen = abs(round(math.fsum(sums.values()) * _GRID))
    unit = math.gcd(*scaled) or 1
    steps = [size // unit for size in scaled if size]
    reach = sum(steps)
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in steps:
        chances = (np.roll(chances, step) + np.roll(chances, -step)) / 2
    sizes = np.abs(np.arange(-reach, reach + 1)) * unit
    return min(1.0, float(chances[sizes >= seen].sum()))


_GRID = 5040


def _z(comparisons: int) -> float:
    """Returns half the width, in standard errors, of `comparisons` intervals that hold jointly with 95%."""
    return NormalDist().inv_cdf(1 - 0.025 / comparisons)
