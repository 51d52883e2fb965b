"""Adds a reward part that rewards R1-Zero for short reasoning; its curve is `reward/brevity`.

r1 run --profile smoke --recipe examples/reward_part.py --select +r1_zero
"""

from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.rubric import PARTS

WORDS = 20
"""Words of reasoning at which the part reaches 0."""


def brevity(problem: Problem, completion: Completion, form: TemplateName) -> float:
    """Returns 1 for no reasoning at all, falling linearly to 0 at `WORDS` words."""
    words = len((split_reply(form, completion.text).reasoning or "").split())
    return max(0.0, 1 - words / WORDS)


PARTS.add("brevity", brevity)


def extend(profile: Profile) -> Profile:
    """Gives the part a weight of 0.1 in R1-Zero's rubric."""
    recipe = changed(profile.recipes["r1_zero"], "rubric.others", (("brevity", 0.1),))
    return profile.with_recipes({"r1_zero": recipe})
