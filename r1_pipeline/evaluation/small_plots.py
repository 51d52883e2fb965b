"""This module draws plots of few bytes, which a page can hold in a line of Markdown: a curve, and scores as bars.

They carry their own colours, which read on light and dark grounds. `plots` draws those of the report.
"""

from collections.abc import Mapping, Sequence
from html import escape

from r1_pipeline.evaluation.plots import running_mean

POINTS = 36
"""The most points of a curve."""
WIDTH, HEIGHT, LABELS = 360, 120, 54
MOST_BARS = 7
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" font-family="sans-serif" font-size="13" '
    'fill="#888">'
)


def sparkline(name: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """Draws the running mean of a metric over steps, with its first, lowest, highest and last value."""
    mean = running_mean(values, len(values) // 12)
    stride = max(1, -(-len(mean) // POINTS))
    places = [*range(0, len(mean) - 1, stride), len(mean) - 1]
    low, high = min(mean), max(mean)
    span = (high - low) or 1.0

    def y(value: float) -> int:
        return round(HEIGHT - 20 - (HEIGHT - 40) * (value - low) / span)

    points = " ".join(f"{LABELS + round((WIDTH - 2 * LABELS) * i / (len(mean) - 1))},{y(mean[i])}" for i in places)
    end = WIDTH - LABELS + 4
    return (
        f"{HEAD.format(WIDTH, HEIGHT)}"
        f'<polyline fill="none" stroke="#2a7fb8" stroke-width="2" points="{points}"/>'
        f'<text y="{y(mean[0]) + 4}">{_short(mean[0])}</text>'
        f'<text x="{end}" y="{y(mean[-1]) + 4}" font-weight="bold">{_short(mean[-1])}</text>'
        f'<text x="{LABELS}" y="{HEIGHT - 2}">{escape(name)}, steps {steps[0]:g} to {steps[-1]:g}</text></svg>'
    )


def score_bars(scores: Mapping[str, float]) -> str:
    """Draws shares as bars, in percent; of more than `MOST_BARS` only the first."""
    shown = list(scores.items())[:MOST_BARS]
    parts = [
        f'<text y="{18 * i + 13}">{escape(name[:10])} {100 * share:.0f}%</text>'
        f'<path d="M120 {18 * i + 9}h{200 * share:.0f}"/>'
        for i, (name, share) in enumerate(shown)
    ]
    group = f'<g stroke="#2a7fb8" stroke-width="0">{"".join(parts)}</g>'.replace("<path", '<path stroke-width="9"')
    return f"{HEAD.format(330, 18 * len(shown) + 4)}{group}</svg>"


def _short(value: float) -> str:
    return f"{value:.3g}"
