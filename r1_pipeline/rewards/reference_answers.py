"""This module reads references in the forms that data sets use: an answer, or a whole solution that ends with one.

1. If the text has boxes, the answer is the content of the box with the unit after it. Several that differ are a list,
   or keep their places if only mathematics is between them ("(\\boxed{1}, \\boxed{2})"). If a text has several boxes
   and its last one is on a line that mentions the answer, only the boxes of that line count.
2. Else the answer is the text after a marker of `answer_extraction` in the last line: the only value of a sentence, or
   the last side of a computation.
3. Else the answer is the whole text, or the only value of its only sentence.
Prose without any of these states no answer; its problem is ungradable, and no reply to it is wrong.
"""

import re
from functools import lru_cache
from itertools import pairwise

from r1_pipeline.records import DOMAINS, Problem
from r1_pipeline.rewards.answer_cleanup import clean_answer
from r1_pipeline.rewards.answer_extraction import box_spans, filled, final_answer, marked_answers
from r1_pipeline.rewards.latex import compact, normal
from r1_pipeline.rewards.quantity import number
from r1_pipeline.rewards.sentence_answer import is_sentence, lettered, result, sentences_of, stated, unit_behind

_PLACEHOLDER = re.compile(
    r"proofs?|not ?found|n/?a|omitted|see (?:the |above|below|solution|figure|proof|explanation).*"
    r"|(?:the )?(?:solution|proof|answer) (?:is )?omitted|answers? (?:may |will |can )?var(?:y|ies)"
    r"|略|证明?略|答案略|(?:证明|答案)?(?:见|详见)(?:解析|证明|答案|图)",
    re.IGNORECASE,
)
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+")
_WORD = re.compile(r"[A-Za-z]{2,}|[\u4e00-\u9fff]{2}")
_VALUE = re.compile(r"[\d$=<>^]|\\[a-zA-Z(\[]")
_FEW_WORDS, _MANY_WORDS, _SENTENCE_WORDS = 3, 8, 6
_UNIT = re.compile(r"\s*(?:\\[,;: ])*\s*(?:\\(?:text|mathrm|mbox)\{([^{}]*)\}|(\^\{?\\circ\}?|\\?%))")
_ANSWER = re.compile(r"\banswer\b|答案", re.IGNORECASE)
_ABBREVIATED = re.compile(r"\n\W*(?:a|ans)[*_]*\s*[:.=]\s*(\S[^\n]*)$", re.IGNORECASE)
_SPACED_DIGITS = re.compile(r"\\mathbf\s*\{\s*(-?(?:\s*\d)+)\s*\.?\s*\}")


@lru_cache(maxsize=4096)
def reference_answer(text: str) -> str:
    """Returns the answer that a mathematical reference states; "" if it states none."""
    if (found := find_reference(text)) is not None:
        return found
    plain = clean_answer(text)
    if _PLACEHOLDER.fullmatch(plain):
        return ""
    words, sentences = _words(plain), len(sentences_of(plain))
    if words and (sentences > 1 and words >= _FEW_WORDS):
        return ""
    if is_sentence(plain) and not _VALUE.match(plain):
        return stated(plain, letter=False) or ""
    if not _VALUE.search(plain):
        prose = words > _MANY_WORDS or (words >= _SENTENCE_WORDS and re.search(r"[.;:!?]", text.strip()) is not None)
    else:
        prose = words >= _MANY_WORDS and not _VALUE.match(plain)
    return "" if prose else text


@lru_cache(maxsize=4096)
def find_reference(text: str) -> str | None:
    """Returns the answer in the boxes or after the markers of a reference.

    Returns "" if they hold nothing or several answers, and None if there are neither boxes nor markers.
    """
    text = _SPACED_DIGITS.sub(lambda match: re.sub(r"\s", "", match[1]), text)
    if spans := box_spans(text):
        return _boxed(text, spans)
    last = text.strip().rpartition("\n")[2]
    if abbreviated := _ABBREVIATED.search(text.rstrip()):
        marked = [abbreviated[1]]
    else:
        marked = marked_answers(last) or marked_answers(text)
        if marked and not marked_answers(last):
            return ""
    if not marked or any(each.count("{") != each.count("}") for each in marked):
        return None
    if len({_same(each) for each in marked}) > 1:
        return ""
    value, sentences = stated(marked[-1], letter=False) or "", sentences_of(marked[-1])
    wordy = not _VALUE.search(value) and _words(value) > _FEW_WORDS and len(sentences_of(text)) > 1
    return "" if wordy or len(sentences) > 1 else result(clean_answer(value))


def choice_references(text: str) -> list[str]:
    """Returns the answers that a multiple-choice reference may mean: the letter at its end, and the whole answer."""
    found = find_reference(text)
    if found is None:
        return [text]
    letter = final_answer(text, str.casefold, "lenient", letter=True).answer
    return [each for each in (letter if letter and lettered(letter) else "", found) if each]


def own_answer(problem: Problem) -> str:
    """Returns the answer of a problem's own reference in the form in which a reply would state it."""
    answer = problem.answer or ""
    match problem.verifier or DOMAINS[problem.domain].verifier:
        case "maths":
            return reference_answer(answer)
        case "choice":
            return next(iter(choice_references(answer)), answer)
        case _:
            return answer


def _boxed(text: str, spans: list[tuple[int, int, str | None]]) -> str:
    if spans[-1][2] is None:
        return ""
    spans = [span for span in spans if filled([span[2]])]
    distinct = {_same(content or ""): (content or "").strip() for _, _, content in spans}
    if len(distinct) > 1:
        begin = text.rfind("\n", 0, spans[-1][0]) + 1
        if _ANSWER.search(text, begin):
            spans = [span for span in spans if span[0] >= begin]
            distinct = {_same(content or ""): (content or "").strip() for _, _, content in spans}
    if len(distinct) < 2:
        return "".join(distinct.values()) + _unit(text[spans[-1][1] :] if spans else "")
    around = "".join(text[stop:start] for (_, stop, _), (start, _, _) in pairwise(spans))
    if _words(around) or "\n" in around:
        return ", ".join(distinct.values())
    pieces, end = [], 0
    for start, stop, content in spans:
        pieces += [text[end:start], content or ""]
        end = stop
    return "".join([*pieces, text[end:]])


def _same(answer: str) -> str:
    form = normal(answer)
    return compact(form) if (value := number(form)) is None else str(value)


def _words(text: str) -> int:
    return len(_WORD.findall(_COMMAND.sub(" ", text)))


def _unit(behind: str) -> str:
    """Returns the unit after a box, written with or without a LaTeX command."""
    if (found := _UNIT.match(behind)) and (found[2] or unit_behind(found[1])):
        return f"\\text{{{found[1]}}}" if found[1] else found[2]
    return unit_behind(behind)
