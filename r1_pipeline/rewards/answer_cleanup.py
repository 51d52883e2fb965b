"""This module strips the decoration of an answer: white space, delimiters, Markdown, quotes, emoji, typefaces.

It looks at the ends of an answer only and evaluates nothing. Not covered: finding the answer in a reply
(`answer_extraction`), and spelling inside the answer (`latex`).
"""

import re

_WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("_", "_"),
    ("~~", "~~"),
    ('"', '"'),
    ("“", "”"),
    ("「", "」"),
    *((f"<{tag}>", f"</{tag}>") for tag in ("b", "strong", "i", "em", "u", "code", "mark")),
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_EMOJI = ((0x1F000, 0x1FAFF), (0x2600, 0x27BF), (0x2B05, 0x2B07), (0x2B1B, 0x2B1C), (0x2B50, 0x2B55), (0xFE0F, 0xFE0F))
_MARKS = "*` \t\r\n→⇒∴" + "".join(chr(code) for first, last in _EMOJI for code in range(first, last + 1))
"""Markdown marks, white space, arrows and emoji, which mean nothing at the ends of an answer."""
_TYPEFACE = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|sl|up|md|normal)?|math(?:bf|it|rm|sf|tt|bb|cal|frak|scr)|emph|boldsymbol|bm"
    r"|underline|mbox|operatorname)\s*\{([^{}]*)\}|\{\\(?:bf|it|rm|sf|tt)\s+([^{}]*)\}"
)
_NESTED = 5
"""The maximum number of nested typeface commands that are stripped."""


def clean_answer(answer: str) -> str:
    """Returns the answer without decoration or a closing full stop, with full-width characters made ASCII."""
    answer = answer.translate(_FULL_WIDTH).strip()
    while True:
        before = answer
        answer = answer.rstrip("。").strip(_MARKS)
        if answer.endswith(".") and not answer.endswith(".."):
            answer = answer[:-1].rstrip()
        for left, right in _WRAPPERS:
            inner = answer[len(left) : -len(right)]
            if answer.startswith(left) and answer.endswith(right) and len(inner) >= 1 and left not in inner:
                answer = inner.strip()
        if answer == before:
            return answer


def strip_typefaces(answer: str) -> str:
    """Returns a cleaned answer without typeface commands: `\\textbf{(B)}` becomes `(B)`."""
    for _ in range(_NESTED):
        before, answer = answer, clean_answer(_TYPEFACE.sub(lambda match: match[1] or match[2] or "", answer))
        if answer == before:
            break
    return answer
