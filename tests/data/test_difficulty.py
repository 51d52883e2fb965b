"""Laws of difficulty: pass rates choose, order and weigh problems as the recipe says."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from pydantic import ValidationError

from r1_pipeline.data.difficulty import ByDifficulty, in_pools, select_problems, weight_of, weighted
from r1_pipeline.data.prompt_schedule import PromptSchedule, order_prompts
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Domain, PassRate, Problem

MIDDLE = ByDifficulty(lowest=0.1, highest=0.9)


def problems(domain: Domain, count: int) -> list[Problem]:
    return [
        Problem(
            id=f"{domain}{i}", question="?", answer="1", tests=(), domain=domain, language="en", licence="l",
            source=f"s/f.jsonl:{i}#",
        )
        for i in range(count)
    ]  # fmt: skip


def rates(domain: Domain, *correct: int, samples: int = 4) -> dict[str, PassRate]:
    """Pass rates of the first problems of a domain."""
    return {
        f"{domain}{i}": PassRate(problem_id=f"{domain}{i}", domain=domain, samples=samples, correct=right)
        for i, right in enumerate(correct)
    }


def test_problems_outside_the_limits_are_left_out_with_the_evidence() -> None:
    kept, dropped = select_problems(MIDDLE, problems("math", 4), rates("math", 0, 1, 4))
    assert [problem.id for problem in kept] == ["math1"]
    assert [(row.file, row.line, row.reason, row.detail) for row in dropped] == [
        ("f.jsonl", 0, "too_hard", "0 of 4 answers are correct"),
        ("f.jsonl", 2, "too_easy", "4 of 4 answers are correct"),
        ("f.jsonl", 3, "unmeasured", "it has no pass rate"),
    ]


def test_the_limits_are_inclusive_and_unmeasured_problems_stay_by_recipe() -> None:
    by = ByDifficulty(lowest=0.25, highest=0.5, unmeasured="keep")
    kept, _ = select_problems(by, problems("math", 5), rates("math", 0, 1, 2, 3))
    assert [problem.id for problem in kept] == ["math1", "math2", "math4"]


def test_limits_that_no_problem_meets_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"none of 2 problems has a pass rate of 0\.1 to 0\.9; widen"):
        select_problems(MIDDLE, problems("math", 2), rates("math", 0, 4))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lowest": 0.9, "highest": 0.1}, "lowest is 0.9 and highest 0.1"),
        ({"lowest": -0.1}, "0 <= lowest"),
        ({"pools": 0}, "pools is 0"),
        ({"pools": 2, "unmeasured": "keep"}, "no place among pools"),
        ({"unmeasured": "keep"}, "leave it out of the schedule"),
    ],
)
def test_settings_that_mean_nothing_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ByDifficulty(**fields)
    copied = MIDDLE.model_copy(update={"lowest": 0.0, "highest": 1.0, **fields})
    with pytest.raises(RecipeError, match=said):
        copied.check()
    with pytest.raises(ValidationError, match=said):
        PromptSchedule(shares={"math": 1.0}, general_steps=0, general_share=0.5, seed=0, difficulty=copied)


def test_pools_go_from_easy_to_hard_and_a_run_asks_one_after_the_other() -> None:
    by = ByDifficulty(pools=2)
    known = rates("math", 1, 4, 2, 3) | rates("stem", 0, 4)
    assert [[p.id for p in pool] for pool in in_pools(by, problems("math", 4), known)] == [
        ["math1", "math3"],
        ["math2", "math0"],
    ]
    schedule = PromptSchedule(
        shares={"math": 0.5, "stem": 0.5}, general_steps=0, general_share=0.5, seed=0, difficulty=by
    )
    ordered = order_prompts(
        schedule, problems("math", 4) + problems("stem", 2), [], steps=4, prompts_per_step=4, rates=known
    )
    assert {p.id for p in ordered[:8]} == {"math1", "math3", "stem1"}
    assert {p.id for p in ordered[8:]} == {"math0", "math2", "stem0"}
    assert Counter(p.domain for p in ordered) == {"math": 8, "stem": 8}


def test_too_few_problems_or_steps_for_the_pools_are_refused() -> None:
    by = ByDifficulty(pools=3)
    schedule = PromptSchedule(shares={"math": 1.0}, general_steps=0, general_share=0.5, seed=0, difficulty=by)
    with pytest.raises(RecipeError, match="2 problems in math cannot fill 3 pools"):
        order_prompts(schedule, problems("math", 2), [], steps=3, prompts_per_step=2, rates=rates("math", 1, 2))
    with pytest.raises(RecipeError, match="2 steps and the schedule 3 pools"):
        order_prompts(schedule, problems("math", 3), [], steps=2, prompts_per_step=2, rates=rates("math", 1, 2, 3))


def test_a_weight_is_the_estimated_variance_of_a_right_answer() -> None:
    known = rates("math", 0, 2, 4)
    assert [weight_of(known[f"math{i}"]) for i in range(3)] == pytest.approx([5 / 36, 1 / 4, 5 / 36])
    assert weight_of(None) == 1 / 4


def test_weighted_prompts_come_in_proportion_and_at_even_distances() -> None:
    drawn = weighted(problems("math", 3), [0.1, 0.3, 0.6], random.Random(0))
    ids = [next(drawn).id for _ in range(1000)]
    assert {name: round(count, -1) for name, count in Counter(ids).items()} == {
        "math0": 100,
        "math1": 300,
        "math2": 600,
    }
    places = [index for index, name in enumerate(ids) if name == "math0"]
    assert {9, 10, 11} >= {after - before for before, after in pairwise(places)}


def test_a_schedule_by_weight_asks_problems_of_middle_difficulty_more_often() -> None:
    by = ByDifficulty(weight="variance")
    schedule = PromptSchedule(shares={"math": 1.0}, general_steps=0, general_share=0.5, seed=0, difficulty=by)
    known = rates("math", 0, 2, 4)
    ordered = order_prompts(schedule, problems("math", 3), [], steps=100, prompts_per_step=19, rates=known)
    counts = Counter(p.id for p in ordered)
    assert [counts[f"math{i}"] for i in range(3)] == pytest.approx([500, 900, 500], abs=1)


def test_prompts_that_replace_others_are_of_their_domain_and_pool() -> None:
    by = ByDifficulty(pools=2)
    known = rates("math", 4, 4, 1, 1) | rates("stem", 4, 0)
    common = {"shares": {"math": 0.5, "stem": 0.5}, "general_steps": 1, "general_share": 0.5, "seed": 0}
    given = (problems("math", 4) + problems("stem", 2), problems("general", 3))
    size = {"steps": 4, "prompts_per_step": 4, "rates": known}
    without = order_prompts(PromptSchedule(**common, difficulty=by), *given, **size)
    ordered = order_prompts(PromptSchedule(**common, difficulty=by, resample=2), *given, **size)
    assert ordered[:16] == without
    assert len(ordered) == 48
    for index, problem in enumerate(ordered[:16]):
        for other in (ordered[index + 16], ordered[index + 32]):
            assert other.domain == problem.domain
            if problem.domain != "general":
                assert known[other.id].rate > 0.5 if index < 8 else known[other.id].rate <= 0.5


def test_a_negative_number_of_replacements_is_refused() -> None:
    with pytest.raises(ValidationError, match="resample is -1"):
        PromptSchedule(shares={"math": 1.0}, general_steps=0, general_share=0.5, seed=0, resample=-1)
