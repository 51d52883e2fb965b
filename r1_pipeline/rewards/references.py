"""Which problems may be asked: those whose own reference answer passes its verifier.

A problem without a reference has none that could be wrong: a general prompt is taken as it is, code by its tests.
Not covered: which problems there are (`data.curation`).
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from r1_pipeline.data.ingest.rows import Place, SetAside
from r1_pipeline.records import Outcome, Problem
from r1_pipeline.rewards.verifier import Grader, reference_verdict


def sound_problems(grader: Grader, problems: Iterable[Problem], threads: int) -> tuple[list[Problem], list[SetAside]]:
    """(problems that may be asked, the others with the verdict on their references), each in the order given."""
    kept: list[Problem] = []
    aside: list[SetAside] = []
    with ThreadPoolExecutor(threads) as pool:
        for problem, fault in pool.map(lambda problem: (problem, _fault(grader, problem)), problems):
            if fault is None:
                kept.append(problem)
            else:
                aside.append(fault)
    return kept, aside


def _fault(grader: Grader, problem: Problem) -> SetAside | None:
    if problem.answer is None and (problem.domain == "general" or problem.tests):
        return None
    verdict = reference_verdict(grader, problem)
    if verdict.outcome is Outcome.CORRECT:
        return None
    return Place.of(problem.source).aside(f"reference_{verdict.outcome}", verdict.detail)
