"""Stored completions judged again: every flipped verdict is listed, and nothing is changed."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from run_fakes import ASK, HELDOUT, TRAIN, FakeRun, row, says

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import VERDICTS, Completions, Corpus, EvalReport
from r1_pipeline.artifacts.manifest import list_files
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records, write_table
from r1_pipeline.cli.regrade import run_regrade
from r1_pipeline.data.subset import shuffled
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import SamplingRecord, SamplingSubject, sample_and_store, select_problems
from r1_pipeline.records import Outcome, Problem, Sample, Verdict
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader, verdict


class Lenient(ChoiceVerifier):
    """An earlier verifier that accepted everything."""

    version = "0"

    def judge(self, problem: Problem, final: str) -> Verdict:
        return verdict(self, Outcome.CORRECT, "fine", final)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation and traces whose logic answers are B where A is right, and a corpus with such a row, all judged
    leniently; the traces kept nothing."""
    home = tmp_path_factory.mktemp("home")
    run = FakeRun(home)
    heldout, train = run.problems("heldout_problems", HELDOUT), run.problems("reasoning_problems", TRAIN)

    def answer(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model="r1", model_digest="m", problems_digest="p")
        engine = FakeEngine(lambda r: says("a", "A" if "math" in r.problem_id else "B", "chat")(r))
        return BuildResult(
            {
                "rows": sample_and_store(
                    engine, select_problems(HELDOUT, ASK, draft)[0], "chat", ASK, subject, draft
                ).height
            }
        )

    answers = run.add(Completions, "evaluation/r1", answer, inputs={"heldout": heldout})

    def score(draft: Draft) -> BuildResult:
        with Grader({"math": Lenient(), "logic": Lenient()}) as grader:
            asked = SamplingRecord.model_validate(answers.asked())
            grade(answers.completions(), asked, grader, HELDOUT, GradeRecipe(ks=(1,)), draft)
        return BuildResult()

    run.add(EvalReport, "evaluation/r1", score, inputs={"answers": answers, "heldout": heldout})

    def rows(draft: Draft) -> BuildResult:
        samples = [row(TRAIN[0]), row(TRAIN[1], answer="B"), row(HELDOUT[0])]
        write_records(draft.path / "samples.parquet", samples, Sample)
        return BuildResult()

    run.add(Corpus, "sft_corpus", rows, inputs={"problems": train})

    def traces(draft: Draft) -> BuildResult:
        completions = answers.completions().select("problem_id", "sample_index")
        write_records(draft.path / "samples.parquet", [], Sample)
        verdicts = completions.with_columns(outcome=pl.lit("correct"), verifier=pl.lit("choice@0"))
        write_table(draft.path / VERDICTS, verdicts)
        return BuildResult()

    run.add(Corpus, "reasoning_traces/logic", traces, inputs={"answers": answers, "problems": heldout})
    return home


@pytest.mark.parametrize("name", ["evaluation/r1", "reasoning_traces/logic"])
def test_every_verdict_that_flips_is_listed_with_both_versions(name: str, home: Path) -> None:
    """This holds for traces too, whether or not a completion became a row."""
    found = run_regrade(home, name, workers=1)
    logic = [problem.id for problem in shuffled(HELDOUT) if problem.domain == "logic"]
    assert found.judged == 8
    assert [flip.sample_id for flip in found.flips] == [f"{id_}/{sample}" for id_ in logic for sample in (0, 1)]
    assert {(f.old, f.new, f.old_verifier, f.new_verifier) for f in found.flips} == {
        ("correct", "wrong", "choice@0", "choice@3+strict")
    }
    assert found.flips[0].detail == "'b' against 'a'"


def test_rows_of_a_corpus_are_judged_and_strangers_counted(home: Path) -> None:
    found = run_regrade(home, "sft_corpus", workers=1)
    assert (found.judged, found.without_problem) == (2, 1)  # the third is about a problem of another set
    assert [flip.sample_id for flip in found.flips] == [TRAIN[1].id]
    assert found.verifiers == {"choice@3+strict": "choice@3+strict"}


def test_the_command_lists_flips_and_changes_nothing(home: Path) -> None:
    before = list_files(home)
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", "regrade", "evaluation/r1"]
    done = subprocess.run([*command, "--home", str(home), "--json"], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["flips"]) == 4
    assert list_files(home) == before


def test_what_holds_no_completions_is_refused_with_what_does(home: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"'heldout_problems'; valid: evaluation/r1, reasoning_traces/logic, sft_corpus"
    ):
        run_regrade(home, "heldout_problems", workers=1)
