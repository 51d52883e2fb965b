"""This module extracts the final answer from the final part of a reply, by one of two rules.

`strict` is the rule of training and curation:
1. If the text has a non-empty `\\boxed{…}` (or `\\fbox`), the answer is the content of the box. Several must agree.
2. Else, if a marker occurs (`answer:`, `answer is`, `答案：`, `答案是`, `【答案】`, `答：`, `####`), the answer is the
   rest of its line, or the text before the next marker; several must agree. Plain words after `answer is`
   ("consistent") and headings after `####` do not count where another marker has an answer.
3. Else, if the whole text is one line of at most 300 characters, the answer is that line.
`lenient` is the rule of evaluation and of replies from other models. It looks in the same places, and in the closing
sentence of a longer text; from a sentence it takes the only formula, number or letter (`sentence_answer`), and none if
there are two.

Where the reference is an option letter, a box, line or sentence without any letter counts as working, not as an
answer. In all other cases, and where a box is never closed or all boxes are empty, there is no answer, and the reply
is malformed. "The last number" is never taken, because that would reward listing candidates. The reasoning is ignored
(`data.templates.split_reply` cuts it off). Two answers agree if the verifier's normal form is the same for both.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from r1_pipeline.rewards.answer_cleanup import clean_answer
from r1_pipeline.rewards.sentence_answer import MAX_LINE, closing_answer, lettered, stated

Rule = Literal["strict", "lenient"]
"""The name of the extraction rule; it is part of the identity of every verifier that uses it."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LEAD = r"(?:\b(?:so|thus|hence|therefore|then|and|but|the|our|my|final|correct)\b[\s,*_]{1,5}){0,5}"
_MARKER = re.compile(
    rf"{_LEAD}(?<![^\W_])answer[*_]*(?:\s+is[*_]*\s*[:：]|\s*[:：]|(?P<prose>\s+is\b))"
    r"|【答案】[:：]?|答案(?:[是为]?[:：]|(?P<said>[是为]))|答[:：]|(?P<hashes>####)",
    re.IGNORECASE,
)
_LOOSE_MARKER = re.compile(
    r"^(?:[^\w\n]|_)*(?:the\s+)?(?:final\s+)?answers?\b[*_ ]*[=-]?(?=\s*(?:\$|\\[(\[]|[\d(+-]|\n))",
    re.IGNORECASE | re.MULTILINE,
)
"""A line or heading that begins with "Answer" and has no colon; used by the lenient rule only."""
_DISPLAYED = re.compile(r"[\s*_]*(?:\$\$(.{1,4000}?)\$\$|\\\[(.{1,4000}?)\\\])", re.DOTALL)
_SAYS = re.compile(r"[^\s*_#>$=-]")
_VALUE = re.compile(r"[\d\\$=<>^+*/|{}()\[\]∞√π]")
_HEADING = re.compile(r"[\s*_#]*(?:\d{1,2}[.):]\s*)?[^\W\d_]{2}")
_SIGN_OFF = re.compile(r"\bI hope (?:it|this|that) (?:is correct|helps)", re.IGNORECASE)
_BLANK_BOX = re.compile(r"(?:\s|\\phantom\{[^{}]*\}|\\q?quad|\\[,;: ]|_)*")
MAX_ANSWER = 20_000
"""The length, in characters, of the longest answer that is considered: a set of a few thousand numbers."""


@dataclass(frozen=True)
class Extracted:
    """The result of an extraction: `answer` is None exactly when there is none, and `detail` then says why."""

    answer: str | None
    detail: str


def boxes(text: str) -> list[str | None]:
    """Returns the content of every outermost `\\boxed{…}`, with braces matched, in linear time.

    A box that is not closed within `MAX_ANSWER` characters is None and ends the list.
    """
    return [content for _, _, content in box_spans(text)]


def box_spans(text: str) -> list[tuple[int, int, str | None]]:
    """Returns the start, end and content of every outermost box; see `boxes`."""
    found: list[tuple[int, int, str | None]] = []
    end = 0
    for box in _BOX.finditer(text):
        if box.start() < end:
            continue
        depth = 1
        for mark in _BRACE.finditer(text, box.end(), box.end() + MAX_ANSWER + 1):
            depth += {"{": 1, "}": -1}.get(mark[0], 0)
            if not depth:
                end = mark.end()
                found.append((box.start(), end, text[box.end() : end - 1]))
                break
        else:
            return [*found, (box.start(), len(text), None)]
    return found


