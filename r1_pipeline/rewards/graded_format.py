"""Graded format: a quarter of the reward for each step towards the form of the template.

A foothold for bases that seldom come to the whole form (open-r1's `soft_format`), and a reward part of the name
`graded_format`. The steps are: reasoning stands in its tags; the answer stands in its own, or after the reasoning where
the form has no tags for it; all tags stand once and in order; and the whole reply is well formed. A form without tags
has the last step alone. Not covered: the whole form (`format_check`), the share of tags (`tags`).
"""

from r1_pipeline.data.templates import FORMS, THINK_CLOSE, TemplateName
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.format_check import is_well_formed


def graded_format(problem: Problem, completion: Completion, template: TemplateName) -> float:
    """Returns the share of the steps that a completion has taken; 1.0 exactly for a well-formed one."""
    return format_steps(template, completion.text)


def format_steps(template: TemplateName, text: str) -> float:
    """Returns the share of the steps that a reply has taken."""
    tags, whole = FORMS[template].tags, is_well_formed(template, text)
    if not tags:
        return float(whole)
    pairs = [tags[at : at + 2] for at in range(0, len(tags), 2)]
    enclosed = [_encloses(text, *pair) for pair in pairs]
    behind = enclosed[0] and bool(text.rpartition(THINK_CLOSE)[2].strip())
    answered = enclosed[1] if len(enclosed) > 1 else behind
    places = [text.find(tag) for tag in tags if text.count(tag) == 1]
    ordered = len(places) == len(tags) and places == sorted(places)
    return sum((enclosed[0], answered, ordered, whole)) / 4


def _encloses(text: str, opening: str, closing: str) -> bool:
    """True if both tags stand in the text once, with something between them."""
    if text.count(opening) != 1 or text.count(closing) != 1:
        return False
    return bool(text.partition(opening)[2].partition(closing)[0].strip()) and text.find(opening) < text.find(closing)
