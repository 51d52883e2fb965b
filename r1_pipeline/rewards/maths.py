"""This module grades mathematics: an answer is correct if it equals the reference in value.

It decides on the normal forms of both sides (`latex.normal`, with plain notation written as LaTeX), in this order:
1. A reference that is empty, monstrous, broken or without a value (`1/0`) is `ungradable`; two numbers in one answer
   are `malformed`.
2. `decide` compares the text: literal equality; qualifiers are stripped (`qualifiers`); words are compared as words,
   since a parser reads them as products of letters ("no" equals "on"); an equation stands for the value on its right
   side if its left side is a name ("x = 5", not "4 = 5"; `names`); lists must agree in length and brackets; `_pairs`
   has the rules for units, percent signs and number bases; an integral, sum, product or limit is no answer unless the
   reference is one, because that would reward copying the question.
3. The fast path compares numbers and lists of numbers exactly.
4. Monstrous answers (towers of powers, huge exponents or factorials, too long or too deeply nested) are `wrong`.
5. A child process compares the values and is killed at the deadline (`maths_child`, `equality`: latex2sympy, sympy,
   math-verify). A timeout or a crash is `grader_error`, never `wrong`.
A reference that no parser can read ("the next even number") is text: only its own words are correct.
Where the fast path decides, it agrees with the child; a test checks this over `tests/golden`.

Not covered: conversion of units, units inside lists, numbers in words ("five"), tolerances (a decimal must be right to
12 significant digits), equations equal up to a renaming, and `\\log` in the place of `\\ln`.
"""

import re
from fractions import Fraction
from pathlib import Path

from r1_pipeline.recipe import installed_version
from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.answer_extraction import MAX_ANSWER, Rule, final_answer
from r1_pipeline.rewards.inequalities import interval
from r1_pipeline.rewards.latex import compact, listed, normal, unworded
from r1_pipeline.rewards.names import unnamed
from r1_pipeline.rewards.plain import greek_pair
from r1_pipeline.rewards.qualifiers import qualified
from r1_pipeline.rewards.quantity import number, split
from r1_pipeline.rewards.reference_answers import reference_answer
from r1_pipeline.rewards.verifier import verdict
from r1_pipeline.rewards.workers import WorkerPool

RULES = "6"
"""The version of the rules; bump it when any verdict can change (`tests/golden` locks the verdicts to it)."""
_STACK = ("math-verify", "latex2sympy2_extended", "sympy", "antlr4-python3-runtime")
_LIMIT_S, _REFERENCE_LIMIT_S = 1.5, 10.0
"""Time limits in seconds: for comparing an answer, and for parsing a reference, which is trusted and parsed once."""
_MAX_LENGTH = 1000
_MAX_DEPTH = 10
_KNOWN = 50_000
"""The size of the cache of compared pairs; the samples of a problem have few different answers."""

_TWO_NUMBERS = re.compile(r"\d\s+\d")
_OPTION = re.compile(r"\(([A-Za-z])\)|([A-Za-z])")
_CHOICE = re.compile(r"\(?[A-J]\)?")
_OVER_ZERO = re.compile(r"(?<=[\w)}])/0+(?![\d.])")
_TIME = re.compile(r"\d{1,2}:(?:00|\d\d [AP]M)(?: [AP]M)?")
_WORDS = re.compile(r"(?i:yes|no|odd|red|tie)|(?=.*[^\W\d_]{4})[^\W\d_]+(?:[\s',-]+[^\W\d_]+)*|[\u4e00-\u9fff]+")
_MONSTER = re.compile(
    r"\^[\s{(]*\d+\s*\^|\^\s*\{?\s*\(?[0-9]{5}|[0-9]{5,}\s*\)?\s*!|!\s*\)?\s*!|[0-9]{1001}|[-+|]{9}"
    r"|\\binom.*[0-9]{5}|\\(?:sum|prod)(?![a-z]).*(?:[0-9]{5}|\^\{?[0-9]+\^)",
    re.DOTALL,
)
_UNDONE = re.compile(r"\\(?:i+nt|oint|sum|prod|lim)(?![a-zA-Z])")
_ASKS_PERCENT = re.compile(r"percent|%|百分", re.IGNORECASE)
_ASKS_BASE = re.compile(r"\bbase\b|binary|octal|hexadecimal|进制", re.IGNORECASE)

Pair = tuple[str, str]
"""A reference and an answer, or one value of each."""


