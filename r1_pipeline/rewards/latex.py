"""The normal form in which two mathematical answers are compared: what the writing says, however it is written.

Owns: delimiters, spacing, decorations, spelling variants of commands, digits grouped by thousands, mixed numbers,
repeating decimals, list words ("and", "或"), `\\pm`, ordinals, the empty set in words. Everything here rewrites text in
linear time; nothing is evaluated. Not covered: values (`quantity`, `maths`), where the answer stands (`extract`).
"""

import re
from fractions import Fraction

from r1_pipeline.rewards.extract import tidy

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": "\\times ", "÷": "/", "·": "\\cdot ", "π": "\\pi ", "∞": "\\infty ", "√": "\\sqrt",
        "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ",
        "∈": "\\in ", "∅": "\\emptyset ", "°": "^{\\circ}", "²": "^{2}", "³": "^{3}", "…": "\\ldots ", "、": ",",
    }
)  # fmt: skip
_SPELLINGS = [
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"(?<!\\)\$|\\!\s*", ""),
        (r"\\(?:left|right|[bB]igg?[lr]?|q?quad|displaystyle|textstyle|limits)(?![a-zA-Z])|(?<!\\)\\[,;: ]|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:c|l)?dots[bcmo]?(?![a-zA-Z])|\.\.\.+", r"\\ldots "),
        (r"\\leq(?:slant)?(?![a-zA-Z])", r"\\le"),
        (r"\\geq(?:slant)?(?![a-zA-Z])", r"\\ge"),
        (r"\\([lr])brace(?![a-zA-Z])", lambda match: "\\{" if match[1] == "l" else "\\}"),
        (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"\\deg(?:ree)?(?![a-zA-Z])|\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})", r"^{\\circ}"),
        (r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|sf)|mbox|operatorname)\s*\{", r"\\text{"),
        (r"\\text\{\s*([ei])\s*\}|\\(?:mathrm|rm)\s+([a-zA-Z])(?![a-zA-Z])", r"\1\2"),
        (r"\\(?:underline|mathbf|mathit|bm|boldsymbol)\s*\{([^{}]*)\}", r"{\1}"),
        (r"(?<=\d)\s*(?:\^\s*\{?\s*\\text\{(?:st|nd|rd|th)\}\s*\}?|\^?\{?(?:st|nd|rd|th)\b\}?)", ""),
        (r"\\(frac|binom)\s*([0-9a-zA-Z]|\\pi)\s*([0-9a-zA-Z])(?!\d)", r"\\\1{\2}{\3}"),
        (r"\\(frac|binom)\s*([0-9a-zA-Z])\s*\{", r"\\\1{\2}{"),
        (r"\\(frac|binom)\s*(\{[^{}]*\})\s*([0-9a-zA-Z])", r"\\\1\2{\3}"),
        (r"\\sqrt\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"\\sqrt\s*\(([^(){}]*)\)", r"\\sqrt{\1}"),
        (r"([_^])\s*([0-9a-zA-Z])(?![0-9a-zA-Z])", r"\1{\2}"),
        (r",?\s*(?:\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*|(?<=[0-9)}])\s*[或和]\s*(?=[-0-9(\\])", ", "),
        (r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]\+?(-?\d{1,3})(?!\w)", r"\1 \\times 10^{\2}"),
        (r"^\s*(?:=|\\approx(?![a-zA-Z]))\s*", ""),
    )
]
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\{,\}|\s)\d{3})+(?!\d)")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s+(\d+/\d+)")
_REPEATING = re.compile(r"(?<![\d.])(\d{0,12})\.(\d{0,12})\\(?:overline|bar|dot)\s*(?:\{(\d{1,12})\}|(\d))(?!\s*\d)")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])")
_NOTHING = re.compile(r"no (?:real |such )?solutions?|(?:the )?empty set|无(?:实数)?解|空集", re.IGNORECASE)
_BRACED = re.compile(r"\{([^{}]*)\}|\\text\{([^{}]*[0-9][^{}]*)\}")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_BLANK = re.compile(r"(?<!\d)\s|\s(?!\d)")


def normal(answer: str) -> str:
    """The normal form of an answer."""
    text = tidy(answer).translate(_CHARACTERS)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = _THOUSANDS.sub(lambda match: re.sub(r"\{,\}|\s", "", match[0]), text)
    text = _REPEATING.sub(_repeating, _MIXED.sub(r"(\1+\2)", text))
    text = tidy(" ".join(text.split()))
    if braced := _BRACED.fullmatch(text):
        text = (braced[1] or braced[2] or "").strip()
    if _NOTHING.fullmatch(unworded(text)):
        return "\\emptyset"
    return _both_signs(text)


def compact(text: str) -> str:
    """A normal form without blanks, except between digits; answers that agree in it are the same answer."""
    return _BLANK.sub("", text)


def unworded(text: str) -> str:
    """`\\text{…}` replaced by what it says."""
    return " ".join(_TEXT.sub(r" \1 ", text).split())


def listed(text: str) -> tuple[str, list[str]]:
    """The brackets around the whole text, "" for none, and what the commas directly inside them separate.

    Brackets around a single thing are part of it; a number with grouped digits is a single thing.
    """
    for left, right in (("\\{", "\\}"), ("(", ")"), ("(", "]"), ("[", ")"), ("[", "]")):
        inner = text[len(left) : len(text) - len(right)]
        if text.startswith(left) and text.endswith(right) and (pieces := _cut(inner)) and len(pieces) > 1:
            return left + right, pieces
    return "", _cut(text) or [text]


def _cut(text: str) -> list[str] | None:
    """The text cut at the commas outside all brackets; None if it closes a bracket that it did not open."""
    if _GROUPED.fullmatch(compact(text)):
        return [text]
    pieces, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return None
        if char == "," and depth == 0:
            pieces.append(text[start:at].strip())
            start = at + 1
    return [*pieces, text[start:].strip()]


def _both_signs(text: str) -> str:
    """`a \\pm b` written out as two values, where there is one such sign and it stands outside all brackets."""
    pieces = _PLUS_MINUS.split(text)
    if len(pieces) != 2 or "," in text or any(pieces[0].count(a) != pieces[0].count(b) for a, b in ("()", "{}", "[]")):
        return text
    left, right = pieces[0].strip(), pieces[1].strip()
    return f"{left} + {right}, {left} - {right}".strip()


def _repeating(match: re.Match[str]) -> str:
    """`0.1\\overline{6}` as the fraction that it is: the digits before the bar, plus the period over 9…90…0."""
    fixed, period = match[2], match[3] or match[4]
    value = Fraction(int((match[1] or "0") + fixed), 10 ** len(fixed))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
