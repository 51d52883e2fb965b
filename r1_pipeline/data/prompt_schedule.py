"""The prompt schedule decides which prompts a reinforcement run sees, and in which order.

Reasoning prompts come first, in fixed shares of their domains; general prompts are mixed in only near the end.

In the paper's last RL stage, preference rewards are used in the final 400 of 1,700 steps only; used longer, the reward
model is hacked and code gets worse (supplement B.5). Since a trainer takes prompts in the order given, the order is the
schedule. Pass rates may choose, order and weigh problems (`difficulty`). Not covered: rewards (`rewards.rubric`), the
rows of the corpus (`merge`).
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

from r1_pipeline.data.difficulty import ByDifficulty, PassRates, in_pools, weight_of, weighted
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Domain, Problem


class PromptSchedule(Recipe):
    """The prompts of a reinforcement run: their shares, their difficulty, and how often a flat group is replaced."""

    shares: Mapping[Domain, float]
    """Weights of the domains among reasoning prompts; those of domains that have no problems go to the others."""
    general_steps: int
    """Steps at the end that mix in general prompts; 0 means reasoning only."""
    general_share: float
    """Share of general prompts in those steps, in (0, 1]."""
    seed: int
    difficulty: Annotated[ByDifficulty | None, AddedField()] = None
    """Choice of reasoning prompts by their pass rates, which the node's input `difficulty` has; None asks all alike."""
    resample: Annotated[int, AddedField()] = 0
    """Times that a flat group is replaced before the step by a group of another prompt of its domain [DAPO: no limit].

    A group is flat if all its rewards are equal: it has no gradient. 0 replaces none, as in the paper."""

    def model_post_init(self, _: object) -> None:
        self.check()

    def check(self) -> None:
        """Raises `RecipeError` for a schedule that means nothing."""
        if self.difficulty is not None:
            self.difficulty.check()
        if self.resample < 0:
            raise RecipeError(f"resample is {self.resample}; set 0 to replace no flat group, or a number of times")


def order_prompts(
    schedule: PromptSchedule,
    reasoning: Sequence[Problem],
    general: Sequence[Problem],
    *,
    steps: int,
    prompts_per_step: int,
    rates: PassRates | None = None,
) -> list[Problem]:
    """Returns `steps * prompts_per_step` prompts in training order; every pass over a domain is a new permutation.

    With `schedule.resample`, as many lists of that length follow: the prompts that replace those at the same places,
    each of the same domain and pool. `rates` are the pass rates by which the schedule orders and weighs. Raises
    `RecipeError` if a set that the schedule needs is empty, or if a domain has problems and no share.
    """
    if not 0 <= schedule.general_steps <= steps:
        raise RecipeError(f"general_steps is {schedule.general_steps}, outside 0..{steps} (steps)")
    pools = schedule.difficulty.pools if schedule.difficulty else 1
    if pools > steps:
        raise RecipeError(f"the run has {steps} steps and the schedule {pools} pools; set fewer pools")
    rng = random.Random(schedule.seed)
    from_reasoning = _Shares(schedule, reasoning, rates or {}, rng)
    from_general = _endless(general, rng, "general")
    general_count = round(schedule.general_share * prompts_per_step)
    places: list[_Place] = []
    for step in range(steps):
        pool = step * pools // steps
        count = general_count if step >= steps - schedule.general_steps else 0
        batch: list[_Place] = [(next(from_general), lambda: next(from_general)) for _ in range(count)]
        batch += [from_reasoning.place(pool) for _ in range(prompts_per_step - count)]
        rng.shuffle(batch)
        places += batch
    ordered = [problem for problem, _ in places]
    return ordered + [another() for _ in range(schedule.resample) for _, another in places]


_Place = tuple[Problem, Callable[[], Problem]]
"""A prompt, and a function that returns another of its kind."""


class _Shares:
    """Gives prompts, always of the domain furthest behind its share, so that after n prompts none is off by one or
    more."""

    def __init__(
        self, schedule: PromptSchedule, problems: Sequence[Problem], rates: PassRates, rng: random.Random
    ) -> None:
        self._schedule, self._problems, self._rates, self._rng = schedule, problems, rates, rng
        self._weights: dict[Domain, float] = {}
        self._sources: dict[Domain, list[Iterator[Problem]]] = {}
        self._given = Counter[Domain]()

    def place(self, pool: int) -> _Place:
        """Returns the next prompt of a pool."""
        if not self._weights:
            self._open()
        total = sum(self._weights.values())
        domain = max(self._weights, key=lambda d: self._weights[d] / total * (self._given.total() + 1) - self._given[d])
        self._given[domain] += 1
        source = self._sources[domain][pool]
        return next(source), lambda: next(source)

    def _open(self) -> None:
        shares = self._schedule.shares
        by_domain: dict[Domain, list[Problem]] = {}
        for problem in self._problems:
            by_domain.setdefault(problem.domain, []).append(problem)
        if missing := sorted(by_domain.keys() - shares.keys()):
            raise RecipeError(f"the schedule names no share for {', '.join(missing)}; set one, 0 to leave them out")
        weights = {domain: share for domain, share in sorted(shares.items()) if share > 0 and domain in by_domain}
        if not weights:
            raise RecipeError("the schedule needs reasoning prompts and there are none; curate some of its domains")
        self._sources = {domain: self._pools(by_domain[domain]) for domain in weights}
        self._weights = weights

    def _pools(self, problems: Sequence[Problem]) -> list[Iterator[Problem]]:
        by, domain = self._schedule.difficulty, problems[0].domain
        if by is None:
            return [_endless(problems, self._rng, domain)]
        pools = in_pools(by, problems, self._rates)
        if by.weight == "equal":
            return [_endless(pool, self._rng, domain) for pool in pools]
        weights = [[weight_of(self._rates.get(problem.id)) for problem in pool] for pool in pools]
        return [weighted(pool, each, self._rng) for pool, each in zip(pools, weights, strict=True)]


def _endless(problems: Sequence[Problem], rng: random.Random, what: str) -> Iterator[Problem]:
    if not problems:
        raise RecipeError(f"the schedule needs {what} prompts and there are none; curate some or set its share to 0")
    while True:
        yield from rng.sample(problems, len(problems))
