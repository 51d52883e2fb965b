"""Adds R1-Zero's run on problems that its base neither always nor never solves, each compared with R1-Zero's own run.

r1 run --profile smoke --recipe examples/difficulty.py --select +evaluation/r1_zero_chosen \\
    --select +evaluation/r1_zero_resampled
"""

from dataclasses import replace

from r1_pipeline.data.difficulty import ByDifficulty
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.difficulty import with_difficulty


def extend(profile: Profile) -> Profile:
    """Adds a run on problems of middle difficulty, and one that replaces flat groups before each step."""
    graph = profile.graph.deriving("r1_zero_chosen", "r1_zero", {}, "R1-Zero on problems of middle difficulty.")
    graph = graph.deriving(
        "r1_zero_resampled", "r1_zero", {"schedule.resample": 2}, "R1-Zero with flat groups replaced up to twice."
    )
    wider = replace(profile, graph=graph)
    middle = ByDifficulty(lowest=0.1, highest=0.9)
    return with_difficulty(wider, "r1_zero_chosen", middle, problems=dict.fromkeys(["math", "stem"], 40), samples=4)
