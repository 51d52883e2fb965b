"""The decorator that all assets share: group, owner, code version and kinds from the verb that they call."""

from collections.abc import Callable, Mapping
from datetime import timedelta
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

DEVICE = "device"
"""Pool of what loads a model: as many at once as the profile has lanes, which is one on accelerators."""
WITHOUT_MODEL = frozenset({"curate", "curate_preferences", "collect_general", "merge"})
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=15), warn_window=timedelta(days=8))
"""Overdue after one missed schedule, failed after two."""
FRESHNESS: Mapping[str, dg.FreshnessPolicy] = {"problems": WEEKLY, "evaluation": NIGHTLY}
"""Groups that a schedule makes anew. Sources have none: Dagster counts materializations only, not observations."""


def stage(verb: str, group: str, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for an asset that is one call of `verb`, with kinds, pool, freshness; the docstring is shown."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        group_name=group,
        owners=OWNERS,
        kinds=KINDS[verb],
        code_version=str(VERSIONS[verb]),
        pool=None if verb in WITHOUT_MODEL else DEVICE,
        freshness_policy=FRESHNESS.get(group),
        tags={"r1/verb": verb},
        **options,
    )
    return decorate
