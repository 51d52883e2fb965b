"""The work behind `r1 regrade`: finds the stored verdicts that change under the present verifiers."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from r1_pipeline.artifacts.kinds import Checkpoint, Completions, Corpus, EvalReport, ProblemSet, open_artifact
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.evaluation.regrade import Regrade, regrade
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Runtime
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.graders import default_grader


def run_regrade(home: Path, name: str, workers: int) -> Regrade:
    """Grades the newest evaluation, corpus or reinforced model `name` again.

    Raises `UnknownNameError`, which lists the valid names, if there is none.
    """
    library = Library.of(home)
    newest = {artifact.name: artifact for kind in (EvalReport, Corpus, Checkpoint) for artifact in library.newest(kind)}
    if name not in newest:
        raise UnknownNameError("evaluation, corpus or reinforced model", name, sorted(newest))
    artifact = open_artifact(newest[name].path)
    problems = [ProblemSet.open(each.path) for each in library.upstream(artifact) if isinstance(each, ProblemSet)]
    edge = artifact.manifest.inputs.get("answers")
    answers = open_input(home, edge) if edge else None
    assert answers is None or isinstance(answers, Completions)
    rule: Rule = "lenient" if artifact.manifest.payload["recipe"].get("extract") == "lenient" else "strict"
    with default_grader(Runtime(threads=workers), rule) as grader:
        return regrade(artifact, answers, problems, grader)


def format_regrade(result: Regrade) -> str:
    """Formats the number of changed verdicts, and one line per verifier."""
    lines = [f"{result.name} {result.digest[:12]}: {len(result.flips):,} of {result.judged:,} verdicts flip"]
    if result.without_problem:
        lines[0] += f"; {result.without_problem:,} rows have no stored problem"
    lines += [f"  {old}" + (f" -> {new}" if new != old else " (unchanged)") for old, new in result.verifiers.items()]
    if (changed := result.rewards) is not None and result.flips:
        moved = "" if changed.advantage is None else f", {changed.advantage:.2%} of all advantage"
        lines.append(
            f"  {changed.rollouts:,} rewards change, in {changed.groups:,} of {changed.all_groups:,} groups{moved}"
        )
    return "\n".join(lines)


def flip_table(result: Regrade) -> Table:
    """Returns a table of every changed verdict."""
    table = Table("sample", "domain", "was", "is", "why", box=None, header_style="bold")
    for flip in result.flips:
        table.add_row(flip.sample_id, flip.domain, flip.old, flip.new, escape(flip.detail))
    return table
