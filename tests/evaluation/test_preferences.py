"""Preference scores of stored answers, worked out by hand."""

import json
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.preferences import write_preference_scores
from r1_pipeline.records import Completion, Domain, Problem, PromptKind


def problem(name: str, row: str, domain: Domain = "general", kind: PromptKind | None = None) -> Problem:
    return Problem(
        id=name,
        question=f"q {name}",
        answer="x",
        tests=(),
        domain=domain,
        language="en",
        source=f"t#{row}",
        licence="CC0-1.0",
        kind=kind,
    )


PROBLEMS = [problem("a", "1"), problem("b", "2"), problem("c", "3", kind="safety"), problem("m", "1 + 1", "math")]


class Length:
    """Scores a reply by a number that depends on its text."""

    def __init__(self, likes: dict[str, float]) -> None:
        self._likes = likes

    def score(self, prompts: list[str], replies: list[str]) -> list[float]:
        return [self._likes[reply] for reply in replies]


def answers(**said: str) -> pl.DataFrame:
    rows = [
        Completion(
            problem_id=name, sample_index=0, seed=0, text=text, token_ids=(1,), finish_reason="stop", engine="fake"
        ).model_dump()
        for name, text in said.items()
    ]
    return pl.DataFrame(rows)


def test_each_kind_has_its_mean_and_reasoning_problems_do_not_count(tmp_path: Path) -> None:
    frame = answers(a="<think>t</think>hi", b="<think>never closed", c="<think>t</think>no", m="<think>t</think>2")
    helpful, safety = Length({"hi": 0.0, "": 9.0}), Length({"<think>t</think>no": 1000.0})
    draft = bare_draft(tmp_path)
    means = write_preference_scores(
        {"r1": ("chat", frame)}, PROBLEMS, {"helpful": helpful, "safety": safety}, None, draft
    )
    # The summary alone for helpful: squash(0) = 0.5, and 0 for no summary at all; the whole reply for safety.
    scores = {"r1": {"helpful": {"mean": 0.25, "n": 2}, "safety": {"mean": 1.0, "n": 1}}}
    assert json.loads((draft.path / "scores.json").read_text()) == scores
    assert means == {"r1": 0.625}
    answers_ = pl.read_parquet(draft.path / "answers.parquet")
    assert answers_.rows() == [
        ("r1", "helpful", "a", "1", 0, 0.5),
        ("r1", "helpful", "b", "2", 0, 0.0),
        ("r1", "safety", "c", "3", 0, 1.0),
    ]


def test_a_model_that_was_not_asked_general_prompts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="r1 has no replies to general prompts"):
        write_preference_scores({"r1": ("chat", answers(m="2"))}, PROBLEMS, {}, None, bare_draft(tmp_path))


def test_a_model_wins_where_its_replies_to_a_problem_are_liked_better_than_the_baselines(tmp_path: Path) -> None:
    """The values are by hand: r1 wins a, ties b (neither has a final part): 1.5 of 2. It loses c. Written: a alone."""
    problems = [PROBLEMS[0].model_copy(update={"reply": "plain"}), *PROBLEMS[1:]]
    r1 = answers(a="<think>t</think>hi", b="<think>never closed", c="<think>t</think>sure")
    dev3 = answers(a="<think>t</think>hm", b="<think>never", c="<think>t</think>no")
    likes = Length(
        {"": 9.0, "hi": 2.0, "hm": 1.0, "plain": 0.0, "<think>t</think>sure": -1.0, "<think>t</think>no": 1.0}
    )
    draft = bare_draft(tmp_path)
    said = {"dev3": ("chat", dev3), "r1": ("chat", r1)}
    write_preference_scores(said, problems, {"helpful": likes, "safety": likes}, "dev3", draft)
    scores = json.loads((draft.path / "scores.json").read_text())
    helpful, safety = scores["r1"]["helpful"], scores["r1"]["safety"]
    assert (helpful["win_rate.dev3"], helpful["problems.dev3"]) == (0.75, 2)
    assert (safety["win_rate.dev3"], safety["problems.dev3"]) == (0.0, 1)
    assert (helpful["win_rate.written"], helpful["problems.written"]) == (1.0, 1)
    assert not [name for name in scores["dev3"]["helpful"] if name.endswith(".dev3")]
    assert "win_rate.written" not in safety
