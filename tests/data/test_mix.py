"""Laws of the prompt order: general prompts come last and in their share; each pass shows every prompt once."""

from collections import Counter

import pytest

from r1_pipeline.data.mix import PromptSchedule, order_prompts
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Domain, Problem


def problems(domain: Domain, count: int) -> list[Problem]:
    return [
        Problem(
            id=f"{domain}{i}", question="?", answer="1", tests=(), domain=domain, language="en", source="s", licence="l"
        )
        for i in range(count)
    ]


SCHEDULE = PromptSchedule(general_steps=2, general_share=0.25, seed=0)


def test_general_prompts_come_only_in_the_last_steps_and_in_their_share() -> None:
    ordered = order_prompts(SCHEDULE, problems("math", 9), problems("general", 3), steps=5, prompts_per_step=8)
    counts = [Counter(p.domain for p in ordered[i * 8 : i * 8 + 8]) for i in range(5)]
    assert counts == [{"math": 8}] * 3 + [{"math": 6, "general": 2}] * 2


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
    with pytest.raises(RecipeError, match="general_steps is 2"):
        order_prompts(SCHEDULE, problems("math", 6), [], steps=1, prompts_per_step=8)
