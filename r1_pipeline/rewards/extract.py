"""Where the final answer stands in the final part of a reply. One rule for training, curation and evaluation.

1. If there is a `\\boxed{…}` (or `\\fbox`) with something in it: the content of the box. Several must agree.
2. Else, if a marker (`answer is`, `answer:`, `答案是`, `答案：`, `答：`, `####`) occurs: the rest of its line
   or what lies before the next marker; several must agree.
3. Else, if the whole text is one line of at most 300 characters: that line.
Otherwise, and where a box is never closed or all are empty, there is no answer, and the reply is malformed. "The last
number" is never taken: it rewards listing candidates. The reasoning is not looked at (`data.templates.split_reply`
cuts it off). What "agree" means is the verifier's to say: its own normal form.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from r1_pipeline.rewards.tidying import tidy

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MARKER = re.compile(r"(?:\banswer\**(?:\s+is\b|\s*[:：])\s*:?|答案(?:是|为|[:：])[:：]?|答[:：]|####)", re.IGNORECASE)
_BLANK_BOX = re.compile(r"(?:\s|\\phantom\{[^{}]*\}|\\q?quad|\\[,;: ]|_)*")
MAX_LINE = 300
"""Longest whole text, in characters, that counts as an answer by rule 3."""
MAX_ANSWER = 20_000
"""Longest answer, in characters, that is looked at: a set of a few thousand numbers."""


@dataclass(frozen=True)
class Extracted:
    """`answer` is None exactly when there is none; `detail` then says why."""

    answer: str | None
    detail: str


def boxes(text: str) -> list[str | None]:
    """Contents of every outermost `\\boxed{…}`, braces matched; None for one that is not closed in `MAX_ANSWER`
    characters, and nothing is looked for behind it. Linear in time."""
    found: list[str | None] = []
    end = 0
    for box in _BOX.finditer(text):
        if box.start() < end:
            continue
        depth = 1
        for mark in _BRACE.finditer(text, box.end(), box.end() + MAX_ANSWER + 1):
            depth += {"{": 1, "}": -1}.get(mark[0], 0)
            if not depth:
                end = mark.end()
                found.append(text[box.end() : end - 1])
                break
        else:
            return [*found, None]
    return found


def final_answer(final: str, form: Callable[[str], str]) -> Extracted:
    """The answer in the final part of a reply, by the rule above; answers agree if `form` makes the same of them."""
    found = boxes(final)
    if any(content is None for content in found):
        return Extracted(None, f"a box is not closed within {MAX_ANSWER} characters")
    answers = [content for content in found if content is not None and not _BLANK_BOX.fullmatch(content)]
    if found and not answers:
        return Extracted(None, "the box is empty")
    if not answers:
        answers = [piece.strip("\n").partition("\n")[0] for piece in _MARKER.split(final)[1:]]
    if not answers:
        line = final.strip()
        if "\n" in line or len(line) > MAX_LINE:
            return Extracted(None, "no box, no answer marker, and not a single short line")
        answers = [line]
    if max(map(len, answers)) > MAX_ANSWER:
        return Extracted(None, f"an answer of more than {MAX_ANSWER} characters")
    answers = [tidy(answer) for answer in answers]
    if len(set(answers)) > 1 and (differ := len({form(answer) for answer in answers})) > 1:
        return Extracted(None, f"{differ} answers that differ")
    return Extracted(answers[0], "") if answers[0] else Extracted(None, "the answer is empty")
