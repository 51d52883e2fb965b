"""Computes and renders the table of `r1 status`: the state of every asset, the reasons, and the planned cost of a
re-run.
"""

import time
from collections.abc import Iterable, Iterator

from rich.markup import escape
from rich.table import Table

from dagster_defs.asset_keys import asset_key
from dagster_defs.assets import rerun_of
from dagster_defs.instance import read_only_instance
from dagster_defs.io_manager import latest_record
from dagster_defs.settings import Settings
from dagster_defs.staleness.execution_plan import dependencies, descendants
from dagster_defs.staleness.resolver import StalenessResolver, State
from r1_pipeline.cli.plan import hours_text
from r1_pipeline.planning.hardware import accelerator_of
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Record
from r1_pipeline.settings.reruns import When

COLOURS = {"fresh": "green", "stale": "yellow", "missing": "dim", "failed gate": "red"}
MAX_REASONS_SHOWN = 6
"""Number of reasons that the table lists for one asset."""


class AssetState(Record):
    """One row of `r1 status`."""

    asset: str
    """Asset key, with the partition after a slash."""
    select: str
    """Argument of `r1 run --select` that makes this asset."""
    state: State
    digest: str | None
    age: str | None
    why: tuple[str, ...]
    """Values that differ, old and new; gates that failed; inputs that are missing."""
    overrides: tuple[str, ...]
    """Fields of its recipe that differ from the profile's because a user has set them, old and new value."""
    follows: When
    """Re-run policy: automatic, in a window, or on approval."""
    hours: float
    """Planned device hours to make this asset again."""
    hours_below: float
    """Planned device hours of everything downstream, which re-runs too if the content changes."""


def asset_states(settings: Settings) -> list[AssetState]:
    """Returns the state of all materializable assets and partitions in topological order; makes nothing."""
    profile = settings.load()
    bound, hours = profile.bound, planned_hours(profile)
    descendants_of = descendants(dependencies(bound, set(profile.graph.nodes)))
    with read_only_instance(settings) as instance:
        resolver = StalenessResolver(settings.home, profile, instance)
        states = []
        for name in bound.names.values():
            staleness, record = resolver.of(name), latest_record(instance, asset_key(name.asset), name.partition)
            materialization = record.asset_materialization if record else None
            state = AssetState(
                asset=str(name),
                select=name.asset,
                state=staleness.state,
                digest=(materialization.tags or {}).get("dagster/data_version") if materialization else None,
                age=_age(time.time() - record.timestamp) if record else None,
                why=staleness.why,
                overrides=tuple(map(str, profile.overrides_of(name))),
                follows=rerun_of(profile, profile.graph.node(name.asset), hours).when,
                hours=hours.get(str(name), 0.0),
                hours_below=sum(hours.get(str(each), 0.0) for each in descendants_of[name]),
            )
            states.append(state)
        return states


def status_table(states: Iterable[AssetState]) -> Table:
    """Returns a table with one row per asset; hours are shown for assets that are not fresh."""
    table = Table(box=None, header_style="bold")
    for column in ("asset", "state", "digest", "age", "hours", "below", "why"):
        table.add_column(column, no_wrap=column != "why")
    for each in states:
        more = (
            [f"and {len(each.why) - MAX_REASONS_SHOWN} more: r1 status --json"]
            if len(each.why) > MAX_REASONS_SHOWN
            else []
        )
        cost = ("", "") if each.state == "fresh" else (hours_text(each.hours), hours_text(each.hours_below))
        colour, why = COLOURS[each.state], "\n".join([*each.why[:MAX_REASONS_SHOWN], *more])
        table.add_row(
            each.asset, f"[{colour}]{each.state}[/]", (each.digest or "")[:12], each.age or "", *cost, escape(why)
        )
    return table


def summary(states: Iterable[AssetState], profile: Profile) -> Iterator[str]:
    """Yields the lines below the table: the cost of all pending work, and the command that approves what waits for
    approval.
    """
    due = [each for each in states if each.state in ("stale", "missing")]
    if not due:
        return
    hours, machine = sum(each.hours for each in due), profile.machine.accelerator
    price = accelerator_of(machine).usd_per_hour
    yield f"{len(due)} out of date, {hours_text(hours)} device hours as planned on {machine}, {hours * price:,.2f} USD"
    if waiting := dict.fromkeys(each.select for each in due if each.follows == "on approval"):
        yield f"waits for approval: r1 run --select {','.join(waiting)}, or Materialize in r1 ui"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
