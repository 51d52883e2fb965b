"""The child process of `maths.py`: it compares two answers in value. It is a script behind a pipe; see `equality`.

A request is `{"reference": LaTeX, "answer": LaTeX or null, "limit_s": seconds}`, with both texts in normal form. The
reply is `{"status": "equal" | "differs" | "unreadable" | "undefined" | "readable"}`: `unreadable` and `undefined` are
about the reference, and `readable` is the reply to a request without an answer. The kernel's alarm, left at its default
action, ends the child even when the parent is gone and C code is busy.
"""

import json
import os
import re
import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # an isolated interpreter would take another copy of the library

from math_verify.grader import should_treat_as_complex

from r1_pipeline.rewards.equality.latex_parser import undefined, value_of
from r1_pipeline.rewards.equality.values import same

_MEMORY = 480 << 20
_FIRST = (("\\sum_{k=1}^{n} a_{k}", "\\sum_{j=1}^{n} a_{j}+1"), ("\\frac{x^{2}}{2}", "x\\cdot\\sqrt{x}"))
_TIMES_I = re.compile(r"(?:[0-9)}]\s*|(?<![\\a-zA-Z])[a-zA-Z]{1,2})i(?![a-zA-Z])")
"""Matches `2i`, `(x+y)i` and `abi`, which the pattern of math-verify misses."""
_INDEX_I = re.compile(r"\\(?:sum|prod)\s*_\{\s*i\s*=")


def _answer_requests() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # output that a library prints must not reach the protocol

    def reply(value: dict[str, object]) -> None:
        os.write(out, json.dumps(value).encode() + b"\n")

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    # Builds the parser's tables and triggers sympy's lazy imports. To a broken parser every reference is unreadable.
    read = [judge(*pair) != "unreadable" for pair in _FIRST]
    reply({"ready": True} if all(read) else {"ready": False, "error": "LaTeX is not parsed; install math-verify again"})
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + 1.0)
        status = judge(request["reference"], request["answer"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply({"status": status})


def judge(reference_latex: str, answer_latex: str | None) -> str:
    """Returns the status of a request; letters are real, unless `i` occurs and is not an index."""
    both = f"{reference_latex} {answer_latex or ''}"
    real = _INDEX_I.search(both) is not None or not (should_treat_as_complex(both) or _TIMES_I.search(both))
    reference = value_of(reference_latex, real)
    if reference is None:
        return "unreadable"
    if answer_latex is None:
        return "undefined" if undefined(reference) else "readable"
    answer = value_of(answer_latex, real)
    return "equal" if answer is not None and same(reference, answer, real) else "differs"


_answer_requests()
