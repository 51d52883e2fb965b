"""Equation 7 with our word rule: counts worked out by hand, and every language against every other."""

import subprocess
import sys
import time

import pytest
from pydantic import ValidationError

from r1_pipeline.data.language_id import LANGUAGES, count_words
from r1_pipeline.records import Problem
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.reward_hacks import THOUGHT


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
        ("\\begin{align*}sin cos\\end{align*} [asy]draw pair[/asy] yes", 1, 0, 0),
        ("cafe\u0301 tiếng Việt", 3, 0, 0),  # accents of their own, and two in one letter
        ("हिन्दी में", 0, 0, 2),  # vowel signs do not end a word
        ("ความรู้", 0, 0, 2),  # seven Thai characters, four of which make a word
        ("ひらがな カ", 0, 0, 2),  # four kana are two words, a lone one is none
        ("", 0, 0, 0),
    ],
)
def test_words_counted_by_hand(text, en, zh, other):
    counts = count_words(text)
    assert (counts["latin"], counts["han"]) == (en, zh)
    assert counts.total() == en + zh + other


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_thought_is_in_its_own_language_and_in_no_other(language):
    """Each language is recognised among those of its script; only Danish and Norwegian are too close in a sentence."""
    own = THOUGHT[language]
    assert language_share(own, language) == 1.0
    assert language_share(f"{own}. {THOUGHT['el' if language != 'el' else 'ko']}", language) < 0.7
    close = {frozenset({"da", "no"})}
    for other in LANGUAGES:
        if other != language and frozenset({language, other}) not in close:
            assert language_share(own, other) == 0.0, other


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("The answer is five. Ensuite je calcule la somme de tous les nombres impairs.", "en", 4 / 14),
        ("Ja, das ist so.", "en", 1.0),  # too short to be distinguished from English
        ("cos sin cos sin cos sin cos sin cos sin", "en", 1.0),  # two different words
        ("Ensuite je calcule la somme de tous les nombres impairs.", "fr", 1.0),
        ("Ensuite je calcule la somme de tous les nombres impairs.", "es", 0.0),
        (
            "El resultado de sumar los cinco primeros números es quince. We add all the odd ones to get it.",
            "es",
            10 / 19,
        ),
        ("Результат дорівнює п'яти, бо ми додали всі непарні числа.", "ru", 0.0),
        ("答えは五です。", "zh", 0.0),  # Han next to kana is Japanese
        ("解答。答えは五です。", "ja", 1.0),  # and a heading without kana may be
        ("我们先把所有的奇数加起来。", "ja", 0.0),  # a sentence without kana is not
        ("정답은 5입니다 because of this", "ko", 2 / 5),
    ],
)
def test_shares_in_other_languages_worked_out_by_hand(text, language, share):
    assert language_share(text, language) == pytest.approx(share)


def test_a_language_that_the_rule_does_not_know_is_refused():
    with pytest.raises(KeyError):
        language_share("saluton", "eo")
    with pytest.raises(ValidationError, match="language"):
        Problem(id="p", question="q", answer="a", tests=(), domain="math", language="eo", source="t", licence="MIT")


def test_english_and_chinese_need_no_model():
    code = (
        "import sys; from r1_pipeline.rewards.language import language_share as s;"
        "s('First we add the two numbers. Then x = 5 and the answer is five because the sum is five.', 'en');"
        "s('我们先把所有的奇数加起来。', 'zh'); sys.exit('py3langid' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("opener", ["\\(", "\\[", "$", "```", "\\boxed{", "<", "\\begin{a}", "[asy]"])
def test_openers_that_are_never_closed_cost_linear_time(opener):
    begin = time.process_time()
    count_words(opener * 50_000)
    assert time.process_time() - begin < 5.0  # of this process, however busy the machine is
