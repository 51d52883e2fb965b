"""Mathematics: is the final answer equal to the reference?

Order of decisions, after `extract.final_answer` and `normal` (one normal form for both sides):
1. the reference is empty, monstrous or unparsable: `ungradable`; two numbers in one answer: `malformed`;
2. word answers are compared as words, since math-verify reads them as products of letters ("no" equals "on");
   an equation given for a value counts by its right side if its left side is a lone name ("x = 5", not "4 = 5");
3. the fast path: literal equality, and exact equality of integers, decimals and simple fractions;
4. monstrous answers (towers of powers, huge exponents or factorials, over-long or deeply nested) are `wrong`;
5. math-verify, in a child process that is killed at the deadline. A timeout or a crash is `grader_error`, never wrong.
The fast path never disagrees with math-verify where it decides; a test holds it to that over `tests/golden`.

Not covered yet: units and percentages beyond what math-verify does, number bases, Chinese measure words,
repeating decimals, values that differ by less than 15 digits, tuples against sets and intervals.
"""

import re
from fractions import Fraction
from importlib.metadata import version as package_version
from pathlib import Path

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.extract import final_answer, tidy
from r1_pipeline.rewards.verifier import verdict
from r1_pipeline.rewards.workers import WorkerPool

_RULES = "1"
"""Bump when any verdict can change."""
_STACK = ("math-verify", "latex2sympy2_extended", "sympy", "antlr4-python3-runtime")
_LIMIT_S = 2.0
_MAX_LENGTH = 1000
_MAX_DEPTH = 50

_SPACING = re.compile(r"\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|(?<!\\)\\[,;: ]|~|\\displaystyle")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\{,\}|\s)\d{3})+(?!\d)")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s+(\d+/\d+)")
_BARE_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_TWO_NUMBERS = re.compile(r"\d\s+\d")
_INTEGER = r"[+-]?(?:[0-9]{1,300}|[0-9]{1,3}(?:,[0-9]{3}){1,80})"
_NUMBER = re.compile(rf"(?P<whole>{_INTEGER})(?P<decimals>\.[0-9]{{1,12}})?|(?P<point>[+-]?\.[0-9]{{1,12}})")
_FRACTION = re.compile(r"(-?)(?:\\frac\{([+-]?[0-9]{1,100})\}\{([0-9]{1,100})\}|([+-]?[0-9]{1,100})/([0-9]{1,100}))")
_LOOSE_BLANK = re.compile(r"(?<!\d)\s|\s(?!\d)")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"(?=.*[^\W\d_]{4})[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*|[\u4e00-\u9fff]+")
_NAMED_VALUE = re.compile(r"(?:[A-Za-z]|\\[a-z]+)(?:_\w|_\{\w+\})?(?:\([a-z]\))?\s*=\s*([^=<>]+)")
_MONSTER = re.compile(
    r"\^[\s{(]*\d+\s*\^|\^\s*\{?\s*\(?[0-9]{5}|[0-9]{5,}\s*\)?\s*!|!\s*\)?\s*!|[0-9]{1001}", re.DOTALL
)
_HUGE_BINOMIAL = re.compile(r"\\[dt]?binom.*[0-9]{5}|\\(?:sum|prod).*(?:[0-9]{5}|\^\{?[0-9]+\^)", re.DOTALL)


def normal(answer: str) -> str:
    """The normal form both sides are compared in."""
    answer = (
        _SPACING.sub(" ", tidy(answer).replace("\\!", "")).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    )
    answer = _BARE_FRACTION.sub(r"\\frac{\1}{\2}", answer)
    answer = _THOUSANDS.sub(lambda match: re.sub(r"\{,\}|\s", "", match[0]), answer)
    return _MIXED.sub(r"(\1+\2)", re.sub(r"\s+", " ", answer)).strip()


def number(text: str) -> Fraction | None:
    """The exact value of an integer, decimal or simple fraction; None for everything else."""
    compact = _LOOSE_BLANK.sub("", text)
    if match := _NUMBER.fullmatch(compact):
        return Fraction(match[0].replace(",", ""))
    if (match := _FRACTION.fullmatch(compact)) and int(below := match[3] or match[5]):
        return Fraction(int(match[2] or match[4]), int(below)) * (-1 if match[1] else 1)
    return None


