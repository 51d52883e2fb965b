"""This module rewrites inequalities as intervals: `1 < x \\le 2` is (1, 2], and `x < 1 or x > 2` is a union.

The normal form (`latex.normal`) does not distinguish "and" from "or": two half-lines that overlap mean their
intersection, and two that do not mean their union, since nobody writes the whole line or the empty set that way. Ends
are compared only if they are literal numbers. Not covered: two unknowns, products of signs, and inequalities that have
to be solved.
"""

import re
from dataclasses import dataclass

from r1_pipeline.rewards.latex import listed
from r1_pipeline.rewards.quantity import number

_SIGN = re.compile(r"<|>|\\[lg]e(?![a-zA-Z])")
_NAME = re.compile(r"(?:[A-Za-z]|\\(?!infty|pi)[a-z]+)(?:_\{\w+\})?")
_LINE = re.compile(r"\\mathbb\{R\}|\\R(?![a-zA-Z])|\(\s*-\s*\\infty\s*,\s*\+?\s*\\infty\s*\)")
_ALL = "(-\\infty, \\infty)"


@dataclass(frozen=True)
class Relation:
    """An inequality as bounds on the unknown `name`; an end that is None is infinite."""

    name: str
    low: str | None
    high: str | None
    left: str
    """The left bracket: `(` or `[`."""
    right: str
    """The right bracket: `)` or `]`."""

    @property
    def interval(self) -> str:
        """The inequality in interval notation."""
        low, high = self.low or "-\\infty", self.high or "\\infty"
        return f"{self.left}{low}, {high}{self.right}"


def interval(text: str) -> tuple[str, str] | None:
    """Returns the unknown, and the interval or union, of a normal form made of inequalities; None for other text.

    The real line itself has the unknown "".
    """
    if _LINE.fullmatch(text):
        return "", _ALL
    relations = [_relation(each) for each in listed(text)[1]] if _SIGN.search(text) else [None]
    found = [relation for relation in relations if relation]
    if len(found) < len(relations) or len({relation.name for relation in found}) > 1:
        return None
    if len(found) == 2 and (joined := _joined(*found)):
        found = [joined]
    return found[0].name, " \\cup ".join(relation.interval for relation in found)


def _relation(text: str) -> Relation | None:
    """Parses one inequality, or a chain of two in the same direction; None for other text."""
    signs, sides = _SIGN.findall(text), [side.strip() for side in _SIGN.split(text)]
    if not 1 <= len(signs) <= 2 or not all(sides) or "=" in text:
        return None
    if all(sign in (">", "\\ge") for sign in signs):
        signs, sides = [{">": "<", "\\ge": "\\le"}[sign] for sign in reversed(signs)], sides[::-1]
    if not all(sign in ("<", "\\le") for sign in signs):
        return None
    middle = 1 if len(signs) == 2 else next((place for place, side in enumerate(sides) if _NAME.fullmatch(side)), 2)
    if middle == 2 or not _NAME.fullmatch(sides[middle]):
        return None
    low, high = sides[middle - 1] if middle else None, sides[middle + 1] if middle + 1 < len(sides) else None
    left = "[" if low is not None and signs[middle - 1] == "\\le" else "("
    right = "]" if high is not None and signs[middle] == "\\le" else ")"
    return Relation(sides[middle], low, high, left, right)


def _joined(one: Relation, other: Relation) -> Relation | None:
    """Joins two half-lines in opposite directions that overlap into one interval; None for others."""
    above, below = (one, other) if one.low is not None else (other, one)
    if above.low is None or below.high is None or above.high is not None or below.low is not None:
        return None
    low, high = number(above.low), number(below.high)
    if low is None or high is None or low >= high:
        return None
    return Relation(above.name, above.low, below.high, above.left, below.right)
