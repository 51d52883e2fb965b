"""A right answer among few counts where guessing does not explain it, or its reasoning shows where it comes from."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product

import polars as pl
import pytest

from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.data.toy_problems import to_problem
from r1_pipeline.data.toy_tasks import TURNS, Product, ToyTask, Turn
from r1_pipeline.generation.guessing import (
    GuessingRecipe,
    above_chance,
    guessables,
    options_of,
    screen_guesses,
    states_value,
)
from r1_pipeline.generation.rejection import KeepRecipe, keep_samples, screen_completions
from r1_pipeline.generation.rewriting import ByCheckpoint
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import with_writer
from r1_pipeline.recipe import canonical_json
from r1_pipeline.records import Problem, Sampling
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier

GUESSING = GuessingRecipe(level=0.05, answers=8, stated=False)
RULES = ReplyRecipe(min_language_share=0.0, max_repetition=1.0, max_paragraph=999, code_blocks=False, max_tokens=999)
ASKED = SamplingRecord(
    model="m",
    model_digest="d",
    problems_digest="p",
    template="chat",
    template_hash="t",
    sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=9),
    samples=3,
    seed=0,
    engine="fake",
)
Policy = Callable[[Problem, int], tuple[str, str]]
"""The reasoning and the answer of each problem and sample."""


def products(count: int) -> list[Problem]:
    """Returns `3 * 5` with the right option at each letter in turn, under facts that differ in the other options."""
    items = []
    for i in range(count):
        options = [50 + i, 200 + i, 400 + i]
        options.insert(i % 4, 15)
        items.append(Product("force", (3, 5), tuple(options)))
    return [to_problem(item, "en") for item in items]


def turns() -> list[Problem]:
    """Returns turns of which a quarter ends at each direction."""
    items: list[ToyTask] = [Turn(start, turned) for start in range(4) for turned in product(TURNS, repeat=2)]
    return [to_problem(item, "en") for item in items]


def judged(problems: Sequence[Problem], policy: Policy, samples: int = 3) -> pl.DataFrame:
    rows = []
    for problem in problems:
        for index in range(samples):
            reasoning, answer = policy(problem, index)
            verdict = ChoiceVerifier().judge(problem, f"\\boxed{{{answer}}}")
            rows.append(
                {
                    "domain": problem.domain,
                    "problem_id": problem.id,
                    "sample_index": index,
                    "seed": index,
                    "text": f"<think>{reasoning} {index}</think>\\boxed{{{answer}}}",
                    "engine": "fake",
                    "tokens": 9,
                    "well_formed": True,
                    "language_share": 1.0,
                    "repetition": 0.0,
                    "reasoning": reasoning,
                    "final": f"\\boxed{{{answer}}}",
                    **verdict.model_dump(mode="json"),
                }
            )
    return pl.DataFrame(rows)


def kept(problems: Sequence[Problem], policy: Policy, samples: int = 3) -> tuple[Counter[str], Counter[str]]:
    """Returns the answers of the rows that are kept, and the reasons of the dropped ones."""
    recipe = KeepRecipe(rules=RULES, per_problem=samples, luck=GUESSING)
    passed, dropped = screen_completions(judged(problems, policy, samples), problems, recipe)
    rows, others = keep_samples(passed, problems, ASKED, samples)
    reasons = Counter(row["reason"] for row in [*dropped, *others])
    return Counter(row.response.partition("</think>")[2] for row in rows), reasons


def guess(answer: str) -> Policy:
    return lambda *_: ("maybe this one", answer)


def knows(problem: Problem, _: int) -> tuple[str, str]:
    return "I see it", problem.answer or ""


@pytest.mark.parametrize(
    ("right", "samples", "chance", "probability"),
    [
        (3, 3, 0.25, 1 / 64),
        (2, 3, 0.25, 3 * (1 / 16) * (3 / 4) + 1 / 64),  # 10 of 64
        (3, 4, 0.25, 13 / 256),  # just above a level of 0.05
        (4, 4, 0.25, 1 / 256),
        (1, 2, 0.5, 0.75),
        (0, 3, 0.25, 1.0),
        (3, 3, 1.0, 1.0),
        (1, 3, 0.0, 0.0),
        (2000, 2000, 0.5, 0.0),
    ],
)
def test_the_upper_tail_of_the_binomial(right: int, samples: int, chance: float, probability: float) -> None:
    assert above_chance(right, samples, chance) == pytest.approx(probability)


def test_a_collapsed_policy_loses_all_its_rows_and_they_are_counted() -> None:
    """A test against one in four would keep three of three: the policy says D to every other problem too."""
    answers, reasons = kept(products(40), guess("(D)"))
    assert answers == {}
    assert reasons == {"lucky": 30, "wrong": 90}


def test_an_honest_policy_keeps_its_rows_without_a_word_of_reasoning() -> None:
    answers, reasons = kept(products(40), knows)
    assert (answers, reasons) == ({rf"\boxed{{({letter})}}": 30 for letter in "ABCD"}, {})
    answers, reasons = kept(turns(), knows)
    assert (answers.total(), reasons) == (192, {})


def test_a_policy_that_guesses_among_all_options_loses_most_rows_and_one_of_few_answers_too() -> None:
    draw = random.Random(0)
    for problems, said in ((products(400), "ABCD"), (turns(), ("north", "east", "south", "west"))):
        answers, reasons = kept(problems, lambda *_, of=said: ("hm", draw.choice(of)))
        assert answers.total() <= 0.1 * (answers.total() + reasons["lucky"])
        assert reasons["lucky"] > 0


def test_two_of_three_right_are_luck_unless_the_reasoning_states_the_value() -> None:
    """Two of three samples of one problem are right; all others are, so that the chance of a letter is one in four."""
    first, *others = products(40)

    def policy(reasoning: str) -> Policy:
        def answer(problem: Problem, index: int) -> tuple[str, str]:
            if problem is not first:
                return knows(problem, index)
            return (reasoning, problem.answer or "") if index else ("hm", "(B)")

        return answer

    assert kept([first, *others], policy("maybe 200(C) 15(A)"))[1] == {"wrong": 1, "lucky": 2}
    assert kept([first, *others], policy("first 3 * 5 = 15, so 15(A)"))[1] == {"wrong": 1}


def test_a_recipe_may_want_the_value_stated_where_options_are_listed_and_only_there() -> None:
    strict, problems = GUESSING.model_copy(update={"stated": True}), [*products(40), *turns()]

    def policy(problem: Problem, index: int) -> tuple[str, str]:
        return ("first 3 * 5 = 15" if index else "I see it"), problem.answer or ""

    recipe = KeepRecipe(rules=RULES, per_problem=3, luck=strict)
    passed, dropped = screen_completions(judged(problems, policy), problems, recipe)
    assert Counter(passed["domain"]) == {"stem": 80, "logic": 192}
    assert [row["reason"] for row in dropped] == ["lucky"] * 40


def test_the_value_of_a_lucky_row_is_the_probability_of_a_guess_and_other_reasons_come_first() -> None:
    problems = products(4)
    screened = judged(problems, guess("(D)")).with_columns(
        reason=pl.when(pl.col("outcome") != "correct").then("outcome"), value=pl.lit(None, pl.Float64)
    )
    found = screen_guesses(screened, problems, GUESSING)
    assert Counter(found["reason"]) == {"wrong": 9, "lucky": 3}
    assert found.filter(reason="lucky")["value"].to_list() == [1.0] * 3
    assert found.filter(reason="wrong")["value"].null_count() == 9
    assert found.columns == screened.columns


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Newtons? 50(A) 15(B) 200(C) 400(D)", {"a": "50", "b": "15", "c": "200", "d": "400"}),
        ("电压几伏？ 8 (A) 6 (B) 16 (C)", {"a": "8", "b": "6", "c": "16"}),
        ("Which?\nA. red deer\nB. fox.\nC. $15$", {"a": "red deer", "b": "fox.", "c": "$15$"}),
        ("Which one? (A) red; (B) blue", {"a": "red", "b": "blue"}),
        ("哪个？\nA、线粒体\nB、核糖体", {"a": "线粒体", "b": "核糖体"}),
        ("Hepatitis (A) is caught how?", {}),
        ("You face north and turn left. Which way now?", {}),
    ],
)
def test_options_are_read_from_the_question(question: str, options: dict[str, str]) -> None:
    assert options_of(question) == options


@pytest.mark.parametrize(
    ("reasoning", "stated"),
    [
        ("first 3 * 5 = 15, so 15(B)", True),
        ("maybe 20(D), check 3 * 5 = 15, no 15(B)", True),
        ("大概 20(D)，查 3 * 5 = 15，不对 15(B)", True),
        ("So the force is 15 N.", True),
        ("The options are 25, 20 or 15, I take B", False),
        ("maybe 25(A) 20(D) 15(B)", False),
        ("A. 25, D. 20, so it must be B. 15", False),
        ("first 3 * 5 = 20, so 20(D)", False),
        ("3 * 5 = 15, or rather 4 * 5 = 20", False),
        ("about 150 or 1.15, not -15 but 15.5 and 15%", False),
        ("I simply know", False),
    ],
)
def test_only_a_value_outside_of_the_list_of_options_is_evidence(reasoning: str, stated: bool) -> None:
    assert states_value(reasoning, {"a": "25", "b": "15", "c": "5", "d": "20"}, "b") is stated


def test_words_are_evidence_too_but_no_single_letter() -> None:
    options = {"a": "the golgi apparatus", "b": "golgi", "c": "a"}
    assert states_value("It is the Golgi  apparatus that does it.", options, "a")
    assert not states_value("It is the Golgi apparatus that does it.", options, "b")
    assert not states_value("A cell is a cell.", options, "c")
    assert states_value("能量来自线粒体吗？是线粒体", {"a": "核糖体", "b": "线粒体"}, "b")


def test_few_answers_are_few_by_kind_and_recur() -> None:
    stem, logic = products(8), turns()
    found = guessables([*stem, *logic], answers=8)
    assert {found[p.id].blind for p in stem} == {0.25}
    assert {found[p.id].blind for p in logic} == {0.25}
    assert set(guessables(logic, answers=3)) == set()
    assert set(guessables(logic[:4], answers=8)) == set()
    yes = [p.model_copy(update={"answer": "yes" if i % 4 else "no"}) for i, p in enumerate(logic)]
    assert {each.blind for each in guessables(yes, answers=8).values()} == {0.75}


def test_every_profile_asks_for_it_and_a_recipe_without_it_keeps_its_fingerprint() -> None:
    assert "luck" not in canonical_json(KeepRecipe(rules=RULES, per_problem=2))
    levels = {
        name: load_profile(name, 0).recipes["cold_start_data"].keep.luck.level
        for name in ("smoke", "tiny", "small", "node", "paper")
    }
    assert levels == {"smoke": 1.0, "tiny": 0.2, "small": 0.05, "node": 0.05, "paper": 0.05}


def test_a_written_cold_start_asks_for_it_like_the_template_s() -> None:
    profile = load_profile("tiny", 0)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=64)
    written = with_writer(profile, ByCheckpoint(sampling=sampling, seed=0), "r1_zero")
    before, after = (each.recipes["cold_start_data"].keep for each in (profile, written))
    assert after.luck == before.luck
    assert after.luck is not None
