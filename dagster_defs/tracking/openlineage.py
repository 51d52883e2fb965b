"""OpenLineage events of every stage: START, then COMPLETE, FAIL or ABORT, with inputs, outputs and their versions.

Events always go to `openlineage.jsonl` in the home, and to a server if OpenLineage's own configuration names one
(`OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG`, `openlineage.yml`; `OPENLINEAGE_DISABLED` switches both off). A job is an
asset; a data set is an artifact by kind and name, and its version the content digest. The rollouts of a reinforced
model are a data set `rollouts/NAME` of the same version. A server that does not answer is
reported once and not called again by this process; the file keeps the events it missed. Reused artifacts make no event.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint
from r1_pipeline.artifacts.observer import Observer

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

RUN_ID = "openlineage_run_id"
"""Key in `Provenance.runs`."""
FILE = "openlineage.jsonl"
PRODUCER = f"urn:r1-pipeline:{version('r1-pipeline')}"
SERVER_VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
"""Names or prefixes of the environment variables that configure a server."""


class EventSink:
    """Writes the events of one process to the file, and to a server if one is configured."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._server_failed = False

    def emit(self, event: "RunEvent", warn: Callable[[str], None]) -> None:
        """Appends the event to the file and sends it to the server; `warn` is called if the server does not answer."""
        from openlineage.client import OpenLineageClient
        from openlineage.client.serde import Serde

        if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
            return
        with self._file.open("ab", buffering=0) as lines:  # in one write: workers share the file
            lines.write(f"{Serde.to_json(event)}\n".encode())
        named = (
            any(name.startswith(SERVER_VARIABLES) for name in os.environ) or OpenLineageClient._find_yaml_config_path()
        )
        if not named or self._server_failed:
            return
        try:
            OpenLineageClient().emit(event)
        except Exception as error:  # noqa: BLE001 - transports raise what their libraries do; lineage stops no training
            self._server_failed = True
            warn(
                f"the OpenLineage server does not answer ({type(error).__name__}: {error}); this process sends it no "
                f"more events, they are in {self._file}"
            )


class OpenLineageObserver(Observer):
    """Emits the stages of one Dagster run as OpenLineage events."""

    def __init__(self, events: EventSink, dagster_run: str, warn: Callable[[str], None]) -> None:
        self._events = events
        self._dagster_run = dagster_run
        self._warn = warn
        self._started: dict[str, tuple[str, str, Mapping[str, Artifact]]] = {}

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        from openlineage.client.uuid import generate_new_uuid

        run = str(generate_new_uuid())
        self._started[name] = run, fingerprint, inputs
        self._emit(name, "START", {}, [])
        return {RUN_ID: run}

    def finished(self, artifact: Artifact) -> None:
        outputs = [_output(artifact)]
        if isinstance(artifact, Checkpoint) and artifact.rollout_tables():
            outputs.append(_rollouts(artifact))
        self._emit(artifact.name, "COMPLETE", {}, outputs)
        del self._started[artifact.name]

    def failed(self, name: str, error: BaseException) -> None:
        from openlineage.client.facet_v2 import error_message_run

        if name in self._started:
            why = f"{type(error).__name__}: {error}"[:4000]
            facet = error_message_run.ErrorMessageRunFacet(message=why, programmingLanguage="python")
            self._emit(name, "FAIL" if isinstance(error, Exception) else "ABORT", {"errorMessage": facet}, [])
            del self._started[name]

    def _emit(self, name: str, state: str, facets: "Mapping[str, RunFacet]", outputs: "list[OutputDataset]") -> None:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import job_type_job, parent_run, processing_engine_run, set_producer, tags_run

        set_producer(PRODUCER)
        run, fingerprint, inputs = self._started[name]
        run_facets: dict[str, RunFacet] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self._dagster_run), job=parent_run.Job(namespace=namespace(), name="dagster")
            ),
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version("r1-pipeline"), "r1-pipeline"),
            "tags": tags_run.TagsRunFacet([tags_run.TagsRunFacetFields("fingerprint", fingerprint, "r1-pipeline")]),
            **facets,
        }
        kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="R1", jobType="STAGE")
        event = RunEvent(
            eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
            producer=PRODUCER,
            eventType=RunState[state],
            run=Run(run, run_facets),
            job=Job(namespace(), name, {"jobType": kind}),
            inputs=[_input(artifact) for artifact in inputs.values()],
            outputs=outputs,
        )
        self._events.emit(event, self._warn)


def namespace() -> str:
    """Returns the namespace of jobs and data sets."""
    return os.environ.get("OPENLINEAGE_NAMESPACE", "r1-pipeline")


def _input(artifact: Artifact) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(namespace(), f"{artifact.kind}/{artifact.name}", facets=_facets(artifact))


def _output(artifact: Artifact) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    files = artifact.manifest.files
    counted = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=artifact.statistics.get("rows"), size=sum(file.bytes for file in files), fileCount=len(files)
    )
    name = f"{artifact.kind}/{artifact.name}"
    return OutputDataset(namespace(), name, {"outputStatistics": counted}, facets=_facets(artifact))


def _rollouts(model: Checkpoint) -> "OutputDataset":
    """Returns the rollouts of a reinforced model as a data set of their own."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset, schema_dataset

    tables, rows = model.rollout_tables(), model.rollouts()
    counted = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=model.statistics.get("rollouts"),
        size=sum(path.stat().st_size for path in tables),
        fileCount=len(tables),
    )
    fields = [schema_dataset.SchemaDatasetFacetFields(name, str(kind)) for name, kind in rows.collect_schema().items()]
    facets = {**_facets(model), "schema": schema_dataset.SchemaDatasetFacet(fields)}
    return OutputDataset(namespace(), f"rollouts/{model.name}", {"outputStatistics": counted}, facets=facets)


def _facets(artifact: Artifact) -> "dict[str, DatasetFacet]":
    from openlineage.client.facet_v2 import dataset_version_dataset, datasource_dataset, schema_dataset

    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(artifact.digest),
        "dataSource": datasource_dataset.DatasourceDatasetFacet(artifact.kind, artifact.path.as_uri()),
    }
    if artifact.tables():
        columns = artifact.scan().collect_schema().items()
        fields = [schema_dataset.SchemaDatasetFacetFields(name, str(kind)) for name, kind in columns]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields)
    return facets
