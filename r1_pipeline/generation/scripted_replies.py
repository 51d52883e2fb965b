"""General prompts answered in writing: the place of DeepSeek-V3's own SFT data in the paper's corpus.

A reply is a demonstration of the user's (`Problem.reply`), or what the toy world says to its own requests; who writes
there is no better than the sources of such data are, and the manner of each reply is drawn. It is judged like a model's
where the prompt has a reference, dropped where it is wrong, and `unreferenced` where there is none; it carries the
provenance columns of every row: who wrote it is its file and line, and since no sampling made it, temperature and seed
are 0. Not covered: what the toy world says (`data.toy_general`), replies that a model writes (`judgements`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from r1_pipeline.data.origin import Origin
from r1_pipeline.data.samples import answer_to
from r1_pipeline.data.templates import reply, split_reply
from r1_pipeline.data.toy_general import Manner, scripted_reply
from r1_pipeline.records import Outcome, Problem, Sample, Verdict
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.verifier import Grader

ENGINE = "written"
"""What stands in the place of an engine where no model wrote a row."""


def scripted_samples(
    problems: Sequence[Problem], manners: Mapping[Manner, float], grader: Grader, count_tokens: Callable[[str], int]
) -> tuple[list[Sample], Counter[str]]:
    """(rows, drop reasons), one row a prompt that somebody has answered and whose answer no verifier calls wrong."""
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
    """The row in which somebody answers `problem` in writing; `index` tells several replies to it apart."""
    return answer_to(
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
    """What is written in reply, in the chat form; None where nobody has answered."""
    if problem.reply is not None:
        return problem.reply
    written = scripted_reply(problem, manners)
    return reply(*written) if written else None
