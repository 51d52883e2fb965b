"""Laws of the prompt order: general prompts come last and in their share; each pass shows every prompt once."""

from collections import Counter

import pytest

from r1_pipeline.data.prompt_schedule import PromptSchedule, order_prompts
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Domain, Problem


def problems(domain: Domain, count: int) -> list[Problem]:
    return [
        Problem(
            id=f"{domain}{i}", question="?", answer="1", tests=(), domain=domain, language="en", source="s", licence="l"
        )
        for i in range(count)
    ]


SCHEDULE = PromptSchedule(shares={"math": 0.5, "code": 0.3, "logic": 0.2}, general_steps=2, general_share=0.25, seed=0)


def test_general_prompts_come_only_in_the_last_steps_and_in_their_share() -> None:
    ordered = order_prompts(SCHEDULE, problems("math", 9), problems("general", 3), steps=5, prompts_per_step=8)
    counts = [Counter(p.domain for p in ordered[i * 8 : i * 8 + 8]) for i in range(5)]
    assert counts == [{"math": 8}] * 3 + [{"math": 6, "general": 2}] * 2


def test_domains_come_in_their_shares_whatever_the_sizes_of_the_sets() -> None:
    schedule = SCHEDULE.model_copy(update={"general_steps": 0})
    reasoning = problems("math", 100) + problems("code", 2) + problems("logic", 10)
    ordered = order_prompts(schedule, reasoning, [], steps=4, prompts_per_step=10)
    per_step = [Counter(p.domain for p in ordered[i * 10 : i * 10 + 10]) for i in range(4)]
    assert per_step == [{"math": 5, "code": 3, "logic": 2}] * 4
    assert Counter(p.id for p in ordered if p.domain == "code") == {"code0": 6, "code1": 6}


def test_the_share_of_a_domain_without_problems_goes_to_the_others() -> None:
    schedule = SCHEDULE.model_copy(update={"general_steps": 0})
    ordered = order_prompts(schedule, problems("code", 5) + problems("logic", 5), [], steps=2, prompts_per_step=5)
    assert Counter(p.domain for p in ordered) == {"code": 6, "logic": 4}


def test_every_pass_shows_each_prompt_once() -> None:
    schedule = SCHEDULE.model_copy(update={"general_steps": 0})
    ordered = [p.id for p in order_prompts(schedule, problems("math", 6), [], steps=4, prompts_per_step=3)]
    assert sorted(ordered[:6]) == sorted(ordered[6:]) == [f"math{i}" for i in range(6)]


def test_the_seed_decides_the_order() -> None:
    one, two = (
        order_prompts(
            SCHEDULE.model_copy(update={"seed": seed}),
            problems("math", 20),
            problems("general", 5),
            steps=5,
            prompts_per_step=8,
        )
        for seed in (0, 1)
    )
    assert one != two


def test_a_schedule_that_needs_missing_prompts_is_refused() -> None:
    with pytest.raises(RecipeError, match="general prompts"):
        order_prompts(SCHEDULE, problems("math", 6), [], steps=4, prompts_per_step=8)
    with pytest.raises(RecipeError, match="no share for stem"):
        order_prompts(SCHEDULE, problems("stem", 6), problems("general", 1), steps=4, prompts_per_step=8)
    with pytest.raises(RecipeError, match="reasoning prompts and there are none"):
        order_prompts(SCHEDULE, [], problems("general", 1), steps=4, prompts_per_step=8)
    with pytest.raises(RecipeError, match="general_steps is 2"):
        order_prompts(SCHEDULE, problems("math", 6), [], steps=1, prompts_per_step=8)
