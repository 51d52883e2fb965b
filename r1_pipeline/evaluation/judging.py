"""Judging asks the judges of a benchmark about each reply, and replays their verdicts from the stored opinions.

A reply that was cut off, or has no final part, is `truncated` or `malformed` by rule and shown to no judge. In a
conversation, turn t of sample i is the completion with the index `t * samples + i`; it is judged with the turns before
it. Not covered: what judges are asked and how outputs are read (`generation.judge_protocol`), the scores
(`judged_scores`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.artifacts.tables import records_of
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.evaluation.rejudge import Rejudged, stored_completions
from r1_pipeline.generation.engine import SHARD, sample_seed
from r1_pipeline.generation.engine_factory import judge_server, open_judge
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.generation.judge_protocol import (
    JudgeRecipe,
    Opinion,
    judge_request,
    judged_verdict,
    read_grade,
    unasked_verdict,
)
from r1_pipeline.generation.openai import served_context
from r1_pipeline.generation.sampling import SamplingRecord
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Outcome, Problem, Request, Verdict


@dataclass(frozen=True)
class Case:
    """A reply to be judged."""

    problem: Problem
    completion: Completion
    replies: tuple[str, ...]
    """The final parts of the replies up to this turn; the last one is judged."""
    verdict: Verdict | None
    """The verdict by rule of a reply that no judge is shown."""

    @property
    def key(self) -> tuple[str, int]:
        """The problem and the index of the completion."""
        return self.completion.problem_id, self.completion.sample_index


Asker = Callable[[Sequence[Case]], list[Opinion]]
"""A function that asks the judges about all cases without a verdict."""


def require_judges(judge: JudgeRecipe, runtime: Runtime) -> None:
    """Raises `RequirementError`, `UnreachableError` or `EngineError` for a judge without server, key or model."""
    for name in judge.models:
        served_context(judge_server(name, runtime), name)


def cases_of(
    judge: JudgeRecipe,
    completions: Sequence[Completion],
    problems: Iterable[Problem],
    samples: int,
    template: TemplateName,
) -> list[Case]:
    """Returns one case for each completion, in order; `samples` is the number of samples of each turn."""
    by_id = {problem.id: problem for problem in problems}
    finals = {(c.problem_id, c.sample_index): _final(c, template) for c in completions}
    cases = []
    for completion in completions:
        turns = range(completion.sample_index % samples, completion.sample_index + 1, samples)
        replies = tuple(finals[completion.problem_id, index] for index in turns)
        problem = by_id[completion.problem_id]
        cases.append(Case(problem, completion, replies, _by_rule(judge, completion, replies)))
    return cases


def _final(completion: Completion, template: TemplateName) -> str:
    return "" if completion.finish_reason == "length" else split_reply(template, completion.text).final or ""


def _by_rule(judge: JudgeRecipe, completion: Completion, replies: Sequence[str]) -> Verdict | None:
    if completion.finish_reason == "length":
        return unasked_verdict(judge, Outcome.TRUNCATED, f"cut off after {len(completion.token_ids)} tokens")
    if not replies[-1]:
        return unasked_verdict(judge, Outcome.MALFORMED, "no final answer, or several that differ")
    if (characters := sum(map(len, replies))) > judge.longest:
        detail = f"{characters} characters, more than the {judge.longest} that judges are shown"
        return unasked_verdict(judge, Outcome.GRADER_ERROR, detail, replies[-1])
    return None


def ask_judges(cases: Sequence[Case], judge: JudgeRecipe, runtime: Runtime, home: Path, draft: Draft) -> list[Opinion]:
    """Returns the opinions of all judges about the cases without a verdict, judge by judge.

    Replies of servers are kept below `home`, so an interrupted run does not ask again. Raises `EngineError` if a judge
    cannot be asked, or if its server reports another model than before.
    """
    orders = (False, True) if judge.protocol == "pairwise" else (False,)
    asked = [(case, swapped) for case in cases if case.verdict is None for swapped in orders]
    opinions: list[Opinion] = []
    for name in judge.models:
        engine = open_judge(name, runtime, home)
        for start in range(0, len(asked), SHARD):
            part = asked[start : start + SHARD]
            requests = [_request(judge, case, swapped) for case, swapped in part]
            said = engine.generate(requests, judge.sampling)
            opinions += [
                opinion_of(judge, name, engine.answered_by, swapped, request, reply)
                for (_, swapped), request, reply in zip(part, requests, said, strict=True)
            ]
            draft.log(len(opinions), len(asked) * len(judge.models), engine.usage())
    return opinions


def _request(judge: JudgeRecipe, case: Case, swapped: bool) -> Request:
    problem_id, index = case.key
    seed = sample_seed(judge.seed, f"{problem_id}:{swapped}", index)
    prompt = judge_request(judge, case.problem, case.replies, swapped)
    return Request(problem_id=problem_id, prompt=prompt, sample_index=index, seed=seed)


def opinion_of(
    judge: JudgeRecipe, name: str, answered_by: str | None, swapped: bool, request: Request, reply: Completion
) -> Opinion:
    """Returns what a judge's reply to a request says."""
    grade, fault = read_grade(judge.protocol, reply.text, reply.finish_reason)
    return Opinion(
        problem_id=request.problem_id,
        sample_index=request.sample_index,
        judge=name,
        answered_by=answered_by,
        swapped=swapped,
        request=request.prompt,
        said=reply.text,
        finish_reason=reply.finish_reason,
        seed=request.seed,
        grade=grade,
        fault=fault,
    )