def decide(reference: str, answer: str, question: str) -> bool | list[Pair]:
    """Compares two normal forms as text and returns the verdict, or the pairs of values still to be compared.

    The answer is correct if the values of any pair are equal. `question` decides how percent signs and number bases
    are read.
    """
    if compact(reference) == compact(answer):
        return True
    expected, given = qualified(reference), qualified(answer)
    if expected.excludes(given):
        return False
    reference, answer = greek_pair(expected.value, given.value)
    if compact(reference) == compact(answer):
        return True
    if (expected_words := words(reference)) is not None:
        return expected_words == words(answer, always=True)
    if len(reference) == 1 and reference.isalpha() and (option := words(answer)) is not None:
        return option == reference.casefold()
    reference, answer = _as_intervals(*unnamed(reference, answer))
    if _UNDONE.search(answer) and not _UNDONE.search(reference):
        return False
    if "\\ldots" in reference + answer or ("=" in answer and "=" not in reference and len(listed(answer)[1]) == 1):
        return compact(reference) == compact(answer)
    return [pair for pair in _pairs(reference, answer, question) if _alike(*pair)]


def fast_equal(reference: str, answer: str) -> bool | None:
    """Compares two values exactly; None where only the child can decide."""
    if compact(reference) == compact(answer):
        return True
    (around, left), (brackets, right) = listed(reference), listed(answer)
    mine, theirs = _numbers(left), _numbers(right)
    if around != brackets or mine is None or theirs is None:
        return None
    if around in ("", "\\{\\}"):
        if len(set(mine)) < len(mine) or len(set(theirs)) < len(theirs):
            return None
        mine, theirs = sorted(mine), sorted(theirs)
    if len(mine) == len(theirs) and mine != theirs and all(map(_close, mine, theirs)):
        return None
    return mine == theirs


def words(text: str, *, always: bool = False) -> str | None:
    """Returns the words or the option letter of a word answer in lower case; None if it could be mathematics.

    `always` reads any text as words; it is set where the reference consists of words.
    """
    plain = unworded(text)
    if (option := _OPTION.fullmatch(plain)) and (always or plain != text):
        return (option[1] or option[2]).casefold()
    return plain.casefold() if always or _WORDS.fullmatch(plain) else None


def monstrous(text: str) -> bool:
    """Returns True if evaluating the text could take forever: an answer should be a value, not a computation."""
    depth = deepest = 0
    for char in text[: _MAX_LENGTH + 1]:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return len(text) > _MAX_LENGTH or deepest > _MAX_DEPTH or _MONSTER.search(text) is not None


class MathsVerifier:
    """Grades mathematics by the module's rules, with up to `workers` child processes, each started when needed."""

    name = "maths"

    def __init__(self, workers: int, rule: Rule = "strict") -> None:
        self._rule: Rule = rule
        self.version = "+".join([RULES, rule, *(f"{package}-{installed_version(package)}" for package in _STACK)])
        self._references: dict[str, str] = {}
        self._known: dict[Pair, bool] = {}
        self._pool = WorkerPool(
            Path(__file__).with_name("maths_child.py"), size=workers, flags=("-I",), recycle_after=2000
        )

    def close(self) -> None:
        """Kills the child processes."""
        self._pool.close()

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the final part of a reply; raises `GraderError` if no child process can be started."""
        reference = normal(reference_answer(problem.answer or "")[: MAX_ANSWER + 1])
        status = self._reference(reference)
        if status in ("failed", "undefined"):
            outcome = Outcome.GRADER_ERROR if status == "failed" else Outcome.UNGRADABLE
            return verdict(self, outcome, f"the reference {(problem.answer or '')[-80:]!r} states no value")
        extracted = final_answer(final, _agreed, self._rule, letter=_CHOICE.fullmatch(unworded(reference)) is not None)
        if extracted.answer is None:
            return verdict(self, Outcome.MALFORMED, extracted.detail)
        answer = normal(extracted.answer)
        shown = f"{answer[:80]!r} against {reference[:80]!r}"
        decided = decide(reference, answer, problem.question)
        if decided is not True and _TWO_NUMBERS.search(answer) and not _TWO_NUMBERS.search(reference):
            return verdict(self, Outcome.MALFORMED, f"two numbers in one answer: {shown}", extracted.answer)
        equal: bool | None = decided is True
        if isinstance(decided, list) and status != "unreadable":
            equal = self._any_equal(decided)
        outcome = {True: Outcome.CORRECT, False: Outcome.WRONG, None: Outcome.GRADER_ERROR}[equal]
        return verdict(self, outcome, shown, extracted.answer)

    def _any_equal(self, pairs: list[Pair]) -> bool | None:
        """Returns True if a pair has equal values; None if none has and the grader failed on one of them."""
        found: bool | None = False
        for reference, answer in pairs:
            equal = fast_equal(reference, answer)
            if equal is None and (monstrous(answer) or monstrous(reference) or words(answer) is not None):
                continue
            if equal is None and (equal := self._known.get((reference, answer))) is None:
                status = self.ask(reference, answer)
                equal = None if status == "failed" else status == "equal"
                self._remember((reference, answer), equal)
            if equal:
                return True
            found = None if equal is None else found
        return found

    def _remember(self, pair: Pair, equal: bool | None) -> None:
        """Caches the child's result; a failure is not cached, so that the pair is compared again."""
        if equal is not None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[pair] = equal

    def ask(self, reference: str, answer: str | None) -> str:
        """Returns the child's status (see `maths_child`), or "failed" if it timed out or died."""
        limit_s = _REFERENCE_LIMIT_S if answer is None else _LIMIT_S
        reply = self._pool.ask({"reference": reference, "answer": answer, "limit_s": limit_s}, limit_s)
        return str(reply.value["status"]) if reply.status == "ok" else "failed"

    def _reference(self, reference: str) -> str:
        """Returns the status of a reference (see `maths_child`), which says if it has a value; cached."""
        reference = qualified(reference).value
        value = split(unnamed(reference, "")[0]).value
        if not re.search(r"\w", value) or len(reference) > MAX_ANSWER or value.count("{") != value.count("}"):
            return "undefined"
        if _OVER_ZERO.search(compact(value)):
            return "undefined"
        if words(reference) is not None or _numbers(listed(value)[1]) is not None:
            return "readable"
        if _TIME.fullmatch(reference):
            return "unreadable"
        if monstrous(value):
            return "undefined"
        if value not in self._references:
            status = self.ask(value, None)
            if status == "failed":
                return status
            self._references[value] = status
        return self._references[value]


