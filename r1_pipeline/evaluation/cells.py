"""Cells of the page: numbers in words, aligned on their decimal points. Not covered: which numbers (`page`)."""

from dataclasses import dataclass

from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.scores import Scores


@dataclass(frozen=True)
class Cell:
    """A number that aligns on its decimal point: `ghost` is laid out and not seen."""

    text: str
    ghost: str = ""
    margin: str = ""
    """Half the width of the interval, behind ±."""


@dataclass(frozen=True)
class Row:
    """A labelled row of cells."""

    label: str
    cells: tuple[Cell, ...]
    style: str = ""


def number(value: float | None, decimals: int, column: int | None = None, margin: str = "") -> Cell:
    """`value` with `decimals` places in a column of `column` places; a dash where there is no value."""
    width = decimals if column is None else column
    if value is None:
        return Cell("–", "." + "0" * width if width else "")
    shown = f"{value:,.{decimals}f}".replace("-", "−")
    hidden = "0" * (width - decimals)
    return Cell(shown, hidden if decimals else f".{hidden}" if hidden else "", margin)


def percent(value: float | None) -> Cell:
    """A share as percent with one decimal."""
    return number(None if value is None else 100 * value, 1)


def estimate(scores: Scores | None) -> Cell:
    """Pass@1 in percent, with half the width of its interval."""
    if scores is None:
        return number(None, 1)
    half = (scores.pass_at_1_ci.hi - scores.pass_at_1_ci.lo) / 2
    return number(100 * scores.pass_at_1, 1, margin=f"{100 * half:.1f}")


def difference(found: Difference | None) -> Cell:
    """A paired difference of pass@1 in percentage points, with half the width of its interval."""
    if found is None:
        return number(None, 1)
    return number(100 * found.value, 1, margin=f"{100 * (found.hi - found.lo) / 2:.1f}")


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02d}"
