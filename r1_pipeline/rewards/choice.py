"""Multiple choice and short word answers: the option's letter or the option's word, matched exactly.

The answer is found by `extract.final_answer`; both sides then lose `\\text{…}`, surrounding brackets, a closing
`.`, `:` or `)`, case, and repeated blanks. Nothing else: "B or C", "(B) red" and "not B" are not "B".
"""

import re

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.extract import final_answer
from r1_pipeline.rewards.tidying import tidy
from r1_pipeline.rewards.verifier import verdict

_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_BRACKETED = re.compile(r"[(\[【]\s*([^()\[\]【】]*?)\s*[)\]】]")


def normal(answer: str) -> str:
    """The form in which option letters and words are compared."""
    plain = " ".join(_TEXT.sub(r"\1", tidy(answer)).casefold().split())
    if bracketed := _BRACKETED.fullmatch(plain):
        plain = bracketed[1]
    return plain.rstrip(".:)").rstrip()


class ChoiceVerifier:
    """See the module."""

    name = "choice"
    version = "3"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        reference = normal(problem.answer or "")
        if not reference:
            return verdict(self, Outcome.UNGRADABLE, "the problem has no reference answer")
        extracted = final_answer(final, normal)
        if extracted.answer is None:
            return verdict(self, Outcome.MALFORMED, extracted.detail)
        answer = normal(extracted.answer)
        outcome = Outcome.CORRECT if answer == reference else Outcome.WRONG
        return verdict(self, outcome, f"{answer[:80]!r} against {reference[:80]!r}", extracted.answer)

    def close(self) -> None:
        """Nothing to give back."""
