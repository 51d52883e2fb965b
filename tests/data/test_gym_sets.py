"""Sets of reasoning-gym stand in place of a domain's toy problems, and questions about one fact on one side."""

import pytest

from r1_pipeline.data.curation import CurateRecipe, problem_sides
from r1_pipeline.data.gym_sets import GymSet, gym_rows
from r1_pipeline.data.toy_problems import generate_problems, source_in
from r1_pipeline.errors import RecipeError
from r1_pipeline.profiles.toy_world import FACTS
from r1_pipeline.recipe import canonical_json

PRODUCTS = GymSet(
    domain="math",
    dataset="products",
    settings={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    problems=60,
    seed=0,
)
RECIPE = FACTS.model_copy(update={"sets": (PRODUCTS,), "heldout_share": 0.5})


def test_questions_are_the_librarys_each_once() -> None:
    rows = list(gym_rows(PRODUCTS))
    assert len({row.question for row in rows}) == len(rows) < 60
    for row in rows:
        left, right = row.question.split(": ")[1].split(". ")[0].split(" * ")
        assert row.answer == str(int(left) * int(right))


def test_factors_in_another_order_are_on_the_same_side_of_the_split() -> None:
    curate = CurateRecipe(problems=RECIPE, builtin=("math",), domains=("math",), optional=(), heldout=False)
    sides = problem_sides(curate, {})
    facts = [{problem.source for problem in side} for side in (sides.train, sides.heldout)]
    assert facts[0]
    assert facts[1]
    assert not facts[0] & facts[1]
    both = [*sides.train, *sides.heldout]
    assert len(both) > len({problem.source for problem in both}), "the draw has products in both orders"
    assert all(problem.source.startswith("reasoning-gym/products@") for problem in both)


def test_a_domain_with_sets_has_no_toy_problems_and_the_others_keep_theirs() -> None:
    made, toy = generate_problems(RECIPE), generate_problems(FACTS)
    assert {problem.source.split("@")[0] for problem in made if problem.domain == "math"} == {"reasoning-gym/products"}
    assert [p for p in made if p.domain != "math"] == [p for p in toy if p.domain != "math"]
    assert source_in(RECIPE, "math").name == PRODUCTS.generator
    assert source_in(RECIPE, "code") == source_in(FACTS, "code")


def test_without_sets_the_fingerprint_of_the_problems_is_as_before() -> None:
    assert "sets" not in canonical_json(FACTS)


@pytest.mark.parametrize(
    "change", [{"dataset": "no_such"}, {"settings": {"no_such": 1}}, {"settings": {"min_terms": 0}}]
)
def test_what_the_library_does_not_have_is_refused_in_one_line(change: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="reasoning-gym makes no set"):
        list(gym_rows(PRODUCTS.model_copy(update=change)))
