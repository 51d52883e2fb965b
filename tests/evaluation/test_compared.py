"""The law of comparisons: every field and input that differs is named once, down to its origin, with exact p-values."""

from pathlib import Path

import pytest
from run_fakes import HELDOUT, FakeRun, says

from r1_pipeline.cli.compare import change_table, run_compare, score_table, summary
from r1_pipeline.errors import UnknownNameError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Two models on four problems, two of each domain: r1 is right on all, dev3 on none."""
    run = FakeRun(tmp_path_factory.mktemp("home"))
    run.problems("heldout_problems", HELDOUT)
    run.evaluation("dev3", "chat", says("two words", "B", "chat"))
    run.evaluation("r1", "chat", says("two words", "A", "chat"))
    return run


def test_what_differs_is_named_down_to_its_origin(run: FakeRun) -> None:
    made = run_compare(run.home, None, "evaluation/dev3", "evaluation/r1")
    causes = [(change.artifact, change.field, change.before, change.after) for change in made.changes if change.cause]
    digests = [run.artifacts[f"answers/{model}"].digest[:12] for model in ("dev3", "r1")]
    assert causes == [
        ("evaluation/dev3 | evaluation/r1", "recipe.name", "evaluation/dev3", "evaluation/r1"),
        (
            "evaluation/dev3 | evaluation/r1",
            "input answers",
            f"answers/dev3 {digests[0]}",
            f"answers/r1 {digests[1]}",
        ),
        ("answers/dev3 | answers/r1", "recipe.name", "answers/dev3", "answers/r1"),
    ]
    assert not made.same_content
    assert made.unread == ()


def test_scores_are_compared_problem_by_problem_with_exact_p_values(run: FakeRun) -> None:
    made = run_compare(run.home, None, "evaluation/dev3", "evaluation/r1")
    found = {each.group: each for each in made.scores}
    assert {group: (each.problems, each.better, each.worse) for group, each in found.items()} == {
        "math": (2, 2, 0),
        "logic": (2, 2, 0),
        "overall": (4, 4, 0),
    }
    # McNemar: 2 of 2 better, p = 2/4; 4 of 4 better, p = 2/16
    assert (found["math"].p, found["overall"].p) == (0.5, 0.125)
    assert (found["overall"].before, found["overall"].after) == (0.0, 1.0)
    assert score_table(made).row_count == 3
    assert change_table(made, every=False).row_count == 3


def test_an_artifact_differs_in_nothing_from_itself_by_any_of_its_names(run: FakeRun) -> None:
    report = run.artifacts["evaluation/r1"]
    names = ("evaluation/r1", f"evaluation/r1@{report.manifest.fingerprint[:9]}", f"evaluation/r1@{report.digest[:9]}")
    for name in (*names, str(report.path)):
        made = run_compare(run.home, None, "evaluation/r1", name)
        assert made.same_content
        assert made.changes == ()
        assert [each.p for each in made.scores] == [1.0, 1.0, 1.0]
    assert "the same content; 0 fields" in summary(made)


def test_two_homes_are_compared(run: FakeRun, tmp_path: Path) -> None:
    other = FakeRun(tmp_path)
    other.problems("heldout_problems", HELDOUT)
    other.evaluation("r1", "chat", says("two words", "B", "chat"))
    made = run_compare(run.home, tmp_path, "evaluation/r1", "evaluation/r1")
    assert [change.field for change in made.changes if change.cause] == ["input answers"]
    assert {each.group: each.worse for each in made.scores} == {"math": 2, "logic": 2, "overall": 4}


def test_a_version_that_is_none_is_named_with_those_that_there_are(run: FakeRun) -> None:
    with pytest.raises(UnknownNameError, match=run.artifacts["evaluation/r1"].manifest.fingerprint[:12]):
        run_compare(run.home, None, "evaluation/r1", "evaluation/r1@zzz")
    with pytest.raises(UnknownNameError, match="evaluation/dev3"):
        run_compare(run.home, None, "evaluation/r1", "nothing")