def filled(contents: list[str | None]) -> list[str]:
    """Returns the contents of the boxes that are not empty."""
    return [content for content in contents if content is not None and not _BLANK_BOX.fullmatch(content)]


def final_answer(final: str, form: Callable[[str], str], rule: Rule = "strict", *, letter: bool = False) -> Extracted:
    """Extracts the answer from the final part of a reply; answers agree if `form` returns the same for them.

    `letter` says that the reference is an option letter.
    """
    found = boxes(final)
    if None in found:
        return Extracted(None, f"a box is not closed within {MAX_ANSWER} characters")
    boxed = filled(found)
    if found and not boxed and rule == "strict":
        return Extracted(None, "the box is empty")
    answers = _answers(final, boxed, rule, letter)
    if not answers and rule == "strict":
        return Extracted(None, "no box, no answer marker, and not a single short line")
    if not answers:
        return Extracted(None, "no box, and no marked or closing sentence with just one formula, number or letter")
    if max(map(len, answers)) > MAX_ANSWER:
        return Extracted(None, f"an answer of more than {MAX_ANSWER} characters")
    answers = [clean_answer(answer) for answer in answers]
    if len(set(answers)) > 1 and (differ := len({form(answer) for answer in answers})) > 1:
        return Extracted(None, f"{differ} answers that differ")
    return Extracted(answers[0], "") if answers[0] else Extracted(None, "the answer is empty")


def _answers(final: str, boxed: list[str], rule: Rule, letter: bool) -> list[str]:
    """Returns the answers of the first place that has any: boxes, markers, the line or the closing sentence."""
    if boxed and not letter:
        return boxed
    marked = marked_answers(final, loose=rule == "lenient")
    if rule == "lenient":
        letters = [stated(content, letter=True) for content in boxed]
        if any(letters):  # the other boxes count as different answers
            return [option or content for option, content in zip(letters, boxed, strict=True)]
        answers = [answer for piece in marked if (answer := stated(piece, letter=letter)) is not None]
        if not answers and (answer := closing_answer(_without_sign_off(final), letter=letter)) is not None:
            answers = [answer]
        return answers or boxed
    line = final.strip()
    lines = [] if "\n" in line or len(line) > MAX_LINE else [_without_sign_off(line)]
    places = [boxed, marked, lines]
    fit = [place for place in places if any(map(lettered, place))] if letter else []
    return next(filter(None, fit + places), [])


def marked_answers(text: str, *, loose: bool = False) -> list[str]:
    """Returns the text after each answer marker, in order.

    `loose` also accepts a line that begins with "Answer" without a colon, where there is no other marker.
    """
    marks = list(_MARKER.finditer(text))
    if loose and not marks:
        marks = list(_LOOSE_MARKER.finditer(text))
    certain: list[str] = []
    doubtful: list[str] = []
    for mark, following in zip_longest(marks, marks[1:]):
        rest = text[mark.end() : following.start() if following else len(text)]
        piece = _without_sign_off(_first_line(rest))
        if following and _runs_on(rest, piece):
            continue
        kind = mark.lastgroup
        prose = kind is not None and (not _VALUE.search(clean_answer(piece)) and _wordy(piece))
        heading = kind == "hashes" and _HEADING.match(piece) is not None
        (doubtful if prose or heading else certain).append(piece)
    return certain or doubtful


def _first_line(rest: str) -> str:
    """Returns the displayed formula at the beginning, or the first line that is not blank."""
    if displayed := _DISPLAYED.match(rest):
        return displayed[1] or displayed[2]
    return next((line for line in rest.split("\n") if _SAYS.search(line)), "")


def _runs_on(rest: str, piece: str) -> bool:
    """Returns True if a marker only introduces the next one: `Answer: The answer is 5`, `#### Answer: 5`."""
    if not piece:
        return True
    return "\n" not in rest and not _VALUE.search(rest) and re.search(r"[.!?。！？]", rest) is None and _wordy(rest)


def _wordy(text: str) -> bool:
    return re.search(r"[^\W\d_]{2}", text) is not None


def _without_sign_off(text: str) -> str:
    """Returns the text without "I hope it is correct"."""
    sign_off = _SIGN_OFF.search(text)
    return text[: sign_off.start()] if sign_off else text
