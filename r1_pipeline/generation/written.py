"""General prompts answered in writing: the place of DeepSeek-V3's own SFT data in the paper's corpus.

Every reply is judged like a model's and carries the same provenance columns; no sampling made it, so temperature is 0
and the seed is 0. Not covered: what the replies say (`data.courtesies`).
"""

from collections import Counter
from collections.abc import Callable, Sequence

from r1_pipeline.data.courtesies import written_reply
from r1_pipeline.data.origin import Origin
from r1_pipeline.data.samples import identified
from r1_pipeline.data.templates import reply, split_reply
from r1_pipeline.records import Outcome, Problem, Sample
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.verifier import Grader

ENGINE = "written"


def written_samples(
    problems: Sequence[Problem], grader: Grader, count_tokens: Callable[[str], int]
) -> tuple[list[Sample], Counter[str]]:
    """(rows, drop reasons), one row a prompt that somebody has answered and whose answer is judged correct."""
    kept: list[Sample] = []
    drops: Counter[str] = Counter()
    for problem in problems:
        written = written_reply(problem)
        if written is None:
            drops["unanswered"] += 1
            continue
        thought, answer = written
        verdict = grader.judge(problem, answer)
        if verdict.outcome is not Outcome.CORRECT:
            drops[verdict.outcome] += 1
            continue
        response = reply(thought, answer)
        kept.append(
            identified(
                problem_id=problem.id,
                domain=problem.domain,
                language=problem.language,
                source=problem.source,
                licence=problem.licence,
                question=problem.question,
                response=response,
                generator=Origin.of(problem.source).place,
                engine=ENGINE,
                temperature=0.0,
                top_p=1.0,
                max_tokens=0,
                seed=0,
                sample_index=0,
                outcome=verdict.outcome,
                verifier=verdict.verifier,
                tokens=count_tokens(response),
                language_share=language_share(split_reply("chat", response).reasoning or "", problem.language),
            )
        )
    return kept, drops
