"""Tag count: how many of the template's tags stand in a reply exactly once.

A first foothold for bases that never come to the whole form by themselves (open-r1's `tag_count_reward`, there with
fixed line breaks around each tag). A shaping term, not a form: order and what stands between are `format_check`'s.
"""

from r1_pipeline.data.templates import FORMS, TemplateName


def tag_share(template: TemplateName, text: str) -> float:
    """Tags that occur exactly once / tags of the template."""
    tags = FORMS[template].tags
    return sum(text.count(tag) == 1 for tag in tags) / len(tags)
