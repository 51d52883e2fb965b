"""MLflow: a parent run per pipeline run, a child run per computed stage, fed from the stage's metrics file.

Training never waits: metrics go to a JSONL file first, and a thread of ours carries them over in batches. What could
not be delivered is said loudly at the end of the stage and stays in the artifact's `logs/`. Weights are not copied: a
model version is a pointer to the artifact. Not covered: which version is the champion (promotion decides that).
"""

import fcntl
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_defs.settings import Settings
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, RewardModel
from r1_pipeline.artifacts.manifest import InputRef
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.provenance import PIPELINE_RUN

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "r1-pipeline"
RUN_ID = "mlflow_run_id"
DELIVERY_PERIOD = 2.0
"""Seconds between deliveries of step metrics."""
DIGEST_LIMIT = 36
"""MLflow's limit on a data set's digest; the whole sha256 is in a tag."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""Library defaults would block for minutes on a dead server."""


class Tracking:
    """The tracking store of one home: where runs go, and the parent run of a pipeline run."""

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts
        self._client: MlflowClient | None = None
        self.experiment = ""

    @classmethod
    def of(cls, settings: Settings) -> "Tracking":
        """The tracking store that these settings name."""
        return cls(settings.tracking_uri, settings.home / "mlflow-artifacts")

    def connect(self) -> "MlflowClient":
        """A client; schema and experiment are created once, under a lock."""
        if self._client is None:
            for name, value in PATIENCE.items():
                os.environ.setdefault(name, value)
            import mlflow

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            with self._locked():
                mlflow.set_tracking_uri(self.uri)
                mlflow.set_registry_uri(self.uri)
                client = mlflow.MlflowClient()
                found = client.get_experiment_by_name(EXPERIMENT)
                self.experiment = (
                    found.experiment_id
                    if found
                    else client.create_experiment(EXPERIMENT, artifact_location=self._artifacts.as_uri())
                )
            self._client = client
        return self._client

    def parent(self, pipeline_run: str, tags: Mapping[str, str]) -> str:
        """Id of the run that stands for a whole pipeline run; made on first use."""
        client = self.connect()
        with self._locked():
            found = client.search_runs(
                [self.experiment], f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and tags.`r1.role` = 'pipeline'"
            )
            if found:
                return str(found[0].info.run_id)
            name = f"pipeline {pipeline_run[:8]}"
            made = client.create_run(
                self.experiment, tags={**tags, PIPELINE_RUN: pipeline_run, "r1.role": "pipeline"}, run_name=name
            )
            return str(made.info.run_id)

    def close_parent(self, pipeline_run: str, status: str) -> None:
        """End the parent run of a pipeline run, if it has one."""
        client = self.connect()
        for run in client.search_runs(
            [self.experiment], f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and tags.`r1.role` = 'pipeline'"
        ):
            client.set_terminated(run.info.run_id, status)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._artifacts.mkdir(parents=True, exist_ok=True)
        with (self._artifacts / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class TrackedStage(Observer):
    """One materialization in MLflow. A tracker that fails is reported through `warn`, never to the stage."""

    def __init__(
        self, tracking: Tracking, pipeline_run: str, tags: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._tracking = tracking
        self._pipeline_run = pipeline_run
        self._tags = tags
        self._warn = warn
        self._stages: dict[str, _Delivery] = {}

    def began(self, name: str, fingerprint: str, payload: Mapping[str, Any], metrics: Path) -> Mapping[str, str]:
        identifiers: dict[str, str] = {}
        with self._tolerant("start a run"):
            client = self._tracking.connect()
            tags = {
                **self._tags,
                PIPELINE_RUN: self._pipeline_run,
                "r1.fingerprint": fingerprint,
                "r1.artifact": name,
                "mlflow.parentRunId": self._tracking.parent(self._pipeline_run, self._tags),
            }
            run_id = client.create_run(self._tracking.experiment, tags=tags, run_name=name).info.run_id
            log_parameters(client, run_id, payload)
            self._stages[name] = _Delivery(client, run_id, metrics)
            identifiers[RUN_ID] = run_id
        return identifiers

    def finished(self, artifact: Artifact) -> None:
        delivery = self._stages.pop(artifact.name, None)
        if delivery is None:
            return
        with self._tolerant("finish a run"):
            delivery.stop()
            describe_run(delivery.client, delivery.run_id, artifact)
            delivery.client.set_terminated(delivery.run_id, "FINISHED")

    def failed(self, name: str, error: BaseException) -> None:
        delivery = self._stages.pop(name, None)
        if delivery is None:
            return
        with self._tolerant("close a failed run"):
            delivery.stop()
            delivery.client.set_tag(delivery.run_id, "r1.error", f"{type(error).__name__}: {error}"[:4000])
            delivery.client.set_terminated(delivery.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")

    @contextmanager
    def _tolerant(self, what: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            self._warn(
                f"MLflow at {self._tracking.uri} could not {what}: {error}; the metrics are in the artifact's logs/"
            )


class _Delivery:
    """Carries a metrics file to a run, in batches, from a thread of its own."""

    def __init__(self, client: "MlflowClient", run_id: str, metrics: Path) -> None:
        self.client = client
        self.run_id = run_id
        self._metrics = metrics
        self._delivered = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._carry, name=f"mlflow-{run_id[:8]}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Deliver what is left; raises if the tracker refuses it."""
        self._ending.set()
        self._thread.join()
        self._deliver()

    def _carry(self) -> None:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        while not self._ending.wait(DELIVERY_PERIOD):
            try:
                self._deliver()
            except (MlflowException, SQLAlchemyError, OSError):
                continue  # the rows stay in the file; `stop` tries again, and raises

    def _deliver(self) -> None:
        from mlflow.entities import Metric

        rows = read_metrics(self._metrics)[self._delivered :]
        metrics = [
            Metric(key, float(value), int(row["time"] * 1000), int(row["step"]))
            for row in rows
            for key, value in row.items()
            if key not in ("step", "total", "time")
        ]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + 1000])
        self._delivered += len(rows)


def log_parameters(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    """Everything that the fingerprint hashed, flattened: `recipe.grpo.learning_rate` and so on."""
    from mlflow.entities import Param

    parameters = [Param(key, str(value)[:6000]) for key, value in flatten(payload)]
    for start in range(0, len(parameters), 100):
        client.log_batch(run_id, params=parameters[start : start + 100])


def flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted path, scalar) of a nested mapping; lists stay whole, as JSON-like text."""
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in flatten(inner, f"{prefix}.{key}" if prefix else str(key))]


def describe_run(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    """Statistics, input data sets with digests, input models, and the model version that came out."""
    from mlflow.entities import LoggedModelInput

    manifest = artifact.manifest
    for key, number in flatten(artifact.statistics):
        if isinstance(number, int | float) and not isinstance(number, bool):
            client.log_metric(run_id, f"final/{key}", float(number))
    client.set_tag(run_id, "r1.digest", artifact.digest)
    client.set_tag(run_id, "r1.seconds", str(manifest.provenance.seconds))
    client.log_inputs(run_id, datasets=[_dataset_input(edge, ref) for edge, ref in manifest.inputs.items()])
    models = [model_id for ref in manifest.inputs.values() if (model_id := _model_of(client, ref))]
    if models:
        client.log_inputs(run_id, models=[LoggedModelInput(model_id=model_id) for model_id in models])
    if isinstance(artifact, Checkpoint | RewardModel):
        _register(client, run_id, artifact)


def _dataset_input(edge: str, ref: InputRef) -> Any:
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        source = resolve_dataset_source(f"artifacts/{ref.kind}/{ref.name}/{ref.fingerprint}")
    dataset = MetaDataset(source=source, name=ref.name, digest=ref.digest[:DIGEST_LIMIT])
    tags = {"mlflow.data.context": edge, "sha256": ref.digest, "kind": ref.kind}
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag(key, value) for key, value in tags.items()])


def _model_of(client: "MlflowClient", ref: InputRef) -> str | None:
    """MLflow's id of the logged model that a checkpoint of ours stands for."""
    if ref.kind not in (Checkpoint.kind, RewardModel.kind):
        return None
    experiment = client.get_experiment_by_name(EXPERIMENT)
    found = client.search_logged_models(
        [experiment.experiment_id], filter_string=f"tags.`r1.digest` = '{ref.digest}'", max_results=1
    )
    return str(found[0].model_id) if found else None


def _register(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    import mlflow
    from mlflow.entities import LoggedModelOutput

    name = artifact.name.replace("/", "-")
    tags = {
        "r1.digest": artifact.digest,
        "r1.fingerprint": artifact.manifest.fingerprint,
        "r1.path": str(artifact.path),
    }
    experiment = client.get_run(run_id).info.experiment_id
    model = mlflow.create_external_model(name=name, source_run_id=run_id, tags=tags, experiment_id=experiment)
    client.log_outputs(run_id, models=[LoggedModelOutput(model_id=model.model_id, step=0)])
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    version = client.create_model_version(name, f"models:/{model.model_id}", run_id, tags=tags)
    client.set_registered_model_alias(name, "candidate", version.version)
