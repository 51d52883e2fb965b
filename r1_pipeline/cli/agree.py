"""The work behind `r1 agree`: stored answers, graded a second time by other projects' graders.

Answers come from an evaluation of the home, with the verdicts that it stores, or from files, which are graded here
first. An agreement with an evaluation is stored in the home, where the report finds it.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from r1_pipeline.artifacts.atomic_write import write_text_atomically
from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet, open_artifact
from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.data.ingest.files import Row, read_rows
from r1_pipeline.data.templates import split_reply
from r1_pipeline.errors import RecipeError, RequirementError, UnknownNameError
from r1_pipeline.evaluation.agreement import UNSTATED, SecondOpinion, second_opinion
from r1_pipeline.evaluation.outside.environment import Opinion, ensure_environment, opinions
from r1_pipeline.evaluation.outside.graders import OUTSIDE, Answer, Job, OutsideGrader, kind_of
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.evaluation.stored_agreements import path_of
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome, Problem
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.jsonl import BadLine, Line, grade_lines, parse
from r1_pipeline.rewards.verifier import template_of

ENVIRONMENTS = "graders"
"""The folder of a home that has the environments of outside graders."""
LAYOUTS = (
    ("answer", "reference", None),
    ("code", "gt", "score"),
    ("completion", "verification_info", "task_reward"),
    ("output", "answer", None),
)
"""Columns of the reply, the reference and the file's own verdict: this project's layout, that of Qwen2.5-Math's
evaluation, of PRIME's rollouts, and of ZeroEval."""


def chosen_graders(names: str | None) -> list[OutsideGrader]:
    """Returns the outside graders that `names` lists with commas, or all."""
    known = {grader.name: grader for grader in OUTSIDE}
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    for name in wanted:
        if name not in known:
            raise UnknownNameError("outside grader", name, list(known))
    return [known[name] for name in wanted]


def one(names: Sequence[str]) -> str:
    """Returns the only name; raises `RecipeError` for several that are not all files."""
    if len(names) > 1:
        missing = next(name for name in names if not Path(name).is_file())
        raise RecipeError(f"{missing} is no file; name one evaluation, or files of answers")
    return names[0]


def agree_on_evaluation(
    home: Path, name: str, graders: Sequence[OutsideGrader], python: Path | None, say: Callable[[str], None]
) -> SecondOpinion:
    """Compares the stored verdicts of the newest evaluation `name` with outside graders, and stores the agreement.

    Raises `UnknownNameError`, which lists the evaluations, if there is none.
    """
    library = Library.of(home)
    newest = {each.name: each for each in library.newest(EvalReport)}
    if name not in newest:
        raise UnknownNameError("evaluation, nor file,", name, sorted(newest))
    report = open_artifact(newest[name].path)
    assert isinstance(report, EvalReport)
    sets = [ProblemSet.open(each.path) for each in library.upstream(report) if isinstance(each, ProblemSet)]
    problems = {problem.id: problem for each in sets for problem in each.problems()}
    rule: Rule = "lenient" if report.manifest.payload["recipe"].get("extract") == "lenient" else "strict"
    columns = ("problem_id", "sample_index", "text", "final", "extracted", "outcome", "detail")
    answers = [
        answer
        for id_, number, text, final, extracted, outcome, detail in report.completions().select(columns).iter_rows()
        if (answer := _answer(problems[id_], f"{id_}/{number}", final or text, extracted, outcome, detail, rule))
    ]
    verifiers = sorted(scores_of(report).identity.verifiers.values())
    made = _compared(report.name, report.digest, answers, verifiers, graders, home / ENVIRONMENTS, python, say)
    path = path_of(home, report.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, made.model_dump_json(indent=1) + "\n")
    return made


def agree_on_files(
    files: Sequence[Path],
    graders: Sequence[OutsideGrader],
    environments: Path,
    python: Path | None,
    rule: Rule,
    workers: int,
    say: Callable[[str], None],
) -> SecondOpinion:
    """Grades the answers of files, and compares the verdicts with outside graders."""
    rows = [row for file in files for row in _lines(file)]
    answers = []
    with default_grader(Runtime(threads=workers), rule) as grader:
        lines = [line for line, _ in rows]
        verdicts = list(grade_lines(grader, ((len(line.answer), line) for line in lines), workers))
        domains = {line.problem.domain for line in lines}
        verifiers = sorted(name for domain, name in grader.identity.items() if domain in domains)
    for (line, stored), verdict in zip(rows, verdicts, strict=True):
        assert not isinstance(verdict, BadLine)
        final = split_reply(template_of(line.answer), line.answer).final or line.answer
        made = _answer(
            line.problem, str(line.id), final, verdict.extracted, verdict.outcome, verdict.detail, rule, stored
        )
        answers += [made] if made else []
    digest = hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()
    name = ", ".join(file.name for file in files)
    return _compared(name, digest, answers, verifiers, graders, environments, python, say)


def _answer(
    problem: Problem,
    id_: str,
    final: str,
    extracted: str | None,
    outcome: str,
    detail: str,
    rule: Rule,
    stored: bool | None = None,
) -> Answer | None:
    """Returns an answer as it is compared; None for a problem that no outside grader can judge."""
    kind = kind_of(problem)
    if kind is None or (problem.answer is None and not problem.tests):
        return None
    asked = [{"name": test.function, "arguments": json.loads(test.given)} for test in problem.tests]
    job = Job(
        answer=(extracted or final) if kind == "code" else final,
        reference=problem.answer or "",
        domain=problem.domain,
        question=problem.question,
        tests=problem.tests if kind == "code" else (),
        instructions=tuple(asked) if kind == "instructions" else (),
        rule=rule,
    )
    made = Answer(id=id_, job=job, grades=kind, outcome=Outcome(outcome), reading=extracted, detail=detail)
    return made.model_copy(update={"stored": stored})


