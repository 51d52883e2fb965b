"""Column schema and column lineage of an artifact in Dagster's form (`r1_pipeline.graph.column_lineage`)."""

from typing import Any

import dagster as dg

from dagster_defs.asset_keys import asset_key
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.column_lineage import columns


def column_metadata(artifact: Artifact, bound: Bound) -> dict[str, Any]:
    """Returns the metadata `dagster/column_schema` and `dagster/column_lineage`, empty for an artifact without rows."""
    table_columns = columns(artifact, bound)
    if not table_columns:
        return {}
    types = dg.TableSchema(columns=[dg.TableColumn(column.name, column.kind, column.about) for column in table_columns])
    origins = {
        column.name: [dg.TableColumnDep(asset_key(origin.asset), origin.column) for origin in column.origins]
        for column in table_columns
        if column.origins
    }
    lineage = {"dagster/column_lineage": dg.TableColumnLineage(origins)} if origins else {}
    return {"dagster/column_schema": types, **lineage}
