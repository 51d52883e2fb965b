"""Reads the fenced blocks of the documentation, and says of each how it is run or why it is not.

A block with a title is a file: it is written into the folder of its page, for the blocks below it. Other Python blocks
are programs, each complete; `bash` blocks are commands. A comment above a block, `<!-- not run: REASON -->` or
`<!-- run by tests/FILE -->`, takes it out. Run as a script, `python tests/docs/blocks.py`
prints how many blocks of each kind there are.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?^(?P<fence>```+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence) *$", re.M | re.S
)
INFO = re.compile(r'(?P<language>\w+)(?: title="(?P<title>[\w./-]+)")?')
MARK = re.compile(r"not run: (?P<reason>\w.{3,})|run by (?P<test>tests/[\w/]+\.py)")
INCLUDED = re.compile(r'\{% include "\.\./(?P<file>examples/[\w.]+)" %\}')
COMMAND = re.compile(r"^\s*(?:\$ )?(?:r1|make|pip|python|git|ray) ", re.M)


Shell = Callable[[Path, str], "subprocess.CompletedProcess[str]"]
"""Runs a command line in a folder."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    mark: str
    info: str
    body: str

    @property
    def place(self) -> str:
        """The page and line, as editors take them."""
        return f"{self.page}:{self.line}"

    @property
    def title(self) -> str:
        """The name of the file that the block is, or nothing."""
        found = INFO.fullmatch(self.info)
        return (found["title"] or "") if found else ""

    @property
    def kind(self) -> str:
        """One of `marked`, `included`, `file`, `program`, `commands` and `text`; raises `ValueError` for others."""
        found, body = INFO.fullmatch(self.info), self.body.strip()
        if self.mark and not MARK.fullmatch(self.mark):
            raise ValueError(
                f"{self.place}: <!-- {self.mark} --> is no mark; write `not run: REASON` or `run by tests/FILE`"
            )
        if not found:
            raise ValueError(f"{self.place}: the block needs a language, and may have a title")
        if self.mark:
            return "marked"
        if INCLUDED.fullmatch(body):
            return "included"
        if found["title"]:
            return "file"
        if found["language"] == "text" and not COMMAND.search(body):
            return "text"
        kinds = {"python": "program", "bash": "commands"}
        if found["language"] not in kinds:
            raise ValueError(f"{self.place}: a {found['language']} block is a file with a title, or carries a mark")
        return kinds[found["language"]]


def pages() -> list[str]:
    """The pages of the documentation, relative to the repository's root."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("fence")) + 1, found["mark"] or "", found["info"], found["body"])
        for found in FENCE.finditer(text)
    ]


def main() -> None:
    """Prints how many blocks of each kind there are, and the marked ones."""
    everything = [block for page in pages() for block in blocks(page)]
    for kind, count in Counter(block.kind for block in everything).most_common():
        sys.stdout.write(f"{count:4} {kind}\n")
    for block in everything:
        if block.kind == "marked":
            sys.stdout.write(f"{block.place}: {block.mark}\n")


if __name__ == "__main__":
    main()
