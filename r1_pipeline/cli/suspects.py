"""The work behind `r1 suspects`: finds suspect references from stored answers."""

import os
from pathlib import Path

import polars as pl
from rich.markup import escape
from rich.table import Table

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, EvalReport, ProblemSet, open_artifact
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import UnknownNameError, WrongKindError
from r1_pipeline.evaluation.suspects import Suspect, late_answers, suspects
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import DOMAINS
from r1_pipeline.rewards.graders import default_grader

SHOWN = 80
"""The number of characters of a question that the table shows."""


def find_suspects(home: Path, name: str, share: float, samples: int) -> list[Suspect]:
    """Returns the suspect references among the problems of the newest evaluation, sampled corpus or reinforced model.

    Answers that have no votes yet are graded for them. Raises `UnknownNameError` for an unknown name, `WrongKindError`
    for an artifact without answers.
    """
    library = Library.of(home)
    newest = {found.name: found for kind in (EvalReport, Corpus, Checkpoint) for found in library.newest(kind)}
    if name not in newest:
        raise UnknownNameError("evaluation, sampled corpus or reinforced model", name, sorted(newest))
    artifact = open_artifact(newest[name].path)
    sets = [ProblemSet.open(each.path) for each in library.upstream(artifact) if isinstance(each, ProblemSet)]
    reasoning = [p for each in sets for p in each.problems() if p.answer is not None and DOMAINS[p.domain].reasoning]
    problems = {problem.id: problem for problem in reasoning}
    if isinstance(artifact, EvalReport):
        return suspects(artifact.completions(), problems.values(), share, samples)
    answers, template = _answers(home, artifact)
    answers = answers.filter(answers["problem_id"].is_in(list(problems)))
    with default_grader(Runtime(threads=os.cpu_count() or 1)) as grader:
        graded = grade_completions(answers, reasoning, grader, template)
        return suspects(with_votes(graded, reasoning, grader), problems.values(), share, samples)


def _answers(home: Path, artifact: Artifact) -> tuple[pl.DataFrame, TemplateName]:
    """Returns the answers behind an artifact, numbered by problem, and their prompt form."""
    if isinstance(artifact, Checkpoint):
        return late_answers(artifact), artifact.template
    edge = artifact.manifest.inputs.get("answers")
    answers = open_input(home, edge) if edge else None
    if not isinstance(answers, Completions):
        raise WrongKindError(
            f"{artifact.name} has no answers of its own; name an evaluation, or a corpus that was sampled"
        )
    return answers.completions(), answers.asked()["template"]


def suspect_table(found: list[Suspect]) -> Table:
    """Returns a table of the suspects, the clearest first."""
    table = Table(
        "problem",
        "domain",
        "reference",
        "answer",
        "agree",
        "right",
        "source",
        "question",
        header_style="bold",
        box=None,
    )
    for each in found:
        table.add_row(
            each.problem_id,
            each.domain,
            escape(str(each.reference)),
            escape(each.answer),
            f"{each.agreeing} of {each.samples}",
            str(each.correct),
            escape(each.source),
            escape(each.question[:SHOWN]),
        )
    return table
