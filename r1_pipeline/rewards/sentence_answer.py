"""This module extracts the answer that a sentence states, for the lenient rule: its only formula, number or letter.

Formulas need delimiters; a number may be bare, also after a name ("x = 5"). A list ("$5$ and $7$") is one answer. Bold
text takes precedence over the rest of its sentence. A question, a negation or a bound ("not $5$", "at least $5$")
states nothing. A unit directly after a value belongs to it.
Not covered: answers in words, and computations without delimiters.
"""

import re
from collections.abc import Iterable

from r1_pipeline.rewards.answer_cleanup import clean_answer, strip_typefaces
from r1_pipeline.rewards.latex import normal
from r1_pipeline.rewards.quantity import split

MAX_LINE = 300
"""The length, in characters, of the longest line that may be an answer as a whole."""
_TAIL = 2000
"""The number of characters at the end of a text that are searched for its closing sentence; no sentence is longer."""
_AFTERTHOUGHTS = 2
"""The number of sentences after the closing one that may state nothing: "I hope this helps."."""
_FEW_WORDS, _FEW_HAN = 3, 4
"""A number among at most this many words or Chinese characters is an answer as a whole: "5 red apples"."""
_FIRST, _LAST = 0xE000, 0xF8FF
_HELD = f"[{chr(_FIRST)}-{chr(_LAST)}]"
"""Private-use characters that replace the formulas and numbers of a text, in order."""

_MATHS = re.compile(
    r"(?<!\\)\$\$(?P<a>.+?)(?<!\\)\$\$|(?<![\\$])\$(?P<b>[^$\n]+?)(?<!\\)\$|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\]"
    r"|(?P<number>(?<![A-Za-z0-9_.,^\\])(?:\\?[$€£¥₹]\s?)?[-−+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:/\d+)?(?:\s?\\?%)?(?![A-Za-z0-9_^]|[.,/]\d))",
    re.DOTALL,
)
_TEXT = re.compile(r"\\(?:text\w*|mbox|begin|end|operatorname|math\w+)\s*\{[^{}]*\}")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_WORD = re.compile(r"(?<![\\A-Za-z])(?!(?:and|or)\b)[^\W\d_]{2,}", re.IGNORECASE)
_AND = r"\s*(?:(?:,|，|、|;|&|和|或|(?:,\s*)?\b(?:and|or)\b)\s*)"
_LISTED = re.compile(rf"{_HELD}(?:{_AND}{_HELD})*")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_CLAUSE = re.compile(r"[,;:，；：]")
_DENIED = re.compile(
    r"\b(?:not|never|neither|nor|cannot|no|without|either|maybe|perhaps|might|could|unless|except|than|least|most|between"
    r"|instead|wrong|incorrect|doubt|unlikely|false)\b|n't\b|不是|不为|不可能|并非|至少|至多",
    re.IGNORECASE,
)
_NAME_IS = re.compile(r"(?<![\w\\^+*/=-])\s*[A-Za-z]\s*=\s*$")
_STATES_NUMBER = re.compile(
    rf"(?:\b(?:is|are|was|be|equals?|gives?|makes?|clearly|therefore|thus|hence|est|es|ist)|[A-Za-z]\s*:)[\s*]*{_HELD}"
    rf"|^{_HELD}(?:\s*,\s*[a-z]{{2}}|\s+\([a-z]{{2}}|\s+is\b)"
)
"""Words that mark a number as the answer, however few words surround it."""
_LABEL = re.compile(
    r"\b(?:step|case|theorem|lemma|problem|question|exercise|equation|part|example|figure|section|line) $",
    re.IGNORECASE,
)
_CODE = re.compile(r"\w\(|[{}_;\\]")
_OPERATORS = "=+-−*/^<>≤≥≠×÷±√|(!~"
_UNIT = re.compile(r"\s*(%|°|\\%|[A-Za-z²³]+(?:\^\d)?(?:[/ ][A-Za-z²³]+){0,3}|[\u4e00-\u9fff]{1,6})")
_SMALL_WORDS = {"in", "at", "a", "as", "to", "min"}
_NAMED_LETTER = re.compile(
    r"[(\[【]\s*([A-Z])\s*[)\]】]|^\W*([A-Z])[*_]*\s*[).:](?!\w)"
    r"|(?:(?i:\b(?:options?|choice|answer|letter)\b(?:\s+is\b)?)|选项?|应选|故选)[\s*:：]*\(?([A-Z])(?![A-Za-z])"
)
_BARE_LETTER = re.compile(r"(?<![\w'’\\-])(?:([B-HJ])|(?<=[a-z,;:] )(A)|([AI])(?=\W*$))(?![\w'’-])")


def lettered(text: str) -> bool:
    """Returns True if a text consists of option letters only: `(B)`, "B or C", "not B"."""
    words = re.findall(r"\w+", strip_typefaces(text).casefold())
    return bool(words) and all(word in ("and", "or", "not") or re.fullmatch("[a-z]", word) for word in words)


def stated(text: str, *, letter: bool) -> str | None:
    """Returns the text if it is an answer as a whole, else the answer that its first sentence states, or None.

    `letter` says that the answer is an option letter. A sentence with two values, or a negated one, states none.
    """
    if lettered(text) if letter else not is_sentence(text):
        return text
    return _first(text, reversed_=False, letter=letter)


