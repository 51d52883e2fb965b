"""Which problems may be asked: those whose own reference answer passes its verifier, and no other contradicts.

Where two rows ask the same and their references differ for the verifier, nobody can say which is right: both are set
aside. A problem without a reference has none that could be wrong: a general prompt is taken as it is, code by its
tests.
Not covered: which problems there are (`data.curation`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.store import Facts
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.curation import CONTRADICTORY, CurateRecipe, asked, problem_sides, set_aside, unfed
from r1_pipeline.data.ingest.rows import Place, SetAside, place_of
from r1_pipeline.data.templates import summarize
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain, Outcome, Problem
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
from r1_pipeline.rewards.solutions import own_answer
from r1_pipeline.rewards.verifier import Grader, reference_verdict


def curate_problems(recipe: CurateRecipe, runtime: Runtime, draft: Draft) -> Facts:
    """Writes one side of the split, each of its problems verified by its own reference."""
    sides = problem_sides(recipe, runtime.folders)
    unsafe = sandbox_problem() if "code" in recipe.optional else None
    left_out = unfed(recipe) | ({"code": unsafe} if unsafe else {})
    wanted = sides.heldout if recipe.heldout else sides.train
    with default_grader(runtime) as grader:
        sound, unsound = sound_problems(grader, [p for p in wanted if p.domain not in left_out], runtime.threads)
        kept, contradictory = agreeing_problems(grader, sound)
    write_records(draft.path / "problems.parquet", kept, Problem)
    aside = [*sides.aside, *unsound, *contradictory]
    drops = Counter(row.reason for row in aside)
    drops.update(f"no_verifier_of_{problem.domain}" for problem in wanted if problem.domain in left_out)
    facts = {"rows": len(kept), "by_domain": dict(Counter(p.domain for p in kept)), "left_out": left_out}
    if recipe.verifiers:
        facts["verifiers"] = list(recipe.verifiers)
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


def agreeing_problems(grader: Grader, problems: Sequence[Problem]) -> tuple[list[Problem], list[SetAside]]:
    """(problems whose reference no row with the same question contradicts, the others), each in the order given.

    Tests and programs do not contradict each other: several of them may be right.
    """
    alike: dict[tuple[Domain, str], list[Problem]] = {}
    for problem in problems:
        if problem.answer is not None and not problem.tests:
            alike.setdefault((problem.domain, asked(problem)), []).append(problem)
    rivals: dict[str, Problem] = {}
    for first, *others in alike.values():
        if differing := [other for other in others if not _agree(grader, first, other)]:
            rivals |= dict.fromkeys((first.id, *(other.id for other in others)), differing[0])
            rivals |= dict.fromkeys((other.id for other in differing), first)
    aside = [_contradicted(problem, rivals[problem.id]) for problem in problems if problem.id in rivals]
    return [problem for problem in problems if problem.id not in rivals], aside


def _contradicted(problem: Problem, rival: Problem) -> SetAside:
    detail = f"the reference is {own_answer(problem)!r}, and {own_answer(rival)!r} in {place_of(rival.source)}"
    return Place.of(problem.source).aside(CONTRADICTORY, detail)


def _agree(grader: Grader, one: Problem, other: Problem) -> bool:
    """Whether the reference of either is right for the other."""
    verdicts = (grader.judge(a, summarize(a.domain, own_answer(b))) for a, b in ((one, other), (other, one)))
    return one.answer == other.answer or any(verdict.outcome is Outcome.CORRECT for verdict in verdicts)


def _fault(grader: Grader, problem: Problem) -> SetAside | None:
    if problem.answer is None and (problem.domain == "general" or problem.tests):
        return None
    verdict = reference_verdict(grader, problem)
    if verdict.outcome is Outcome.CORRECT:
        return None
    return Place.of(problem.source).aside(f"reference_{verdict.outcome}", verdict.detail)
