"""Footholds for a base that seldom comes to the form, each compared with R1-Zero's own run.

r1 run --profile smoke --recipe examples/foothold.py --select +evaluation/r1_zero_graded \\
    --select +evaluation/r1_zero_annealed --select +evaluation/r1_zero_warmed
"""

from dataclasses import replace

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import with_form_warm_up
from r1_pipeline.rewards.rubric import Annealed
from r1_pipeline.training.form_warm_up import WarmUpRecipe

GRADED = (("graded_format", 0.2),)


def extend(profile: Profile) -> Profile:
    """Adds a graded form reward, the same with a weight that falls to 0, and a warm-up on the form alone."""
    zero = profile.recipes["r1_zero"]
    falls = (Annealed(part="graded_format", to=0.0, begin=0, end=max(1, zero.grpo.steps // 2)),)
    tuning = {**dict(profile.recipes["dev1"]), "template": zero.template, "rows": 64}
    warmed = with_form_warm_up(profile, "form_warm_up", "base", WarmUpRecipe(**tuning))
    graph = (
        warmed.graph.deriving("r1_zero_graded", "r1_zero", {"rubric.others": GRADED}, "R1-Zero with a graded format.")
        .deriving(
            "r1_zero_annealed",
            "r1_zero",
            {"rubric.others": GRADED, "rubric.annealed": falls},
            "R1-Zero with a graded format whose weight falls to 0.",
        )
        .deriving("r1_zero_warmed", "r1_zero", {}, "R1-Zero after a form warm-up.", instead={"base": "form_warm_up"})
    )
    return replace(warmed, graph=graph)
