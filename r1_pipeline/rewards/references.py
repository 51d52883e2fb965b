"""Which problems may be asked: those whose own reference answer passes its verifier.

A problem without a reference has none that could be wrong: a general prompt is taken as it is, code by its tests.
Not covered: which problems there are (`data.curation`).
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.store import Facts
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.curation import CurateRecipe, problem_sides, set_aside, unfed
from r1_pipeline.data.ingest.rows import Place, SetAside
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome, Problem
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
from r1_pipeline.rewards.verifier import Grader, default_grader, reference_verdict


def curate_problems(recipe: CurateRecipe, runtime: Runtime, draft: Draft) -> Facts:
    """Writes one side of the split, each of its problems verified by its own reference."""
    sides = problem_sides(recipe, runtime.folders)
    unsafe = sandbox_problem() if "code" in recipe.optional else None
    left_out = unfed(recipe) | ({"code": unsafe} if unsafe else {})
    wanted = sides.heldout if recipe.heldout else sides.train
    with default_grader(runtime) as grader:
        asked = [problem for problem in wanted if problem.domain not in left_out]
        kept, unsound = sound_problems(grader, asked, runtime.threads)
    write_records(draft.path / "problems.parquet", kept, Problem)
    aside = [*sides.aside, *unsound]
    drops = Counter(row.reason for row in aside)
    drops.update(f"no_verifier_of_{problem.domain}" for problem in wanted if problem.domain in left_out)
    facts = {"rows": len(kept), "by_domain": dict(Counter(p.domain for p in kept)), "left_out": left_out}
    return Facts({**facts, "ingested": set_aside(draft, recipe, kept, aside)}, drops)


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