def closing_answer(text: str, *, letter: bool) -> str | None:
    """Returns the answer of the last sentence with a value; None if that sentence does not state exactly one."""
    text = text.strip()
    if "\n" not in text and len(text) <= MAX_LINE and (lettered(text) if letter else not is_sentence(text)):
        return text
    return _first(text if len(text) <= _TAIL else text[-_TAIL:].partition("\n")[2], reversed_=True, letter=letter)


def is_sentence(text: str) -> bool:
    """Returns True if a text has a formula or number among words, and is therefore no answer as a whole."""
    text = clean_answer(text) if len(text) <= _TAIL else ""
    masked, held = _masked(text)
    words = _WORD.findall(masked)
    if not held or not words:
        return False
    many = len(words) > _FEW_WORDS or len(_HAN.findall(masked)) > _FEW_HAN or _STATES_NUMBER.search(masked)
    return any(mark in text for mark in ("$", "\\(", "\\[")) or bool(many and not _CODE.search(masked))


def _first(text: str, *, reversed_: bool, letter: bool) -> str | None:
    """Returns the answer of the first sentence with a value, searched from the front or from the back."""
    masked, held = (text, []) if letter else _masked(text)
    sentences = _sentences(masked)
    for sentence in sentences[: -_AFTERTHOUGHTS - 2 : -1] if reversed_ else sentences:
        if letter and (letters := _letters(sentence)):
            return letters.pop() if len(letters) == 1 and not _DENIED.search(sentence) else None
        if not letter and re.search(_HELD, sentence):
            return _value(sentence, held)
    return None


def _sentences(masked: str) -> list[str]:
    return [each for each in _SENTENCE.split(masked) if re.search(rf"\w|{_HELD}", each)]


def sentences_of(text: str) -> list[str]:
    """Returns the sentences of a text, with one character in place of each formula."""
    return _sentences(_masked(text)[0])


def _letters(sentence: str) -> set[str]:
    """Returns the option letters that a sentence names as the answer, else those that it contains."""
    for pattern in (_NAMED_LETTER, _BARE_LETTER):
        if found := {next(filter(None, groups)) for groups in _groups(pattern, sentence)}:
            return found
    return set()


def _groups(pattern: re.Pattern[str], text: str) -> Iterable[tuple[str | None, ...]]:
    return (match.groups() for match in pattern.finditer(text))


def _masked(text: str) -> tuple[str, list[str | None]]:
    """Returns the text with one character for each formula and number, and the list of these formulas and numbers.

    A part of a computation is None in the list.
    """
    held: list[str | None] = []

    def hold(match: re.Match[str]) -> str:
        content = next(group for group in match.groups() if group is not None)
        if match["b"] and _PROSE.search(_TEXT.sub(" ", content)):  # two prices and the text between them
            return match[0][0] + _MATHS.sub(hold, match[0][1:-1]) + match[0][-1]
        if len(held) > _LAST - _FIRST or (match["number"] and _LABEL.search(match.string, 0, match.start())):
            return match[0]
        held.append(content if _alone(match) else None)
        return chr(_FIRST + len(held) - 1)

    return _MATHS.sub(hold, text), held


def _alone(match: re.Match[str]) -> bool:
    """Returns True if no operator joins the formula to the text around it."""
    before, after = match.string[: match.start()].removesuffix("**"), match.string[match.end() :].removeprefix("**")
    if _NAME_IS.search(before[-20:]):
        before = ""
    dash = match["number"] is None and before.endswith(("- ", "– ", "| ", "= "))
    behind = after if after.startswith(" (") else after.lstrip()
    return (dash or before.rstrip()[-1:] not in tuple(_OPERATORS)) and behind[:1] not in tuple(_OPERATORS)


def _value(sentence: str, held: list[str | None]) -> str | None:
    """Returns the only value, or list of values, of a sentence; None if there are several, or it is negated."""
    bold = [match for match in _BOLD.finditer(sentence) if re.search(_HELD, match[0])]
    begin, end = bold[0].span() if len(bold) == 1 else (0, len(sentence))
    found = list(_LISTED.finditer(sentence, begin, end))
    if len(found) != 1 or sentence.rstrip("* ").endswith(("?", "？")):
        return None
    before = _CLAUSE.split(sentence[: found[0].start()])[-1]
    behind = sentence[found[0].end() :]
    values = [held[ord(each) - _FIRST] for each in re.findall(_HELD, found[0][0])]
    if None in values or _DENIED.search(f"{before} {_CLAUSE.split(behind)[0]}"):
        return None
    value = ", ".join(filter(None, values))
    return value if len(values) > 1 else result(value) + unit_behind(behind)


def result(value: str) -> str:
    """Returns the last side of a computation, 17 of `11+6=17`; an assignment such as `x = 5` stays unchanged."""
    first, *between, last = value.split("=") if "=" in value else (value, value)
    if "=" not in value or "\\begin" in value or re.search(r"[<>,]|\\(?:[lg]eq?|neq?)\b", value):
        return value
    named = re.search("[A-Za-z]", re.sub(r"\\[a-zA-Z]+", "", first)) is not None
    return last.strip() if between or not named else value


def unit_behind(behind: str) -> str:
    """Returns the unit at the beginning of a text as LaTeX; "" for none."""
    found = _UNIT.match(behind)
    words = found[1].split(" ") if found else []
    while words:
        name = f"\\text{{ {' '.join(words)}}}" if words[0][-1] not in "%°" else words[0]
        if split(normal(f"5{name}")).unit and not (words[0] in _SMALL_WORDS and len(words) == 1):
            return name
        words.pop()
    return ""
