"""MLflow runs: a parent run per pipeline run and a child run per computed stage, fed from the stage's metrics file.

Training never waits for MLflow (`uploads`). Metrics that could not be uploaded are reported at the end of the stage,
stay in the artifact's `logs/`, and are uploaded by the next run. A resumed stage continues its MLflow run. Not covered:
the content of a run (`mlflow_runs`) and the champion (`model_registry`).
"""

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_defs.settings import DEFAULT_TRACED, DEFAULT_TRACED_COMPLETIONS, Settings
from dagster_defs.tracking.experiment import EXPERIMENT, describe_experiment
from dagster_defs.tracking.mlflow_runs import Traced, finish_run, log_parameters
from dagster_defs.tracking.uploads import TIMEOUT_S, MetricsUploader, PendingUpload
from r1_pipeline.artifacts.kinds import Artifact, peek_artifact
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.provenance import PIPELINE_RUN
from r1_pipeline.errors import R1Error, RequirementError

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_ID = "mlflow_run_id"
NOTE = "mlflow.note.content"
"""Tag of a run: its description in MLflow's page."""
PARENT_NOTE = "One `r1 run`, or one run of Dagster; its children are the stages that it computed."
DAGSTER_RUN = "dagster.run_id"
"""Tag of a stage's MLflow run: the id of the Dagster run that computes it."""
REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""MLflow's request limits; its defaults would block for minutes on a dead server."""


class TrackingStore:
    """The tracking store of one home: creates runs, and the parent run of each pipeline run."""

    def __init__(
        self,
        uri: str,
        artifacts: Path,
        traced_rollouts: int = DEFAULT_TRACED,
        traced_completions: int = DEFAULT_TRACED_COMPLETIONS,
    ) -> None:
        """Takes the address, the folder of MLflow's own files, and how many rollouts of a model become traces."""
        self.uri = uri
        self.traced = Traced(traced_rollouts, traced_completions)
        self.display_uri = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", uri)
        """The address without its password."""
        self._artifacts = artifacts
        self._pending_folder = artifacts.parent / "owed"
        self._client: MlflowClient | None = None
        self.experiment = ""

    @classmethod
    def of(cls, settings: Settings) -> "TrackingStore":
        """Returns the tracking store that these settings name."""
        traced = settings.traced_rollouts, settings.traced_completions
        return cls(settings.tracking_uri, settings.home / "mlflow-artifacts", *traced)

    def load(self) -> None:
        """Imports the MLflow client early, so that the import does not count against the tracker's time limit."""
        import mlflow

        if not self.uri.startswith(("http://", "https://")):
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    def connect(self) -> "MlflowClient":
        """Returns a client; a lock makes one process create schema and experiment."""
        if self._client is None:
            for name, value in REQUEST_LIMITS.items():
                os.environ.setdefault(name, value)
            import mlflow

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            with self._locked():
                mlflow.set_tracking_uri(self.uri)
                mlflow.set_registry_uri(self.uri)
                client = mlflow.MlflowClient()
                experiment = client.get_experiment_by_name(EXPERIMENT)
                if experiment is None:
                    client.create_experiment(EXPERIMENT, artifact_location=self._artifacts.as_uri())
                    experiment = client.get_experiment_by_name(EXPERIMENT)
                describe_experiment(client, experiment)
                self.experiment = str(experiment.experiment_id)
            self._client = client
        return self._client

    def parent(self, pipeline_run: str, tags: Mapping[str, str]) -> str:
        """Returns the id of the parent run of a pipeline run, and creates it on first use."""
        client = self.connect()
        with self._locked():
            runs = client.search_runs(
                [self.experiment], f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and tags.`r1.role` = 'pipeline'"
            )
            if runs:
                return str(runs[0].info.run_id)
            started = datetime.now(UTC)
            name = f"r1 run of {tags.get('r1.profile', 'a graph')}, {started:%d %b %H:%M} UTC ({pipeline_run[:8]})"
            own = {PIPELINE_RUN: pipeline_run, "r1.role": "pipeline", NOTE: PARENT_NOTE}
            run = client.create_run(self.experiment, tags={**tags, **own}, run_name=name)
            return str(run.info.run_id)

    def open_run(
        self, pipeline_run: str, tags: Mapping[str, str], name: str, fingerprint: str, payload: Mapping[str, Any]
    ) -> str:
        """Returns the id of the run of one computation: the resumed run of an earlier attempt, or a new one."""
        client = self.connect()
        same = f"tags.`r1.fingerprint` = '{fingerprint}' and tags.`r1.artifact` = '{name}'"
        query = f"{same} and attributes.status != 'FINISHED'"
        runs = client.search_runs([self.experiment], query, max_results=1)
        if runs:
            run_id = str(runs[0].info.run_id)
            client.set_tag(run_id, "r1.resumed_in", pipeline_run)
            client.set_tag(run_id, DAGSTER_RUN, tags[DAGSTER_RUN])  # `reap_dead_runs` ends both together
            client.update_run(run_id, status="RUNNING")
            return run_id
        run_tags = {
            **tags,
            PIPELINE_RUN: pipeline_run,
            "r1.fingerprint": fingerprint,
            "r1.artifact": name,
            "mlflow.parentRunId": self.parent(pipeline_run, tags),
        }
        run_id = str(client.create_run(self.experiment, tags=run_tags, run_name=name).info.run_id)
        log_parameters(client, run_id, payload)
        return run_id

    def record_pending(self, artifact: Artifact, pipeline_run: str, tags: Mapping[str, str]) -> PendingUpload:
        """Writes a note that an artifact has not been uploaded completely yet, and returns it locked."""
        self._pending_folder.mkdir(parents=True, exist_ok=True)
        pending = PendingUpload(
            self._pending_folder / f"{artifact.manifest.fingerprint}-{artifact.name.replace('/', '-')}", "w"
        )
        pending.write({"path": str(artifact.path), "pipeline_run": pipeline_run, "tags": dict(tags)})
        return pending

    def upload_pending(self, warn: Callable[[str], None]) -> list[str]:
        """Uploads what MLflow missed while it was unreachable, and returns the names of these artifacts."""
        uploaded = []
        for note in sorted(self._pending_folder.iterdir()) if self._pending_folder.exists() else ():
            try:
                pending = PendingUpload(note, "r")
            except (BlockingIOError, FileNotFoundError):  # its stage is uploading, or has finished
                continue
            with pending, self.best_effort("catch up", warn):
                content = pending.read()
                artifact = peek_artifact(Path(content["path"]))
                run = content["pipeline_run"], content["tags"], artifact.name, artifact.manifest.fingerprint
                run_id = self._existing_run(content["pipeline_run"], artifact) or self.open_run(
                    *run, artifact.manifest.payload
                )
                finish_run(self.connect(), run_id, artifact, self.traced)
                pending.complete()
                uploaded.append(artifact.name)
        return uploaded

    def _existing_run(self, pipeline_run: str, artifact: Artifact) -> str | None:
        """Returns the id of a run that received this artifact before its process died without removing the note, or
        None.
        """
        same = f"tags.`r1.fingerprint` = '{artifact.manifest.fingerprint}' and tags.`r1.artifact` = '{artifact.name}'"
        for tag in (PIPELINE_RUN, "r1.resumed_in"):
            query = f"{same} and tags.`{tag}` = '{pipeline_run}'"
            if runs := self.connect().search_runs([self.experiment], query, max_results=1):
                return str(runs[0].info.run_id)
        return None

    def close_parent(self, pipeline_run: str, status: str) -> None:
        """Ends the parent run of a pipeline run, if it has one."""
        client = self.connect()
        for run in client.search_runs(
            [self.experiment], f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and tags.`r1.role` = 'pipeline'"
        ):
            client.set_terminated(run.info.run_id, status)

    @contextmanager
    def best_effort(self, what: str, warn: Callable[[str], None]) -> Iterator[None]:
        """Reports tracker errors inside the block through `warn` and continues."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            warn(f"MLflow at {self.display_uri} could not {what}: {error}; the metrics are in the artifact's logs/")

    @contextmanager
    def required(self) -> Iterator[None]:
        """Turns tracker errors inside the block into `RequirementError`, for commands that need the tracker."""
        try:
            yield
        except R1Error:  # says what is wrong, and is told without MLflow, whose import takes a second
            raise
        except _failures() as error:
            why = str(error).partition("\n")[0][:300]
            raise RequirementError(
                f"MLflow at {self.display_uri} cannot be used: {why}; check MLFLOW_TRACKING_URI"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._artifacts.mkdir(parents=True, exist_ok=True)
        with (self._artifacts / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _failures() -> tuple[type[Exception], ...]:
    """Returns the exceptions of MLflow and of its database."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError


