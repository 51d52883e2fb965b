"""The work behind `r1 cost`: the actual cost of a model as a table, computed by `planning.actual_cost`."""

from rich.table import Table

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.cli.plan import short
from r1_pipeline.home import HomeSettings
from r1_pipeline.planning.actual_cost import Cost, StageCost, cost_of_lineage
from r1_pipeline.planning.plan import planned_hours


def cost_of(settings: HomeSettings, model: Checkpoint) -> Cost:
    """Returns the actual cost of a model of this home, with the profile's plan for comparison."""
    profile = settings.load()
    return cost_of_lineage(model, settings.home, profile.machine.devices, planned_hours(profile))


def cost_table(cost: Cost) -> Table:
    """Returns a table with one row per stage and the total last; times are in seconds."""
    table = Table(box=None, header_style="bold")
    table.add_column("stage")
    for column in ("wall", "device time", "planned", "generated", "trained", "device"):
        table.add_column(column, justify="left" if column == "device" else "right")
    for name, stage in cost.stages.items():
        table.add_row(name, *_cells(stage))
    table.add_section()
    table.add_row("in all", *_cells(cost.total), style="bold")
    return table


def _cells(stage: StageCost) -> tuple[str, ...]:
    planned = "" if stage.planned_device_seconds is None else f"{stage.planned_device_seconds:,.1f}"
    seconds = (f"{stage.seconds:,.1f}", f"{stage.device_seconds:,.1f}", planned)
    return (*seconds, short(stage.generated), short(stage.trained), stage.device)
