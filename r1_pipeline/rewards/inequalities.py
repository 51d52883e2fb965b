"""Inequalities as the intervals that they describe: `1 < x \\le 2` is (1, 2], `x < 1 or x > 2` a union.

"and" and "or" are one thing in the normal form (`latex.normal`): two half-lines that overlap mean their intersection,
two that do not their union, since nobody says "the whole line" or "nothing" that way. Ends are compared only where they
are literal numbers. Not covered: two unknowns, products of signs, anything that has to be solved.
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
    """What an inequality says of `name`; an end that is None is infinite."""

    name: str
    low: str | None
    high: str | None
    left: str
    """`(` or `[`."""
    right: str

    @property
    def interval(self) -> str:
        """The same as an interval."""
        low, high = self.low or "-\\infty", self.high or "\\infty"
        return f"{self.left}{low}, {high}{self.right}"


def interval(text: str) -> tuple[str, str] | None:
    """(name, interval or union) of a normal form that is made of inequalities, or is the real line; None for others."""
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
    """One inequality, or a chain of two that point the same way."""
    signs, sides = _SIGN.findall(text), [side.strip() for side in _SIGN.split(text)]
    if not 1 <= len(signs) <= 2 or not all(sides) or "=" in text:
        return None
    if all(sign in (">", "\\ge") for sign in signs):
        signs, sides = [{">": "<", "\\ge": "\\le"}[sign] for sign in reversed(signs)], sides[::-1]
    if not all(sign in ("<", "\\le") for sign in signs):
        return None
    at = 1 if len(signs) == 2 else next((place for place, side in enumerate(sides) if _NAME.fullmatch(side)), 2)
    if at == 2 or not _NAME.fullmatch(sides[at]):
        return None
    low, high = sides[at - 1] if at else None, sides[at + 1] if at + 1 < len(sides) else None
    left = "[" if low is not None and signs[at - 1] == "\\le" else "("
    right = "]" if high is not None and signs[at] == "\\le" else ")"
    return Relation(sides[at], low, high, left, right)


def _joined(one: Relation, other: Relation) -> Relation | None:
    """Two half-lines that point at each other and overlap, as one interval."""
    above, below = (one, other) if one.low is not None else (other, one)
    if above.low is None or below.high is None or above.high is not None or below.low is not None:
        return None
    low, high = number(above.low), number(below.high)
    if low is None or high is None or low >= high:
        return None
    return Relation(above.name, above.low, below.high, above.left, below.right)
