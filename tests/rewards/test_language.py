"""Equation 7 with our word rule: counts worked out by hand."""

import time

import pytest

from r1_pipeline.rewards.language import count_words, language_share


@pytest.mark.parametrize(
    ("text", "en", "zh", "other"),
    [
        ("first 3 plus 4 makes 7", 3, 0, 0),
        ("先 3 加 4 得 7", 0, 3, 0),
        ("我们先计算", 0, 3, 0),
        ("we 先 add 一下", 2, 2, 0),
        ("x + y = z, option B", 1, 0, 0),
        ("don't", 1, 0, 0),
        ("naïve idea", 2, 0, 0),
        ("a×b and θ", 1, 0, 0),
        ("это да", 0, 0, 2),
        ("x1 foo_bar abc9 word", 1, 0, 0),
        ("$two words$ \\(three\\) \\[four\\] \\boxed{\\text{five}} \\frac six", 1, 0, 0),
        ("`code here` ```python\ndef f(x): return x\n``` yes", 1, 0, 0),
        ("<think>hello</think>", 1, 0, 0),
        ("```never closed words", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_words_counted_by_hand(text, en, zh, other):
    counts = count_words(text)
    assert (counts["en"], counts["zh"], counts["other"]) == (en, zh, other)


def test_share_is_words_in_the_target_language_over_words():
    mixed = "first 三 plus 四 makes 七"  # three English words, three Chinese
    assert language_share(mixed, "en") == language_share(mixed, "zh") == 0.5
    assert language_share("all English words", "en") == 1.0
    assert language_share("all English words", "zh") == 0.0
    assert language_share("это да yes", "en") == pytest.approx(1 / 3)


def test_a_text_without_words_is_consistent_with_both():
    assert language_share("3 + 4 = 7", "en") == language_share("3 + 4 = 7", "zh") == 1.0


def test_adding_a_foreign_word_never_raises_the_share():
    text = "first three plus four"
    shares = [language_share(text + " 然后" * n, "en") for n in range(5)]
    assert shares == sorted(shares, reverse=True) and shares[1] == 0.8


@pytest.mark.parametrize("opener", ["\\(", "\\[", "$", "```", "\\boxed{", "<"])
def test_openers_that_are_never_closed_cost_linear_time(opener):
    begin = time.monotonic()
    count_words(opener * 50_000)
    assert time.monotonic() - begin < 1.0
