"""This module checks the format of a reply: the whole text must match its template, with nothing else around it.

The templates are `zero`, `<think>R</think> <answer>A</answer>` (paper, table 1), and `chat`, `<think>R</think>S`. R, A
and S are not blank and contain no tag of either kind, in any case or spacing: repeated, nested and stray tags are
malformed. Only white space may surround the whole and separate the two parts of `zero`. If the prompt already opens
`<think>`, trainers pass a reply without it (TRL issue 6966): `whole_reply` restores it before the reply is judged.
"""

import re

from r1_pipeline.data.templates import FORMS, THINK_CLOSE, THINK_OPEN, TemplateName

_TAG_LIKE = re.compile(r"<\s*/?\s*(?:think|answer)\b[^<>]*>", re.IGNORECASE)
_EMPTY_THINK = re.compile(rf"{THINK_OPEN}\s*{THINK_CLOSE}")


def whole_reply(prompt: str, sampled: str) -> str:
    """Returns the sampled text, preceded by the opening think tag if the prompt ends with it."""
    return THINK_OPEN + sampled if prompt.rstrip().endswith(THINK_OPEN) else sampled


def is_well_formed(template: TemplateName, text: str) -> bool:
    """Returns True if the whole text, apart from surrounding white space, matches the template."""
    stripped, form = text.strip(), FORMS[template]
    return _TAG_LIKE.findall(stripped) == list(form.tags) and form.whole.fullmatch(stripped) is not None


def empty_think(text: str) -> bool:
    """Returns True if the reasoning was skipped, with only white space between the think tags."""
    return _EMPTY_THINK.search(text) is not None
