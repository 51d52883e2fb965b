"""Names of what an answer gives a value to: `x = 5`, `n = 2, 3, 4`, `f(x) = cx`, `x \\in \\{1, 2\\}`.

Everything here looks at normal forms (`latex.normal`). Not covered: equations that have to be solved.
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
    """Both without the name of what they give: `x = 5` is 5. Two different names stay, and with them the difference."""
    (name, value), (other, given) = _name(reference), _name(answer)
    if name and not re.search(r"[+-]", name) and (name == other or "=" not in answer):
        reference = value
    if other and (name == other or "=" not in reference):
        answer = given
    return reference, answer


def _name(text: str) -> tuple[str, str]:
    """The name that every element of a list gives a value to, and the values; "" and the text where there is none."""
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
