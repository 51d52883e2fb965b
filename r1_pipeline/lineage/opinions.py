"""Whether the opinions that kept a corpus's rows are what they say, without the models that had them.

What a judge was asked is built again from the stored problem and completion, and its sha256 compared; what it said is
read again; a reward model's score is compared with the least one wanted, and its digest with the model that the corpus
was made with. Not covered: whether the model would say it again, which needs the model.
"""

from collections.abc import Iterator
from typing import Any

from r1_pipeline.artifacts.kinds import Answers, Artifact, Checkpoint, Corpus, ProblemSet
from r1_pipeline.artifacts.tables import records_of
from r1_pipeline.data.templates import render, split_reply
from r1_pipeline.generation.engine import request_hash
from r1_pipeline.generation.judge import instructed, read_judgement
from r1_pipeline.generation.judging import completions_of
from r1_pipeline.generation.opinions import Opinion, signature
from r1_pipeline.lineage.integrity import Finding, finding
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Completion, Outcome, Problem

STAGE = "sample_general"
"""The verb whose corpora are kept on opinions."""


def check_opinions(corpus: Corpus, library: Library) -> Iterator[Finding]:
    """Every opinion of a corpus of `STAGE` that its own record does not bear out, and rows that none approved of."""
    inputs = {edge.name: edge.source for edge in library.edges(corpus)}
    answers, prompts = inputs.get("answers"), inputs.get("prompts")
    if not isinstance(answers, Answers) or not isinstance(prompts, ProblemSet):
        yield finding(corpus, "verdicts", "the completions or prompts behind its opinions are not in this folder")
        return
    template = answers.asked()["template"]
    said = {(c.problem_id, c.sample_index): c for c in completions_of(answers.completions())}
    problems = {problem.id: problem for problem in prompts.problems()}
    approved = set()
    for opinion in records_of(corpus.verdicts(), Opinion):
        key = (opinion.problem_id, opinion.sample_index)
        if key not in said or opinion.problem_id not in problems:
            yield finding(corpus, f"opinion {key[0]}/{key[1]}", "is about a completion that is not among the answers")
        elif fault := _fault(opinion, problems[opinion.problem_id], said[key], template, inputs):
            yield finding(corpus, f"opinion {key[0]}/{key[1]}", fault)
        approved |= {key} if opinion.outcome is Outcome.CORRECT else set()
    for sample in corpus.samples():
        if (sample.problem_id, sample.sample_index) not in approved:
            yield finding(corpus, f"row {sample.sample_id}", "stands here and nobody approved of it")


def _fault(
    opinion: Opinion, problem: Problem, said: Completion, template: str, inputs: dict[str, Artifact | None]
) -> str | None:
    """What is wrong with an opinion; None where it follows from its record."""
    final = split_reply(template, said.text).final or ""
    if opinion.request is not None:
        judge = inputs.get("judge")
        if not isinstance(judge, Checkpoint):
            return "a judge had it, and the corpus was made without one"
        if request_hash(render(judge.template, instructed(problem, final))) != opinion.request:
            return "the judge was asked something else than this prompt and completion"
        return _differs(opinion, _read(opinion))
    if opinion.reward_model is not None:
        models = {each.digest: each for each in inputs.values() if each is not None}
        if opinion.reward_model not in models or opinion.score is None or opinion.least is None:
            return f"reward model {opinion.reward_model[:12]} is none that the corpus was made with"
        if opinion.verifier != signature(opinion.reward_model, opinion.least):
            return f"it is signed {opinion.verifier}, which is another model or limit"
        return _differs(opinion, Outcome.CORRECT if opinion.score >= opinion.least else Outcome.WRONG)
    return "approved of by nobody" if opinion.outcome is Outcome.CORRECT else None


def _read(opinion: Opinion) -> Outcome:
    found: Any = "cut off" if opinion.finish_reason == "length" else read_judgement(opinion.said or "")
    return Outcome.GRADER_ERROR if isinstance(found, str) else Outcome(found.verdict)


def _differs(opinion: Opinion, outcome: Outcome) -> str | None:
    return None if outcome is opinion.outcome else f"it says {opinion.outcome}, and its record says {outcome}"
