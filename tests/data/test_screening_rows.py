"""Laws of screening: a dropped row has its reason and proof, what only sounds alike stays, whatever the batches."""

from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.data.screening import boilerplate
from r1_pipeline.data.screening import rows as screening
from r1_pipeline.data.screening.contamination import ContaminationRecipe
from r1_pipeline.data.screening.duplicates import DuplicatesRecipe
from r1_pipeline.data.screening.quality import QualityRecipe, _language_share
from r1_pipeline.data.screening.rows import RowsRecipe, screen_rows
from r1_pipeline.rewards.language import language_share

RECIPE = RowsRecipe(
    contamination=ContaminationRecipe(
        window=10, min_share=0.8, min_vocabulary=0.92, min_likeness=0.6, common=10, min_item=4
    ),
    quality=QualityRecipe(max_characters=5000, min_language_share=0.9, max_paragraph=300, code_blocks=False),
    duplicates=DuplicatesRecipe(
        permutations=128,
        bands=32,
        similarity=0.7,
        number_similarity=0.9,
        min_tokens=8,
        common_share=0.05,
        common_rows=16,
    ),
)
LEAK = r"What is the sum of all positive integers $n$ for which $\frac{n+18}{n}$ is an integer?"
FORMULA = r"the answer is $\frac{m}{n}$ where $m$ and $n$ are relatively prime positive integers. Find $m + n$."
FLOCK = (
    "A farmer has 17 sheep and buys 5 more every week for 6 weeks, then sells half of the flock at the market. "
    "How many sheep are left on the farm?"
)
REALS = (
    "Let $a$, $b$ be positive reals with $a+b=12$ and $ab=35$. Compute the exact value of $a^3+b^3$ and of $a^4+b^4$."
)
STORY = (
    "Anna buys 12 pens at the market, gives 5 of them to her brother and loses 2 on the long way home from school. "
    "How many pens are left for her to write letters with to all of her friends and cousins?"
)


def frame(*texts: str, reasoning: str | None = None, language: str | None = None) -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "id": [f"r{i}" for i in range(len(texts))],
            "text": list(texts),
            "reasoning": [reasoning] * len(texts),
            "language": [language] * len(texts),
        },
        schema={"id": pl.String, "text": pl.String, "reasoning": pl.String, "language": pl.String},
    )


def items(*texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"b{i}" for i in range(len(texts))], "text": list(texts)}, schema={"id": pl.String, "text": pl.String}
    )


def dropped(rows: pl.LazyFrame, references: pl.DataFrame) -> list[tuple[str, str, str | None]]:
    return screen_rows(rows, references, RECIPE, threads=2).select("id", "reason", "against").rows()


@pytest.mark.parametrize(
    "text",
    [
        LEAK,
        "Solve this. what is the sum of all positive integers n for which (n + 18) / n is an integer ? Thank you!",
        "WHAT IS THE SUM OF ALL POSITIVE INTEGERS \\(n\\) FOR WHICH \\(\\dfrac{n + 18}{n}\\) IS AN INTEGER",
    ],
)
def test_a_leak_is_found_in_any_dress_and_says_what_it_holds(text: str) -> None:
    (row,) = screen_rows(frame(text), items("something else", LEAK), RECIPE, 1).rows(named=True)
    assert (row["reason"], row["against"], row["value"]) == ("contaminated", "b1", 1.0)
    assert row["ngram"] == "what is the sum of all positive integers n for"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("17 sheep", "17&nbsp;sheep"),
        (" ", "&nbsp;"),
        (" 5 ", " <b>5</b> "),
        (" 5 ", ' <span class="n">5</span> '),
        (", then", ",<br/>then"),
        ("6 weeks,", "6 weeks [1],"),
        ("6 weeks,", "6 weeks,<sup>[2]</sup>"),
        ("17 sheep", "17 [12] sheep"),
        ("weeks,", "weeks¹,"),
        ("weeks,", "weeks,<sup>1</sup>"),
        ("weeks,", "weeks\\footnote{Of seven days.},"),
        ("6 weeks", "6 (six) weeks"),
        ("6 weeks", "six (6) weeks"),
        ("6 weeks", "six weeks"),
        ("17", "17.0"),
        ("17", "**17**"),
        ("17", "１７"),
        ("6 weeks", "6-week"),
        (" and ", " &amp; "),
        ("week for", "week\\nfor"),
        (" ", "\\n"),
        ("farmer", "far-\nmer"),
        ("farmer", "far\u200dmer"),
        ("every", "each"),
        ("5 more", "5"),
    ],
)
def test_a_leak_is_found_behind_an_edit_beside_a_number(old: str, new: str) -> None:
    assert FLOCK.replace(old, new) != FLOCK
    assert dropped(frame(f"Solve: {FLOCK.replace(old, new)} Thank you."), items(FLOCK)) == [
        ("r0", "contaminated", "b0")
    ]


