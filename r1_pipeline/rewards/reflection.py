"""This module detects reflective words, the paper's measure of self-reflection in a reply (supplement, C.2).

They are logged in training and counted in evaluations, and never rewarded, so that reflection is observed and not
trained for. Not covered: whether the reflection changed the answer (`evaluation.reflection`).
"""

import re

from r1_pipeline.data.templates import TemplateName
from r1_pipeline.records import Completion, Problem

ENGLISH = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check")
"""The paper's list of English words."""
CHINESE = ("等等", "错", "不过", "但", "重试", "验证", "评估", "检查", "不对", "查")
"""The corresponding Chinese words; 查 is the toy web's word for `check`."""
REFLECTIVE = re.compile(rf"\b(?:{'|'.join(ENGLISH)})\b|{'|'.join(CHINESE)}", re.IGNORECASE)


def is_reflective(problem: Problem, completion: Completion, template: TemplateName) -> float:
    """Returns 1.0 if a completion has a reflective word in its reasoning or answer, else 0.0."""
    return float(REFLECTIVE.search(completion.text) is not None)
