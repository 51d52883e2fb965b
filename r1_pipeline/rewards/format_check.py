"""Format: the whole reply has the form of its template, nothing before, between or after.

`zero`: `<think>R</think> <answer>A</answer>`; `chat`: `<think>R</think>S`. R, A and S are not blank and hold no
tag of either kind, also none in other case or spacing: repeated, nested and stray tags are not well formed.
Only blanks may stand around the whole and between the two parts of `zero`. Where the prompt has opened `<think>`
already, trainers hand over a reply without it (trl issue 6966): `whole_reply` puts it back before anything is judged.
"""

import re

from r1_pipeline.data.templates import FORMS, THINK_CLOSE, THINK_OPEN, TemplateName

_TAG_LIKE = re.compile(r"<\s*/?\s*(?:think|answer)\b[^<>]*>", re.IGNORECASE)
_EMPTY_THINK = re.compile(rf"{THINK_OPEN}\s*{THINK_CLOSE}")


def whole_reply(prompt: str, sampled: str) -> str:
    """What was sampled after `prompt`, with the opening tag if the prompt ends in it."""
    return THINK_OPEN + sampled if prompt.rstrip().endswith(THINK_OPEN) else sampled


def is_well_formed(template: TemplateName, text: str) -> bool:
    """Whether the whole text, blanks around it aside, has the form of the template."""
    stripped, form = text.strip(), FORMS[template]
    return _TAG_LIKE.findall(stripped) == list(form.tags) and form.whole.fullmatch(stripped) is not None


def empty_think(text: str) -> bool:
    """Whether the reasoning was skipped: think tags with nothing but blanks between them."""
    return _EMPTY_THINK.search(text) is not None
