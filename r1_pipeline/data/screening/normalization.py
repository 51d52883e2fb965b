r"""Normalization gives texts that differ in typesetting only one form, and splits them into tokens.

    forms    case, Unicode compatibility forms and invisible characters, HTML tags and entities, escaped line ends,
             LaTeX commands and their Unicode signs, thousands separators, zeros that end a decimal fraction
    tokens   words (runs of letters), numbers, single Chinese characters, and the signs + - * / = < > ^
    words    tokens without the signs: n-grams are made of these, so that `\frac{3}{4}`, `3/4` and `$3 \over 4$` agree

Letters and digits are separate tokens (`2x` and `2 x` agree); braces, dollars, other punctuation and spaces are none.
Everything is an expression on one column; about 10 MB/s per core. Not covered: paraphrase, translation, spelled-out
numbers.
"""

import html
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

SIGNS = ("+", "-", "*", "/", "=", "<", ">", "^")
TOKEN = r"\p{Han}|[\p{L}--\p{Han}]+|[0-9]+(?:\.[0-9]+)?|[-+*/=<>^]"
"""A regular expression for a token of a normalized text; syntax of Rust's regex crate."""
SENTENCE_END = r"[.?!](?:\s|$)|[。？！；：;:\n]"

_SYMBOLS = {
    "−": "-", "–": "-", "×": "*", "⋅": "*", "·": "*", "÷": "/", "∕": "/", "≤": "<=", "≥": ">=", "°": " degrees ",
    "√": " sqrt ", "∞": " infty ", "∠": " angle ", "△": " triangle ", "∑": " sum ", "∫": " int ", "∏": " prod ",
}  # fmt: skip
_ENTITY = r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);"
_COMBINING = r"[\x{300}-\x{36f}]"
_LATEX = (
    "nabla|natural|ncong|ne|nearrow|neg|neq|newcommand|newline|nexists|ngeq|ngtr|nleq|nless|nmid|noalign"
    "|noindent|nonumber|normalsize|not|notag|notin|nparallel|nsim|nsubseteq|nu|null|nwarrow|raise|rangle"
    "|rbrace|rbrack|rceil|ref|renewcommand|rfloor|rho|right[a-z]*|rm|root|rule|rvert|tabular|tag|tan|tanh|tau"
    "|tbinom|text[a-z]*|tfrac|therefore|theta|thickapprox|thinspace|tilde|times|tiny|to|top|triangle[a-z]*|tt"
)
_ESCAPED_SPACE = (rf"(\\(?:{_LATEX})(?:[^A-Za-z]|$))|\\[nrt]", "${1} ")
"""The escapes that JSON writes for a line end or a tab, except where they begin a LaTeX command."""
_INLINE = "a|abbr|b|big|cite|code|del|em|font|i|img|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var"
_BLOCK = (
    "article|blockquote|br|center|dd|div|dl|dt|footer|h[1-6]|header|hr|li|ol|p|pre|section|table|tbody|td|tfoot|th"
    "|thead|tr|ul"
)
_TAGS = (
    ("<sup>", "^"),
    (rf"</?(?:{_INLINE})(?:\s[^<>]*)?/?>", ""),
    (rf"</?(?:{_BLOCK})(?:\s[^<>]*)?/?>", "\n"),
)
FIGURE = r"(?s)\[asy\].*?\[/asy\]"
"""A regular expression for the source code of a figure."""
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
    (r"([0-9])\.0+(\.?(?:[^.0-9]|$))", "${1}${2}"),
    (r"([0-9]\.[0-9]*[1-9])0+(\.?(?:[^.0-9]|$))", "${1}${2}"),
)
"""The replacements of LaTeX commands, applied in this order; the name of any other command remains as a word."""


def _forms() -> dict[str, str]:
    """Returns the replacement of every compatibility form of Unicode, with superscripts as powers and Greek letters by
    name."""
    forms = {}
    for code in range(0x80, 0x1FFFF):
        sign = chr(code)
        if unicodedata.category(sign) == "Cf":
            forms[sign] = ""
        elif sign != (plain := unicodedata.normalize("NFKC", sign)):
            power = "<super>" in unicodedata.decomposition(sign) and plain.isdigit()
            forms[sign] = f"^{plain}" if power else plain.lower()
    for code in (*range(0x3B1, 0x3CA), *range(0x391, 0x3AA)):
        if name := re.match(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)", unicodedata.name(chr(code), "")):
            forms[chr(code)] = f" {name[1].lower().replace('lamda', 'lambda')} "
    return forms | _SYMBOLS


_FORMS = _forms()


def normalized(text: "pl.Expr") -> "pl.Expr":
    """Returns an expression for the normalized `text`; line and sentence ends stay."""
    import polars as pl

    text = text.map_batches(_characters, return_dtype=pl.String, is_elementwise=True)
    text = text.str.replace_all(*_ESCAPED_SPACE).str.to_lowercase()
    for pattern, plain in _TAGS:
        text = text.str.replace_all(pattern, plain)
    text = text.str.replace_many(list(_FORMS), list(_FORMS.values()))
    for pattern, plain in _COMMANDS:
        text = text.str.replace_all(pattern, plain)
    return text


def _characters(texts: "pl.Series") -> "pl.Series":
    """Returns `texts` with a character for each HTML entity, and for each letter with a combining accent."""
    rows = texts.str.contains(f"{_ENTITY}|{_COMBINING}").arg_true()
    if rows.is_empty():
        return texts
    entity = re.compile(_ENTITY)
    whole = [unicodedata.normalize("NFC", _unescaped(text, entity)) for text in texts.gather(rows)]
    return texts.clone().scatter(rows, whole)


def _unescaped(text: str, entity: re.Pattern[str]) -> str:
    """Returns `text` without HTML entities, also where they were escaped twice (`&amp;nbsp;`)."""
    for _ in range(2):
        text = entity.sub(lambda found: html.unescape(found[0]), text)
    return text


def tokens(text: "pl.Expr") -> "pl.Expr":
    """Returns an expression for the list of the tokens of `text`, in order."""
    return normalized(text).str.extract_all(TOKEN)


def plain(text: "pl.Expr") -> "pl.Expr":
    """Returns an expression for the `spaced` tokens of `text`, which are the same in any typesetting."""
    return spaced(tokens(text))


def spaced(lists: "pl.Expr") -> "pl.Expr":
    """Returns lists of tokens as text, with a space before, between and after."""
    import polars as pl

    return pl.concat_str(pl.lit(" "), lists.list.join(" "), pl.lit(" "))
