"""This module rewrites a mathematical answer into the normal form in which answers are compared as text.

It covers delimiters, spacing, decorations, spelling variants of commands, digits grouped by thousands, mixed numbers,
repeating decimals, list words ("and", "或"), `\\pm`, ordinals, and the empty set in words. It rewrites text in linear
time and evaluates nothing. Not covered: values (`quantity`, `maths`), and finding the answer (`answer_extraction`).
"""

import math
import re
from fractions import Fraction

from r1_pipeline.rewards.answer_cleanup import clean_answer
from r1_pipeline.rewards.plain import spelled

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": "\\times ", "÷": "/", "·": "\\cdot ", "π": "\\pi ", "∞": "\\infty ", "√": "\\sqrt",
        "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ",
        "∈": "\\in ", "∅": "\\emptyset ", "ℝ": "\\mathbb{R}", "°": "^{\\circ}", "º": "^{\\circ}", "˚": "^{\\circ}",
        "℃": "^{\\circ}C", "℉": "^{\\circ}F", "…": "\\ldots ", "、": ",", "⋅": "\\cdot ", "∙": "\\cdot ", "∗": "*",
        "∑": "\\sum ", "∏": "\\prod ", "∛": "\\sqrt[3]", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ",
        "⌉": "\\rceil ", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}", "ⁿ": "^{n}", "θ": "\\theta ",
        **{sign: f"\\frac{{{over}}}{{{under}}}" for sign, over, under in (
            "½12", "⅓13", "⅔23", "¼14", "¾34", "⅕15", "⅖25", "⅗35", "⅘45", "⅙16", "⅚56", "⅛18", "⅜38", "⅝58", "⅞78",
        )},
    }
)  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_NOTATION = [
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"[⁰¹²³⁴-⁹⁺⁻]+", lambda match: f"^{{{match[0].translate(_RAISED)}}}"),
        (r"[₀-₉]+", lambda match: f"_{{{match[0].translate(_LOWERED)}}}"),
        (r"(?<!\\)\$|\\!\s*", ""),
        (r"\\(?:color|[hv]space|[hv]?phantom|tag|textcolor)\*?\s*\{[^{}]*\}|\\\\\s*$|\\$", " "),
        (r"\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge|bf|it|(?:rm|mathrm)(?=\s*\d))(?![a-zA-Z])", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?|q?quad|displaystyle|textstyle|limits)(?![a-zA-Z])|(?<!\\)\\[,;: ]|~", " "),
        (r";", ","),
        (r"\*\*", "^"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r" \\times "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"(?<!\\)<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\[lr]angle(?![a-zA-Z])", lambda match: "(" if match[0][1] == "l" else ")"),
        (r"(?<=\d)\s*\b([aApP])\.?[mM]\b\.?", lambda match: f" {match[1].upper()}M"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:c|l)?dots[bcmo]?(?![a-zA-Z])|\.\.\.+", r"\\ldots "),
        (r"\\leq(?:slant)?(?![a-zA-Z])", r"\\le"),
        (r"\\geq(?:slant)?(?![a-zA-Z])", r"\\ge"),
        (r"\\([lr])brace(?![a-zA-Z])", lambda match: "\\{" if match[1] == "l" else "\\}"),
        (r"(\\in)\s*([NZQR])(?![a-zA-Z_^(])", r"\1 \\mathbb{\2}"),
        (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"\\deg(?:ree)?(?![a-zA-Z])|\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})", r"^{\\circ}"),
        (r"\\(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|sf)|mbox|operatorname)\s*\*?\s*\{", r"\\text{"),
        (r"\\(lg|tg|ctg|arctg|cosec)(?![a-zA-Z])", r"\1"),
    )
]
"""The rules that apply before plain notation is rewritten as LaTeX (`plain`)."""
_COMMANDS = [
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"\\text\{\s*([ei])\s*\}|\\(?:mathrm|rm)\s+([a-zA-Z])(?![a-zA-Z])", r"\1\2"),
        (r"\\(?:underline|mathbf|mathit|bm|boldsymbol)\s*\{([^{}]*)\}", r"{\1}"),
        (r"(?<=\d)\s*(?:\^?\s*\{?\s*\\text\{(?:st|nd|rd|th)\}\s*\}?|\^?\{?(?:st|nd|rd|th)\b\}?)", ""),
        (r"\\(frac|binom)\s*([0-9a-zA-Z]|\\pi)\s*([0-9a-zA-Z])(?!\d)", r"\\\1{\2}{\3}"),
        (r"\\(frac|binom)\s*([0-9a-zA-Z])\s*\{", r"\\\1{\2}{"),
        (r"\\(frac|binom)\s*(\{[^{}]*\})\s*([0-9a-zA-Z])", r"\\\1\2{\3}"),
        (r"\\sqrt\s*(\d+|[a-zA-Z]|\\pi(?![a-z]))", r"\\sqrt{\1}"),
        (r"\\(max|min|gcd|lcm)\s*\\?\{([^{}\\]*)\\?\}", r"\\\1(\2)"),
        (r"([_^])\s*([0-9a-zA-Z])(?![0-9a-zA-Z])", r"\1{\2}"),
        (r",?\s*(?:\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*|(?<=[0-9)}])\s*[或和]\s*(?=[-0-9(\\])", ", "),
        (r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]\+?(-?\d{1,3})(?!\w)", r"\1 \\times 10^{\2}"),
        (r"^\s*\\text\{[^{}\d]*(?:[:=]|\bis)\s*\}\s*", ""),
        (r"^\s*(?:=|\\approx(?![a-zA-Z]))\s*", ""),
    )
]
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\{,\}|\s)\d{3})+(?!\d)")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s+(\d+/\d+)")
_REPEATING = re.compile(r"(?<![\d.])(\d{0,12})\.(\d{0,12})\\(?:overline|bar|dot)\s*(?:\{(\d{1,12})\}|(\d))(?!\s*\d)")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])")
_NOTHING = re.compile(r"no (?:real |such )?solutions?|(?:the )?empty set|无(?:实数)?解|空集", re.IGNORECASE)
_EVERYTHING = re.compile(r"(?:the set of )?all reals?(?: numbers)?|(?:任意|全体|一切)实数", re.IGNORECASE)
_ROWS = re.compile(r"\[\s*(\[[^\[\]]*\](?:\s*,\s*\[[^\[\]]*\])*)\s*\]")
_TURNED = re.compile(r"([(\[].*[)\]])\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\text\{T\})\s*\}?")
_WHOLE = re.compile(r"[1-9][0-9]{0,30}")
_RATIO = re.compile(r"[^:,=<>]+(?::[^:,=<>]+){2,}")
_BRACED = re.compile(r"\{([^{}]*)\}|\\text\{([^{}]*[0-9][^{}]*)\}")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_BLANK = re.compile(r"(?<!\d)\s|\s(?!\d)")


