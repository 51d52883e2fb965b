"""This module checks the rows of a cold start against the record of their rewriter, without the model that rewrote
them.

The rewriter's prompt is built again from the stored problem and completion, and its sha256 compared; its output is
parsed again; the template's text is rendered again; a row must be one of these texts, and name its writer. Not covered:
whether the text is right, which `rows` grades again, and whether the model would repeat it, which needs the model.
"""

from collections.abc import Iterator

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, ProblemSet
from r1_pipeline.artifacts.tables import read_records
from r1_pipeline.data.templates import split_reply
from r1_pipeline.generation.engine import request_hash
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.generation.rewriting import (
    REWRITES,
    Accepted,
    Rewrite,
    TemplateRewriter,
    read_rewrite,
    rewrite_prompt,
    template_text,
)
from r1_pipeline.lineage.integrity import Finding, finding
from r1_pipeline.lineage.library import Library
from r1_pipeline.records import Completion, Problem


def check_rewrites(corpus: Corpus, library: Library) -> Iterator[Finding]:
    """Yields every rewrite of a corpus that its record contradicts, and every row without a record.

    Yields nothing for a corpus that was not rewritten.
    """
    if not (corpus.path / REWRITES).exists():
        return
    inputs = {edge.name: edge.source for edge in library.edges(corpus)}
    answers, problems = inputs.get("answers"), inputs.get("problems")
    if not isinstance(answers, Completions) or not isinstance(problems, ProblemSet):
        yield finding(corpus, REWRITES, "the completions or problems behind its texts are not in this folder")
        return
    template, known = answers.asked()["template"], {problem.id: problem for problem in problems.problems()}
    completions = {(c.problem_id, c.sample_index): c for c in completions_of(answers.completions())}
    texts: dict[tuple[str, int], str | None] = {}
    for rewrite in read_records(corpus.path / REWRITES, Rewrite):
        key = (rewrite.problem_id, rewrite.sample_index)
        if key not in completions or rewrite.problem_id not in known:
            yield finding(corpus, f"rewrite {key[0]}/{key[1]}", "is about a completion that is not among the answers")
        elif fault := _fault(rewrite, _accepted(known[rewrite.problem_id], completions[key], template), inputs):
            yield finding(corpus, f"rewrite {key[0]}/{key[1]}", fault)
        texts[key] = rewrite.response
    writer = _writer(corpus, inputs)
    for sample in corpus.samples():
        if texts.get((sample.problem_id, sample.sample_index)) != sample.response:
            yield finding(corpus, f"row {sample.sample_id}", "is not a text of its rewriter")
        elif sample.writer is None or not sample.writer.startswith(writer):
            yield finding(corpus, f"row {sample.sample_id}", f"names {sample.writer} as its writer, not {writer}")


def _fault(rewrite: Rewrite, row: Accepted, inputs: dict[str, Artifact | None]) -> str | None:
    """Returns what is wrong with a rewrite; None if it follows from its record."""
    if rewrite.request is None:
        from_template = rewrite.response is None or rewrite.response == template_text(row)
        return None if from_template else "is neither the template's text nor any model's"
    writer = inputs.get("writer")
    form = writer.template if isinstance(writer, Checkpoint) else None
    if request_hash(rewrite_prompt(form, row)) != rewrite.request:
        return "its writer's prompt was not made from this problem and completion"
    if read_rewrite(form, rewrite.said or "", rewrite.finish_reason or "") != (rewrite.response, rewrite.reason):
        return "the output of its writer parses differently"
    return None


def _writer(corpus: Corpus, inputs: dict[str, Artifact | None]) -> str:
    """Returns the name of the writer that every row must have, or its beginning."""
    writer = inputs.get("writer")
    if isinstance(writer, Checkpoint):
        return writer.digest
    return "server/" if "writer" in corpus.manifest.payload["recipe"] else TemplateRewriter.writer


def _accepted(problem: Problem, completion: Completion, template: str) -> Accepted:
    parts = split_reply(template, completion.text)
    return Accepted(
        problem=problem,
        reasoning=parts.reasoning or "",
        final=parts.final or "",
        sample_index=completion.sample_index,
    )
