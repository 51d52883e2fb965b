"""This module strips the name from an answer that assigns a value: `x = 5`, `n = 2, 3`, `f(x) = cx`, `x \\in \\{1\\}`.

It works on normal forms (`latex.normal`). Not covered: equations that have to be solved.
"""

import re

from r1_pipeline.rewards.latex import compact, listed

_NAMED = re.compile(
    r"(?=[^=]{0,80}[A-Za-z])(?!-|[^=]{0,80}[a-z]{2}\s+-\S)(?P<name>"  # -x is no name, nor is it in "Hence -x"
    r"(?>(?!\\in(?![a-z]))\\?[A-Za-z]++|_\{[^{}]*\}|\([^()=<>]*\)|\{[A-Za-z\\ ]*\}|['+\s|-])++)"
    r"(?:=|\\in(?![a-z]))\s*(?P<value>[^=<>]+)"
)
_RELATED = re.compile(r"[=<>]|\\(?:in|le|ge|ne)(?![a-z])")


def unnamed(reference: str, answer: str) -> tuple[str, str]:
    """Returns both sides without the name: `x = 5` becomes 5; two different names stay, so that the sides differ."""
    (name, value), (other, given) = _name(reference), _name(answer)
    if name and not re.search(r"[+-]", name) and (name == other or "=" not in answer):
        reference = value
    if other and (name == other or "=" not in reference):
        answer = given
    return reference, answer


def _name(text: str) -> tuple[str, str]:
    """Returns the name to which every element of a list assigns a value, and the values; "" and the text if none."""
    if "=" not in text and "\\in" not in text:
        return "", text
    elements = listed(text)[1]
    matches = [_NAMED.fullmatch(each) for each in elements]
    names = {compact(match["name"]) if match else "" for match in matches}
    if (first := matches[0]) and not any(matches[1:]) and not _RELATED.search(", ".join(elements[1:])):
        return compact(first["name"]), ", ".join([first["value"].strip(), *elements[1:]])  # n = 2, 3, 4
    if len(names) > 1 or "" in names:
        return "", text
    return names.pop(), ", ".join(match["value"].strip() for match in matches if match)