def _agreed(answer: str) -> str:
    """Returns the form in which several answers of one reply must be equal."""
    form = normal(answer)
    return compact(form) if (value := number(form)) is None else str(value)


def _numbers(items: list[str]) -> list[Fraction] | None:
    """Returns the exact values of all items; None if one of them is no literal number."""
    values = [value for each in items if (value := number(each)) is not None]
    return values if len(values) == len(items) else None


def _close(left: Fraction, right: Fraction) -> bool:
    """Returns True if two numbers are so close that the child must compare them with its tolerance for decimals."""
    return abs(left - right) <= max(abs(left), abs(right)) / 10**9


def _as_intervals(reference: str, answer: str) -> Pair:
    """Rewrites inequalities on both sides as intervals; two of different unknowns stay, and therefore differ."""
    left, right = interval(reference), interval(answer)
    if left and right and left[0] and right[0] and left[0] != right[0]:
        return reference, answer
    return left[1] if left else reference, right[1] if right else answer


def _pairs(reference: str, answer: str, question: str) -> list[Pair]:
    """Applies the rules for units and returns the pairs of values, one of which must be equal; none if units conflict.

    A unit may be left out or added; two units must agree. Percent: 10% is 0.1, and it is also 10 if the reference has
    the percent sign or the question asks for a percentage. Number bases: 1101_2 is 13, and it is also 1101 if the
    question asks for a base; a reference in a base accepts only its own digits.
    """
    left, right = split(reference), split(answer)
    plain = [(left.value, right.value)]
    if left.unit.startswith("_") or (right.unit.startswith("_") and _ASKS_BASE.search(question)):
        return plain if right.unit in ("", left.unit) or not left.unit else []
    if right.unit.startswith("_"):
        return [(reference, _in_decimal(right.value, int(right.unit[1:])))]
    if "%" in (left.unit, right.unit) and left.unit != right.unit:
        hundredths = [
            (_hundredth(left.value), right.value) if left.unit == "%" else (left.value, _hundredth(right.value))
        ]
        return hundredths + (plain if left.unit == "%" or _ASKS_PERCENT.search(question) else [])
    if left.unit and right.unit:
        return plain if left.unit == right.unit else []
    literal = all(number(side.value) is not None for side in (left, right) if side.unit)
    return plain if literal else [*plain, (reference, answer)]  # in "2\pi hr" the unit may be two factors


def _alike(reference: str, answer: str) -> bool:
    """Returns True if brackets and lengths allow equality: a set is no tuple, [1, 2) is not (1, 2], 5 is not 5, 5."""
    (around, left), (brackets, right) = listed(reference), listed(answer)
    if around and brackets and around != brackets:
        return "\\{\\}" not in (around, brackets) and len(left) != 2
    return around != brackets or around == "\\{\\}" or len(left) == len(right)


def _hundredth(value: str) -> str:
    exact = number(value)
    return f"\\frac{{{value}}}{{100}}" if exact is None else str(exact / 100)


def _in_decimal(digits: str, base: int) -> str:
    """Returns digits in a base as a decimal number, or unchanged with their base if a digit is not of that base."""
    try:
        return str(int(digits, base))
    except ValueError:
        return f"{digits}_{{{base}}}"
