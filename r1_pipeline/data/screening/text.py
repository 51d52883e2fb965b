r"""One form for texts that differ in typesetting only, and their tokens.

    forms    case, Unicode compatibility forms, LaTeX commands and their Unicode signs, thousands separators, figures
    tokens   words (runs of letters), numbers, single Chinese characters, and the signs + - * / = < > ^
    words    tokens without the signs: what n-grams are made of, so that `\frac{3}{4}`, `3/4` and `$3 \over 4$` agree

Letters and digits part (`2x` and `2 x` agree); braces, dollars, other punctuation and spacing are no tokens.
Expressions only, on one column; about 10 MB/s a core. Not covered: paraphrase, translation, spelled-out numbers.
"""

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

SIGNS = ("+", "-", "*", "/", "=", "<", ">", "^")
TOKEN = r"\p{Han}|[\p{L}--\p{Han}]+|[0-9]+(?:\.[0-9]+)?|[-+*/=<>^]"
"""Of texts in one form; syntax of Rust's regex crate."""
SENTENCE_END = r"[.?!](?:\s|$)|[。？！；：;:\n]"

_SYMBOLS = {
    "−": "-", "–": "-", "×": "*", "⋅": "*", "·": "*", "÷": "/", "∕": "/", "≤": "<=", "≥": ">=", "°": " degrees ",
    "√": " sqrt ", "∞": " infty ", "∠": " angle ", "△": " triangle ", "∑": " sum ", "∫": " int ", "∏": " prod ",
}  # fmt: skip
FIGURE = r"(?s)\[asy\].*?\[/asy\]"
"""Source of a drawing."""
_DECORATION = (
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|q?quad|[dt]?frac|sqrt\s*\[\s*2\s*\]|boxed"
    r"|text(?:bf|it|rm|sf|tt)?|emph|math(?:rm|bf|bb|cal|it|sf|frak)|operatorname|mbox|hspace|vspace"
    r"|[lcvd]?dots[bcimo]?|overline|underline|(?:wide)?(?:hat|tilde)|bar|over(?:right|left)arrow|vec)\b"
)
_COMMANDS = (
    (r"[\^_]\s*\{\s*\}", " "),
    (r"\\(?:begin|end)\s*\{[^{}]*\}", " "),
    (r"\^\s*\{?\s*\\circ\b\s*\}?", " degrees "),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", " ${1}/${2} "),
    (r"\\[dt]?frac\s*([0-9])\s*([0-9])", " ${1}/${2} "),
    (r"\\(?:cdot|times)\b", "*"),
    (r"\\div\b|\\over\b", "/"),
    (r"\\(?:leq?|leqslant)\b", "<="),
    (r"\\(?:geq?|geqslant)\b", ">="),
    (_DECORATION, " "),
    (r"(?:\{,\}|,|\\,|\\!,?)([0-9]{3})\b", "${1}"),
)
"""Applied in this order; what is left of a command is its name, a word."""


def _forms() -> dict[str, str]:
    """Every code point that Unicode calls a compatibility form, superscripts as powers, Greek letters by name."""
    forms = {}
    for code in range(0x80, 0x1FFFF):
        sign = chr(code)
        if sign != (plain := unicodedata.normalize("NFKC", sign)):
            power = "<super>" in unicodedata.decomposition(sign) and plain.isdigit()
            forms[sign] = f"^{plain}" if power else plain.lower()
    for code in (*range(0x3B1, 0x3CA), *range(0x391, 0x3AA)):
        if name := re.match(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)", unicodedata.name(chr(code), "")):
            forms[chr(code)] = f" {name[1].lower().replace('lamda', 'lambda')} "
    return forms | _SYMBOLS


_FORMS = _forms()


def forms(text: "pl.Expr") -> "pl.Expr":
    """`text` in one form; line and sentence ends stay."""
    text = text.str.to_lowercase().str.replace_many(list(_FORMS), list(_FORMS.values()))
    for pattern, plain in _COMMANDS:
        text = text.str.replace_all(pattern, plain)
    return text


def tokens(text: "pl.Expr") -> "pl.Expr":
    """List of the tokens of `text`, in order."""
    return forms(text).str.extract_all(TOKEN)
