"""Where the final answer stands in the final part of a reply. One rule for training, curation and evaluation.

1. If there is a `\\boxed{…}` (or `\\fbox`): the content of the box. Several boxes must agree literally.
2. Else, if a marker (`answer is`, `answer:`, `答案是`, `答案：`, `####`) occurs: the rest of its line
   or what lies before the next marker; several must agree.
3. Else, if the whole text is one line of at most 200 characters: that line.
Otherwise, and for an empty or unclosed box, there is no answer, and the reply is malformed. "The last number" is never
taken: it rewards listing candidates. The reasoning is not looked at (`data.templates.split_reply` cuts it off).
"""

import re
from dataclasses import dataclass

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_MARKER = re.compile(r"(?:\banswer(?:\s+is\b|\s*[:：])\s*:?|答案(?:是|为|[:：])[:：]?|####)", re.IGNORECASE)
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"))
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
MAX_LINE = 200
"""Longest whole text, in characters, that counts as an answer by rule 3."""


@dataclass(frozen=True)
class Extracted:
    """`answer` is None exactly when there is none; `detail` then says why."""

    answer: str | None
    detail: str


def boxes(text: str) -> list[str | None]:
    """Contents of every outermost `\\boxed{…}`, braces matched; None for one that is never closed. Linear in time."""
    found: list[str | None] = []
    at = 0
    while match := _BOX.search(text, at):
        depth, at = 1, match.end()
        while at < len(text) and depth:
            if text[at] == "\\":
                at += 1
            elif text[at] in "{}":
                depth += 1 if text[at] == "{" else -1
            at += 1
        found.append(None if depth else text[match.end() : at - 1])
    return found


def tidy(answer: str) -> str:
    """Blanks, mathematics delimiters, bold marks, full-width forms and a closing full stop taken off."""
    answer = answer.translate(_FULL_WIDTH).strip()
    while True:
        before = answer
        answer = answer.rstrip("。").strip()
        if answer.endswith(".") and not answer.endswith(".."):
            answer = answer[:-1].rstrip()
        for left, right in _WRAPPERS:
            inner = answer[len(left) : -len(right)]
            if answer.startswith(left) and answer.endswith(right) and len(inner) >= 1 and left not in inner:
                answer = inner.strip()
        if answer == before:
            return answer


def final_answer(final: str) -> Extracted:
    """The answer in the final part of a reply, by the rule above."""
    found = boxes(final)
    if any(content is None for content in found):
        return Extracted(None, "a box is never closed")
    answers = [content for content in found if content is not None]
    if not answers:
        answers = [piece.strip("\n").partition("\n")[0] for piece in _MARKER.split(final)[1:]]
    if not answers:
        line = final.strip()
        if "\n" in line or len(line) > MAX_LINE:
            return Extracted(None, "no box, no answer marker, and not a single short line")
        answers = [line]
    answers = [tidy(answer) for answer in answers]
    if len(set(answers)) > 1:
        return Extracted(None, f"{len(set(answers))} answers that differ")
    return Extracted(answers[0], "") if answers[0] else Extracted(None, "the answer is empty")
