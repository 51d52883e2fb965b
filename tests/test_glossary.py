"""Laws of the glossary: one row a term, in alphabetical order, and every name of code in it exists."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

GLOSSARY = Path(__file__).parents[1] / "docs" / "glossary.md"
ROW = re.compile(r"\| (?P<term>[^|]+) \| (?P<meaning>[^|]+\.) \| `(?P<code>[a-z0-9_]+(?:\.\w+)+)` \|")


def rows() -> list[re.Match[str]]:
    """The rows of the table; a line of the table that is no term, meaning and name fails here."""
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("|")][2:]
    found = [(line, ROW.fullmatch(line)) for line in lines]
    assert [line for line, row in found if row is None] == []
    return [row for _, row in found if row]


def test_terms_are_in_alphabetical_order_each_once() -> None:
    terms = [row["term"].casefold() for row in rows()]
    assert len(terms) > 50
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("code", sorted({row["code"] for row in rows()}))
def test_a_name_of_code_exists(code: str) -> None:
    package, name = code.rsplit(".", 1)
    assert hasattr(resolve_name(package), name)
