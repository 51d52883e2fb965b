"""Alignment compares a benchmark item with a passage of a text, word by word: few edits, and none of a number.

`stands_in` decides about a pair of text and item that share n-grams. Words that were joined or split (`ab`, `a b`;
`far-mer`) agree, a number in words agrees with its digits, a footnote mark may be added or left out, and a number may
be repeated (`6 (six) weeks`). Every other word that is replaced, added or left out is an edit; a problem with another
number in any place is another problem. Not covered: numbers of several words except those like `twenty-five`.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from r1_pipeline.data.screening.normalization import TOKEN, normalized

if TYPE_CHECKING:
    import polars as pl

_BELOW_TWENTY = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_DIGITS = {word: str(value) for value, word in enumerate(_BELOW_TWENTY)}
_DIGITS |= {word: str(value) for word, value in _TENS.items()}
_DIGITS |= {sign: str(value) for value, sign in enumerate("零一二三四五六七八九")} | {"两": "2"}
_OTHER_NUMBERS = frozenset(
    (
        "hundred", "thousand", "million", "billion", "dozen", "half", "halves", "third", "thirds", "quarter",
        "quarters", "fourth", "fourths", "fifth", "fifths", "sixth", "once", "twice", "thrice", "double", "triple",
        "first", "second", "十", "百", "千", "万", "亿", "半", "倍",
    )
)  # fmt: skip
_MARK = "footnotemark"
_FOOTNOTE = re.compile(
    r"((?:[^\W\d_]{2}|[\u4e00-\u9fff]|[0-9)%$])[.,;:!?，。；：！？]?) ?(?:<sup>)?\[\^?([0-9]{1,2})\](?:</sup>)?"
    r"|([^\W\d_]{2}[.,;:!?]?)(?:<sup>1</sup>|¹)"
)
"""A footnote mark: a number in brackets behind a word, a number or a formula; or a raised 1, which is no power, behind
a word."""
_FOOTNOTE_COMMAND = re.compile(r"\\footnote(?:mark|text)?(?:\[[0-9]+\])?(?:\{[^{}]*\})?")
_LETTERS = str.maketrans("0123456789", "abcdefghij")

NUMBER_WORDS = (*_DIGITS, *_OTHER_NUMBERS)
"""Words that mean a number; a text with another one is another problem."""


def comparable_words(texts: "pl.Series") -> list[list[str]]:
    """Returns the words of each text as `stands_in` compares them: numbers in digits, a footnote mark as a word of its
    own."""
    import polars as pl

    plain = (_FOOTNOTE_COMMAND.sub(" ", text) for text in texts)
    marked = pl.Series("text", [_FOOTNOTE.sub(_as_word, text) for text in plain], dtype=pl.String)
    words = marked.to_frame().select(normalized(pl.col("text")).str.extract_all(TOKEN)).to_series()
    return [list(_in_digits([word for word in row if word[0].isalnum()])) for row in words.to_list()]


def stands_in(text: Sequence[str], item: Sequence[str], window: int, min_share: float) -> bool | None:
    """Returns true if some passage of `text` is `item` up to edits, None if one is except for another number, else
    false.

    One edit is allowed for each 1 / (1 - `min_share`) different words of the item. Both come from `comparable_words`;
    passages are searched around runs of `window` words that both have.
    """
    if _joined(item) in _joined(text):
        return True
    pad = 4 + len(item) // 8
    other_number = False
    for start, place in _anchors(item, text, window):
        found = _compare(item, text[max(0, place - start - pad) : place - start + len(item) + pad])
        if found.numbers_stand and found.edits <= (1 - min_share) * len(set(item)):
            return True
        other_number |= found.other_number
    return None if other_number else False


def _anchors(item: Sequence[str], text: Sequence[str], window: int) -> Iterator[tuple[int, int]]:
    """Yields the place in `item` and in `text` of each occurrence in `text` of the first shared run of words."""
    whole = _joined(text)
    for start in range(len(item) - window + 1):
        run = _joined(item[start : start + window])
        found = whole.find(run)
        if found >= 0:
            while found >= 0:
                yield start, whole.count(" ", 0, found)
                found = whole.find(run, found + 1)
            return


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


class _Found(NamedTuple):
    """The differences between a passage and an item."""

    edits: int
    numbers_stand: bool
    """True if each number of the item is in its place, and there is no other among them."""
    other_number: bool
    """True if another number is in the place of one."""


def _compare(item: Sequence[str], passage: Sequence[str]) -> _Found:
    edits, numbers_stand, other_number = 0, True, False
    for kind, a, b, c, d in SequenceMatcher(None, item, passage, autojunk=False).get_opcodes():
        mine, theirs = item[a:b], passage[c:d]
        at_edge = a == 0 or b == len(item)
        if kind == "equal" or (not mine and at_edge) or _is_joined(mine, theirs, a == 0, b == len(item)):
            continue
        if all(map(_is_mark, (*mine, *theirs))) and not (mine and theirs):
            continue
        if not mine and _is_said_twice(item, a, theirs):
            continue
        has, found = any(map(_is_number, mine)), any(map(_is_number, theirs))
        numbers_stand &= not (has or (found and not at_edge))
        other_number |= has and found and not at_edge
        edits += len(mine) if at_edge else max(len(mine), len(theirs))
    return _Found(edits, numbers_stand, other_number)


def _is_joined(mine: Sequence[str], theirs: Sequence[str], at_start: bool, at_end: bool) -> bool:
    """Returns true if both are the same letters, split into words differently; beyond an edge of the item is other
    text."""
    letters, others = "".join(mine), "".join(theirs)
    if not mine or any(map(_is_mark, (*mine, *theirs))):
        return False
    return letters == others or (at_start and others.endswith(letters)) or (at_end and others.startswith(letters))


def _is_said_twice(item: Sequence[str], place: int, added: Sequence[str]) -> bool:
    """Returns true if a number was added next to the same number."""
    neighbours = (*item[max(0, place - 1) : place], *item[place : place + 1])
    return len(added) == 1 and _is_number(added[0]) and added[0] in neighbours


def _as_word(found: re.Match[str]) -> str:
    return f"{found[1] or found[3]} {_MARK}{(found[2] or '1').translate(_LETTERS)} "


def _is_mark(word: str) -> bool:
    return word.startswith(_MARK)


def _is_number(word: str) -> bool:
    return word[0].isdigit() or word in _OTHER_NUMBERS or _is_mark(word)


def _in_digits(words: Sequence[str]) -> Iterator[str]:
    """Yields `words` with digits for the numbers below a hundred that are spelled out."""
    skip = False
    for word, after in zip(words, (*words[1:], ""), strict=True):
        if skip:
            skip = False
        elif word in _TENS and after in _DIGITS and len(_DIGITS[after]) == 1:
            skip = True
            yield str(_TENS[word] + int(_DIGITS[after]))
        else:
            yield _DIGITS.get(word, word)
