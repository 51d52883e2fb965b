"""This module splits an answer into its value and its qualifier, which describes letters: `2k\\pi, k \\in \\mathbb{Z}`.

A qualifier is written in words ("for any constant c", "for all n", "where C is a constant"), after a comma
(`n \\ge 1`) or in brackets. It may be left out or added; two that name different sets or lower bounds exclude each
other. A condition is no qualifier: "if n is even" and "for even n" imply other cases, and stay part of the answer.
Except after "for all", the letter must occur in the value and must not be the unknown that the value is assigned to:
`x > 5` is no qualifier of `x = 1`. Not covered: upper bounds, and lists of values (`k = 0, 1, 2`).
"""

import re
from dataclasses import dataclass

from r1_pipeline.rewards.latex import compact, unworded

_LETTER = r"(?:[A-Za-z]|\\[a-z]{2,}(?<!\\in))(?:_\{\w+\})?"
_LETTERS = rf"{_LETTER}(?:\s*,\s*{_LETTER})*"
_SETS = {
    "integer": "Z", "integers": "Z", "natural": "N", "real": "R", "reals": "R", "rational": "Q", "complex": "C",
    "整数": "Z", "自然数": "N", "实数": "R",
}  # fmt: skip
_KIND = "arbitrary|fixed|positive|non-?negative|constants?|numbers?|values?|parameters?|任意|常数|正|" + "|".join(_SETS)
_KINDS = rf"(?P<kinds>(?:(?:{_KIND})\s*)+)"
_SET = r"\\in\s*(?:\\mathbb\{(?P<set>[NZQRC])\}|(?P<plain>[NZQRC]))(?P<part>(?:\^|_)\s*(?:\{[^{}]*\}|\S))?"
_RANGE = rf"(?:{_SET}|(?P<sign>>|\\ge)\s*(?P<low>-?\d{{1,9}}))"
_FOR_ALL = re.compile(
    rf"(?:(?:for|where|with)\s*(?:all|any|every|each|some)|\\forall)\s*{_KINDS}?(?P<letters>{_LETTERS})?\s*{_RANGE}?"
)
_OTHERS = [
    re.compile(form)
    for form in (
        rf"(?:for|where|with)\s*{_KINDS}(?P<letters>{_LETTERS})\s*{_RANGE}?",
        rf"(?:(?:where|with|for|其中)\s*)?(?P<letters>{_LETTERS})\s*{_RANGE}",
        rf"(?:(?:where|with|其中)\s*)?(?P<letters>{_LETTERS})\s*(?:(?:is|are)\s+(?:(?:an?|any|some)\s+)?|[为是]){_KINDS}",
    )
]
_GROUPS = ("kinds", "letters", "set", "plain", "part", "sign", "low")
_START = re.compile(r"\\text\{[\s,]*(?=(?:for|where|with)\b)|(?<![a-zA-Z])(?=(?:for|where|with)\b)|\\forall|[,(]|其中")
_MENTION = re.compile(r"\b(?:for|where|with|is|are)\b|\\in|\\forall|\\ge|>|[为是]")
_LONGEST = 1000


@dataclass(frozen=True)
class Qualified:
    """A value, and the set and lower bound of its letters; each is "" if the answer names none."""

    value: str
    set: str = ""
    low: str = ""

    def excludes(self, other: "Qualified") -> bool:
        """True if the two name different sets or different bounds."""
        pairs = ((self.set, other.set), (self.low, other.low))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def qualified(text: str) -> Qualified:
    """Splits a normal form into value and qualifier; the value is the whole text if there is no qualifier."""
    if len(text) > _LONGEST or not _MENTION.search(text):
        return Qualified(text)
    for start in _START.finditer(text):
        value, tail = text[: start.start()].rstrip(" ,"), unworded(text[start.start() :]).strip(" ,")
        if value and value.count("{") == value.count("}") and (found := _read(value, tail)):
            return found
    return Qualified(text)


def _read(value: str, tail: str) -> Qualified | None:
    """Returns the value with its qualifier, or None if the tail is none."""
    if tail.startswith("(") and tail.endswith(")"):
        tail = tail[1:-1].strip()
    universal = _FOR_ALL.fullmatch(tail)
    match = universal or next((match for form in _OTHERS if (match := form.fullmatch(tail))), None)
    if match is None:
        return None
    groups = dict.fromkeys(_GROUPS, "") | {name: text for name, text in match.groupdict().items() if text}
    kinds, letters = groups["kinds"].split(), re.findall(_LETTER, groups["letters"])
    if not (kinds or letters) or (not universal and not all(_free(letter, value) for letter in letters)):
        return None
    named = groups["set"] or groups["plain"] or next((_SETS[kind] for kind in kinds if kind in _SETS), "")
    part = compact(groups["part"])
    if named == "Z" and (part.startswith(("^+", "^{+", "_{>", "_{\\ge")) or {"positive", "正"} & set(kinds)):
        named, part = "N", ""
    low = str(int(groups["low"]) + (groups["sign"] == ">")) if groups["low"] else ""
    return Qualified(value, named + part, low)


def _free(letter: str, value: str) -> bool:
    """Returns True if a letter occurs in the value and is not the unknown that the value is assigned to."""
    found = re.findall(r"\\[a-zA-Z]+|[A-Za-z]_\{\w+\}|[A-Za-z]", value) + re.findall(r"_\{(\w)\}", value)
    related = re.match(rf"\s*{re.escape(letter)}\s*(?:[=<>]|\\(?:in|le|ge|ne)(?![a-z]))", value)
    return letter in found and related is None
