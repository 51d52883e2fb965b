"""Which answer to multiple choice is given most: by a model, and by the rows of a corpus.

A model that always says "D" is right as often as "D" is, and every one of those rows is verified: only the distribution
of the answers shows it. Multiple choice is what the verifier `choice` judged; answers are compared in its normal form.
Not covered: whether the reasoning of a row supports its answer.
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
    """The answer that is given most."""

    answer: str
    share: float
    """Of all answers."""
    answers: int
    """Replies in which the verifier found one."""


def favourites(judged: "pl.DataFrame") -> dict[Domain, FrequentAnswer]:
    """Domain -> the most frequent answer among judged completions; domains without multiple choice are left out."""
    import polars as pl

    chosen = pl.col("verifier").str.starts_with(f"{ChoiceVerifier.name}@") & pl.col("extracted").is_not_null()
    found: dict[Domain, Counter[str]] = {}
    for domain, extracted in judged.filter(chosen).select("domain", "extracted").iter_rows():
        found.setdefault(domain, Counter())[normal(extracted)] += 1
    return {domain: _favourite(answers) for domain, answers in found.items()}


def answer_distribution(corpus: Corpus, problems: Iterable[Problem], limits: GateLimits) -> list[Gate]:
    """No answer is much more frequent among the corpus rows of a domain than among the references of its problems.

    The value is the share of an answer that the rows surely have (the lower end of its 95% interval by fact, for all
    answers at once) less its share of the references, for the answer where that is greatest.
    """
    known = {problem.id: problem for problem in problems if _is_choice(problem)}
    references: dict[Domain, Counter[str]] = {}
    for problem in known.values():
        references.setdefault(problem.domain, Counter())[_reference(problem)] += 1
    said: dict[Domain, list[tuple[str, str]]] = {}
    verifier = ChoiceVerifier()
    for frame in corpus.batches(["problem_id", "response"]):
        for problem_id, response in frame.iter_rows():
            if problem_id in known:
                problem = known[problem_id]
                answer = _answer(problem, response, verifier)
                said.setdefault(problem.domain, []).append((fact_of(problem), answer))
    return [_distribution(domain, rows, references[domain], limits) for domain, rows in sorted(said.items())]


def _distribution(domain: Domain, rows: list[tuple[str, str]], references: Counter[str], limits: GateLimits) -> Gate:
    counts = Counter(answer for _, answer in rows)

    def excess(answer: str) -> float:
        tallies = [Tally(judged=1, correct=said == answer, fact=fact) for fact, said in rows]
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
    """What a row answers, as its reference states it where it is right; empty where no answer is found."""
    judged = verifier.judge(problem, split_reply("chat", response).final or "")
    answer = normal(judged.extracted or "")
    return _reference(problem) if answer in reference_forms(problem.answer or "") else answer
