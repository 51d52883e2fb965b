"""This module grades multiple choice and short word answers: the option's letter or word must match exactly.

`answer_extraction.final_answer` finds the answer; both sides then lose typefaces, surrounding brackets, a closing `.`,
`:` or `)`, case, and repeated white space. Nothing else is ignored: "B or C", "(B) red" and "not B" are not "B", unless
the lenient rule reads the only letter of a sentence. A reference may be a whole solution, or a letter followed by its
text.
"""

import re

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.answer_cleanup import clean_answer, strip_typefaces
from r1_pipeline.rewards.answer_extraction import Rule, final_answer
from r1_pipeline.rewards.reference_answers import choice_references
from r1_pipeline.rewards.verifier import verdict

RULES = "3"
"""The version of the rules; bump it when any verdict can change (`tests/golden` locks the verdicts to it)."""
_BRACKETED = re.compile(r"[(\[【]\s*([^()\[\]【】]*?)\s*[)\]】]")
_WITH_TEXT = re.compile(r"\W*([A-Z])[*_]*\s*[).:]\s*[^\s.:)].*", re.DOTALL)
_LETTER = re.compile(r"[a-z]")


def normal(answer: str) -> str:
    """Returns the normal form in which option letters and words are compared."""
    plain = " ".join(strip_typefaces(clean_answer(answer)).casefold().split())
    if bracketed := _BRACKETED.fullmatch(plain):
        plain = bracketed[1]
    return plain.rstrip(".:)").rstrip()


def reference_forms(reference: str) -> list[str]:
    """Returns the normal forms that a reference accepts: its letter, if it has one, and its whole text."""
    forms = []
    for answer in choice_references(reference):
        letter = _WITH_TEXT.fullmatch(strip_typefaces(clean_answer(answer)))
        forms += [letter[1].casefold()] if letter else []
        forms.append(normal(answer))
    return [form for form in forms if form]


class ChoiceVerifier:
    """Grades option letters and short words; see the module's docstring for the rules."""

    name = "choice"

    def __init__(self, rule: Rule = "strict") -> None:
        self._rule: Rule = rule

    @property
    def version(self) -> str:
        """The version of the rules and the name of the extraction rule."""
        return f"{RULES}+{self._rule}"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the final part of a reply; a problem without a reference is `ungradable`."""
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
        """Does nothing: this verifier holds no resources."""
