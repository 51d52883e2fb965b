"""`r1 agree`: stored verdicts and files of answers against an outside grader that really runs, and what is refused."""

import json
import sys
from pathlib import Path

import pytest
from run_fakes import ASK, HELDOUT, FakeRun, says

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Completions, EvalReport
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.cli.agree import (
    agree_on_evaluation,
    agree_on_files,
    agreement_table,
    chosen_graders,
    disagreement_table,
    one,
    write_agreement,
)
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.evaluation.stored_agreements import stored_agreement
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import SamplingRecord, SamplingSubject, sample_and_store, select_problems
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader

PYTHON = Path(sys.executable)


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of two problems of logic, whose first is answered A, as the reference, and whose second is B."""
    home = tmp_path_factory.mktemp("home")
    run = FakeRun(home)
    heldout = run.problems("heldout_problems", HELDOUT)

    def answer(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model="r1", model_digest="m", problems_digest="p")
        engine = FakeEngine(lambda r: says("a", "A" if r.problem_id.endswith("0") else "B", "chat")(r))
        chosen, _ = select_problems(HELDOUT, ASK, draft)
        return BuildResult({"rows": sample_and_store(engine, chosen, "chat", ASK, subject, draft).height})

    answers = run.add(Completions, "answers/r1", answer, inputs={"heldout": heldout})

    def score(draft: Draft) -> BuildResult:
        with Grader({"math": ChoiceVerifier(), "logic": ChoiceVerifier()}) as grader:
            asked = SamplingRecord.model_validate(answers.asked())
            grade(answers.completions(), asked, grader, HELDOUT, GradeRecipe(ks=(1,)), draft)
        return BuildResult()

    run.add(EvalReport, "evaluation/r1", score, inputs={"answers": answers, "problems": heldout})
    return home


def test_stored_verdicts_are_compared_and_the_agreement_is_kept_for_this_version(home: Path) -> None:
    made = agree_on_evaluation(home, "evaluation/r1", chosen_graders("math_verify_letters"), PYTHON, quiet)
    (letters,) = made.agreements
    # two samples of each problem; Math-Verify finds no letter in a box
    assert (letters.judged, letters.both_correct, letters.ours_only, letters.both_wrong) == (4, 0, 2, 2)
    assert (letters.agreement, letters.kappa, letters.causes) == (0.5, 0.0, {"extraction": 2})
    assert stored_agreement(home, "evaluation/r1", made.digest) == made
    assert stored_agreement(home, "evaluation/r1", "another version") is None


def test_an_unknown_evaluation_or_grader_is_named_with_those_that_there_are(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="evaluation/r1"):
        agree_on_evaluation(home, "evaluation/r2", chosen_graders("math_verify"), PYTHON, quiet)
    with pytest.raises(UnknownNameError, match="math_verify, lighteval"):
        chosen_graders("mathverify")
    with pytest.raises(RecipeError, match="typo is no file"):
        one(["typo", "evaluation/r1"])


def test_files_of_answers_are_graded_here_and_there(tmp_path: Path) -> None:
    own, theirs = tmp_path / "own.jsonl", tmp_path / "qwen.jsonl"
    own.write_text(
        json.dumps({"id": "x", "domain": "math", "answer": "So \\boxed{1/4}.", "reference": "0.25"})
        + "\n"
        + json.dumps({"id": "y", "domain": "math", "answer": "So \\boxed{5}.", "reference": "4"})
        + "\n"
    )
    # two samples a problem, whose stored grades are wrong for the second
    theirs.write_text(json.dumps({"gt": "7", "code": ["\\boxed{7}", "\\boxed{7.0}"], "score": [True, False]}) + "\n")
    made = agree_on_files([own, theirs], chosen_graders("math_verify"), tmp_path, PYTHON, "lenient", 1, quiet)
    math_verify, of_the_file = made.agreements
    assert (math_verify.judged, math_verify.both_correct, math_verify.both_wrong) == (4, 3, 1)
    assert (of_the_file.grader, of_the_file.judged, of_the_file.ours_only) == ("the file", 2, 1)
    (differ,) = made.disagreements
    assert (differ.id, differ.ours, differ.theirs, differ.our_reading) == ("qwen:1/1", Outcome.CORRECT, False, "7.0")
    assert made.alone == 0
    numbers, rows = write_agreement(made, tmp_path / "out")
    assert json.loads(numbers.read_text())["answers"] == 4
    assert rows.read_text().splitlines()[1].startswith("qwen:1/1,the file,")
    assert agreement_table(made).row_count == 2
    assert disagreement_table(made, 20).row_count == 1


def test_a_file_without_known_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "x"}\n')
    with pytest.raises(RecipeError, match="no columns of replies and references"):
        agree_on_files([file], chosen_graders("math_verify"), tmp_path, PYTHON, "lenient", 1, quiet)
