"""This module measures answer bias in multiple choice: the most frequent answer of a model, and of a corpus.

A model that always answers "D" is right as often as "D" is, and each of those rows is verified: only the distribution
of the answers shows the bias. Multiple choice means problems of the verifier `choice`, and answers are compared in its
normal form. Not covered: whether the reasoning of a row supports its answer (`support`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.data.split import fact_of
from r1_pipeline.data.templates import split_reply
from r1_pipeline.evaluation.estimators import Tally, interval
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.records import DOMAINS, Domain, Problem, Record
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier, normal, reference_forms

if TYPE_CHECKING:
    import polars as pl


class FrequentAnswer(Record):
    """The most frequent answer."""

    answer: str
    share: float
    """Its share of all answers."""
    answers: int
    """The number of replies in which the verifier found an answer."""


def favourites(judged: "pl.DataFrame") -> dict[Domain, FrequentAnswer]:
    """Returns the most frequent answer among judged completions by domain, for domains with multiple choice.

    `judged` has the columns `domain`, `verifier` and `extracted`.
    """
    import polars as pl

    chosen = pl.col("verifier").str.starts_with(f"{ChoiceVerifier.name}@") & pl.col("extracted").is_not_null()
    found: dict[Domain, Counter[str]] = {}
    for domain, extracted in judged.filter(chosen).select("domain", "extracted").iter_rows():
        found.setdefault(domain, Counter())[normal(extracted)] += 1
    return {domain: _favourite(answers) for domain, answers in found.items()}


def answer_distribution(corpus: Corpus, problems: Iterable[Problem], limits: GateLimits) -> list[Gate]:
    """Checks that no answer is much more frequent in a domain's corpus rows than in its problems' references.

    The value is the largest excess of any answer: the lower end of the 95% interval of its share of the rows
    (clustered by fact, for all answers jointly) minus its share of the references. There is one gate for each domain.
    """
    known = {problem.id: problem for problem in problems if _is_choice(problem)}
    references: dict[Domain, Counter[str]] = {}
    for problem in known.values():
        references.setdefault(problem.domain, Counter())[_reference(problem)] += 1
    answers: dict[Domain, list[tuple[str, str]]] = {}
    verifier = ChoiceVerifier()
    for frame in corpus.batches(["problem_id", "response"]):
        for problem_id, response in frame.iter_rows():
            if problem_id in known:
                problem = known[problem_id]
                answer = _answer(problem, response, verifier)
                answers.setdefault(problem.domain, []).append((fact_of(problem), answer))
    return [_distribution(domain, rows, references[domain], limits) for domain, rows in sorted(answers.items())]


def _distribution(domain: Domain, rows: list[tuple[str, str]], references: Counter[str], limits: GateLimits) -> Gate:
    counts = Counter(answer for _, answer in rows)

    def excess(answer: str) -> float:
        tallies = [Tally(judged=1, correct=given == answer, fact=fact) for fact, given in rows]
        return interval([tallies], comparisons=len(counts)).lo - references[answer] / references.total()

    worst = {answer: excess(answer) for answer in counts}
    answer = max(worst, key=lambda each: worst[each])
    share = references[answer] / references.total()
    return Gate(
        name=f"answer_distribution_{domain}",
        value=worst[answer],
        sense="at most",
        limit=limits.answer_excess,
        detail=f"{answer!r} is the answer of {counts[answer]} of {len(rows)} rows, and of {share:.0%} of the problems",
    )


def _favourite(answers: Mapping[str, int]) -> FrequentAnswer:
    answer = max(answers, key=lambda each: (answers[each], each))
    total = sum(answers.values())
    return FrequentAnswer(answer=answer, share=answers[answer] / total, answers=total)


def _is_choice(problem: Problem) -> bool:
    return (problem.verifier or DOMAINS[problem.domain].verifier) == ChoiceVerifier.name and bool(problem.answer)


def _reference(problem: Problem) -> str:
    return reference_forms(problem.answer or "")[0]


def _answer(problem: Problem, response: str, verifier: ChoiceVerifier) -> str:
    """Returns the answer of a row, in its reference's form if it is right; "" if the row has no answer."""
    judged = verifier.judge(problem, split_reply("chat", response).final or "")
    answer = normal(judged.extracted or "")
    return _reference(problem) if answer in reference_forms(problem.answer or "") else answer