def fast_equal(reference: str, answer: str) -> bool | None:
    """Equality of two normal forms where it is certain; None leaves the decision to math-verify."""
    if _LOOSE_BLANK.sub("", reference) == _LOOSE_BLANK.sub("", answer):
        return True
    left, right = number(reference), number(answer)
    if left is None or right is None:
        return None
    if left == right:
        return True
    both_whole = left.denominator == right.denominator == 1
    return False if both_whole or abs(left - right) > max(Fraction(1), abs(left)) / 10**9 else None


def words(text: str) -> str | None:
    """The words of a word answer, in lower case; None for anything that could be mathematics."""
    plain = _TEXT_COMMAND.sub(r" \1 ", text)
    stripped = " ".join(plain.split()).casefold()
    if _WORDS.fullmatch(stripped) or (plain != text and re.fullmatch(r"[^\W\d_]+", stripped)):
        return stripped
    return None


def monstrous(text: str) -> bool:
    """Whether evaluating it could take for ever: an answer should be a value, not a computation."""
    depth = deepest = 0
    for char in text[: _MAX_LENGTH + 1]:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return (
        len(text) > _MAX_LENGTH
        or deepest > _MAX_DEPTH
        or _MONSTER.search(text) is not None
        or _HUGE_BINOMIAL.search(text) is not None
    )


class MathsVerifier:
    """See the module; `workers` children are started when the first answer needs one."""

    name = "maths"

    def __init__(self, workers: int) -> None:
        self.version = "+".join([_RULES, *(f"{package}-{package_version(package)}" for package in _STACK)])
        self._references: dict[str, bool] = {}
        self._pool = WorkerPool(
            Path(__file__).with_name("maths_child.py"), size=workers, flags=("-I",), recycle_after=2000
        )

    def close(self) -> None:
        """Kill the children."""
        self._pool.close()

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        reference = normal(problem.answer or "")
        extracted = final_answer(final)
        if not reference or monstrous(reference):
            return verdict(self, Outcome.UNGRADABLE, f"the reference {problem.answer!r} is empty or not a value")
        if extracted.answer is None:
            return verdict(self, Outcome.MALFORMED, extracted.detail)
        answer = normal(extracted.answer)
        shown = f"{answer[:80]!r} against {reference[:80]!r}"
        if words(reference) is not None:
            return verdict(self, Outcome.CORRECT if words(answer) == words(reference) else Outcome.WRONG, shown)
        if number(reference) is None and (status := self._reference_status(reference)) is not None:
            return verdict(self, status, f"the reference {reference[:80]!r} cannot be read")
        if "=" in answer and "=" not in reference:
            named = _NAMED_VALUE.fullmatch(answer)
            if named is None:
                return verdict(self, Outcome.WRONG, f"an equation, not a value: {shown}")
            answer = named[1].strip()
        if _TWO_NUMBERS.search(answer) and answer != reference:
            return verdict(self, Outcome.MALFORMED, f"two numbers in one answer: {shown}")
        equal = fast_equal(reference, answer)
        if equal is None and (monstrous(answer) or words(answer) is not None):
            return verdict(self, Outcome.WRONG, f"not a value: {shown}")
        if equal is not None:
            return verdict(self, Outcome.CORRECT if equal else Outcome.WRONG, shown)
        return verdict(self, self._slow(reference, answer), shown)

    def _slow(self, reference: str, answer: str | None) -> Outcome:
        request = {"reference": reference, "answer": answer, "limit_s": _LIMIT_S}
        reply = self._pool.ask(request, _LIMIT_S)
        outcomes = {
            "equal": Outcome.CORRECT,
            "parsed": Outcome.CORRECT,
            "differs": Outcome.WRONG,
            "bad_reference": Outcome.UNGRADABLE,
        }
        return outcomes[reply.value["status"]] if reply.status == "ok" else Outcome.GRADER_ERROR

    def _reference_status(self, reference: str) -> Outcome | None:
        """None for a reference that math-verify can read; asked once per reference."""
        if reference not in self._references:
            outcome = self._slow(reference, None)
            if outcome is Outcome.GRADER_ERROR:
                return outcome
            self._references[reference] = outcome is Outcome.CORRECT
        return None if self._references[reference] else Outcome.UNGRADABLE
