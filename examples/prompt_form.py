"""A prompt form: r1 run --profile smoke --recipe examples/prompt_form.py --select +r1_zero

R1-Zero is asked to note its steps and then to conclude; the form's hash stands in every score.
"""

import re

from r1_pipeline.data.templates import FORMS, PromptForm, SplitReply
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile

NOTE, SO = "<think>", "</think>"
WHOLE = re.compile(rf"{NOTE}(.*\S.*){SO}\s*so (\S.*)", re.DOTALL)


def split(text: str) -> SplitReply:
    """Reasoning between the tags, the answer after `so`; None where there is none."""
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
    """Asks R1-Zero in this form."""
    return profile.with_recipes({"r1_zero": changed(profile.recipes["r1_zero"], "template", "notes")})
