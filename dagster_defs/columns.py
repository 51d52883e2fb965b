"""Columns of an artifact's table, for Dagster: their types, and which columns upstream each is taken from.

Taken over means: the value stands in the upstream row as it is, or is the mapping's rendering of it. Columns that a
stage makes itself (a response, a verdict, a seed) have no origin. Not covered: rows (`r1 trace`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_defs.keys import asset_key
from r1_pipeline.artifacts.kinds import COMPLETIONS, Artifact, Corpus, EvalReport
from r1_pipeline.data.ingest.rendering import columns_named
from r1_pipeline.graph.bound import Bound

ASKED = {"problem_id": "id", "domain": "domain", "language": "language"}
OF_A_PROBLEM = {**ASKED, **{name: name for name in ("source", "licence", "question")}}
TAKEN: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "draft_cold_start": {"problems": OF_A_PROBLEM},
    "rejection_sample": {"problems": OF_A_PROBLEM},
    "collect_general": {"prompts": OF_A_PROBLEM},
    "evaluate": {"heldout": ASKED},
}
"""Verb -> edge -> column -> column of the input. `merge` takes every column of every part, `curate` what the mappings
of its sources say."""

Origin = tuple[str, dg.TableColumnDep]
"""A column, and one that it is taken from."""


def columns(artifact: Artifact, bound: Bound) -> dict[str, Any]:
    """Metadata `dagster/column_schema` and `dagster/column_lineage`; empty for what has no rows."""
    import polars as pl

    tables = _tables(artifact)
    if not tables:
        return {}
    schema = pl.read_parquet_schema(tables[0])
    origins: dict[str, list[dg.TableColumnDep]] = {}
    for name, origin in (*_from_inputs(artifact, list(schema), bound), *_from_files(artifact)):
        if name in schema:
            known = origins.setdefault(name, [])
            if origin not in known:  # all partitions of an asset are one origin
                known.append(origin)
    types = dg.TableSchema(columns=[dg.TableColumn(name, str(kind)) for name, kind in schema.items()])
    lineage = {"dagster/column_lineage": dg.TableColumnLineage(origins)} if origins else {}
    return {"dagster/column_schema": types, **lineage}


def _tables(artifact: Artifact) -> Sequence[Path]:
    return [artifact.path / COMPLETIONS] if isinstance(artifact, EvalReport) else artifact.tables()


def _from_inputs(artifact: Artifact, names: Sequence[str], bound: Bound) -> Iterator[Origin]:
    made = artifact.manifest
    for edge, reference in made.inputs.items():
        whole = made.stage == "merge" and reference.kind == Corpus.kind
        taken = {name: name for name in names} if whole else TAKEN.get(made.stage, {}).get(edge, {})
        for name, there in taken.items():
            yield name, dg.TableColumnDep(asset_key(bound.name(reference.name).asset), there)


def _from_files(artifact: Artifact) -> Iterator[Origin]:
    """Columns of the user's files, as the mapping of each source names them in the field of that name."""
    for source in artifact.manifest.payload["recipe"].get("sources", ()):
        for name, template in source["mapping"].items():
            if isinstance(template, str) and "{" in template:
                for column in sorted(columns_named(template)):
                    yield name, dg.TableColumnDep(dg.AssetKey(f"{source['name']}_source"), column)
