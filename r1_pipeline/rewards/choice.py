"""Multiple choice and short word answers: the option's letter or the option's word, matched exactly.

The answer is found by `extract.final_answer`; both sides then lose `\\text{…}`, surrounding brackets, a closing
`.`, `:` or `)`, case, and repeated blanks. Nothing else: "B or C", "(B) red" and "not B" are not "B".
"""

import re

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.extract import Rule, final_answer
from r1_pipeline.rewards.solutions import located
from r1_pipeline.rewards.tidying import faceless, tidy
from r1_pipeline.rewards.verifier import verdict

RULES = "3"
"""Bump when any verdict can change; `tests/golden` holds the verdicts to it."""
_BRACKETED = re.compile(r"[(\[【]\s*([^()\[\]【】]*?)\s*[)\]】]")
_WITH_TEXT = re.compile(r"\W*([A-Z])[*_]*\s*[).:]\s*[^\s.:)].*", re.DOTALL)
_LETTER = re.compile(r"[a-z]")


def normal(answer: str) -> str:
    """The form in which option letters and words are compared."""
    plain = " ".join(faceless(tidy(answer)).casefold().split())
    if bracketed := _BRACKETED.fullmatch(plain):
        plain = bracketed[1]
    return plain.rstrip(".:)").rstrip()


def reference_forms(reference: str) -> list[str]:
    """What is right by a reference, which may be a whole solution: a letter, also where its text is beside it."""
    found = located(reference)
    answer = reference if found is None else found
    letter = _WITH_TEXT.fullmatch(faceless(tidy(answer)))
    forms = [letter[1].casefold()] if letter else []
    return [form for form in (*forms, normal(answer)) if form]


class ChoiceVerifier:
    """See the module."""

    name = "choice"

    def __init__(self, rule: Rule = "strict") -> None:
        self._rule: Rule = rule

    @property
    def version(self) -> str:
        """The rules, and which of them finds the answer."""
        return f"{RULES}+{self._rule}"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        references = reference_forms(problem.answer or "")
        if not references:
            return verdict(self, Outcome.UNGRADABLE, "the problem has no reference answer")
        letter = _LETTER.fullmatch(references[0]) is not None
        extracted = final_answer(final, normal, self._rule, letter=letter)
        if extracted.answer is None:
            return verdict(self, Outcome.MALFORMED, extracted.detail)
        answer = normal(extracted.answer)
        outcome = Outcome.CORRECT if answer in references else Outcome.WRONG
        return verdict(self, outcome, f"{answer[:80]!r} against {references[0][:80]!r}", extracted.answer)

    def close(self) -> None:
        """Nothing to give back."""
