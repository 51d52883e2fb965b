"""The prompt schedule decides which prompts a reinforcement run sees, and in which order.

Reasoning prompts come first, in fixed shares of their domains; general prompts are mixed in only near the end.

In the paper's last RL stage, preference rewards are used in the final 400 of 1,700 steps only; used longer, the reward
model is hacked and code gets worse (supplement B.5). Since a trainer takes prompts in the order given, the order is the
schedule. Not covered: rewards (`rewards.rubric`), the rows of the corpus (`merge`).
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Problem


class PromptSchedule(Recipe):
    """The shares of prompts in a reinforcement run."""

    shares: Mapping[Domain, float]
    """Weights of the domains among reasoning prompts; those of domains that have no problems go to the others."""
    general_steps: int
    """Steps at the end that mix in general prompts; 0 means reasoning only."""
    general_share: float
    """Share of general prompts in those steps, in (0, 1]."""
    seed: int


def order_prompts(
    schedule: PromptSchedule,
    reasoning: Sequence[Problem],
    general: Sequence[Problem],
    *,
    steps: int,
    prompts_per_step: int,
) -> list[Problem]:
    """Returns `steps * prompts_per_step` prompts in training order; every pass over a domain is a new permutation.

    Raises `RecipeError` if a set that the schedule needs is empty, or if a domain has problems and no share.
    """
    if not 0 <= schedule.general_steps <= steps:
        raise RecipeError(f"general_steps is {schedule.general_steps}, outside 0..{steps} (steps)")
    rng = random.Random(schedule.seed)
    from_reasoning, from_general = _in_shares(reasoning, schedule.shares, rng), _endless(general, rng, "general")
    general_count = round(schedule.general_share * prompts_per_step)
    ordered: list[Problem] = []
    for step in range(steps):
        count = general_count if step >= steps - schedule.general_steps else 0
        batch = [next(from_general) for _ in range(count)]
        batch += [next(from_reasoning) for _ in range(prompts_per_step - count)]
        rng.shuffle(batch)
        ordered += batch
    return ordered


def _in_shares(problems: Sequence[Problem], shares: Mapping[Domain, float], rng: random.Random) -> Iterator[Problem]:
    """Yields prompts, always of the domain furthest behind its share, so that after n prompts none is off by one or
    more."""
    by_domain: dict[Domain, list[Problem]] = {}
    for problem in problems:
        by_domain.setdefault(problem.domain, []).append(problem)
    if missing := sorted(by_domain.keys() - shares.keys()):
        raise RecipeError(f"the schedule names no share for {', '.join(missing)}; set one, 0 to leave them out")
    weights = {domain: share for domain, share in sorted(shares.items()) if share > 0 and domain in by_domain}
    if not weights:
        raise RecipeError("the schedule needs reasoning prompts and there are none; curate some of its domains")
    sources = {domain: _endless(by_domain[domain], rng, domain) for domain in weights}
    total, given = sum(weights.values()), Counter[Domain]()
    while True:
        domain = max(weights, key=lambda d: weights[d] / total * (given.total() + 1) - given[d])
        given[domain] += 1
        yield next(sources[domain])


def _endless(problems: Sequence[Problem], rng: random.Random, what: str) -> Iterator[Problem]:
    if not problems:
        raise RecipeError(f"the schedule needs {what} prompts and there are none; curate some or set its share to 0")
    while True:
        yield from rng.sample(problems, len(problems))
