"""Every problem has a right reference, an id of its content, and the same side of the split as problems about its
fact."""

import json
from collections import Counter

import pytest

from r1_pipeline.data.sources import SOURCE_NAMES, source_of
from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.toy_problems import ProblemsRecipe, all_tasks, generate_problems, problem_id, to_problem
from r1_pipeline.data.toy_tasks import Product, Program, Sum, Turn
from r1_pipeline.records import BUILTIN_DOMAINS, Problem

RECIPE = ProblemsRecipe(
    seed=0,
    sums=(20, 140, 140),
    programs=60,
    products=100,
    digits=1,
    largest_sum=27,
    largest_factor=9,
    turns=3,
    heldout_share=0.25,
)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return generate_problems(RECIPE)


def test_the_same_recipe_gives_the_same_problems_and_no_two_are_alike(problems: list[Problem]) -> None:
    assert generate_problems(RECIPE) == problems
    assert len({p.id for p in problems}) == len(problems)
    assert {p.domain for p in problems} == set(BUILTIN_DOMAINS)


def test_the_id_depends_on_the_content_and_on_nothing_else(problems: list[Problem]) -> None:
    first = problems[0]
    assert first.id == problem_id(first.question, first.answer, first.tests, first.domain)
    assert problem_id("2 + 2?", "4", (), "math") != problem_id("2 + 2?", "5", (), "math")


def test_answers_are_those_worked_out_by_hand() -> None:
    assert Sum((9, 8, 3), ("plus", "minus")).answer("en") == "14"
    assert Sum((9, 8, 3, 4), ("plus", "minus", "minus")).values == (17, 14, 10)
    assert Sum((9, 8, 3, 4), ("plus", "minus", "minus")).row == "9 + 8 - 3 - 4"
    assert Product("distance", (3, 7), (20, 24, 21, 18)).answer("zh") == "(C)"
    assert Product("distance", (3, 7), (20, 24, 21, 18)).question("en").endswith("20(A) 24(B) 21(C) 18(D)")
    assert Turn(0, ("left", "back", "straight")).answer("en") == "east"
    assert Turn(0, ("left", "back", "straight")).answer("zh") == "东"
    tests = Program(("plus", "times"), (3, 2)).tests
    assert [(json.loads(t.given), json.loads(t.expected)) for t in tests][:3] == [([0], 6), ([1], 8), ([7], 20)]


def test_sums_have_as_many_steps_as_the_recipe_says(problems: list[Problem]) -> None:
    facts = {p.source.partition("#")[2] for p in problems if p.domain == "math"}
    assert Counter(fact.count(" ") // 2 for fact in facts) == {1: 20, 2: 140, 3: 140}


def test_no_problem_of_logic_is_answered_by_its_first_turn() -> None:
    turns = [task for task in all_tasks(RECIPE) if isinstance(task, Turn)]
    assert len(turns) == 4 * 4 * 12  # of the 16 pairs of later turns, 4 lead back
    assert not any(Turn(task.start, task.turns[:1]).answer("en") == task.answer("en") for task in turns)


def test_a_question_says_all_that_is_needed() -> None:
    assert to_problem(Program(("plus", "times"), (3, 2)), "en").question == (
        "Write f(x) in Python: add 3, then multiply by 2."
    )
    assert "面向北，左转，后转" in to_problem(Turn(0, ("left", "back")), "zh").question


def test_both_languages_of_a_fact_fall_on_the_same_side(problems: list[Problem]) -> None:
    sides = {p.id: is_heldout(p.source, RECIPE.heldout_share) for p in problems}
    train, heldout = ([p for p in problems if sides[p.id] is side] for side in (False, True))
    assert not {p.source.partition("#")[2] for p in train} & {p.source.partition("#")[2] for p in heldout}
    assert 0.15 < len(heldout) / len(problems) < 0.35


def test_the_side_does_not_depend_on_the_version_of_the_generator() -> None:
    assert is_heldout("a@1#2 + 2", 0.5) == is_heldout("b@2#2 + 2", 0.5)
    assert not is_heldout("a#2 + 2", 0.0)
    assert is_heldout("a#2 + 2", 1.0)


def test_every_source_names_version_and_licence() -> None:
    for name in SOURCE_NAMES:
        assert "@" in source_of(name).name
        assert source_of(name).licence == "Apache-2.0"
    assert source_of("math").digest != source_of("code").digest