@pytest.mark.parametrize("product", ["a b", "a\\cdot b", "a*b", "a\\,b", "{a}{b}"])
def test_a_leak_is_found_however_a_product_is_written(product: str) -> None:
    assert dropped(frame(REALS.replace("ab", product)), items(REALS)) == [("r0", "contaminated", "b0")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("17", "18"),
        ("17", "17.5"),
        ("17 sheep", "17 and 2 black sheep"),
        (" 5 ", " <b>7</b> "),
        ("6 weeks", "6 weeks and 3 days"),
        ("6 weeks", "6 (seven) weeks"),
        ("6 weeks", "7 [6] weeks"),
        ("6 weeks", "eight weeks"),
        ("half", "a third"),
        ("buys 5 more every", "buys 2.5 more each"),
    ],
)
def test_the_same_item_with_another_number_stays(old: str, new: str) -> None:
    assert FLOCK.replace(old, new) != FLOCK
    assert dropped(frame(FLOCK.replace(old, new)), items(FLOCK)) == []


@pytest.mark.parametrize(
    ("old", "new"), [("12", "13"), ("35", "36"), ("a^3", "a^5"), ("b^4", "b^5"), ("$a^4", "$2a^4")]
)
def test_the_same_formulas_with_another_number_stay(old: str, new: str) -> None:
    assert dropped(frame(REALS.replace(old, new)), items(REALS)) == []


def test_a_chinese_leak_is_found_by_its_characters() -> None:
    item = "小明有十二支铅笔，送给弟弟五支以后，又丢了两支，他还剩下几支铅笔？"
    (row,) = screen_rows(frame(f"题目：{item.replace('，', ' ， ')}请回答。"), items(item), RECIPE, 1).rows(named=True)
    assert (row["against"], row["ngram"]) == ("b0", "小 明 有 十 二 支 铅 笔 送 给")


@pytest.mark.parametrize(
    ("old", "new"), [("12", "<b>12</b>"), ("支以后", "支[1]以后"), ("5支", "五支"), ("12", "１２.0")]
)
def test_a_chinese_leak_is_found_behind_an_edit(old: str, new: str) -> None:
    item = "小明有12支铅笔，送给弟弟5支以后，又丢了2支，妈妈后来给他买了8支新的，他现在一共有几支铅笔？"
    assert dropped(frame(item.replace(old, new)), items(item)) == [("r0", "contaminated", "b0")]
    assert dropped(frame(item.replace("8", "九")), items(item)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Two fair dice are rolled; " + FORMULA,  # a formula of speech
        LEAK.replace("18", "24"),  # other numbers
        "What is the sum of all positive integers n for which I care? None.",  # only the beginning
    ],
)
def test_what_only_shares_a_phrase_stays(text: str) -> None:
    references = items(LEAK, "A bag holds red and blue balls; the probability of red is 3 in 7 and " + FORMULA)
    assert dropped(frame(text), references) == []


def test_a_number_counts_among_its_own_words_only() -> None:
    item = "Turn the point (0, 3) of the plane into polar form (r, t), where r is above 0 and t runs from 0 to 2 pi."
    other = item.replace("(0, 3)", "(6, 2 sqrt(3))")  # 0, 2 and 3 all stand somewhere in it
    assert dropped(frame(item, other), items(item)) == [("r0", "contaminated", "b0")]


def test_an_item_below_the_window_is_found_whole_between_sentence_ends() -> None:
    rows = frame(
        "What is 3 + 5 - 2?",
        "A riddle:\nwhat is $3+5-2$? Think.",
        "What is 3 + 5 - 2 + 7?",
        "What is 3 - 5 + 2?",
        "Guess what is 3 + 5 - 2?",
    )
    assert dropped(rows, items("What is 3 + 5 - 2?")) == [("r0", "contaminated", "b0"), ("r1", "contaminated", "b0")]


def test_an_item_of_few_words_must_be_all_the_text() -> None:
    assert dropped(frame("Hello there!", "I said: hello there."), items("hello there")) == [
        ("r0", "contaminated", "b0")
    ]


def test_the_earlier_of_two_stays_and_proves_the_drop() -> None:
    rows = frame(
        STORY,
        STORY.upper().replace(" ", "\n"),
        STORY.replace("at the market", "in the shop"),  # 43 words and numbers, 41 triples: 36 / 46 in common
        STORY.replace("12", "15"),
        "Anna has a brother.",
    )
    assert dropped(rows, items()) == [("r1", "duplicate", "r0"), ("r2", "near_duplicate", "r0")]


HEAD = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem. Use at most 3 tools and 12 lines.\n\n"
)
TAIL = '\n\nRemember to put your answer on its own line after "Answer:".'
SHAPES = (
    "square", "triangle", "cube", "sphere", "cone", "pyramid", "prism", "hexagon", "octagon", "rhombus", "kite",
    "trapezoid", "cylinder", "torus", "ellipse", "parabola",
)  # fmt: skip
SIZES = ("area", "volume", "perimeter", "surface", "diameter", "height", "radius")
ASKED = [f"{HEAD}Find the {size} of a {shape} in terms of its side.{TAIL}" for size in SIZES for shape in SHAPES]


