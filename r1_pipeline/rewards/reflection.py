"""Reflective words: whether a reply looks again at what it said, as the paper counts it (supplement, C.2).

Watched in training and counted in evaluations; never a reward, so that reflection is observed and not asked for.
Not covered: whether looking again found anything (`evaluation.reflection`).
"""

import re

from r1_pipeline.data.templates import TemplateName
from r1_pipeline.records import Completion, Problem

ENGLISH = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check")
"""The paper's list."""
CHINESE = ("等等", "错", "不过", "但", "重试", "验证", "评估", "检查", "不对", "查")
"""The same in Chinese; 查 is how the toy web says `check`."""
REFLECTIVE = re.compile(rf"\b(?:{'|'.join(ENGLISH)})\b|{'|'.join(CHINESE)}", re.IGNORECASE)


def is_reflective(problem: Problem, completion: Completion, template: TemplateName) -> float:
    """1.0 where a completion has a reflective word, in its reasoning or its answer, else 0.0."""
    return float(REFLECTIVE.search(completion.text) is not None)
