"""The law of evaluations in MLflow: scores by benchmark on run and model, and a trace with its verdict, each once."""

from pathlib import Path

import pytest

from dagster_defs.settings import Settings
from dagster_defs.tracking.evaluation_traces import COMPLETION, log_evaluation
from dagster_defs.tracking.stage_runs import TrackingStore
from tests.lineage.evaluation_world import evaluated


def test_mlflow_gets_scores_by_benchmark_and_a_trace_for_each_completion_of_a_sample_once(tmp_path: Path) -> None:
    import mlflow

    report = evaluated(tmp_path)
    tracking = TrackingStore(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow-artifacts")
    client = tracking.connect()
    run_id = client.create_run(tracking.experiment).info.run_id
    model = mlflow.create_external_model(name="r1", tags={"r1.digest": "the model"}, experiment_id=tracking.experiment)
    for _ in range(2):  # told twice, known once
        log_evaluation(client, run_id, report, 3)
    found = client.get_run(run_id).data.metrics
    assert (found["evaluation/pass_at_1"], found["evaluation/math/pass_at_1"]) == (0.5, 1.0)
    assert len(client.get_metric_history(run_id, "evaluation/pass_at_1")) == 1
    scored = {each.key: each for each in client.get_logged_model(model.model_id).metrics}
    assert (scored["evaluation/pass_at_1"].value, scored["evaluation/logic/pass_at_1"].value) == (0.5, 0.0)
    assert scored["evaluation/pass_at_1"].dataset_name == "evaluation"
    traces = client.search_traces(locations=[tracking.experiment], run_id=run_id)
    assert len({trace.info.tags[COMPLETION] for trace in traces}) == len(traces) == 3
    rows = {f"{row['problem_id']}/{row['sample_index']}": row for row in report.completions().iter_rows(named=True)}
    for trace in traces:
        row = rows[trace.info.tags[COMPLETION]]
        (span,) = trace.data.spans
        assert (span.outputs, span.inputs["reference"]) == (row["text"], "A")
        (verdict,) = trace.info.assessments
        assert (verdict.feedback.value, verdict.source.source_id) == (row["outcome"], row["verifier"])
        assert verdict.rationale == row["detail"]


def test_the_number_of_traces_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_TRACED_COMPLETIONS", "0")
    assert Settings.from_environment().traced_completions == 0
