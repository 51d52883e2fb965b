"""This module compares the verdicts of this project with those of outside graders on the same answers.

Every disagreement is classified by its cause, as far as a rule can tell:

    timeout       the outside grader ran out of time
    error         the outside grader failed, or this project's did
    extraction    the two found different answers in the reply, or only one found any
    units         both read the same answer, and it or the reference has a unit, a percent sign or a currency
    rounding      both read the same number, which is close to the reference and not equal to it
    tests         programs: the same program passed the tests of one harness only
    equivalence   both read the same answer, and differ on its equality with the reference
    unstated      the other verdict comes from a file, which does not say what was read

Not covered: running the graders (`outside.environment`), and which of the two is right: a person reads both.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from r1_pipeline.evaluation.outside.environment import Opinion
from r1_pipeline.evaluation.outside.graders import Answer, OutsideGrader
from r1_pipeline.records import UNSCORED, Outcome, Record

Cause = Literal["timeout", "error", "extraction", "units", "rounding", "tests", "equivalence", "unstated"]
UNSTATED: Literal["unstated"] = "unstated"
"""The `why` of a verdict that comes without a reading, as files store it."""
CLOSE = 0.05
"""The largest relative difference that counts as rounding."""
_NOISE = re.compile(
    r"\\left|\\right|\\[!,;: ]|\\displaystyle|\\mathrm|\\text(?:bf|rm)?|\\boxed|\\\(|\\\)|\\\[|\\\]|[\s${}]|\.$"
)
_UNIT = re.compile(
    r"\\text|\\mathrm|%|\\circ|°|\\\$|\b(?:cm|km|kg|degrees?|dollars?|cents?|hours?|minutes?|inches|units?)\b"
)


class Disagreement(Record):
    """An answer on which this project and an outside grader differ, with both readings."""

    id: str
    grader: str
    cause: Cause
    reference: str
    ours: Outcome
    theirs: bool | None
    our_reading: str | None
    their_reading: str | None
    detail: str
    """This project's detail, and the reason of the other's failure if it failed."""


class Agreement(Record):
    """The agreement of this project with one other grader."""

    grader: str
    package: str
    about: str
    judged: int
    """The number of answers that both have a verdict on."""
    both_correct: int
    ours_only: int
    """The number of answers that are correct for this project only."""
    theirs_only: int
    both_wrong: int
    without_verdict: int
    """The number of answers on which one of the two has no verdict."""
    agreement: float | None
    """The share of the judged answers with the same verdict; None without one."""
    kappa: float | None
    """Cohen's kappa; None if either grader always says the same, so that chance explains everything."""
    causes: dict[Cause, int]
    """The number of disagreements by cause; a failure to judge counts as one."""


class SecondOpinion(Record):
    """The agreement on a set of answers with all outside graders."""

    name: str
    digest: str
    """The digest of the evaluation or the files."""
    answers: int
    verifiers: tuple[str, ...]
    """This project's verifiers, `name@version`."""
    agreements: tuple[Agreement, ...]
    alone: int
    """The number of answers whose verdict here is against that of every outside grader that has one, at least two."""
    disagreements: tuple[Disagreement, ...]
    not_run: dict[str, str] = Field(default_factory=dict)
    """Outside graders that could not run, with the reason."""


def kappa(both_correct: int, ours_only: int, theirs_only: int, both_wrong: int) -> float | None:
    """Returns Cohen's kappa (p_o - p_e) / (1 - p_e) of two graders from their counts; None if p_e is 1 or n is 0."""
    n = both_correct + ours_only + theirs_only + both_wrong
    ours, theirs = both_correct + ours_only, both_correct + theirs_only
    by_chance = ours * theirs + (n - ours) * (n - theirs)
    if by_chance == n * n:
        return None
    return (n * (both_correct + both_wrong) - by_chance) / (n * n - by_chance)


def second_opinion(
    name: str,
    digest: str,
    answers: Sequence[Answer],
    verifiers: Sequence[str],
    found: Mapping[str, Mapping[str, Opinion]],
    graders: Sequence[OutsideGrader],
    not_run: Mapping[str, str],
) -> SecondOpinion:
    """Compares verdicts; `found` has the opinions of each grader by the id of the answer."""
    agreements, disagreements = [], []
    for grader in graders:
        asked = [(answer, found[grader.name][answer.id]) for answer in answers if answer.id in found[grader.name]]
        differ = [each for answer, opinion in asked if (each := compare(answer, opinion, grader.name))]
        disagreements += differ
        agreements.append(_agreement(grader, asked, differ))
    return SecondOpinion(
        name=name,
        digest=digest,
        answers=len(answers),
        verifiers=tuple(verifiers),
        agreements=tuple(agreements),
        alone=sum(
            _alone(answer, [each[answer.id] for each in found.values() if answer.id in each]) for answer in answers
        ),
        disagreements=tuple(disagreements),
        not_run=dict(not_run),
    )


