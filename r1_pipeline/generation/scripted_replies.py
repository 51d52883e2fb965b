"""Scripted replies are written answers to general prompts, in place of DeepSeek-V3's own SFT data in the paper's
corpus.

A reply is a user's demonstration (`Problem.reply`), or the toy world's answer to its own requests, whose quality is
that of typical sources of such data and whose manner is drawn. It is graded like a model's if the prompt has a
reference, dropped if it is wrong, and `unreferenced` if there is none. It has the provenance columns of every row: its
author is its file and line, and since no sampling made it, temperature and seed are 0. Not covered: the toy world's
answers (`data.toy_general`), replies that a model writes (`judgements`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from r1_pipeline.data.origin import Origin
from r1_pipeline.data.samples import sample_from_problem
from r1_pipeline.data.templates import reply, split_reply
from r1_pipeline.data.toy_general import Manner, scripted_reply
from r1_pipeline.records import Outcome, Problem, Sample, Verdict
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.verifier import Grader

ENGINE = "written"
"""The name in place of an engine where no model wrote a row."""


def scripted_samples(
    problems: Sequence[Problem], manners: Mapping[Manner, float], grader: Grader, count_tokens: Callable[[str], int]
) -> tuple[list[Sample], Counter[str]]:
    """Returns the rows and the counts of drop reasons; one row for each prompt with an answer that no verifier calls
    wrong."""
    kept: list[Sample] = []
    drops: Counter[str] = Counter()
    for problem in problems:
        response = _response(problem, manners)
        if response is None:
            drops["unanswered"] += 1
            continue
        parts = split_reply("chat", response)
        verdict = grader.judge(problem, parts.final or "")
        if verdict.outcome not in (Outcome.CORRECT, Outcome.UNREFERENCED):
            drops[verdict.outcome] += 1
            continue
        kept.append(scripted_sample(problem, response, verdict, count_tokens(response)))
    return kept, drops


def scripted_sample(problem: Problem, response: str, verdict: Verdict, tokens: int, index: int = 0) -> Sample:
    """Returns the row with a written answer to `problem`; `index` distinguishes several replies to it."""
    return sample_from_problem(
        problem,
        response,
        generator=Origin.of(problem.source).place,
        engine=ENGINE,
        temperature=0.0,
        top_p=1.0,
        max_tokens=0,
        seed=0,
        sample_index=index,
        outcome=verdict.outcome,
        verifier=verdict.verifier,
        tokens=tokens,
        language_share=language_share(split_reply("chat", response).reasoning or "", problem.language),
    )


def _response(problem: Problem, manners: Mapping[Manner, float]) -> str | None:
    """Returns the written reply in the chat form; None if there is none."""
    if problem.reply is not None:
        return problem.reply
    written = scripted_reply(problem, manners)
    return reply(*written) if written else None
