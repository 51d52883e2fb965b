"""The tables of `r1 plan`, with figures from `r1_pipeline.planning`."""

from rich.table import Table

from r1_pipeline.planning.fit import misfits
from r1_pipeline.planning.plan import Plan, StagePlan

COLUMNS = ("samples", "tokens", "steps", "parameters", "active", "weights", "optimizer", "activations", "KV", "hours")


def stage_table(plan: Plan) -> Table:
    """Returns a table with one row per asset: peak memory of one device in GiB, and hours summed over all devices."""
    table = Table(box=None, header_style="bold")
    table.add_column("asset")
    for column in (*COLUMNS, *(["published"] if plan.published else [])):
        table.add_column(column, justify="right")
    for asset, stage in plan.stages.items():
        too_large = stage.memory_gib_per_device > plan.memory_gib
        published = [hours_text(stage.published_gpu_hours)] if plan.published else []
        table.add_row(asset, *_cells(stage), *published, style="red" if too_large else None)
    return table


def published_table(plan: Plan) -> Table:
    """Returns a table of the paper's published hours and the estimates of the same work."""
    table = Table(box=None, header_style="bold")
    for column in ("of the paper", "published", "estimate", "ratio"):
        table.add_column(column, justify="left" if column == "of the paper" else "right")
    rows = {row: (figure.hours, figure.estimate) for row, figure in plan.published.items()}
    rows["in all"] = (sum(hours for hours, _ in rows.values()), sum(estimate for _, estimate in rows.values()))
    for row, (hours, estimate) in rows.items():
        table.add_row(row, hours_text(hours), hours_text(estimate), f"{estimate / hours:.2f}")
    return table


def summary(plan: Plan) -> list[str]:
    """Returns the lines below the tables: the total cost, choices of prompts, and stages that do not fit in memory."""
    days = plan.gpu_hours / plan.devices / 24
    where = f"{plan.devices} x {plan.accelerator} ({days:,.1f} days one after another)"
    lines = [f"{hours_text(plan.gpu_hours)} device hours on {where}, {plan.cost_usd:,.2f} USD"]
    figures = [f"others report for this base: {', '.join(map(str, plan.reported))}"] if plan.reported else []
    return [*lines, *figures, *plan.choices, *misfits(plan)]


def _cells(stage: StagePlan) -> tuple[str, ...]:
    memory = (stage.weights_gib, stage.optimizer_gib, stage.activations_gib, stage.kv_cache_gib)
    counts = (stage.samples, stage.tokens, stage.steps, stage.parameters, stage.active_parameters)
    return (*map(short, counts), *(f"{gib:.1f}" for gib in memory), hours_text(stage.gpu_hours))


def hours_text(hours: float | None) -> str:
    """Formats device hours with two significant digits, or as an integer from 100 on."""
    if hours is None:
        return ""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def short(count: float) -> str:
    """Formats a count with a unit, such as 1.2M or 37.6B."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return f"{count:.0f}"
