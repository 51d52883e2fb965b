"""Scores of stored public completions: ours, and the same numbers by another way in numpy, equal to 1e-12."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from r1_pipeline.artifacts.tables import read_table
from r1_pipeline.data.ingest.mapping import ProblemMapping, load_mapping
from r1_pipeline.evaluation.scores import Identity, Scores, score
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.sampling import completion_schema
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import STORED, Completion, Outcome, Problem, Sampling
from r1_pipeline.rewards.answer_extraction import boxes
from r1_pipeline.rewards.graders import default_grader

ROLLOUTS = (
    "rollouts_aime24_deepscaler_base",
    "rollouts_aime24_nemotron_base",
    "rollouts_aime25_deepscaler_base",
    "rollouts_aime25_nemotron_base",
    "rollouts_hmmt_feb_2025_deepscaler_base",
    "rollouts_hmmt_feb_2025_nemotron_base",
    "rollouts_olympiad_bench_deepscaler_base",
    "rollouts_olympiad_bench_nemotron_base",
    "rollouts_salloc_eval_aime24_20260412_230444",
)
KS = (1, 2, 4, 8, 16)


def identity(samples: int) -> Identity:
    sampling = Sampling(temperature=0.6, top_p=0.95, max_tokens=32768)
    return Identity(
        model="m", model_digest="d", problems_digest="p", template="chat", template_hash="t", sampling=sampling,
        samples=samples, seed=0, engine="stored", verifiers={"math": "stored"},
    )  # fmt: skip


def by_numpy(frame: pl.DataFrame, ks: tuple[int, ...]) -> tuple[float, dict[int, float], float]:
    """Returns pass@1, pass@k (Chen et al. 2021, as a running product) and the majority vote of judged completions."""
    first, majority = [], []
    at_k: dict[int, list[float]] = {k: [] for k in ks}
    for _, rows in frame.filter(pl.col("score").is_not_null()).group_by("problem_id"):
        scores = rows["score"].to_numpy()
        n, c = scores.size, int(scores.sum())
        first.append(scores.mean())
        for k in (k for k in ks if k <= n):
            at_k[k].append(1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
        voters = rows.filter(pl.col("vote").is_not_null())
        votes, counts = np.unique(voters["vote"].to_numpy(), return_counts=True)
        winners = votes[counts == counts.max()] if votes.size else votes
        cast = voters["vote"].to_numpy()
        shares = [voters["score"].to_numpy()[cast == winner].mean() for winner in winners]
        majority.append(np.mean(shares) if shares else 0.0)
    return float(np.mean(first)), {k: float(np.mean(v)) for k, v in at_k.items() if v}, float(np.mean(majority))


def assert_equal(ours: Scores, frame: pl.DataFrame, ks: tuple[int, ...]) -> None:
    first, at_k, majority = by_numpy(frame, ks)
    assert abs(ours.pass_at_1 - first) < 1e-12
    assert ours.pass_at_k.keys() == at_k.keys()
    assert all(abs(ours.pass_at_k[k] - at_k[k]) < 1e-12 for k in at_k)
    assert abs(ours.cons_at_k - majority) < 1e-12


@pytest.mark.parametrize("name", ROLLOUTS)
def test_scores_of_stored_rollouts_are_those_of_numpy(name: str, public_data: Path) -> None:
    rows = read_table(public_data / "cot" / f"{name}.parquet")
    answers = [(boxes(text) or [None])[-1] for text in rows["completion"]]
    numbers = {answer: number for number, answer in enumerate(dict.fromkeys(answers))}
    right = rows["reward"].cast(pl.Float64) == 1.0
    frame = pl.DataFrame(
        {
            "domain": "math",
            "outcome": [Outcome.CORRECT if each else Outcome.WRONG for each in right],
            "problem_id": rows["question_id"].cast(pl.String),
            "fact": rows["question_id"].cast(pl.String),
            "vote": pl.Series([None if answer is None else numbers[answer] for answer in answers], dtype=pl.Int64),
            "score": right.cast(pl.Float64),
            "well_formed": True,
            "language_share": 1.0,
            "tokens": rows["seqlen"].cast(pl.Int64),
            "kind": pl.Series([None] * rows.height, dtype=pl.String),
            "declined": pl.Series([None] * rows.height, dtype=pl.Boolean),
        }
    )
    samples = int(frame.group_by("problem_id").len()["len"].min())  # type: ignore[arg-type]
    ks = tuple(k for k in KS if k <= samples)
    ours = score(frame, identity(samples), ks).by_domain["math"]
    assert_equal(ours, frame, ks)
    assert ours.n == rows.height
    assert ours.pass_at_1_ci.lo <= ours.pass_at_1 <= ours.pass_at_1_ci.hi


def test_stored_completions_are_graded_voted_and_scored_like_numpy_does(public_data: Path) -> None:
    """The verdicts are ours; 100 problems of MATH with eight completions, which another grader has judged too."""
    rows = read_table(public_data / "graded_completions" / "math_cot_100x8_rm.parquet")
    mapping = load_mapping("question_answer", Path())
    assert isinstance(mapping, ProblemMapping)
    problems: list[Problem] = []
    said: list[Completion] = []
    theirs: list[bool] = []
    for row in rows.iter_rows(named=True):
        asked = mapping.record({"question": row["question"], "answer": row["gt"]}, "math:1", "MIT")
        problems.append(asked)
        for index, text in enumerate(row["code"]):
            said.append(
                Completion(
                    problem_id=asked.id, sample_index=index, seed=index, text=text, token_ids=(1,),
                    finish_reason="stop", engine="stored",
                )
            )  # fmt: skip
            theirs.append(bool(row["score"][index]))
    table = pl.DataFrame([each.model_dump(include=set(STORED)) for each in said], schema=completion_schema())
    with default_grader(Runtime(threads=2), "lenient") as grader:
        judged = with_votes(grade_completions(table, problems, grader, "chat"), problems, grader)
    blank = pl.Series([None] * judged.height)
    frame = judged.with_columns(fact=pl.col("problem_id"), kind=blank.cast(pl.String), declined=blank.cast(pl.Boolean))
    ours = score(frame, identity(8), (1, 2, 4, 8)).by_domain["math"]
    assert_equal(ours, frame, (1, 2, 4, 8))
    alike = sum((each == 1.0) == other for each, other in zip(frame["score"], theirs, strict=True))
    assert alike >= 790
    strings = frame.with_columns(vote=pl.col("extracted").rank("dense").cast(pl.Int64))
    assert by_numpy(strings, (1,))[2] <= ours.cons_at_k  # votes by value join what votes by text split
