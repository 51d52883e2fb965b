"""This module computes the tag count: the share of the template's tags that occur in a reply exactly once.

It is a shaping term for base models that never produce the whole format by themselves (open-r1's `tag_count_reward`,
which also requires fixed line breaks around each tag). Not covered: the order of the tags and the text between them
(`format_check`).
"""

from r1_pipeline.data.templates import FORMS, TemplateName


def tag_share(template: TemplateName, text: str) -> float:
    """Returns the share, in [0, 1], of the template's tags that occur exactly once in the text; 1.0 for a form without
    tags."""
    tags = FORMS[template].tags
    return sum(text.count(tag) == 1 for tag in tags) / len(tags) if tags else 1.0
