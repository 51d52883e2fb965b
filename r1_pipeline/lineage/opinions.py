"""This module checks the verdicts of a judged evaluation against the record of its judges, without prompting them.

Every request is built again from the stored problem and replies, every output is read again, and the verdicts follow
from the grades; each reply that judges are shown has the opinion of every judge. Not covered: whether a judge would
repeat its output, which needs the judge.
"""

from collections.abc import Iterator, Sequence

from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.evaluation.judging import Case, by_case, judge_of, replayed, reread, stored_cases, stored_opinions
from r1_pipeline.generation.judge_protocol import JudgeRecipe, Opinion, judge_request, signature
from r1_pipeline.lineage.integrity import Finding, finding
from r1_pipeline.lineage.library import Library


def made_by_other_rules(report: EvalReport) -> str | None:
    """Returns the sentence that other rules than today's made a judged evaluation; None if these did."""
    stored = {str(name) for name in report.completions()["verifier"].unique()}
    today = signature(judge_of(report))
    return None if stored <= {today} else f"opinions in {report.name}: made by {min(stored - {today})}, this is {today}"


def check_opinions(report: EvalReport, library: Library) -> Iterator[Finding]:
    """Yields every opinion of a judged evaluation that its record contradicts, and every verdict that does not follow
    from the opinions."""
    problem_sets = [each for each in library.upstream(report) if isinstance(each, ProblemSet)]
    judge, cases, opinions = judge_of(report), stored_cases(report, problem_sets), stored_opinions(report)
    left = by_case(opinions)
    for case in cases:
        yield from _check_requests(report, judge, case, left.pop(case.key, []))
    for problem_id, index in left:
        yield finding(report, f"opinion {problem_id}/{index}", "is about a reply that is not in the evaluation")
    for stored, today in zip(opinions, reread(judge, opinions), strict=True):
        if stored != today:
            where = f"opinion {stored.problem_id}/{stored.sample_index}"
            yield finding(report, where, f"says {stored.grade}, and the output of {stored.judge} says {today.grade}")
    for row in replayed(report, problem_sets):
        if row.verdict is None:
            yield finding(report, f"reply {row.row.sample_id}", "is about a problem that is in no problem set upstream")
        elif not row.agrees:
            what = f"says {row.row.outcome}, and the opinions say {row.verdict.outcome}: {row.verdict.detail}"
            yield finding(report, f"reply {row.row.sample_id}", what)


def _check_requests(
    report: EvalReport, judge: JudgeRecipe, case: Case, opinions: Sequence[Opinion]
) -> Iterator[Finding]:
    where = f"reply {case.key[0]}/{case.key[1]}"
    orders = [False, True] if judge.protocol == "pairwise" else [False]
    wanted = [] if case.verdict else sorted((name, swapped) for name in judge.models for swapped in orders)
    if sorted((each.judge, each.swapped) for each in opinions) != wanted:
        yield finding(report, where, f"has {len(opinions)} opinions, and not one of each judge that is asked")
    for each in opinions:
        if each.request != judge_request(judge, case.problem, case.replies, each.swapped):
            yield finding(report, where, f"the request to {each.judge} was not made from this problem and reply")