def _lines(file: Path) -> Iterator[tuple[Line, bool | None]]:
    """Yields every answer of a file with the file's own verdict."""
    layout = None
    for row in read_rows(file):
        if not isinstance(row, Row):
            raise RecipeError(f"{file}, line {row.line}: {row.fault}; correct the file")
        layout = layout or _layout(file, row.columns)
        reply, reference, verdict = layout
        replies = row.columns[reply] if isinstance(row.columns[reply], list) else [row.columns[reply]]
        own = row.columns.get(verdict) if verdict else None
        verdicts = own if isinstance(own, list) else [own] * len(replies)
        for number, (text, said) in enumerate(zip(replies, verdicts, strict=True)):
            place = f"{_stem(file)}:{row.line}" + (f"/{number}" if len(replies) > 1 else "")
            line = parse(row.line, _columns(row.columns, place, text, row.columns[reference]))
            if isinstance(line, BadLine):
                raise RecipeError(f"{file}, row {line.number}: {line.reason}; correct the file")
            yield line, None if said is None else bool(said)


def _stem(file: Path) -> str:
    return (file.with_suffix("") if file.suffix in (".gz", ".zst") else file).stem


def _columns(row: Mapping[str, Any], place: str, reply: str, reference: Any) -> dict[str, Any]:
    if isinstance(reference, str) and reference.startswith('{"ground_truth"'):
        reference = json.loads(reference)["ground_truth"]
    question = next((row[name] for name in ("question", "problem", "prompt") if isinstance(row.get(name), str)), "")
    named = {"id": row.get("id", place) if "reference" in row else place, "domain": row.get("domain", "math")}
    kept = {name: row[name] for name in ("tests", "language") if name in row}
    return {**kept, **named, "answer": reply, "reference": reference, "question": question}


def _layout(file: Path, row: Mapping[str, Any]) -> tuple[str, str, str | None]:
    for reply, reference, verdict in LAYOUTS:
        if reply in row and reference in row:
            return reply, reference, verdict
    known = "; ".join(f"{reply} and {reference}" for reply, reference, _ in LAYOUTS)
    raise RecipeError(f"{file} has no columns of replies and references that are known ({known}); rename its columns")


def _compared(
    name: str,
    digest: str,
    answers: Sequence[Answer],
    verifiers: Sequence[str],
    graders: Sequence[OutsideGrader],
    environments: Path,
    python: Path | None,
    say: Callable[[str], None],
) -> SecondOpinion:
    found: dict[str, dict[str, Opinion]] = {}
    ran, not_run = [], {}
    for grader in graders:
        asked = [answer for answer in answers if answer.grades == grader.grades]
        if not asked:
            continue
        say(f"{grader.name}: {len(asked):,} answers")
        try:
            own = python or ensure_environment(grader.environment, environments)
            made = opinions(grader, own, [answer.job for answer in asked])
        except RequirementError as error:
            not_run[grader.name] = str(error)
            continue
        found[grader.name] = {answer.id: opinion for answer, opinion in zip(asked, made, strict=True)}
        ran.append(grader)
    if stored := [answer for answer in answers if answer.stored is not None]:
        ran.append(OutsideGrader(name="the file", package="", environment="", grades="", about="verdicts of the file"))
        found["the file"] = {a.id: Opinion(correct=a.stored, reading=None, why=UNSTATED) for a in stored}
    if not ran:
        why = next(iter(not_run.values()), f"no outside grader judges the answers of {name}")
        raise RequirementError(why)
    return second_opinion(name, digest, answers, verifiers, found, ran, not_run)


def agreement_table(made: SecondOpinion) -> Table:
    """Returns the agreement with each outside grader."""
    names = ("grader", "of", "judged", "same", "kappa", "ours only", "theirs only", "no verdict", "causes")
    table = Table(*names, box=None, header_style="bold")
    for each in made.agreements:
        table.add_row(
            each.grader,
            each.package,
            f"{each.judged:,}",
            "" if each.agreement is None else f"{100 * each.agreement:.1f}%",
            "" if each.kappa is None else f"{each.kappa:.3f}",
            str(each.ours_only),
            str(each.theirs_only),
            str(each.without_verdict),
            ", ".join(f"{cause} {count}" for cause, count in each.causes.items()),
        )
    return table


def disagreement_table(made: SecondOpinion, most: int) -> Table:
    """Returns the first `most` disagreements with both readings."""
    table = Table("answer", "grader", "cause", "reference", "ours", "reads", "theirs", "reads", box=None)
    for each in made.disagreements[:most]:
        theirs = "none" if each.theirs is None else "correct" if each.theirs else "wrong"
        cells = (each.id, each.grader, each.cause, each.reference[:40], each.ours, (each.our_reading or "")[:40])
        table.add_row(*map(escape, (*cells, theirs, (each.their_reading or "")[:40])))
    return table


def write_agreement(made: SecondOpinion, folder: Path) -> list[Path]:
    """Writes `agreement.json`, and all disagreements as `disagreements.csv`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers, rows = folder / "agreement.json", folder / "disagreements.csv"
    write_text_atomically(numbers, made.model_dump_json(indent=1) + "\n")
    with rows.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(type(made.disagreements[0]).model_fields) if made.disagreements else [])
        writer.writeheader()
        writer.writerows(each.model_dump(mode="json") for each in made.disagreements)
    return [numbers, rows]
