"""Computes and renders the table of `r1 status`: the state of every asset, the reasons, and the planned cost of a
re-run.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import EventLogRecord
from rich.markup import escape
from rich.table import Table

from dagster_defs.assets import rerun_of
from dagster_defs.instance import read_only_instance
from dagster_defs.metadata import ADDRESS
from dagster_defs.settings import Settings
from dagster_defs.staleness.execution_plan import dependencies, descendants
from dagster_defs.staleness.resolver import StalenessResolver, State
from r1_pipeline.artifacts.manifest import MANIFEST, read_manifest
from r1_pipeline.cli.plan import hours_text
from r1_pipeline.planning.hardware import accelerator_of
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Record
from r1_pipeline.settings.reruns import When

COLOURS = {"fresh": "green", "stale": "yellow", "missing": "dim", "failed gate": "red"}
LONGEST = 60
"""Characters of a reason in the table; `--json` has all of it."""


class AssetState(Record):
    """One row of `r1 status`."""

    asset: str
    """Asset key, with the partition after a slash."""
    select: str
    """Argument of `r1 run --select` that makes this asset."""
    state: State
    digest: str | None
    made: str | None
    """The time at which the artifact was made, in ISO format; a later run that reused it does not count."""
    age: str | None
    """The time since then, in words."""
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
            staleness, record = resolver.of(name), resolver.record(name)
            materialization = record.asset_materialization if record else None
            made = _made(settings.home, record) if record else None
            state = AssetState(
                asset=str(name),
                select=name.asset,
                state=staleness.state,
                digest=(materialization.tags or {}).get("dagster/data_version") if materialization else None,
                made=made.isoformat(timespec="seconds") if made else None,
                age=_age((datetime.now(UTC) - made).total_seconds()) if made else None,
                why=staleness.why,
                overrides=tuple(map(str, profile.overrides_of(name))),
                follows=rerun_of(profile, profile.graph.node(name.asset), hours).when,
                hours=hours.get(str(name), 0.0),
                hours_below=sum(hours.get(str(each), 0.0) for each in descendants_of[name]),
            )
            states.append(state)
        return states


def status_table(states: Iterable[AssetState]) -> Table:
    """Returns a table with one line per asset; hours are shown for assets that are not fresh."""
    table = Table(box=None, header_style="bold")
    for column in ("asset", "state", "digest", "age", "hours", "below"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for each in states:
        cost = ("", "") if each.state == "fresh" else (hours_text(each.hours), hours_text(each.hours_below))
        state = f"[{COLOURS[each.state]}]{each.state}[/]"
        table.add_row(each.asset, state, (each.digest or "")[:12], each.age or "", *cost, escape(_reason(each.why)))
    return table


def _reason(why: tuple[str, ...]) -> str:
    """Returns the first reason, which is a file or a field if one has changed, and the number of further ones."""
    if not why:
        return ""
    first = why[0] if len(why[0]) <= LONGEST else f"{why[0][: LONGEST - 1]}…"
    return first if len(why) == 1 else f"{first} (and {len(why) - 1} more)"


def _made(home: Path, record: EventLogRecord) -> datetime:
    """Returns the time at which an artifact was finished; of a report, which has no manifest, that of the record."""
    address = record.asset_materialization.metadata.get(ADDRESS) if record.asset_materialization else None
    folder = home / str(address.value) if address else None
    if folder is None or not (folder / MANIFEST).is_file():
        return datetime.fromtimestamp(record.timestamp, UTC)
    made = read_manifest(folder).provenance
    return datetime.fromisoformat(made.started) + timedelta(seconds=made.seconds)


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