def test_a_template_makes_no_two_questions_alike() -> None:
    assert dropped(frame(*ASKED), items()) == []
    with_system = [f"System: you are a careful tutor of mathematics, answer briefly. User: {text}" for text in ASKED]
    assert dropped(frame(*ASKED, *with_system[:5]), items()) == []


def test_near_copies_are_found_behind_a_template() -> None:
    told = STORY.replace("at the market", "in the shop")
    other = STORY.replace("12", "15")
    rows = frame(*ASKED, *(f"{HEAD}{text}{TAIL}" for text in (STORY, told, other)), STORY)
    assert dropped(rows, items()) == [("r113", "near_duplicate", "r112"), ("r115", "near_duplicate", "r112")]


def test_a_template_counts_in_a_table_of_which_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boilerplate, "SAMPLE", 64)
    sample = boilerplate.sampled_rows(1000)
    assert len(set(sample.tolist())) == 64 and sample.min() >= 0 and sample.max() < 1000
    assert dropped(frame(*ASKED), items()) == []


def test_most_rows_lost_are_told_with_the_words_that_they_share() -> None:
    rows = frame(*ASKED[:10])  # too few to tell a template
    found = screen_rows(rows, items(), RECIPE, 1)
    assert found["reason"].to_list() == ["near_duplicate"] * 9
    assert boilerplate.loss_warning(found, rows) == (
        "9 of 10 rows are dropped, 9 of them as near_duplicate; most of these share the words: solve the following math"
        " problem step by step the last line of your response should be of the form answer answer without quotes where"
        " …"
    )
    assert boilerplate.loss_warning(found.head(5), rows) == ""
    assert boilerplate.loss_warning(
        found.with_columns(reason=pl.lit("empty")), frame(*("…" * i for i in range(10)))
    ).endswith("9 of them as empty")


def test_a_row_with_a_fault_of_its_own_takes_no_other_with_it() -> None:
    rows = pl.concat([frame(STORY, reasoning="```python\n1\n```"), frame(STORY).with_columns(id=pl.lit("good"))])
    assert dropped(rows, items()) == [("r0", "code_block", None)]


@pytest.mark.parametrize(
    ("reasoning", "language", "reason"),
    [
        ("First I add. 然后我再加上五，得到八。", "en", "mixed_language"),
        ("First I add. 然后我再加上五，得到八。", None, "mixed_language"),
        ("先加五，再减二。", "zh", None),
        ("First add five, then take two.", "zh", "mixed_language"),
        (r"The area is $\text{面积}=5$ and so on, for all of them.", "en", None),
        ("word " * 61, "en", "long_paragraph"),
        ("word " * 50 + "\n\n" + "word " * 50, "en", None),
        (None, "en", None),
    ],
)
def test_unreadable_reasoning_has_its_reason(reasoning: str | None, language: str | None, reason: str | None) -> None:
    assert [row[1] for row in dropped(frame(STORY, reasoning=reasoning, language=language), items())] == (
        [reason] if reason else []
    )


def test_empty_and_endless_texts_are_dropped() -> None:
    assert [row[:2] for row in dropped(frame("…", "la " * 2000, "fine"), items())] == [
        ("r0", "empty"),
        ("r1", "too_long"),
    ]


def test_batches_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = frame(*(f"{STORY} {i % 7} {LEAK if i % 5 == 0 else i % 11}" for i in range(200)))
    whole = screen_rows(rows, items(LEAK), RECIPE, 1)
    monkeypatch.setattr(screening, "BATCH_CHARACTERS", 1000)
    assert screen_rows(rows, items(LEAK), RECIPE, 2).equals(whole)
    assert whole.filter(reason="contaminated")["row"].to_list() == list(range(0, 200, 5))


def test_no_rows_no_drops() -> None:
    assert screen_rows(frame(), items(LEAK), RECIPE, 1).is_empty()


def test_language_shares_are_those_of_the_language_reward(public_data: Path) -> None:
    traces = pl.read_parquet(public_data / "cot" / "rollouts_aime24_deepscaler_base.parquet")["completion"]
    zh = pl.read_parquet(public_data / "zh" / "alpaca_zh_demo.parquet")["output"]
    texts = pl.concat([traces, zh]).drop_nulls().str.slice(0, 3000)
    rows = pl.DataFrame({"row": range(len(texts)), "reasoning": texts, "language": "zh"})
    ours = dict(_language_share(rows).rows())
    off = [row for row, text in enumerate(texts) if abs(ours.get(row, 1.0) - language_share(text, "zh")) > 0.05]
    assert len(off) <= 0.01 * len(texts)
