"""This module draws plots as inline SVG, so that the page's style sheet colours them in light, dark and print.

`curves` draws a metric over steps, `dots` draws estimates with their intervals, and `reliability` draws observed
against predicted shares. All return safe markup: every label is escaped. Elements have classes instead of colours;
`templates/report.css` has the palette.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 340.0, 168.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 46.0, 10.0, 22.0
DIGIT, BOLD_DIGIT = 6.6, 7.6
"""Widths of a digit in the axis labels and in the value at the end of a line; longer labels get wider margins."""


@dataclass(frozen=True)
class Line:
    """One metric of one run."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    style: str
    """The style sheet's class for the colour: `a` or `b`."""


@dataclass(frozen=True)
class Dot:
    """An estimate with its interval; the rows of a plot share the axis from 0 to 1."""

    label: str
    value: float
    lo: float
    hi: float
    style: str


@dataclass(frozen=True)
class Spot:
    """A bin of cases on which a model is about equally confident."""

    predicted: float
    observed: float
    cases: int


def curves(lines: Sequence[Line], title: str, decimals: int) -> Markup:
    """Draws each line faintly as logged, and boldly as a running mean with its last value at the end."""
    steps = [x for line in lines for x in line.steps]
    ticks = nice_ticks(*_range([v for line in lines for v in line.values]))
    x_lo, x_hi, y_lo, y_hi = min(steps), max(steps), ticks[0], ticks[-1]
    left = max(LEFT, 9 + DIGIT * max(len(_label(tick, ticks)) for tick in ticks))
    last = max(len(f"{line.values[-1]:.{decimals}f}") for line in lines)
    right = WIDTH - max(RIGHT, 10 + BOLD_DIGIT * last)

    def x(step: float) -> float:
        return left + (right - left) * (step - x_lo) / ((x_hi - x_lo) or 1.0)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - y_lo) / (y_hi - y_lo)

    parts = [_open(WIDTH, HEIGHT, title)]
    for tick in ticks:
        parts += [
            f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>',
            _text(left - 7, y(tick) + 3.5, _label(tick, ticks), "tick end"),
        ]
    for step, anchor in ((x_lo, "start"), (x_hi, "end")):
        parts.append(_text(x(step), HEIGHT - 5, f"{'step ' if anchor == 'end' else ''}{step:g}", f"tick {anchor}"))
    placed: list[float] = []
    for line in lines:
        mean = running_mean(line.values, len(line.values) // 12)
        points = [(x(s), y(v)) for s, v in zip(line.steps, line.values, strict=True)]
        smooth = [(x(s), y(v)) for s, v in zip(line.steps, mean, strict=True)]
        last_x, last_y = smooth[-1]
        label_y = last_y if all(abs(last_y - other) > 12 for other in placed) else max(placed) + 13
        placed.append(label_y)
        parts += [
            f'<path class="raw {line.style}" d="{_path(points)}"/>',
            f'<path class="mean {line.style}" d="{_path(smooth)}"/>',
            f'<circle class="dot {line.style}" cx="{last_x:.1f}" cy="{last_y:.1f}" r="2.6"/>',
            _text(last_x + 7, label_y + 4, f"{mean[-1]:.{decimals}f}", f"value start {line.style}"),
        ]
    return Markup("".join(parts) + "</svg>")


def dots(rows: Sequence[Dot], title: str, width: float, gutter: float) -> Markup:
    """Draws one row for each estimate, in percent on a common axis; labels stand in the first `gutter` of `width`."""
    pitch, top = 25.0, 8.0
    bottom = top + pitch * len(rows)

    def x(value: float) -> float:
        return gutter + (width - gutter - 62) * value

    parts = [_open(width, bottom + 24, title)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0) if width - gutter > 300 else (0.0, 0.5, 1.0):
        parts += [
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>',
            _text(x(tick), bottom + 17, f"{tick:.0%}", "tick middle"),
        ]
    for index, row in enumerate(rows):
        y = top + pitch * (index + 0.5)
        parts += [
            _text(gutter - 14, y + 4, row.label, "name end"),
            f'<line class="span {row.style}" x1="{x(row.lo):.1f}" x2="{x(row.hi):.1f}" y1="{y}" y2="{y}"/>',
            f'<circle class="dot {row.style}" cx="{x(row.value):.1f}" cy="{y}" r="4.2"/>',
            _text(width, y + 4, f"{100 * row.value:.1f}", "value end"),
        ]
    return Markup("".join(parts) + "</svg>")


def reliability(spots: Sequence[Spot], title: str) -> Markup:
    """Draws observed against predicted shares in percent, with the diagonal of a perfectly calibrated model.

    The area of a spot is its share of the cases.
    """
    lowest = min(0.5, *(spot.observed for spot in spots), 1.0)
    ticks = nice_ticks(lowest, 1.0)
    total = sum(spot.cases for spot in spots)

    def x(share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (share - 0.5) / 0.5

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [_open(WIDTH, HEIGHT, title)]
    for tick in ticks:
        parts += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>',
            _text(LEFT - 7, y(tick) + 3.5, f"{tick:.0%}", "tick end"),
        ]
    for share, anchor in ((0.5, "start"), (0.75, "middle"), (1.0, "end")):
        parts.append(
            _text(x(share), HEIGHT - 5, f"{'sure to ' if anchor == 'end' else ''}{share:.0%}", f"tick {anchor}")
        )
    parts.append(f'<line class="span plain" x1="{x(0.5):.1f}" x2="{x(1):.1f}" y1="{y(0.5):.1f}" y2="{y(1):.1f}"/>')
    for spot in spots:
        radius = 1.5 + 9 * math.sqrt(spot.cases / total)
        parts.append(
            f'<circle class="dot a" cx="{x(spot.predicted):.1f}" cy="{y(spot.observed):.1f}" r="{radius:.1f}"/>'
        )
    return Markup("".join(parts) + "</svg>")


def running_mean(values: Sequence[float], reach: int) -> list[float]:
    """Returns, for each value, the mean of the values within `reach` steps on either side."""
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [math.fsum(window) / len(window) for window in windows]


def nice_ticks(lo: float, hi: float) -> list[float]:
    """Returns three to six evenly spaced round numbers that enclose the range from `lo` to `hi`."""
    rough = (hi - lo) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
    return [round(step * i, 12) for i in range(first, last + 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    lo, hi = min(values), max(values)
    return (lo, hi) if hi > lo else (lo, lo + (abs(lo) or 1.0))


def _label(tick: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    decimals = next((d for d in range(6) if abs(round(step, d) - step) < 1e-9 * max(1.0, step)), 6)
    return f"{tick:.{decimals}f}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _open(width: float, height: float, title: str) -> str:
    box = f"0 0 {width:g} {height:g}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
