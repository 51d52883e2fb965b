"""This module validates problems by their references: a problem is kept if its reference passes its own verifier.

If two rows ask the same question and the verifier finds their references different, neither can be trusted, and both
are dropped. A problem without a reference has nothing to validate: a general prompt is kept as it is, and code is
judged by its tests. A shortage on this machine must not change the result: if the grader failed, the reference is
judged again alone, and a home with graded programs is not continued on a machine that cannot run programs.
Not covered: where the problems come from (`data.curation`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from r1_pipeline.data.screening.problems import without_benchmarks
from r1_pipeline.data.templates import summarize
from r1_pipeline.errors import GraderError, NoSandboxError, SourceError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain, Outcome, Problem, Verdict
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.reference_answers import own_answer
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
from r1_pipeline.rewards.verifier import MODEL_JUDGES, Grader, reference_verdict

_TRIES = 2
"""The number of further attempts to judge a reference after the grader failed on it."""


def curate_problems(
    recipe: CurateRecipe, runtime: Runtime, draft: Draft, benchmarks: Mapping[str, ProblemSet]
) -> BuildResult:
    """Writes one side of the split, with each problem validated by its own reference, without items of `benchmarks`.

    Raises `SourceError` if no general prompt is left although sources feed that domain, and `GraderError` if a
    reference program cannot be run.
    """
    sides = problem_sides(recipe, runtime.folders)
    unsafe = sandbox_problem() if "code" in recipe.optional else None
    left_out = domains_without_source(recipe) | ({"code": unsafe} if unsafe else {})
    wanted = sides.heldout if recipe.heldout else sides.train
    with default_grader(runtime) as grader:
        sound, unsound = sound_problems(grader, [p for p in wanted if p.domain not in left_out], runtime.threads)
        kept, contradictory = agreeing_problems(grader, sound)
    kept, known = without_benchmarks(kept, benchmarks)
    _require_general(recipe, kept, sides.dropped)
    _require_pinned(recipe, kept, [*unsound, *contradictory])
    write_records(draft.path / PROBLEMS, kept, Problem)
    dropped = [*sides.dropped, *unsound, *contradictory, *known]
    drops = record_dropped(draft, dropped)
    drops.update(f"no_verifier_of_{problem.domain}" for problem in wanted if problem.domain in left_out)
    facts = {"rows": len(kept), "by_domain": dict(Counter(p.domain for p in kept)), "left_out": left_out}
    if recipe.verifiers:
        facts["verifiers"] = list(recipe.verifiers)
    return BuildResult({**facts, "ingested": ingested(recipe, kept, dropped)}, drops)


def _require_general(recipe: CurateRecipe, kept: Sequence[Problem], dropped: Sequence[DroppedRow]) -> None:
    """Raises `SourceError` if sources feed the general domain and no general prompt is left on this side."""
    names = [source.name for source in recipe.sources if source.feeds == "general"]
    if not names or "general" not in recipe.domains or any(problem.domain == "general" for problem in kept):
        return
    side, other = ("held-out", "train") if recipe.heldout else ("training", "heldout")
    first = next((row for row in dropped if row.source in names), None)
    why = f"{first.where} was dropped: {first.detail}" if first else f"all rows of {', '.join(names)} are {other} rows"
    raise SourceError(
        f'no general prompt is left on the {side} side ({why}); fix the rows, or set side = "split" for one source'
    )


def _require_pinned(recipe: CurateRecipe, kept: Sequence[Problem], dropped: Sequence[DroppedRow]) -> None:
    """Raises `SourceError` if a source whose content is pinned has lost or gained problems since."""
    counts = Counter(Place.of(problem.source).source for problem in kept)
    for source in recipe.sources:
        if source.pin and source.feeds in recipe.domains and counts[source.name] != source.pin.problems:
            lost = (f" ({row.where}: {row.reason}, {row.detail})" for row in dropped if row.source == source.name)
            raise SourceError(
                f"{source.name} keeps {counts[source.name]} problems, and {source.pin.problems} are pinned"
                f"{next(lost, '')}; if that is meant, correct problems in its TOML file"
            )


def sound_problems(grader: Grader, problems: Iterable[Problem], threads: int) -> tuple[list[Problem], list[DroppedRow]]:
    """Splits problems into those with a sound reference and those dropped with its verdict, each in the given order.

    `threads` references are judged at once. A formula without a value within the grader's time limit is dropped; a
    program that cannot be run raises `GraderError`.
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
    """Splits problems into those that no row with the same question contradicts and the others, in the given order.

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
    """Returns True if the reference of either problem is correct for the other."""

    def verdict(question: Problem, answered: Problem) -> Verdict:
        return grader.judge(question, summarize(question.domain, own_answer(answered)))

    if one.answer == other.answer:
        return True
    ways = (partial(verdict, one, other), partial(verdict, other, one))
    return any(_settled(way(), way).outcome is Outcome.CORRECT for way in ways)


def _first_verdict(grader: Grader, problem: Problem) -> Verdict | None:
    """Judges a problem's reference; None if the problem has no reference to judge, or only a model could judge it.

    Where a general prompt has instructions instead of a reference, it is judged only if those exist.
    """
    if problem.verifier in MODEL_JUDGES:
        found = grader.judge(problem, "")
        return found if found.outcome is Outcome.UNGRADABLE else None
    if problem.answer is None and (problem.domain == "general" or problem.tests):
        if problem.domain != "general" or not problem.tests:
            return None
        found = grader.judge(problem, "")
        return found if found.outcome is Outcome.UNGRADABLE else None
    return reference_verdict(grader, problem)


def _settled(verdict: Verdict, judge: Callable[[], Verdict]) -> Verdict:
    """Returns the verdict, judged again up to `_TRIES` times while the grader itself fails."""
    for _ in range(_TRIES):
        if verdict.outcome is Outcome.GRADER_ERROR:
            verdict = judge()
    return verdict


def require_programs(home: Path) -> None:
    """Raises `NoSandboxError` if this machine cannot run programs and `home` has graded programs."""
    problem = sandbox_problem()
    if problem is not None and (name := _graded_code(home)):
        raise NoSandboxError(
            f"{name} in {home} has graded programs, and this machine cannot run programs: {problem}. Fix that, or use "
            "another --home"
        )


def _graded_code(home: Path) -> str | None:
    """Returns the name of a problem set of this home that has code, or None."""
    for manifest in sorted((home / ARTIFACTS / ProblemSet.kind).rglob(MANIFEST)):
        found = peek_artifact(manifest.parent)
        if found.by_domain.get("code"):
            return found.name
    return None
