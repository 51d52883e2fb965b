"""Laws of lineage in MLflow: links and tags lead from a student's version back to the base, in SQLite and over REST.

Over REST, a new server receives everything from the artifacts, as after an outage.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import smoke_settings
from processes import free_port, mlflow_server

from dagster_defs.tracking.experiment import EXPERIMENT
from dagster_defs.tracking.stage_runs import TrackingStore
from r1_pipeline.artifacts.kinds import peek_artifact

pytestmark = pytest.mark.slow


def tell_all(tracking: TrackingStore, home: Path) -> None:
    """Records every artifact of the home as pending for this tracker, oldest first, and uploads them."""
    made = [peek_artifact(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    for artifact in sorted(made, key=lambda each: each.path.stat().st_mtime):
        with tracking.record_pending(artifact, "a pipeline run", {}):
            pass
        assert tracking.upload_pending(pytest.fail) == [artifact.name]


@pytest.fixture(params=["sqlite", "rest"])
def client(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[Any]:
    if request.param == "sqlite":
        yield TrackingStore.of(smoke_settings(home)).connect()
        return
    port = free_port()
    with mlflow_server(f"sqlite:///{tmp_path / 'server.db'}", port):
        tracking = TrackingStore(f"http://127.0.0.1:{port}", home / "mlflow-artifacts")
        for _ in range(2):  # told twice, known once
            tell_all(tracking, home)
        yield tracking.connect()


def maker(client: Any, name: str, fingerprint: str) -> Any:
    """Returns the run that made an artifact."""
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    wanted = f"tags.`r1.artifact` = '{name}' and tags.`r1.fingerprint` = '{fingerprint}'"
    (found,) = client.search_runs([experiment], wanted)
    return client.get_run(found.info.run_id)  # searching leaves models out


def data_of(run: Any) -> dict[str, dict[str, str]]:
    """Returns the tags, including the digest, of each data set of a run by name."""
    return {
        each.dataset.name: {tag.key: tag.value for tag in each.tags} | {"digest": each.dataset.digest}
        for each in run.inputs.dataset_inputs
    }


def model_of(client: Any, run: Any, name: str) -> Any:
    """Returns the run that made the model of this name that a run read, by MLflow's own link."""
    models = [client.get_logged_model(each.model_id) for each in run.inputs.model_inputs]
    (model,) = (model for model in models if model.name == name)
    return client.get_run(model.source_run_id)


def test_a_student_leads_back_to_the_base_and_nothing_is_there_twice(client: Any) -> None:
    version = client.get_model_version_by_alias("distilled-qwen", "candidate")
    student = client.get_run(version.run_id)
    assert student.data.tags["r1.digest"] == version.tags["r1.digest"]

    corpus = data_of(student)["sft_corpus"]
    assert corpus["sha256"].startswith(corpus["digest"]) and len(corpus["digest"]) == 36
    merged = maker(client, "sft_corpus", corpus["fingerprint"])
    assert merged.data.tags["r1.digest"] == corpus["sha256"]
    run = merged
    for data in ("reasoning_traces/math", "reasoning_answers/math"):
        run = maker(client, data, data_of(run)[data]["fingerprint"])
    for generator in ("dev2", "dev1", "base"):
        run = model_of(client, run, generator)
        assert run.data.tags["r1.artifact"] == generator
    assert run.inputs.model_inputs == []

    versions = Counter((each.name, each.tags["r1.fingerprint"]) for each in client.search_model_versions())
    assert set(versions.values()) == {1}


def test_metrics_of_the_same_kind_have_the_same_names(client: Any) -> None:
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id], max_results=1000)
    named = defaultdict[str, set[str]](set)
    for run in runs:
        named[run.data.tags.get("r1.artifact", "pipeline")] |= set(run.data.metrics)
    assert named["r1_zero"] == named["dev2"] == named["dev2_no_language_reward"]
    assert named["dev1"] == named["dev3"] and "loss" in named["dev1"]
    evaluations = [metrics for name, metrics in named.items() if name.startswith("evaluation/")]
    assert len(evaluations) == 12
    assert all("final/pass_at_1" in metrics for metrics in evaluations)
