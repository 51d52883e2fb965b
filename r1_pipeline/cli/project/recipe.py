"""The changes that this project makes to the DeepSeek-R1 recipe; run it with `r1 run --recipe recipe.py`."""

from r1_pipeline import Profile


def extend(profile: Profile) -> Profile:
    """Returns the profile to run; this template returns it unchanged."""
    # An ablation, R1-Zero without the format reward: uncomment these three lines.
    # from dataclasses import replace
    # graph = profile.graph.deriving("r1_zero_no_format", "r1_zero", {"rubric.format": 0.0}, "R1-Zero without format.")
    # profile = replace(profile, graph=graph)
    return profile
