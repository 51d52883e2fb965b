"""This module formats the numbers of the page as table cells, aligned on their decimal points."""

from dataclasses import dataclass

from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.scores import Scores


@dataclass(frozen=True)
class Cell:
    """A number that aligns on its decimal point."""

    text: str
    ghost: str = ""
    """Invisible digits after the number, which take up the space of the missing decimals."""
    margin: str = ""
    """Half the width of the interval, shown after ±."""


@dataclass(frozen=True)
class Row:
    """A row of cells with its label and its CSS class."""

    label: str
    cells: tuple[Cell, ...]
    style: str = ""


def number(value: float | None, decimals: int, column: int | None = None, margin: str = "") -> Cell:
    """Formats `value` with `decimals` decimals in a column of `column` decimals; a dash if there is no value."""
    width = decimals if column is None else column
    if value is None:
        return Cell("–", "." + "0" * width if width else "")
    shown = f"{value:,.{decimals}f}".replace("-", "−")
    hidden = "0" * (width - decimals)
    return Cell(shown, hidden if decimals else f".{hidden}" if hidden else "", margin)


def percent(value: float | None) -> Cell:
    """Formats a share as a percentage with one decimal."""
    return number(None if value is None else 100 * value, 1)


def estimate(scores: Scores | None) -> Cell:
    """Formats pass@1 in percent, with half the width of its interval."""
    if scores is None:
        return number(None, 1)
    half = (scores.pass_at_1_ci.hi - scores.pass_at_1_ci.lo) / 2
    return number(100 * scores.pass_at_1, 1, margin=f"{100 * half:.1f}")


def difference(found: Difference | None) -> Cell:
    """Formats a paired difference of pass@1 in percentage points, with half the width of its interval."""
    if found is None:
        return number(None, 1)
    return number(100 * found.value, 1, margin=f"{100 * (found.hi - found.lo) / 2:.1f}")


def clock(seconds: float) -> str:
    """Formats a duration as minutes and seconds, `12:05`."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02d}"
