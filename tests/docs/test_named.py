"""Laws of names in the documentation: the commands, options, make targets, files and Python names in it exist."""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from blocks import ROOT, blocks, pages

from dagster_defs.cli import app
from r1_pipeline import __all__ as public

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
PACKAGES = ("", "r1_pipeline", "dagster_defs", "tests", "r1_pipeline/cli/project")
FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|jsonl|json|txt|yaml)")
LIBRARY = {path.name for path in (ROOT / "r1_pipeline").iterdir() if path.is_dir() and path.name.isidentifier()}
DOTTED = re.compile(
    rf"(?:r1_pipeline|dagster_defs|{'|'.join(sorted(LIBRARY))}|records|registry|engines|errors)(?:\.\w+)+"
)
SUFFIXES = (".py", ".md", ".toml", ".json", ".jsonl", ".html", ".parquet")


def named(page: str) -> Iterator[str]:
    """The texts of a page in backquotes, and the lines of its `bash` blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    yield from (found[1] for found in INLINE.finditer(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))
    for block in blocks(page):
        if block.info.startswith("bash"):
            yield from block.body.splitlines()


def calls(page: str, program: str) -> Iterator[list[str]]:
    """The arguments of each call of a program on a page, such as `r1` or `make`."""
    for text in named(page):
        for words in re.findall(rf"(?:^|&& |\| ){program} ([^|&]*)", re.sub(r"(?:^|\s)#.*", "", text)):
            yield shlex.split(words.replace("[", " ").replace("]", " "))


@pytest.mark.parametrize("page", pages())
def test_a_command_has_the_options_that_it_is_given(page: str) -> None:
    for name, *words in calls(page, "r1"):
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        unknown = {word for word in words if word.startswith("--") and word not in {*options, "--help"}}
        assert unknown == set(), f"{page}: r1 {name}"


@pytest.mark.parametrize("page", pages())
def test_a_target_is_in_the_makefile(page: str) -> None:
    for words in calls(page, "make"):
        assert {word for word in words if "=" not in word} <= TARGETS, f"{page}: make {words}"


@pytest.mark.parametrize("page", pages())
def test_a_file_of_the_repository_is_where_it_is_named(page: str) -> None:
    files = {text for text in named(page) if FILE.fullmatch(text) and not Path(text).stem.isupper()}
    tops = {path.name for package in PACKAGES for path in (ROOT / package).iterdir()}
    own = {name for name in files if name.partition("/")[0] in tops}
    assert {name for name in own if not any((ROOT / package / name).exists() for package in PACKAGES)} == set()


@pytest.mark.parametrize("page", pages())
def test_a_python_name_can_be_imported(page: str) -> None:
    names = {text.partition("(")[0] for text in named(page)}
    dotted = {name for name in names if DOTTED.fullmatch(name) and not name.endswith(SUFFIXES)}
    assert {name for name in dotted if not importable(name)} == set()


def importable(name: str) -> bool:
    """True for a module, which is found and not imported, or an attribute of one; `r1_pipeline` may be left out."""
    parts = name.split(".") if name.startswith(("r1_pipeline", "dagster_defs")) else ["r1_pipeline", *name.split(".")]
    for length in range(len(parts), 0, -1):
        try:
            there = find_spec(".".join(parts[:length]))
        except ModuleNotFoundError:  # what stands before the last dot is no package
            continue
        if there is not None:
            found: object = import_module(there.name) if length < len(parts) else there
            for attribute in parts[length:]:
                found = getattr(found, attribute, None)
            return found is not None
    return False


def test_the_reference_shows_every_public_name_once() -> None:
    shown = re.findall(r"^::: r1_pipeline\.(\w+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.M)
    assert sorted(shown) == sorted(public)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_link_outside_the_site_leads_somewhere(page: str) -> None:
    """Checks the two pages that the site's own check of links does not see where they lie."""
    links = re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    for file, anchor in links:
        path = ROOT / (file or page)
        assert path.exists(), f"{page}: {file}"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {file}#{anchor}"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site spell them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("records.Problem", True),
        ("r1_pipeline.graph.node", True),
        ("dagster_defs.definitions", True),
        ("records.Exercise", False),
        ("graph.nodes", False),
        ("r1_pipeline.graph.node.Graph.deriving", True),
    ],
)
def test_a_name_is_found_or_not(name: str, there: bool) -> None:
    assert importable(name) is there
