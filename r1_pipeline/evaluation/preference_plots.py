"""This module plots the calibration of the reward models, and their over-optimization by a policy.

`calibrations` plots the predictions of a reward model for held-out pairs against people's preferences. `optimization`
plots, over the last RL stage, the score of the reward models and, where it is known, the true score of a reply: the
paper's figure 6, in which the reward rises while the quality that it should measure falls. Not covered: the numbers
(`rewards.preference`).
"""

from markupsafe import Markup

from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.plots import Line, Spot, curves, reliability

CURVES = (
    ("reward/preference", "Score of the reward models, log-odds", "a"),
    ("reward/courtesy", "True rule of a good reply, share of its criteria", "b"),
)
"""The metric, title and colour class of each curve."""


def calibrations(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    """Returns the name of every reward model, with a plot of observed against predicted preference."""
    return [
        (
            name,
            reliability([Spot(g.predicted, g.observed, g.pairs) for g in scored.calibration], f"Calibration of {name}"),
        )
        for name, scored in inputs.reward_models.items()
    ]


def optimization(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    """Returns title and plot of the scores of general replies that the last RL stage logged at each step."""
    log = inputs.training.get(inputs.cast.final, ())
    found = []
    for metric, title, ink in CURVES:
        rows = [row for row in log if metric in row]
        if len(rows) > 1:
            line = Line(inputs.cast.final, [row["step"] for row in rows], [row[metric] for row in rows], ink)
            found.append((title, curves([line], f"{inputs.cast.final}: {title}", 2)))
    return found