class MLflowObserver(Observer):
    """Logs one materialization to MLflow; tracker errors are reported through `warn` and never reach the stage."""

    def __init__(
        self, tracking: TrackingStore, pipeline_run: str, tags: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._tracking = tracking
        self._pipeline_run = pipeline_run
        self._tags = tags
        self._warn = warn
        self._uploaders: dict[str, MetricsUploader] = {}

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        def start_run() -> str:
            return self._tracking.open_run(self._pipeline_run, self._tags, name, fingerprint, payload)

        self._tracking.load()
        self._uploaders[name] = uploader = MetricsUploader(self._tracking, start_run, metrics, self._warn)
        run_id = uploader.run_id(TIMEOUT_S)
        return {RUN_ID: run_id} if run_id else {}

    def finished(self, artifact: Artifact) -> None:
        pending = self._tracking.record_pending(artifact, self._pipeline_run, self._tags)

        def finish(client: "MlflowClient", run_id: str) -> None:
            finish_run(client, run_id, artifact, self._tracking.traced)
            pending.complete()

        self._uploaders.pop(artifact.name).end("finish a run", finish, pending)

    def failed(self, name: str, error: BaseException) -> None:
        uploader = self._uploaders.pop(name, None)
        if uploader is None:
            return

        def close(client: "MlflowClient", run_id: str) -> None:
            uploader.upload()
            client.set_tag(run_id, "r1.error", f"{type(error).__name__}: {error}"[:4000])
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")

        uploader.end("close a failed run", close, nullcontext())
