"""Column lineage: the columns of an artifact's table, and the upstream columns that each is taken from.

A column has an origin if its value is an upstream value or the mapping's rendering of one. Columns that a stage
computes (a response, a verdict, a seed) have none. `r1 trace` shows the lineage of rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from r1_pipeline.artifacts.kinds import COMPLETIONS, Artifact, Corpus, EvalReport
from r1_pipeline.data.ingest.rendering import columns_named
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.column_docs import column_descriptions
from r1_pipeline.records import Record

ASKED = {"problem_id": "id", "domain": "domain", "language": "language"}
OF_A_PROBLEM = {**ASKED, **{name: name for name in ("source", "licence", "question")}}
TAKEN: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "draft_cold_start": {"problems": OF_A_PROBLEM},
    "rewrite_cold_start": {"problems": OF_A_PROBLEM},
    "rejection_sample": {"problems": OF_A_PROBLEM},
    "collect_general": {"prompts": OF_A_PROBLEM},
    "sample_general": {"prompts": OF_A_PROBLEM},
    "evaluate": {"heldout": ASKED},
}
"""Verb -> edge -> column -> column of the input. `merge` takes every column of every part, `curate` what the mappings
of its sources say."""


class Origin(Record):
    """An upstream column."""

    asset: str
    """Name of a node, or of the source of a user's files (`NAME_source`)."""
    column: str


class Column(Record):
    """One column of a table."""

    name: str
    kind: str
    """Data type as Polars names it."""
    about: str | None
    """Description; None for a column that no record describes."""
    origins: tuple[Origin, ...]


def columns(artifact: Artifact, bound: Bound) -> list[Column]:
    """Returns the columns of an artifact's table in order; empty for an artifact without rows."""
    import polars as pl

    tables = _tables(artifact)
    if not tables:
        return []
    schema = pl.read_parquet_schema(tables[0])
    found = [*_from_inputs(artifact, list(schema), bound), *_from_files(artifact)]
    origins = {name: tuple(dict.fromkeys(each for of, each in found if of == name)) for name in schema}
    about = column_descriptions(artifact)
    return [
        Column(name=name, kind=str(kind), about=about.get(name), origins=origins[name]) for name, kind in schema.items()
    ]


def _tables(artifact: Artifact) -> Sequence[Path]:
    return [artifact.path / COMPLETIONS] if isinstance(artifact, EvalReport) else artifact.tables()


def _from_inputs(artifact: Artifact, names: Sequence[str], bound: Bound) -> Iterator[tuple[str, Origin]]:
    made = artifact.manifest
    for edge, reference in made.inputs.items():
        whole = made.stage == "merge" and reference.kind == Corpus.kind
        taken = {name: name for name in names} if whole else TAKEN.get(made.stage, {}).get(edge, {})
        for name, there in taken.items():
            yield name, Origin(asset=bound.name(reference.name).asset, column=there)


def _from_files(artifact: Artifact) -> Iterator[tuple[str, Origin]]:
    """Yields each column of a curated set with the columns of the user's files that its mapping renders."""
    for source in artifact.manifest.payload["recipe"].get("sources", ()):
        for name, template in source["mapping"].items():
            if isinstance(template, str) and "{" in template:
                for column in sorted(columns_named(template)):
                    yield name, Origin(asset=f"{source['name']}_source", column=column)
