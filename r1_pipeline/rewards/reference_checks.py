"""Which problems may be asked: those whose own reference answer passes its verifier, and no other contradicts.

Where two rows ask the same and their references differ for the verifier, nobody can say which is right: both are set
aside. A problem without a reference has none that could be wrong: a general prompt is taken as it is, code by its
tests. What this machine happens to be short of changes no set: where the grader failed it is asked again, with nothing
beside it, and a home whose programs were graded does not go on without them.
Not covered: which problems there are (`data.curation`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import PROBLEMS, ProblemSet, peek_artifact
from r1_pipeline.artifacts.manifest import ARTIFACTS, MANIFEST
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.curation import (
    CONTRADICTORY,
    CurateRecipe,
    domains_without_source,
    ingested,
    normalized_question,
    problem_sides,
    record_dropped,
)
from r1_pipeline.data.ingest.rows import DroppedRow, Place, place_of
from r1_pipeline.data.templates import summarize
from r1_pipeline.errors import GraderError, NoSandboxError, SourceError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain, Outcome, Problem, Verdict
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.reference_answers import own_answer
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
from r1_pipeline.rewards.verifier import Grader, reference_verdict

_TRIES = 2
"""Further verdicts on a reference on which the grader failed."""


def curate_problems(recipe: CurateRecipe, runtime: Runtime, draft: Draft) -> BuildResult:
    """Writes one side of the split, each of its problems verified by its own reference."""
    sides = problem_sides(recipe, runtime.folders)
    unsafe = sandbox_problem() if "code" in recipe.optional else None
    left_out = domains_without_source(recipe) | ({"code": unsafe} if unsafe else {})
    wanted = sides.heldout if recipe.heldout else sides.train
    with default_grader(runtime) as grader:
        sound, unsound = sound_problems(grader, [p for p in wanted if p.domain not in left_out], runtime.threads)
        kept, contradictory = agreeing_problems(grader, sound)
    _require_general(recipe, kept, sides.dropped)
    write_records(draft.path / PROBLEMS, kept, Problem)
    dropped = [*sides.dropped, *unsound, *contradictory]
    drops = record_dropped(draft, dropped)
    drops.update(f"no_verifier_of_{problem.domain}" for problem in wanted if problem.domain in left_out)
    facts = {"rows": len(kept), "by_domain": dict(Counter(p.domain for p in kept)), "left_out": left_out}
    if recipe.verifiers:
        facts["verifiers"] = list(recipe.verifiers)
    return BuildResult({**facts, "ingested": ingested(recipe, kept, dropped)}, drops)


def _require_general(recipe: CurateRecipe, kept: Sequence[Problem], dropped: Sequence[DroppedRow]) -> None:
    """Raises `SourceError` where sources feed the general domain and nothing is left of it on this side."""
    names = [source.name for source in recipe.sources if source.feeds == "general"]
    if not names or "general" not in recipe.domains or any(problem.domain == "general" for problem in kept):
        return
    side, other = ("held-out", "train") if recipe.heldout else ("training", "heldout")
    first = next((row for row in dropped if row.source in names), None)
    why = f"{first.where} is set aside: {first.detail}" if first else f"all rows of {', '.join(names)} are {other} ones"
    raise SourceError(
        f'no general prompt is left on the {side} side ({why}); correct the rows, or give one source side = "split"'
    )


def sound_problems(grader: Grader, problems: Iterable[Problem], threads: int) -> tuple[list[Problem], list[DroppedRow]]:
    """(problems that may be asked, the others with the verdict on their references), each in the order given.

    A formula may have no value in the grader's time; a program that cannot even be run raises `GraderError`.
    """
    rows = list(problems)
    with ThreadPoolExecutor(threads) as pool:
        verdicts = list(pool.map(lambda problem: _first_verdict(grader, problem), rows))
    kept: list[Problem] = []
    dropped: list[DroppedRow] = []
    for problem, first in zip(rows, verdicts, strict=True):
        verdict = None if first is None else _settled(first, partial(reference_verdict, grader, problem))
        if verdict is not None and verdict.outcome is Outcome.GRADER_ERROR and problem.domain == "code":
            raise GraderError(f"the reference of {problem.source} cannot be run: {verdict.detail}; then run again")
        if verdict is None or verdict.outcome is Outcome.CORRECT:
            kept.append(problem)
        else:
            dropped.append(Place.of(problem.source).drop(f"reference_{verdict.outcome}", verdict.detail))
    return kept, dropped


def agreeing_problems(grader: Grader, problems: Sequence[Problem]) -> tuple[list[Problem], list[DroppedRow]]:
    """(problems whose reference no row with the same question contradicts, the others), each in the order given.

    Tests and programs do not contradict each other: several of them may be right.
    """
    alike: dict[tuple[Domain, str], list[Problem]] = {}
    for problem in problems:
        if problem.answer is not None and not problem.tests:
            alike.setdefault((problem.domain, normalized_question(problem)), []).append(problem)
    rivals: dict[str, Problem] = {}
    for first, *others in alike.values():
        if differing := [other for other in others if not _agree(grader, first, other)]:
            rivals |= dict.fromkeys((first.id, *(other.id for other in others)), differing[0])
            rivals |= dict.fromkeys((other.id for other in differing), first)
    dropped = [_contradicted(problem, rivals[problem.id]) for problem in problems if problem.id in rivals]
    return [problem for problem in problems if problem.id not in rivals], dropped


def _contradicted(problem: Problem, rival: Problem) -> DroppedRow:
    detail = f"the reference is {own_answer(problem)!r}, and {own_answer(rival)!r} in {place_of(rival.source)}"
    return Place.of(problem.source).drop(CONTRADICTORY, detail)


def _agree(grader: Grader, one: Problem, other: Problem) -> bool:
    """Whether the reference of either is right for the other."""

    def verdict(question: Problem, answered: Problem) -> Verdict:
        return grader.judge(question, summarize(question.domain, own_answer(answered)))

    if one.answer == other.answer:
        return True
    ways = (partial(verdict, one, other), partial(verdict, other, one))
    return any(_settled(way(), way).outcome is Outcome.CORRECT for way in ways)


def _first_verdict(grader: Grader, problem: Problem) -> Verdict | None:
    """None where there is nothing to judge."""
    if problem.answer is None and (problem.domain == "general" or problem.tests):
        return None
    return reference_verdict(grader, problem)


def _settled(verdict: Verdict, judge: Callable[[], Verdict]) -> Verdict:
    """The verdict, asked for again while it is the grader's own failure."""
    for _ in range(_TRIES):
        if verdict.outcome is Outcome.GRADER_ERROR:
            verdict = judge()
    return verdict


def require_programs(home: Path) -> None:
    """Raises `NoSandboxError` where this machine cannot run programs and `home` holds some that were graded."""
    problem = sandbox_problem()
    if problem is not None and (name := _graded_code(home)):
        raise NoSandboxError(
            f"{name} in {home} has programs that were graded, and this machine cannot run any: {problem}. Nothing goes "
            "on there without them: make that work again, or use another --home"
        )


def _graded_code(home: Path) -> str | None:
    """Name of a problem set of this home that has code."""
    for manifest in sorted((home / ARTIFACTS / ProblemSet.kind).rglob(MANIFEST)):
        found = peek_artifact(manifest.parent)
        if found.by_domain.get("code"):
            return found.name
    return None
