"""This module judges multiple choice and short word answers: the option's letter or word, matched exactly.

The answer is found by `answer_extraction.final_answer`; both sides then lose typefaces, surrounding brackets, a closing
`.`, `:` or `)`, case, and repeated blanks. Nothing else: "B or C", "(B) red" and "not B" are not "B", unless the
lenient rule reads the one letter of a sentence. A reference may be a whole solution, or a letter with its text beside
it.
"""

import re

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.answer_cleanup import clean_answer, strip_typefaces
from r1_pipeline.rewards.answer_extraction import Rule, final_answer
from r1_pipeline.rewards.reference_answers import choice_references
from r1_pipeline.rewards.verifier import verdict

RULES = "3"
"""Bump when any verdict can change; `tests/golden` holds the verdicts to it."""
_BRACKETED = re.compile(r"[(\[【]\s*([^()\[\]【】]*?)\s*[)\]】]")
_WITH_TEXT = re.compile(r"\W*([A-Z])[*_]*\s*[).:]\s*[^\s.:)].*", re.DOTALL)
_LETTER = re.compile(r"[a-z]")


def normal(answer: str) -> str:
    """The form in which option letters and words are compared."""
    plain = " ".join(strip_typefaces(clean_answer(answer)).casefold().split())
    if bracketed := _BRACKETED.fullmatch(plain):
        plain = bracketed[1]
    return plain.rstrip(".:)").rstrip()


def reference_forms(reference: str) -> list[str]:
    """Returns what is right by a reference: its letter, if it has one, and what it states as a whole."""
    forms = []
    for answer in choice_references(reference):
        letter = _WITH_TEXT.fullmatch(strip_typefaces(clean_answer(answer)))
        forms += [letter[1].casefold()] if letter else []
        forms.append(normal(answer))
    return [form for form in forms if form]


class ChoiceVerifier:
    """See the module."""

    name = "choice"

    def __init__(self, rule: Rule = "strict") -> None:
        self._rule: Rule = rule

    @property
    def version(self) -> str:
        """The version of the rules, and the name of the one that finds the answer."""
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
