"""Difficulty decides by measured pass rates which problems a reinforcement run asks, in which order and how often.

A group of equal rewards has no gradient, and a problem that a policy always or never solves mostly gives such groups.
Not covered: the measurement (`evaluation.difficulty`), the replacement of groups that turn out flat in training
(`training.dynamic_sampling`), the order of prompts (`prompt_schedule`).
"""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import PassRate, Problem

PassRates = Mapping[str, PassRate]
"""Problem id -> its pass rate."""


class ByDifficulty(Recipe):
    """The choice, order and frequency of problems by their pass rates; the defaults choose and change nothing."""

    lowest: float = 0.0
    """The lowest pass rate of a problem that is asked."""
    highest: float = 1.0
    """The highest pass rate of a problem that is asked."""
    unmeasured: Literal["drop", "keep"] = "drop"
    """The treatment of problems without a pass rate, such as those that were not sampled for the measurement."""
    pools: int = 1
    """The number of pools of equal size, by falling pass rate, into which each domain is cut: a curriculum.

    The steps of the run are cut into as many parts, and each part asks the problems of one pool."""
    weight: Literal["equal", "variance"] = "equal"
    """The frequency of a problem: equal, or proportional to the variance p (1 - p) of a right answer.

    The pass rate p is estimated as (correct + 1) / (samples + 2), so that no weight is 0."""

    def model_post_init(self, _: object) -> None:
        self.check()

    def check(self) -> None:
        """Raises `RecipeError` for limits that no problem meets, and for a combination that means nothing."""
        if not 0 <= self.lowest <= self.highest <= 1:
            raise RecipeError(
                f"lowest is {self.lowest:g} and highest {self.highest:g}; pass rates need 0 <= lowest <= highest <= 1"
            )
        if self.pools < 1:
            raise RecipeError(f"pools is {self.pools}; set 1 for no curriculum, or more")
        if self.pools > 1 and self.unmeasured == "keep":
            raise RecipeError("problems without a pass rate have no place among pools; set unmeasured to 'drop'")
        kept = self.unmeasured == "keep" and (self.lowest, self.highest) == (0, 1)
        if kept and self.weight == "equal":
            raise RecipeError(
                "this difficulty keeps all problems, in one pool and with equal weights; leave it out of the schedule"
            )

    def sentence(self) -> str:
        """Returns in words what is asked, for `r1 plan`."""
        told = [f"asks problems with pass rates of {self.lowest:g} to {self.highest:g}"]
        if self.unmeasured == "keep":
            told.append("and those without one")
        if self.pools > 1:
            told.append(f"in {self.pools} pools from easy to hard")
        if self.weight == "variance":
            told.append("weighed by the variance of a right answer")
        return " ".join(told)


def select_problems(
    by: ByDifficulty, problems: Sequence[Problem], rates: PassRates
) -> tuple[list[Problem], list[DroppedRow]]:
    """Returns the problems that are asked, and the others with the reason `too_easy`, `too_hard` or `unmeasured`.

    Raises `RecipeError` if none is left.
    """
    kept: list[Problem] = []
    dropped: list[DroppedRow] = []
    for problem in problems:
        found = rates.get(problem.id)
        reason = _reason(by, found)
        if reason is None:
            kept.append(problem)
        else:
            detail = f"{found.correct} of {found.samples} answers are correct" if found else "it has no pass rate"
            dropped.append(Place.of(problem.source).drop(reason, detail))
    if problems and not kept:
        raise RecipeError(
            f"none of {len(problems)} problems has a pass rate of {by.lowest:g} to {by.highest:g}; widen the limits, "
            "or measure with more samples"
        )
    return kept, dropped


def _reason(by: ByDifficulty, found: PassRate | None) -> str | None:
    if found is None:
        return "unmeasured" if by.unmeasured == "drop" else None
    if found.rate < by.lowest:
        return "too_hard"
    return "too_easy" if found.rate > by.highest else None


def in_pools(by: ByDifficulty, problems: Sequence[Problem], rates: PassRates) -> list[list[Problem]]:
    """Cuts the problems of one domain into pools of equal size, give or take one, from easy to hard.

    Problems of one pass rate stay in the order given. Raises `RecipeError` for fewer problems than pools.
    """
    if by.pools == 1:
        return [list(problems)]
    if len(problems) < by.pools:
        raise RecipeError(
            f"{len(problems)} problems in {problems[0].domain} cannot fill {by.pools} pools; set fewer pools"
        )
    ordered = sorted(problems, key=lambda problem: -rates[problem.id].rate)
    cuts = [len(ordered) * pool // by.pools for pool in range(by.pools + 1)]
    return [ordered[start:end] for start, end in pairwise(cuts)]


def weight_of(rate: PassRate | None) -> float:
    """Returns the estimated variance of a right answer; that of an unmeasured problem is the highest, 1/4."""
    correct, samples = (rate.correct, rate.samples) if rate else (0, 0)
    share = (correct + 1) / (samples + 2)
    return share * (1 - share)


def weighted(problems: Sequence[Problem], weights: Sequence[float], rng: random.Random) -> Iterator[Problem]:
    """Yields problems without end, each as often as its weight says and at even distances, from a random start."""
    queue = [(rng.random() / weight, index) for index, weight in enumerate(weights)]
    heapq.heapify(queue)
    while True:
        due, index = queue[0]
        yield problems[index]
        heapq.heapreplace(queue, (due + 1 / weights[index], index))