def _agreement(
    grader: OutsideGrader, asked: Sequence[tuple[Answer, Opinion]], differ: Sequence[Disagreement]
) -> Agreement:
    judged = [(ours, opinion.correct) for answer, opinion in asked if (ours := right(answer)) is not None]
    cells = Counter((ours, theirs) for ours, theirs in judged if theirs is not None)
    four = cells[True, True], cells[True, False], cells[False, True], cells[False, False]
    total = sum(four)
    return Agreement(
        grader=grader.name,
        package=grader.package,
        about=grader.about,
        judged=total,
        both_correct=four[0],
        ours_only=four[1],
        theirs_only=four[2],
        both_wrong=four[3],
        without_verdict=len(asked) - total,
        agreement=(four[0] + four[3]) / total if total else None,
        kappa=kappa(*four),
        causes=dict(sorted(Counter(each.cause for each in differ).items())),
    )


def right(answer: Answer) -> bool | None:
    """Returns True if an answer is correct here, False if not; None if there is no verdict."""
    return None if answer.outcome in UNSCORED else answer.outcome is Outcome.CORRECT


def _alone(answer: Answer, opinions: Sequence[Opinion]) -> bool:
    theirs = [each.correct for each in opinions if each.correct is not None]
    ours = right(answer)
    return ours is not None and len(theirs) >= 2 and all(each is not ours for each in theirs)


def compare(answer: Answer, opinion: Opinion, grader: str) -> Disagreement | None:
    """Returns the disagreement on an answer with its cause; None if both say the same."""
    ours = right(answer)
    if ours is opinion.correct:
        return None
    return Disagreement(
        id=answer.id,
        grader=grader,
        cause=cause_of(answer, opinion),
        reference=answer.job.reference,
        ours=answer.outcome,
        theirs=opinion.correct,
        our_reading=answer.reading,
        their_reading=opinion.reading,
        detail="; ".join(filter(None, (answer.detail, opinion.why))),
    )


def cause_of(answer: Answer, opinion: Opinion) -> Cause:
    """Returns the cause of a disagreement."""
    if opinion.why == "timeout":
        return "timeout"
    if opinion.correct is None or right(answer) is None:
        return "error"
    if opinion.why == UNSTATED:
        return UNSTATED
    if answer.grades == "code":
        return "tests"
    if answer.grades == "instructions":
        return "equivalence"
    if not same_reading(answer.reading, opinion.reading):
        return "extraction"
    if answer.reading is not None and (close := _number(answer.reading)) is not None:
        reference = _number(answer.job.reference)
        if reference is not None and 0 < abs(close - reference) <= CLOSE * max(abs(close), abs(reference)):
            return "rounding"
    if _UNIT.search(answer.job.reference) or _UNIT.search(answer.reading or "") or _UNIT.search(opinion.reading or ""):
        return "units"
    return "equivalence"


def same_reading(ours: str | None, theirs: str | None) -> bool:
    """Returns True if two graders found the same answer in a reply, apart from spacing, braces, fonts and `x =`."""
    if ours is None or theirs is None:
        return False
    left, right_ = _plain(ours), _plain(theirs)
    if left == right_ or (left and right_ and (left in right_ or right_ in left) and not _digits_differ(left, right_)):
        return True
    one, other = _number(ours), _number(theirs)
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9)


def _digits_differ(left: str, right_: str) -> bool:
    return re.findall(r"\d+", left) != re.findall(r"\d+", right_)


def _plain(text: str) -> str:
    return _NOISE.sub("", text.replace("dfrac", "frac").replace("tfrac", "frac")).rpartition("=")[2].casefold()


_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}|(-?)(\d+)/(\d+)")


def _number(text: str) -> float | None:
    bare = re.sub(r"[\s$,!\\]*$|^[\s$]+", "", text)
    if found := _FRACTION.fullmatch(bare):
        sign, top, bottom = found.groups()[:3] if found[2] else found.groups()[3:]
        return None if int(bottom) == 0 else (-1 if sign else 1) * int(top) / int(bottom)
    plain = _plain(text).replace(",", "").replace("\\%", "").replace("%", "").removesuffix("^\\circ")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
