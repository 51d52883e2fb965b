"""Adds an ablation, R1-Zero without the format reward: one line in the graph and no line in any profile.

r1 run --profile smoke --recipe examples/ablation.py --select +evaluation/r1_zero_no_format
"""

from dataclasses import replace

from r1_pipeline.profiles import Profile


def extend(profile: Profile) -> Profile:
    """Adds the node, which is evaluated and reported like every checkpoint."""
    about = "R1-Zero's run without the format reward."
    graph = profile.graph.deriving("r1_zero_no_format", "r1_zero", {"rubric.format": 0.0}, about)
    return replace(profile, graph=graph)
