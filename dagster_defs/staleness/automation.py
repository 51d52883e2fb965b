"""Automatic re-runs: every asset that is out of date is requested once for each state that it should be in.

Automation is level-triggered. Every tick compares the desired build of each asset with its recorded build (`resolver`),
so a daemon that was down, a killed run or a second change in the meantime lose nothing, and unchanged bytes upstream
cost nothing. An asset waits until everything upstream that re-runs automatically is done. A failed attempt is not
repeated until something changes. The profile decides which groups re-run at once, in a time window, or only on
approval.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
from dagster import AssetKey

from dagster_defs.asset_keys import node_name
from dagster_defs.dagster_private import AssetGraphView, AssetKeyPartitionKey
from dagster_defs.settings import Settings
from dagster_defs.sources import is_being_written
from dagster_defs.staleness.resolver import StalenessResolver
from dagster_defs.staleness.source_sensor import observe_sources
from r1_pipeline.settings.reruns import Rerun

TICK_SECONDS = 15
_resolvers: "WeakKeyDictionary[AssetGraphView, StalenessResolver]" = WeakKeyDictionary()
"""States of one tick, computed once for all assets that the tick evaluates."""


class OutOfDate(dg.AutomationCondition[AssetKey]):
    """True for partitions whose desired build differs from the recorded one and has not been requested yet.

    The cursor holds, per partition, the fingerprints offered at the last tick and the fingerprints already requested.
    """

    @property
    def description(self) -> str:
        return "is out of date, and no upstream asset is about to re-run"

    def evaluate(self, context: dg.AutomationContext[AssetKey]) -> dg.AutomationResult[AssetKey]:
        resolver, key = _resolver_of(context.asset_graph_view), context.key
        last = json.loads(context.cursor or '{"offered": {}, "requested": {}}')
        requested: dict[str, str] = last["requested"]
        before = context.get_previous_requested_subset(key)
        for unit in before.expensively_compute_asset_partitions() if before else ():
            partition = unit.partition_key or ""
            if partition in last["offered"]:
                requested[partition] = last["offered"][partition]
        node = resolver.profile.graph.node(node_name(key))
        waits = _waits_for_upstream(context, resolver) or is_being_written(resolver.profile, node)
        desired = {} if waits else dict(_out_of_date(resolver, key))
        due = {partition for partition, fp in desired.items() if requested.get(partition) != fp}
        cursor = json.dumps({"offered": desired, "requested": requested})
        return dg.AutomationResult(context, _subset(context, due), cursor=cursor)


@dataclass(frozen=True)
class InWindow(dg.AutomationCondition[AssetKey]):
    """True during some hours after each tick of a cron schedule."""

    cron: str
    hours: float

    @property
    def name(self) -> str:
        return f"in_window({self.cron}, {self.hours} h)"

    @property
    def description(self) -> str:
        return f"within {self.hours} h after {self.cron} (UTC)"

    def evaluate(self, context: dg.AutomationContext[AssetKey]) -> dg.AutomationResult[AssetKey]:
        began = context.asset_graph_view.compute_previous_cron_tick(cron_schedule=self.cron, cron_timezone="UTC")
        open_ = context.evaluation_time - began < timedelta(hours=self.hours)
        return dg.AutomationResult(context, context.candidate_subset if open_ else context.get_empty_subset())


def condition(rerun: Rerun) -> dg.AutomationCondition[AssetKey] | None:
    """Returns the automation condition of an asset, or None if a person has to approve its re-runs."""
    if rerun.when == "on approval":
        return None
    due: dg.AutomationCondition[AssetKey] = OutOfDate()
    due &= ~dg.AutomationCondition.in_progress() & ~dg.AutomationCondition.any_deps_in_progress()
    return (due & InWindow(rerun.cron, rerun.hours) if rerun.when == "in a window" else due).with_label(rerun.when)


def sensor(running: bool) -> dg.AutomationConditionSensorDefinition:
    """Returns the sensor that evaluates all conditions, which is on from the start if `running`."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(include_sources=True),
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=TICK_SECONDS,
        emit_backfills=False,
        use_user_code_server=True,
        description="Re-runs out-of-date assets, where the profile allows it.",
    )


def _resolver_of(view: AssetGraphView) -> StalenessResolver:
    if view not in _resolvers:
        settings = Settings.from_environment()
        profile = settings.load()
        observe_sources(view.instance, profile)
        _resolvers[view] = StalenessResolver(settings.home, profile, view.instance)
    return _resolvers[view]


def _out_of_date(resolver: StalenessResolver, key: AssetKey) -> Iterator[tuple[str, str]]:
    """Yields partition (or an empty string) and desired fingerprint of each artifact that can and should be made."""
    for unit in resolver.bound.names_of(node_name(key)):
        staleness = resolver.of(unit)
        if staleness.desired_fingerprint is not None and staleness.state in ("missing", "stale"):
            yield unit.partition or "", staleness.desired_fingerprint


def _waits_for_upstream(context: dg.AutomationContext[AssetKey], resolver: StalenessResolver) -> bool:
    """Returns True if an upstream asset is out of date and will re-run automatically."""
    graph = context.asset_graph
    return any(
        resolver.of(unit).state in ("missing", "stale")
        for above in graph.get_ancestor_asset_keys(context.key) & graph.materializable_asset_keys
        if graph.get(above).automation_condition is not None
        for unit in resolver.bound.names_of(node_name(above))
    )


def _subset(context: dg.AutomationContext[AssetKey], partitions: set[str]) -> Any:
    units = {AssetKeyPartitionKey(context.key, partition or None) for partition in partitions}
    return context.asset_graph_view.get_asset_subset_from_asset_partitions(context.key, units)
