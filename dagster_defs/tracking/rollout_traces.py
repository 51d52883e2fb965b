"""Rollouts in MLflow: measures of the run that step metrics lack, warnings, and a sample of rollouts as traces.

A trace is one rollout, with its question and its text; its assessments are the verdict, with the verifier's reason, and
the reward. Every write can be repeated: a rollout that the run holds already is left out.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagster_defs.tracking.traces import Assessment, Reply, log_replies
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.evaluation.rollout_health import health
from r1_pipeline.evaluation.rollout_view import series
from r1_pipeline.lineage.library import root_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

ABSENT = ("repetition", "language")
"""The measures of rollouts that are no step metrics of every run."""
WARNINGS = "r1.rollout_warnings"
"""The tag of a run that holds the warnings about its rollouts."""
ROLLOUT = "r1.rollout_id"
"""The tag of a trace that holds the id of its rollout."""
ASKED = ("problems", "general")
"""The inputs of a reinforcement that its problems come from."""
FACTS = ("step", "prompt", "sample_index", "domain", "language", "finish_reason", "advantage", "flat", "seed")
"""The columns of a rollout that are attributes of its trace."""


def log_rollouts(client: "MlflowClient", run_id: str, model: Checkpoint, count: int) -> None:
    """Logs the health of a model's rollouts to its run, and `count` of them as traces, spread over its steps."""
    from mlflow.entities import Metric

    found = health(model.rollouts(), model.metrics())
    time = client.get_run(run_id).info.start_time
    measured = (each for each in series(found) if each.name in ABSENT)
    points = [Metric(f"rollouts/{each.name}", value, time, step) for each in measured for step, value in each.points]
    known = client.get_run(run_id).data.metrics
    client.log_batch(run_id, metrics=[point for point in points if point.key not in known])
    client.set_tag(run_id, WARNINGS, "; ".join(found.warnings)[:5000] or "none")
    log_replies(client, run_id, "rollout", ROLLOUT, _replies(model, count))


def sample(model: Checkpoint, count: int) -> Iterator[dict[str, Any]]:
    """Yields `count` rollouts: of steps at equal distances from the first to the last, those with the smallest ids."""
    import polars as pl

    rollouts = model.rollouts()
    steps = rollouts.select(pl.col("step").unique()).collect(engine="streaming")["step"].sort().to_list()
    turns: dict[int, int] = {}
    for turn in range(count):
        step = steps[turn * (len(steps) - 1) // max(count - 1, 1)]
        turns[step] = turns.get(step, 0) + 1
    for step, wanted in turns.items():
        rows = rollouts.filter(pl.col("step") == step).bottom_k(wanted, by="rollout_id").sort("rollout_id")
        yield from rows.collect(engine="streaming").iter_rows(named=True)


def _replies(model: Checkpoint, count: int) -> dict[str, Reply]:
    rows = {row["rollout_id"]: row for row in sample(model, count)}
    asked = _questions(model, {row["problem_id"] for row in rows.values()})
    return {id_: _reply(row, asked.get(row["problem_id"], {})) for id_, row in rows.items()}


def _reply(row: Mapping[str, Any], asked: Mapping[str, str]) -> Reply:
    verdict = Assessment("verdict", row["outcome"], row["verifier"], row["detail"]) if row["outcome"] else None
    parts = {each["part"]: str(each["score"]) for each in row["parts"]}
    reward = None if row["reward"] is None else Assessment("reward", row["reward"], "rubric", metadata=parts)
    return Reply(
        asked={"problem_id": row["problem_id"], **asked},
        text=row["text"],
        facts={name: row[name] for name in FACTS} | {"tokens": len(row["token_ids"])},
        assessments=tuple(each for each in (verdict, reward) if each),
        tags={"r1.step": str(row["step"])},
    )


def _questions(model: Checkpoint, wanted: set[str]) -> dict[str, dict[str, str]]:
    """Returns question and reference of these problems by id, of the sets that the home still has."""
    found: dict[str, dict[str, str]] = {}
    home = root_of(model.path).parent
    for reference in (model.manifest.inputs[edge] for edge in ASKED if edge in model.manifest.inputs):
        if not reference.path(home).is_dir():  # pruned since
            continue
        problems = open_input(home, reference)
        if isinstance(problems, ProblemSet):
            found |= {
                problem.id: {"question": problem.question, "reference": problem.answer or "tests"}
                for problem in problems.problems()
                if problem.id in wanted
            }
    return found
