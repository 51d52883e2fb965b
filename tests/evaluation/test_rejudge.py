"""Laws of judging stored rows again: the gate, `r1 regrade` and `r1 audit` agree on the same rows."""

from pathlib import Path

import polars as pl
import pytest
from run_fakes import HELDOUT, TRAIN, FakeRun, row

from r1_pipeline.artifacts.kinds import Corpus, ProblemSet
from r1_pipeline.evaluation import gates
from r1_pipeline.evaluation.regrade import regrade
from r1_pipeline.evaluation.rejudge import random_rows, rejudge_samples
from r1_pipeline.lineage.rows import check_verdicts
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Corpus, ProblemSet]:
    """Five rows: one right, one wrong though it says correct, one wrong that says so, one without a final part, and
    one about a problem of another set."""
    run = FakeRun(tmp_path)
    silent = row(TRAIN[0]).model_copy(update={"sample_id": "silent", "response": "<think>two words"})
    wrong = row(TRAIN[2], "B", Outcome.WRONG)
    rows = [row(TRAIN[0]), row(TRAIN[1], "B"), wrong, silent, row(HELDOUT[0])]
    return run.corpus(rows), run.problems("reasoning_problems", TRAIN)


def test_the_gate_the_command_and_the_audit_agree(stored: tuple[Corpus, ProblemSet]) -> None:
    corpus, problems = stored
    with Grader({"math": ChoiceVerifier(), "logic": ChoiceVerifier()}) as grader:
        gate = gates.recheck_agrees(rejudge_samples(corpus.scan(), [problems], grader))
        flipped = regrade(corpus, None, [problems], grader)
        findings = list(check_verdicts(corpus, [problems], grader, ["math", "logic"], None))
    assert (gate.value, gate.looked_at) == (3, 5)
    assert (flipped.judged, flipped.without_problem) == (4, 1)
    assert [(f.sample_id, f.new) for f in flipped.flips] == [(TRAIN[1].id, "wrong"), ("silent", "malformed")]
    assert [finding.where for finding in findings] == [f"row {TRAIN[1].id}", "row silent", f"row {HELDOUT[0].id}"]
    assert findings[0].what == "was kept as correct by choice@3+strict; choice@3+strict says wrong: 'b' against 'a'"
    assert findings[2].what == f"is about problem {HELDOUT[0].id}, which is in no problem set upstream"


def test_rows_of_other_domains_are_not_judged(stored: tuple[Corpus, ProblemSet]) -> None:
    """The only row about mathematics is that of the other set."""
    corpus, problems = stored
    with Grader({"math": ChoiceVerifier()}) as grader:
        findings = list(check_verdicts(corpus, [problems], grader, ["math"], None))
    assert [finding.where for finding in findings] == [f"row {HELDOUT[0].id}"]


def test_random_rows_are_those_of_the_seed_in_stored_order() -> None:
    """`random.Random(0).sample(range(5), 2)` is [3, 4]; of seed 1 it is [1, 0]."""
    rows = pl.DataFrame({"id": ["a", "b", "c", "d", "e"]})

    def ids(count: int, seed: int) -> list[str]:
        return random_rows(rows.lazy(), count, seed).collect()["id"].to_list()

    assert (ids(2, 0), ids(2, 1)) == (["d", "e"], ["a", "b"])
    assert ids(9, 0) == ["a", "b", "c", "d", "e"]