def normal(answer: str) -> str:
    """Returns the normal form of an answer."""
    text = " ".join(clean_answer(answer).split())  # the rules below take time quadratic in a run of white space
    text = text.translate(_CHARACTERS)
    for pattern, spelling in _NOTATION:
        text = pattern.sub(spelling, text)
    text = spelled(text)
    for pattern, spelling in _COMMANDS:
        text = pattern.sub(spelling, text)
    text = _THOUSANDS.sub(lambda match: re.sub(r"\{,\}|\s", "", match[0]), text)
    text = _REPEATING.sub(_repeating, _MIXED.sub(r"(\1+\2)", text))
    text = clean_answer(" ".join(text.split()))
    if braced := _BRACED.fullmatch(text):
        text = (braced[1] or braced[2] or "").strip()
    if _NOTHING.fullmatch(unworded(text)):
        return "\\emptyset"
    if _EVERYTHING.fullmatch(unworded(text)):
        return "\\mathbb{R}"
    return _both_signs(_bracketed(text))


def compact(text: str) -> str:
    """Returns a normal form without spaces, except between digits; answers equal in it are the same answer."""
    return _BLANK.sub("", text)


def unworded(text: str) -> str:
    """Returns the text with every `\\text{…}` replaced by its content."""
    return " ".join(_TEXT.sub(r" \1 ", text).split())


def listed(text: str) -> tuple[str, list[str]]:
    """Returns the brackets around the whole text, "" for none, and the elements that the commas inside separate.

    Brackets around a single element are part of it; a number with grouped digits is a single element.
    """
    for left, right in (("\\{", "\\}"), ("(", ")"), ("(", "]"), ("[", ")"), ("[", "]")):
        inner = text[len(left) : len(text) - len(right)]
        if text.startswith(left) and text.endswith(right) and (pieces := _cut(inner)) and len(pieces) > 1:
            return left + right, pieces
    return "", _cut(text) or [text]


def _cut(text: str) -> list[str] | None:
    """Splits the text at the commas outside all brackets; None if it closes a bracket that it did not open."""
    if _GROUPED.fullmatch(compact(text)):
        return [text]
    pieces, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return None
        if char == "," and depth == 0:
            pieces.append(text[start:position].strip())
            start = position + 1
    return [*pieces, text[start:].strip()]


def _bracketed(text: str) -> str:
    """Rewrites variants of matrices, column vectors, open intervals and ratios of three or more in one notation."""
    if turned := _TURNED.fullmatch(text):
        return f"({turned[1][1:-1]})"
    if _RATIO.fullmatch(text):
        return _ratio(text.split(":"))
    if rows := _ROWS.fullmatch(text):
        lines = [row.strip("[] ").replace(",", "&") for row in re.split(r"\]\s*,", rows[1])]
        return "\\begin{pmatrix}" + "\\\\".join(lines) + "\\end{pmatrix}"
    ends, inner = text[:1] + text[-1:], text[1:-1]
    if ends in ("][", "]]", "[[") and "," in inner and not {"[", "]"} & set(inner):
        return ("(" if ends[0] == "]" else "[") + inner + (")" if ends[1] == "[" else "]")
    return text


def _ratio(parts: list[str]) -> str:
    """Returns a ratio as a tuple in lowest terms, because `6:8:10` read as two divisions would equal `6:10:8`."""
    if all(_WHOLE.fullmatch(part.strip()) for part in parts):
        common = math.gcd(*map(int, parts))
        parts = [str(int(part) // common) for part in parts]
    return f"({', '.join(part.strip() for part in parts)})"


def _both_signs(text: str) -> str:
    """Rewrites `a \\pm b` as two values, if there is one such sign and no list or set around it."""
    pieces = [piece.strip() for piece in _PLUS_MINUS.split(text)]
    if len(pieces) != 2 or "," in text or text.startswith("\\{"):
        return text
    return f"{pieces[0]} + {pieces[1]}, {pieces[0]} - {pieces[1]}".strip()


def _repeating(match: re.Match[str]) -> str:
    """Returns `0.1\\overline{6}` as a fraction: the digits before the bar, plus the period over 9…90…0."""
    fixed, period = match[2], match[3] or match[4]
    value = Fraction(int((match[1] or "0") + fixed), 10 ** len(fixed))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
