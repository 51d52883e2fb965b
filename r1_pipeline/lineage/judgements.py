"""This module checks the judgements that kept a corpus's rows against their records, without the models that made them.

A judge's prompt is built again from the stored problem and completion, and its sha256 compared; the judge's output is
parsed again; a reward model's score is compared with the minimum, and its digest with the models of the corpus. Not
covered: whether the model would repeat its judgement, which needs the model.
"""

from collections.abc import Iterator
from typing import Any

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, ProblemSet
from r1_pipeline.artifacts.tables import records_of
from r1_pipeline.data.templates import render, split_reply
from r1_pipeline.generation.engine import request_hash
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.generation.judgements import Judgement, signature
from r1_pipeline.generation.llm_judge import judge_prompt, read_judge_output
from r1_pipeline.lineage.integrity import Finding, finding
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Completion, Outcome, Problem

STAGE = "sample_general"
"""The verb whose corpora are kept by judgements."""


def check_judgements(corpus: Corpus, library: Library) -> Iterator[Finding]:
    """Yields every judgement of a corpus of `STAGE` that its record contradicts, and every row that no judgement
    approved."""
    inputs = {edge.name: edge.source for edge in library.edges(corpus)}
    answers, prompts = inputs.get("answers"), inputs.get("prompts")
    if not isinstance(answers, Completions) or not isinstance(prompts, ProblemSet):
        yield finding(corpus, "verdicts", "the completions or prompts behind its judgements are not in this folder")
        return
    template = answers.asked()["template"]
    completions = {(c.problem_id, c.sample_index): c for c in completions_of(answers.completions())}
    problems = {problem.id: problem for problem in prompts.problems()}
    approved = set()
    for judgement in records_of(corpus.verdicts(), Judgement):
        key = (judgement.problem_id, judgement.sample_index)
        if key not in completions or judgement.problem_id not in problems:
            yield finding(corpus, f"judgement {key[0]}/{key[1]}", "is about a completion that is not among the answers")
        elif fault := _fault(judgement, problems[judgement.problem_id], completions[key], template, inputs):
            yield finding(corpus, f"judgement {key[0]}/{key[1]}", fault)
        approved |= {key} if judgement.outcome is Outcome.CORRECT else set()
    for sample in corpus.samples():
        if (sample.problem_id, sample.sample_index) not in approved:
            yield finding(corpus, f"row {sample.sample_id}", "is in the corpus, and no judgement approved it")


def _fault(
    judgement: Judgement, problem: Problem, completion: Completion, template: str, inputs: dict[str, Artifact | None]
) -> str | None:
    """Returns what is wrong with a judgement; None if it follows from its record."""
    final = split_reply(template, completion.text).final or ""
    if judgement.request is not None:
        judge = inputs.get("judge")
        if not isinstance(judge, Checkpoint):
            return "a judge made it, and the corpus was made without one"
        if request_hash(render(judge.template, judge_prompt(problem, final))) != judgement.request:
            return "the judge's prompt was not made from this prompt and completion"
        return _differs(judgement, _read(judgement))
    if judgement.reward_model is not None:
        models = {each.digest: each for each in inputs.values() if each is not None}
        if judgement.reward_model not in models or judgement.score is None or judgement.least is None:
            return f"reward model {judgement.reward_model[:12]} is none that the corpus was made with"
        if judgement.verifier != signature(judgement.reward_model, judgement.least):
            return f"it is signed {judgement.verifier}, which is another model or limit"
        return _differs(judgement, Outcome.CORRECT if judgement.score >= judgement.least else Outcome.WRONG)
    return "was approved by no model" if judgement.outcome is Outcome.CORRECT else None


def _read(judgement: Judgement) -> Outcome:
    found: Any = "cut off" if judgement.finish_reason == "length" else read_judge_output(judgement.said or "")
    return Outcome.GRADER_ERROR if isinstance(found, str) else Outcome(found.verdict)


def _differs(judgement: Judgement, outcome: Outcome) -> str | None:
    return None if outcome is judgement.outcome else f"it says {judgement.outcome}, and its record says {outcome}"
