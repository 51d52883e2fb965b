"""Adds a prompt form that asks R1-Zero to note its steps and then to conclude.

    r1 run --profile smoke --recipe examples/prompt_form.py --select +r1_zero

The hash of the form is stored with every score.
"""

import re

from r1_pipeline.data.templates import FORMS, PromptForm, SplitReply
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile

NOTE, SO = "<think>", "</think>"
WHOLE = re.compile(rf"{NOTE}(.*\S.*){SO}\s*so (\S.*)", re.DOTALL)


def split(text: str) -> SplitReply:
    """Splits a reply into the reasoning between the tags and the answer after `so`; missing parts are None."""
    found = WHOLE.fullmatch(text.strip())
    return SplitReply(reasoning=found[1].strip(), final=found[2]) if found else SplitReply(reasoning=None, final=None)


FORMS.add(
    "notes",
    PromptForm(
        render=lambda question: f"Task: {question}\nNote your steps, then write so and the answer.\nReply:",
        solution=lambda reasoning, final: f"{NOTE}{reasoning}{SO} so {final}",
        split=split,
        tags=(NOTE, SO),
        whole=WHOLE,
    ),
)


def extend(profile: Profile) -> Profile:
    """Selects the form for R1-Zero."""
    return profile.with_recipes({"r1_zero": changed(profile.recipes["r1_zero"], "template", "notes")})
