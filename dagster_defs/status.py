"""Every asset with its state: fresh, stale (and why), or missing.

Dagster's own staleness decides: code versions hold the recipe, data versions the content. Where the recipe has changed,
the fields that differ are named, old value and new.
"""

import time
from collections.abc import Callable
from typing import Any, Literal

import dagster as dg
from dagster import AssetKey, DagsterInstance
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dagster_defs.definitions import definitions, recipe_of
from dagster_defs.io import newest_record
from dagster_defs.metadata import ADDRESS
from dagster_defs.settings import Settings
from dagster_defs.tracking import flatten
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.profiles import PipelineRecipe, load_profile
from r1_pipeline.recipe import canonical_value
from r1_pipeline.records import Record

NAMED_FIELDS = 4
"""How many changed recipe fields are spelled out."""


class AssetState(Record):
    """One line of `r1 status`."""

    asset: str
    state: Literal["fresh", "stale", "missing"]
    digest: str | None
    age: str | None
    why: str


def survey(settings: Settings) -> list[AssetState]:
    """All materializable assets and partitions in topological order; makes nothing."""
    settings.export()
    graph = definitions(settings).resolve_asset_graph()
    recipe = load_profile(settings.profile, settings.seed).recipe
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        rows = []
        for key in graph.toposorted_asset_keys:
            if key in graph.materializable_asset_keys:
                cut = graph.get(key).partitions_def
                for partition in cut.get_partition_keys() if cut else [None]:
                    rows.append(_state(settings, instance, resolver, recipe, key, partition))
        return rows


def freshness(instance: DagsterInstance, graph: dg.Definitions) -> Callable[[AssetKey, str | None], bool]:
    """Says of an asset (and partition) whether Dagster holds it fresh."""
    resolver = CachingStaleStatusResolver(instance, graph.resolve_asset_graph(), LoadingContextForTest(instance))
    return lambda key, partition: resolver.get_status(key, partition) is StaleStatus.FRESH


def _state(
    settings: Settings,
    instance: DagsterInstance,
    resolver: CachingStaleStatusResolver,
    recipe: PipelineRecipe,
    key: AssetKey,
    partition: str | None,
) -> AssetState:
    name = "/".join([*key.path, partition] if partition else key.path)
    record = newest_record(instance, key, partition)
    if record is None or record.asset_materialization is None:
        return AssetState(asset=name, state="missing", digest=None, age=None, why="never materialized")
    made = record.asset_materialization
    causes = [
        f"{cause.dependency.asset_key.to_user_string()}: {cause.reason}" if cause.dependency else cause.reason
        for cause in resolver.get_stale_causes(key, partition)
    ]
    stale = resolver.get_status(key, partition) is StaleStatus.STALE
    address = made.metadata.get(ADDRESS)
    if stale and address is not None:
        own = recipe_of(recipe, key, partition)
        own = own.grade if isinstance(own, EvaluateRecipe) else own  # the recipe of asking is in the answers
        causes = _changed_fields(settings.home / str(address.value), own) or causes
    return AssetState(
        asset=name,
        state="stale" if stale else "fresh",
        digest=(made.tags or {}).get("dagster/data_version"),
        age=_age(time.time() - record.timestamp),
        why="; ".join(causes) if stale else "",
    )


def _changed_fields(artifact: Any, recipe: Any) -> list[str]:
    """`recipe.steps 96 -> 120` for each field that differs from what the newest artifact was made with."""
    if recipe is None:
        return []
    before = dict(flatten(read_manifest(artifact).payload["recipe"]))
    after = dict(flatten(canonical_value(recipe)))
    changed = [
        f"recipe.{name} {before.get(name)} → {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    more = len(changed) - NAMED_FIELDS
    return changed[:NAMED_FIELDS] + ([f"and {more} more fields"] if more > 0 else [])


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
