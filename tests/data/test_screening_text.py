"""Laws of normalization: typesetting does not change the tokens of a text, and content does."""

import polars as pl
import pytest

from r1_pipeline.data.screening.ngrams import tokenize
from r1_pipeline.data.screening.normalization import tokens


def words(text: str) -> list[str]:
    return pl.select(tokens(pl.lit(text))).item().to_list()


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (r"Find $\frac{3}{4}x^2$.", "find 3/4 x²"),
        (r"$\dfrac12 \cdot 5 \le \pi$", "1/2 × 5 ≤ π"),
        (r"\(60^{\circ}\)", "60°"),
        (r"$1{,}000{,}000$ dollars", "1,000,000 Dollars"),
        (r"\left( a_{1} \right), \ldots", "(a_1), …"),
        (r"\text{area of } \overline{AB}", "Area of AB"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ １２", "full width 12"),
        ("求２ｘ的值。", "求 2x 的值"),
        (r"\begin{align*} 2x &= 6 \end{align*}", "2 x = 6"),
        ("17&nbsp;sheep &amp;lt; 18&#160;goats &times; 2", "17 sheep < 18 goats × 2"),
        ("<p>all <b>5</b> of<br/>the x<sup>2</sup></p>", "all 5 of the x^2"),
        (r"a line\nand a\ttab, \theta_1 \neq \nu\to\tfrac32", "a line and a tab θ_1 \\neq \\nu \\to 3/2"),
        ("far\u200dmer, co\u00adop, cafe\u0301", "farmer coop café"),
        ("17.0 and $2.50, 3.00.", "17 and $2.5, 3."),
    ],
)
def test_typesetting_does_not_count(text: str, other: str) -> None:
    assert words(text) == words(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("3 + 5", "3 - 5"),
        ("x < y", "x > y"),
        ("12", "1 2"),
        ("2.5", "25"),
        ("1.0.2", "1.2"),
        ("2.05", "2.5"),
        ("x < y", "x y"),
        ("甲乙", "乙甲"),
    ],
)
def test_content_counts(text: str, other: str) -> None:
    assert words(text) != words(other)


def test_a_chinese_character_is_a_word_and_letters_and_digits_part() -> None:
    assert words("计算 2x+y1") == ["计", "算", "2", "x", "+", "y", "1"]


def test_n_grams_stay_within_their_row() -> None:
    found = tokenize(pl.Series(["a b c d", "", "a b", "b c d = 4"]))
    trigrams = found.words.of(3)
    assert found.all.lengths.tolist() == [4, 0, 2, 5]
    assert found.words.lengths.tolist() == [4, 0, 2, 4]
    assert found.numbers.lengths.tolist() == [0, 0, 0, 1]
    assert trigrams.lengths.tolist() == [2, 0, 0, 2]
    assert trigrams.values[1] == trigrams.values[2]  # "b c d" in the first and in the last row
    assert found.words.of(9).lengths.tolist() == [0, 0, 0, 0]
