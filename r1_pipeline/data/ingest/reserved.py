"""Shipped benchmarks whose `use` is `evaluate` are refused as training data, and so are texts with their canaries.

A canary is a string that a publisher puts into benchmark data, so that a text which holds it is known to come from
there. Benchmarks are read from `data/benchmarks` (`evaluation.benchmarks` has the whole format). Not covered: items of
a benchmark in other words than its files have, which screening finds where the data is at hand (`data.screening`).
"""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Record

SHIPPED = files("r1_pipeline.data") / "benchmarks"


class ReservedSet(Record):
    """A benchmark that nothing may be trained on."""

    name: str
    title: str
    digest: str | None = None
    """The digest of its problems."""
    hub: str | None = None
    """Its data set of the Hugging Face Hub."""
    files: tuple[str, ...] = ()
    """Its files there."""
    canary: str | None = None


@cache
def reserved_sets() -> tuple[ReservedSet, ...]:
    """Returns the shipped benchmarks that nothing may be trained on, by name."""
    entries = sorted((entry for entry in SHIPPED.iterdir() if entry.name.endswith(".toml")), key=lambda each: each.name)
    tables = {entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text(encoding="utf-8")) for entry in entries}
    facts = ("title", "digest", "hub", "files", "canary")
    return tuple(
        ReservedSet.model_validate({"name": name, **{fact: table[fact] for fact in facts if fact in table}})
        for name, table in tables.items()
        if table.get("use", "evaluate") == "evaluate"
    )


def canaries() -> dict[str, str]:
    """Returns the names of the shipped benchmarks that have a canary, by canary."""
    return {each.canary: each.name for each in reserved_sets() if each.canary}


def require_no_hub_files(source: str, hub: str, names: Collection[str]) -> None:
    """Raises `RecipeError` if files of a data set of the Hub, which a source trains on, are those of a benchmark."""
    for each in reserved_sets():
        if each.hub == hub and (shared := sorted(set(each.files) & set(names))):
            raise RecipeError(
                f"source {source} takes {shared[0]} of {hub}, which is the benchmark {each.name}: nothing may be "
                'trained on it; set side = "heldout", or leave it out'
            )


def reserved_by_digest(digest: str) -> str | None:
    """Returns the name of the benchmark whose problems have this digest; None if there is none."""
    return next((each.name for each in reserved_sets() if each.digest == digest), None)


def canary_owner(columns: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
    """Returns the benchmark, of the values of `known`, whose canary occurs in a column of a row; None if none does."""
    return next((known[canary] for text in _texts(columns) for canary in known if canary in text), None)


def _texts(columns: Mapping[str, Any]) -> Iterator[str]:
    """Yields every text of a row, nested ones and keys too; bytes that are no text are left out."""
    pending: list[Any] = [columns]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            pending.extend((*value, *value.values()))
        elif isinstance(value, Iterable) and not isinstance(value, bytes):
            pending.extend(value)
