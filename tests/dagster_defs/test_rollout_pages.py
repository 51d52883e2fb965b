"""Laws of rollouts on Dagster's and MLflow's pages: measures by step, warnings in words, and traces with verdicts."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_defs.metadata import materialization_metadata
from dagster_defs.settings import Settings
from dagster_defs.tracking.openlineage import FILE, EventSink, OpenLineageObserver
from dagster_defs.tracking.rollout_traces import ROLLOUT, WARNINGS, log_rollouts, sample
from dagster_defs.tracking.stage_runs import TrackingStore
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.errors import RecipeError
from r1_pipeline.profiles import load_profile
from tests.lineage.rollout_world import reinforced


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages") / "home"


@pytest.fixture(scope="module")
def model(home: Path) -> Checkpoint:
    return reinforced(home)


def test_dagster_shows_the_measures_by_step_and_the_warnings(home: Path, model: Checkpoint) -> None:
    settings = Settings(home=home, profile="smoke", seed=0, tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
    found = materialization_metadata(model, settings, load_profile("smoke", 0).bound)
    assert found["rollout warnings"].value == "none"
    head, _, first, second = found["rollouts by step"].value.splitlines()
    assert head.startswith("| step | rollouts | reward | tokens | truncated | flat |")
    assert first.startswith("| 0 | 8 | 0.60 | 6.5 | 0.00 | 0.00 |")
    assert second.startswith("| 2 | 8 | 0.95 | 6.5 | 0.00 | 0.50 |")
    (drawn,) = re.findall(r"!\[flat\]\(data:image/svg\+xml;base64,([^)]+)\)", found["rollout curves"].value)
    assert base64.b64decode(drawn).startswith(b"<svg ")


def test_a_sample_is_spread_over_the_run(model: Checkpoint) -> None:
    first, second = (model.rollouts().filter(pl.col("step") == step).collect()["rollout_id"].sort() for step in (0, 2))
    ids = [row["rollout_id"] for row in sample(model, 4)]
    assert ids == [*first[:3], second[0]]
    assert list(sample(model, 0)) == []


def test_mlflow_gets_warnings_missing_measures_and_a_trace_for_each_rollout_of_a_sample_once(
    home: Path, model: Checkpoint
) -> None:
    tracking = TrackingStore(f"sqlite:///{home / 'mlflow.db'}", home / "mlflow-artifacts")
    client = tracking.connect()
    run_id = client.create_run(tracking.experiment).info.run_id
    for _ in range(2):  # told twice, known once
        log_rollouts(client, run_id, model, 2)
    run = client.get_run(run_id)
    assert run.data.tags[WARNINGS] == "none"
    assert [each.value for each in client.get_metric_history(run_id, "rollouts/language")] == [1.0, 1.0]
    traces = client.search_traces(locations=[tracking.experiment], run_id=run_id)
    rows = {row["rollout_id"]: row for row in sample(model, 2)}
    assert {trace.info.tags[ROLLOUT] for trace in traces} == rows.keys()
    assert len(traces) == 2
    for trace in traces:
        row = rows[trace.info.tags[ROLLOUT]]
        (span,) = trace.data.spans
        assert span.outputs == row["text"]
        assert span.inputs["reference"] == str(2 * row["prompt"] + 2)
        said: dict[str, Any] = {each.name: each for each in trace.info.assessments}
        assert said["verdict"].feedback.value == row["outcome"]
        assert (said["verdict"].source.source_id, said["verdict"].rationale) == (row["verifier"], row["detail"])
        assert said["reward"].feedback.value == pytest.approx(row["reward"])


def test_openlineage_gets_the_rollouts_as_a_data_set_with_the_model(tmp_path: Path, model: Checkpoint) -> None:
    observer = OpenLineageObserver(EventSink(tmp_path), "0192f3a1-0000-7000-8000-000000000001", pytest.fail)
    observer.began("r1_zero", model.manifest.fingerprint, {}, {}, tmp_path / "metrics.jsonl")
    observer.finished(model)
    done = json.loads((tmp_path / FILE).read_text().splitlines()[1])
    assert [each["name"] for each in done["outputs"]] == ["checkpoint/r1_zero", "rollouts/r1_zero"]
    rollouts = done["outputs"][1]
    assert rollouts["outputFacets"]["outputStatistics"]["rowCount"] == 16
    assert rollouts["facets"]["version"]["datasetVersion"] == model.digest
    columns = {field["name"] for field in rollouts["facets"]["schema"]["fields"]}
    assert columns == set(model.rollouts().collect_schema())


def test_the_number_of_traces_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_TRACED_ROLLOUTS", "3")
    assert Settings.from_environment().traced_rollouts == 3
    monkeypatch.setenv("R1_TRACED_ROLLOUTS", "a few")
    with pytest.raises(RecipeError, match="R1_TRACED_ROLLOUTS is 'a few'; set it to a whole number"):
        Settings.from_environment()
