"""Reads the English of this repository and names its faults: words to avoid, and docstrings that are no sentences.

Run as a script, `python tests/prose.py`, it takes the files that became clean off the list of those that are not; with
names of files it prints their faults instead.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("r1_pipeline", "dagster_defs", "examples", "benchmarks", "tests", "docs")
GOLDEN = Path(__file__).parent / "golden"
LIST = GOLDEN / "not_yet.txt"
"""Files whose English has faults still, one a line. The list only shrinks."""

DATA = ("CHANGELOG.md", "tests/golden/", "tests/test_prose.py")
"""Files whose texts are history, data or samples of faults."""

OPENER = re.compile(
    r"(Above|As|At|Because|Below|Beside|By|For|From|How|If|In|None|Not|Of|On|So|That|To|Under|What|When|Where|Whether|Which"
    r"|Who|Whose|Why|With)\b"
)
"""First words that make a docstring an answer to a question, or a fragment."""

FIRST = re.compile(r"[A-Z`].*\.[)\"'`]?", re.DOTALL)
"""A first paragraph: it begins with a capital letter or a name in backquotes, and ends with a full stop."""

CODE = re.compile(r"``.+?``|`[^`]*`|https?://\S+|\]\([^)]*\)", re.DOTALL)
FENCE = re.compile(r"^[ \t]*```.*?^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"(?:^|\s)#(.*)$", re.MULTILINE)

Text = tuple[int, str]
"""The line that a text begins at, and the text."""


def words() -> list[tuple[re.Pattern[str], str]]:
    """The words to avoid, each with what to write instead."""
    table = tomllib.loads((GOLDEN / "words.toml").read_text(encoding="utf-8"))["word"]
    spaced = [(row["words"].replace(" ", r"\s+"), row["instead"]) for row in table]
    return [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), instead) for pattern, instead in spaced]


WORDS = words()


def files(root: Path = ROOT) -> list[str]:
    """The files whose English is checked, relative to the repository's root."""
    paths = [*root.glob("*.md"), *root.glob("*.toml")]
    for folder in FOLDERS:
        paths += [path for path in (root / folder).rglob("*") if path.suffix in (".py", ".md", ".toml")]
    return sorted(name for path in paths if not (name := path.relative_to(root).as_posix()).startswith(DATA))


def docstrings(tree: ast.AST) -> Iterator[Text]:
    """The docstrings of a module, its classes and functions, and the strings that describe fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value.strip()


def strings(tree: ast.AST) -> Iterator[Text]:
    """Every string literal that has a space; a key or a name has none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def comments(source: str) -> Iterator[Text]:
    """The comments of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def found_words(texts: Iterator[Text]) -> Iterator[Text]:
    """The words to avoid in these texts, outside names in backquotes and addresses."""
    for line, text in texts:
        plain = CODE.sub(lambda code: "_" + "\n" * code[0].count("\n"), text)
        for pattern, instead in WORDS:
            for hit in pattern.finditer(plain):
                at = line + plain.count("\n", 0, hit.start())
                yield at, f"`{' '.join(hit[0].split())}`: write {instead}"


def fragments(texts: Iterator[Text]) -> Iterator[Text]:
    """The docstrings that do not begin or end as a sentence does."""
    for line, text in texts:
        first = text.partition("\n\n")[0].strip()
        start = " ".join(first.split())[:50]
        if opener := OPENER.match(text):
            yield line, f"a docstring opens with `{opener[0]}`; say what the thing is or does: {start}"
        elif not FIRST.fullmatch(first):
            yield line, f"a docstring's first paragraph is a sentence, from a capital letter to a full stop: {start}"


def faults(name: str, source: str) -> list[str]:
    """The faults in the English of one file, as `name:line: fault`."""
    if name.endswith(".py"):
        tree = ast.parse(source)
        found = [*fragments(docstrings(tree)), *found_words(strings(tree)), *found_words(comments(source))]
    elif name.endswith(".md"):
        bare = FENCE.sub(lambda block: "\n" * block[0].count("\n"), source)
        blocks = ((source.count("\n", 0, b.start()) + 1, b[0]) for b in FENCE.finditer(source))
        inside = [(line + b.count("\n", 0, hit.start(1)), hit[1]) for line, b in blocks for hit in COMMENT.finditer(b)]
        found = [*found_words(iter([(1, bare)])), *found_words(iter(inside))]
    else:
        remarks = [(source.count("\n", 0, hit.start(1)) + 1, hit[1]) for hit in COMMENT.finditer(source)]
        found = list(found_words(iter(remarks)))
    return [f"{name}:{line}: {what}" for line, what in sorted(set(found))]


def faults_of(name: str) -> list[str]:
    """The faults in the English of a file of this repository."""
    return faults(name, (ROOT / name).read_text(encoding="utf-8"))


def not_yet() -> set[str]:
    """The files on the list of those that are not clean."""
    return set(LIST.read_text(encoding="utf-8").split())


def main(named: list[str]) -> None:
    """Prints the faults of the files named, or takes clean files off the list."""
    if named:
        sys.stdout.write("".join(f"{fault}\n" for name in named for fault in faults_of(name)))
        return
    still = [name for name in files() if name in not_yet() and faults_of(name)]
    LIST.write_text("".join(f"{name}\n" for name in still), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
