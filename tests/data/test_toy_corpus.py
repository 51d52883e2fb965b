"""The toy web is wrong, untidy and mixed as often as its recipe says; held-out facts never occur in it."""

from random import Random
from typing import Any

from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.templates import render, split_reply
from r1_pipeline.data.toy_corpus import Author, ToyRecipe, toy_texts
from r1_pipeline.data.toy_problems import ProblemsRecipe, generate_problems
from r1_pipeline.data.toy_tasks import Product, Program, Sum, Turn

PROBLEMS = ProblemsRecipe(
    seed=0,
    sums=(0, 300),
    programs=60,
    products=100,
    digits=1,
    largest_sum=27,
    largest_factor=9,
    turns=3,
    heldout_share=0.25,
)


def web(**changes: Any) -> ToyRecipe:
    recipe = ToyRecipe(
        problems=PROBLEMS,
        seed=0,
        texts=2000,
        domains={"math": 1.0},
        zero_share=1.0,
        untidy_share=0.0,
        styles={"steps": 1.0},
        hasty_steps=2,
        mixed={"steps": 0.0},
        slip=0.0,
        notice=1.0,
        mixed_care=1.0,
        manners={"good": 1.0},
    )
    return recipe.model_copy(update=changes)


def right(recipe: ToyRecipe) -> float:
    """Returns the share of texts whose answer is that of the problem."""
    answers = {render("zero", p.question): p.answer for p in generate_problems(PROBLEMS)}
    texts = toy_texts(recipe)
    return sum(split_reply("zero", reply).final == answers[prompt] for prompt, reply in texts) / len(texts)


def test_without_slips_all_are_right_and_with_them_both_steps_must_be() -> None:
    assert right(web()) == 1.0
    # 0.6 * 0.6 = 0.36; two slips, each one up, never cancel out.
    assert 0.32 < right(web(slip=0.4)) < 0.40


def test_hasty_authors_take_the_first_step_for_the_answer() -> None:
    for _, reply in toy_texts(web(styles={"hasty": 1.0}, mixed={"hasty": 0.0}, texts=50)):
        parts = split_reply("zero", reply)
        assert parts.reasoning is not None
        assert parts.reasoning.count("=") == 1
        assert parts.final == parts.reasoning.split(" = ")[1]


SLIPS = {"hasty": 0.0, "steps": 0.0, "check": 0.0}


def test_a_check_is_right_but_for_the_slips_that_it_does_not_notice() -> None:
    assert right(web(styles={"check": 1.0}, mixed=SLIPS, slip=0.4, notice=1.0)) == 1.0
    assert 0.32 < right(web(styles={"check": 1.0}, mixed=SLIPS, slip=0.4, notice=0.0)) < 0.40


def test_an_estimate_slips_as_often_as_one_of_its_calculations() -> None:
    texts = [reply for _, reply in toy_texts(web(styles={"check": 1.0}, mixed=SLIPS, slip=0.4, notice=1.0))]
    borne_out = sum(", yes " in reply or "，对 " in reply for reply in texts) / len(texts)
    assert 0.32 < borne_out < 0.40  # two calculations, 0.6 * 0.6
    assert all((", yes " in reply or "，对 " in reply) != (", no " in reply or "，不对 " in reply) for reply in texts)


def test_every_domain_is_worked_out_as_by_hand() -> None:
    careful = Author("check", "en", mixed=False, hasty_steps=2, slip=0.0, notice=1.0, draw=Random(0))
    assert Sum((9, 8, 3), ("plus", "minus")).solve("en", careful) == (
        "maybe 14, check 9 + 8 = 17, then 17 - 3 = 14, yes 14", "14",
    )  # fmt: skip
    assert Product("force", (3, 4), (9, 12, 6, 8)).solve("en", careful) == (
        "maybe 12(B), check 3 * 4 = 12, yes 12(B)", "(B)",
    )  # fmt: skip
    assert Turn(0, ("left", "back")).solve("en", careful) == (
        "maybe east, check north left = west, then west back = east, yes east", "east",
    )  # fmt: skip
    assert Program(("plus", "times"), (3, 2)).solve("en", careful) == (
        "first x + 3, then y * 2", "def f(x): return (x + 3) * 2",
    )  # fmt: skip


def test_what_one_calculation_answers_is_not_estimated() -> None:
    careful = Author("check", "en", mixed=False, hasty_steps=2, slip=0.0, notice=1.0, draw=Random(0))
    assert Sum((9, 8), ("plus",)).solve("en", careful) == ("first 9 + 8 = 17", "17")


def test_a_wrong_estimate_is_called_wrong_and_the_checked_value_is_the_answer() -> None:
    clumsy = Author("check", "en", mixed=False, hasty_steps=2, slip=1.0, notice=1.0, draw=Random(0))
    reasoning, final = Turn(0, ("left", "back")).solve("en", clumsy)
    assert final == "east"
    estimate = reasoning.removeprefix("maybe ").partition(",")[0]
    assert estimate in {"north", "south", "west"}
    assert reasoning == f"maybe {estimate}, check north left = west, then west back = east, no east"


def test_a_hasty_guess_names_an_option_and_its_own_letter() -> None:
    hasty = Author("hasty", "en", mixed=False, hasty_steps=2, slip=0.0, notice=1.0, draw=Random(0))
    reasoning, final = Product("force", (3, 4), (9, 12, 6, 8)).solve("en", hasty)
    named = reasoning.removeprefix("maybe ").split(" ")
    assert len(named) == 5
    assert set(named[:4]) == {"9(A)", "12(B)", "6(C)", "8(D)"}
    assert named[4] in named[:4]
    assert named[-1].endswith(final)


def test_mixed_authors_take_more_care() -> None:
    mixed = web(slip=0.4, mixed={"steps": 1.0}, mixed_care=0.5)
    assert right(mixed) > right(web(slip=0.4)) + 0.15
    assert any("first" in reply and "再" in reply for _, reply in toy_texts(mixed))


def test_every_untidy_text_lacks_something() -> None:
    assert all(
        any(tag not in reply for tag in ("<think>", "</think>", "<answer>", "</answer>"))
        for _, reply in toy_texts(web(untidy_share=1.0))
    )


def test_held_out_facts_never_occur() -> None:
    heldout = [p for p in generate_problems(PROBLEMS) if is_heldout(p.source, PROBLEMS.heldout_share)]
    forbidden = {render(template, p.question) for p in heldout for template in ("zero", "chat")}
    everything = web(domains={"math": 1, "code": 1, "stem": 1, "logic": 1, "general": 1}, zero_share=0.5)
    assert not forbidden & {prompt for prompt, _ in toy_texts(everything)}


def test_a_hasty_author_takes_one_step_or_two_and_never_the_last_of_several() -> None:
    author = Author("hasty", "en", mixed=False, hasty_steps=2, slip=0.0, notice=1.0, draw=Random(0))
    assert {author.pace(3) for _ in range(50)} == {author.pace(4) for _ in range(50)} == {1, 2}
    assert {author.pace(2) for _ in range(50)} == {author.pace(1) for _ in range(50)} == {1}
    reasoning, final = Sum((1, 2, 3, 4), ("plus",) * 3).solve("en", author)
    assert reasoning in {"first 1 + 2 = 3", "first 1 + 2 = 3, then 3 + 3 = 6"}
    assert final in {"3", "6"}