def verdicts_of(judge: JudgeRecipe, cases: Sequence[Case], opinions: Iterable[Opinion]) -> list[Verdict]:
    """Returns the verdict on each case, in order."""
    by_key = by_case(opinions)
    return [case.verdict or judged_verdict(judge, case.replies[-1], by_key.get(case.key, [])) for case in cases]


def by_case(opinions: Iterable[Opinion]) -> dict[tuple[str, int], list[Opinion]]:
    """Returns the opinions by problem and index of the completion."""
    found: dict[tuple[str, int], list[Opinion]] = {}
    for each in opinions:
        found.setdefault((each.problem_id, each.sample_index), []).append(each)
    return found


def judge_of(report: EvalReport) -> JudgeRecipe:
    """Returns the judges of an evaluation that was judged."""
    return JudgeRecipe.model_validate(report.judge)


def stored_opinions(report: EvalReport) -> list[Opinion]:
    """Returns the opinions behind a judged evaluation, as stored."""
    return records_of(report.opinions(), Opinion)


def stored_cases(report: EvalReport, problem_sets: Iterable[ProblemSet]) -> list[Case]:
    """Returns the cases of a judged evaluation whose problems are in these sets, in stored order."""
    known = {problem.id: problem for each in problem_sets for problem in each.problems()}
    completions = [c for c in completions_of(report.completions()) if c.problem_id in known]
    asked = SamplingRecord.model_validate(
        {name: report.scores()["identity"][name] for name in SamplingRecord.model_fields}
    )
    return cases_of(judge_of(report), completions, known.values(), asked.samples, asked.template)


def reread(judge: JudgeRecipe, opinions: Iterable[Opinion]) -> list[Opinion]:
    """Returns the opinions with the grades that are read in their outputs today."""
    found = []
    for each in opinions:
        grade, fault = read_grade(judge.protocol, each.said, each.finish_reason)
        found.append(each.model_copy(update={"grade": grade, "fault": fault}))
    return found


def replayed(report: EvalReport, problem_sets: Iterable[ProblemSet]) -> Iterator[Rejudged]:
    """Yields the stored rows of a judged evaluation with the verdicts that follow from its stored outputs today.

    No judge is asked.
    """
    judge = judge_of(report)
    cases = stored_cases(report, problem_sets)
    verdicts = verdicts_of(judge, cases, reread(judge, stored_opinions(report)))
    found = {case.key: (case.problem, verdict) for case, verdict in zip(cases, verdicts, strict=True)}
    for row in stored_completions(report.completions()):
        problem, verdict = found.get((row.completion.problem_id, row.completion.sample_index), (None, None))
        yield Rejudged(row=row, problem=problem, verdict=verdict)
