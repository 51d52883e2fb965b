"""The decorator that all assets share: group, owner, code version and kinds from the verb that they call."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from r1_pipeline.stages import VERSIONS

OWNERS = ["team:r1"]
KINDS: Mapping[str, set[str]] = {
    "pretrain": {"pytorch", "transformers"},
    "curate": {"python", "parquet"},
    "curate_preferences": {"python", "parquet"},
    "reinforce": {"pytorch", "trl"},
    "draft_cold_start": {"transformers", "parquet"},
    "finetune": {"pytorch", "trl"},
    "rejection_sample": {"transformers", "parquet"},
    "collect_general": {"polars", "parquet"},
    "merge": {"polars", "parquet"},
    "fit_preference": {"pytorch", "trl"},
    "distill": {"pytorch", "trl"},
    "evaluate": {"transformers", "parquet"},
    "compare_preferences": {"pytorch", "parquet"},
}


def stage(verb: str, group: str, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for an asset that is one call of `verb`; the docstring is what the user interface shows."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        group_name=group,
        owners=OWNERS,
        kinds=KINDS[verb],
        code_version=str(VERSIONS[verb]),
        tags={"r1/verb": verb},
        **options,
    )
    return decorate
