"""This module extracts the program from the final part of a reply: a fenced block of Markdown.

A fence is three or more backticks or tildes. It opens at the beginning of a line, after white space and list markers if
there are any, or at the end of a line that begins with words, if its tag has no spaces. It closes at a line with at
least as many of the same characters, indented by at most three spaces more than the opening fence, or at the end of the
reply's last line; a fence that is indented further, or that shares its line with other text, is part of the program.
Lines lose the indentation of their fence if all have it. The tag is the first word after the fence: `python`,
`py title="a.py"`, `{.cpp}`. CommonMark has the same rules except for words before a fence, a reply that ends with one,
and HTML, where a `<details>` would hide the code; therefore no Markdown parser is used.

The program is the block whose tag names its language; if there is none, the block without a tag; if there is no fence
at all, the whole final part. The latter two are read as Python. There is no program if several blocks differ, or if a
fence is left open.
"""

import re
from typing import NamedTuple

from r1_pipeline.rewards.sandbox.runner import Program, ProgramLanguage

_MAX_PROGRAM = 64_000
_INDENT = r"(?P<indent>[ \t]*(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)*)"
_OPENS = re.compile(_INDENT + r"(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
_OPENS_LATE = re.compile(_INDENT + r"(?:(?!```).)*[^`](?P<fence>`{3,})(?P<info>[A-Za-z0-9+]*)[ \t]*")
_TAG = re.compile(r"[ \t{.]*([A-Za-z0-9+]*)")
_DEEPER = 3
_TAGS: dict[str, ProgramLanguage] = {
    "python": "python", "python3": "python", "py": "python", "cpp": "cpp", "c++": "cpp", "cc": "cpp",
}  # fmt: skip


class _Block(NamedTuple):
    tag: str
    text: str


def extract_program(final: str) -> Program | None:
    """Returns the program in the final part of a reply by the module's rules; None if it is missing or too long."""
    blocks = _blocks([line.rstrip("\r") for line in final.split("\n")])
    if blocks is None:
        return None
    tagged = {Program(source=text, language=_TAGS[tag]) for tag, text in blocks if tag in _TAGS}
    untagged = {text for tag, text in blocks if not tag} if blocks else {final.strip()}
    programs = tagged or {Program(source=text, language="python") for text in untagged}
    program = programs.pop() if len(programs) == 1 else None
    return program if program and 0 < len(program.source) <= _MAX_PROGRAM else None


def _blocks(lines: list[str]) -> list[_Block] | None:
    """Returns the fenced blocks in order; None if a fence is left open."""
    blocks: list[_Block] = []
    place = 0
    while place < len(lines):
        opening = _OPENS.fullmatch(lines[place]) or _OPENS_LATE.fullmatch(lines[place])
        place += 1
        if opening is None:
            continue
        width, fence = len(opening["indent"]), opening["fence"]
        end = next((line for line in range(place, len(lines)) if _closes(lines[line], fence, width)), None)
        if end is None:
            return _ended_by_its_last_line(blocks, opening, lines[place:])
        blocks.append(_block(opening, lines[place:end]))
        place = end + 1
    return blocks


def _ended_by_its_last_line(blocks: list[_Block], opening: re.Match[str], rest: list[str]) -> list[_Block] | None:
    text = "\n".join(rest).rstrip()
    bare = text.removesuffix(opening["fence"])
    return None if bare == text or not bare else [*blocks, _block(opening, bare.split("\n"))]


def _block(opening: re.Match[str], lines: list[str]) -> _Block:
    found = _TAG.match(opening["info"])
    assert found is not None
    width = min([len(opening["indent"]), *(_indent(line) for line in lines if line.strip())])
    text = "\n".join(line[width:] for line in lines)
    return _Block(found[1].lower(), text.strip("\n"))


def _closes(line: str, fence: str, width: int) -> bool:
    bare = line.strip(" \t")
    return len(bare) >= len(fence) and set(bare) == {fence[0]} and _indent(line) <= width + _DEEPER


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
