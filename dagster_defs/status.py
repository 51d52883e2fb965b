"""Every asset with its state, for `r1 status`: fresh, stale (and why), missing, or rejected by a gate."""

import time
from collections.abc import Callable

import dagster as dg
from dagster import DagsterInstance

from dagster_defs.definitions import definitions
from dagster_defs.drift import Drifts, State
from dagster_defs.io import newest_record
from dagster_defs.settings import Settings
from dagster_defs.waves import Unit
from r1_pipeline.records import Record


class AssetState(Record):
    """One line of `r1 status`."""

    asset: str
    state: State
    digest: str | None
    age: str | None
    why: str


def survey(settings: Settings) -> list[AssetState]:
    """All materializable assets and partitions in topological order; makes nothing."""
    settings.export()
    graph = definitions(settings)
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        drifts = Drifts(settings.home, settings.load(), graph, instance)
        return [_state(instance, unit, drifts) for unit in drifts.units]


def freshness(settings: Settings, instance: DagsterInstance, graph: dg.Definitions) -> Callable[[Unit], bool]:
    """Says of an asset or partition whether it is what would be made now."""
    drifts = Drifts(settings.home, settings.load(), graph, instance)
    return lambda unit: drifts.of(unit).state == "fresh"


def _state(instance: DagsterInstance, unit: Unit, drifts: Drifts) -> AssetState:
    drift = drifts.of(unit)
    record = newest_record(instance, unit.asset, unit.partition)
    made = record.asset_materialization if record else None
    return AssetState(
        asset=unit.name,
        state=drift.state,
        digest=(made.tags or {}).get("dagster/data_version") if made else None,
        age=_age(time.time() - record.timestamp) if record else None,
        why="; ".join(drift.why),
    )


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
