"""Figures about the reward models: whether they are as sure as they are right, and what a policy makes of them.

`calibrations` sets what a reward model predicts for held-out pairs against what people prefer. `optimization` shows,
over the last RL stage, the score of the reward models beside the true rule of a good reply where there is one: the
paper's figure 6, in which the reward rises while what it stands for falls. Not covered: the numbers
(`rewards.preference`).
"""

from markupsafe import Markup

from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.plots import Line, Spot, curves, reliability

CURVES = (
    ("reward/preference", "Score of the reward models, log-odds", "a"),
    ("reward/courtesy", "True rule of a good reply, share of its criteria", "b"),
)
"""Metric, title, ink."""


def calibrations(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    """(reward model, plot of observed against predicted preference) of every reward model."""
    return [
        (
            name,
            reliability([Spot(g.predicted, g.observed, g.pairs) for g in scored.calibration], f"Calibration of {name}"),
        )
        for name, scored in inputs.reward_models.items()
    ]


def optimization(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    """(title, plot) of what was logged of general replies while the last model was reinforced, step by step."""
    log = inputs.training.get(inputs.cast.final, ())
    found = []
    for metric, title, ink in CURVES:
        rows = [row for row in log if metric in row]
        if len(rows) > 1:
            line = Line(inputs.cast.final, [row["step"] for row in rows], [row[metric] for row in rows], ink)
            found.append((title, curves([line], f"{inputs.cast.final}: {title}", 2)))
    return found
