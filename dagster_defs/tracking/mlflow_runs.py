"""The content of an MLflow run: parameters, step metrics, data sets and models; every write can be repeated safely.

A model version points to the artifact; weights are not copied.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dagster_defs.tracking.evaluation_traces import log_evaluation
from dagster_defs.tracking.experiment import EXPERIMENT
from dagster_defs.tracking.rollout_traces import log_rollouts
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, EvalReport, RewardModel
from r1_pipeline.artifacts.manifest import MANIFEST, InputRef, address, read_manifest
from r1_pipeline.recipe import flat

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_LIMIT = 36
"""MLflow's limit on the length of a data set's digest; a tag holds the full sha256."""
BATCH = 1000
"""MLflow's limit on the number of metrics in one call."""
ABOUT_MODEL = """\
The versions of `{model}`. `candidate` is the newest; `champion` passed its gates and beat the champion before it.
Talk to it with `r1 chat {model}`; `r1 trace {model}` shows what it was made from."""


def registered_name(model: str) -> str:
    """Returns the name of a model in MLflow's registry, where slashes are not allowed."""
    return model.replace("/", "-")


class Traced(NamedTuple):
    """The numbers of replies that become traces."""

    rollouts: int
    """The number of rollouts of a reinforced model."""
    completions: int
    """The number of completions of an evaluation."""


def finish_run(client: "MlflowClient", run_id: str, artifact: Artifact, traced: Traced) -> None:
    """Logs everything about a finished artifact, a sample of its replies as traces, and ends its run."""
    log_steps(client, run_id, artifact.metrics(), logged_steps(client, run_id))
    describe_run(client, run_id, artifact)
    if isinstance(artifact, Checkpoint) and artifact.rollout_tables():
        log_rollouts(client, run_id, artifact, traced.rollouts)
    if isinstance(artifact, EvalReport):
        log_evaluation(client, run_id, artifact, traced.completions)
    client.set_terminated(run_id, "FINISHED")


def log_steps(
    client: "MlflowClient", run_id: str, rows: Iterable[Mapping[str, Any]], logged: set[tuple[str, int]]
) -> None:
    """Logs the step metrics that are not in `logged` yet, and adds them to it."""
    from mlflow.entities import Metric

    metrics = [
        Metric(key, float(value), int(row["time"] * 1000), int(row["step"]))
        for row in rows
        for key, value in row.items()
        if key not in ("step", "total", "time") and (key, int(row["step"])) not in logged
    ]
    for start in range(0, len(metrics), BATCH):
        batch = metrics[start : start + BATCH]
        client.log_batch(run_id, metrics=batch)
        logged.update((metric.key, metric.step) for metric in batch)


def logged_steps(client: "MlflowClient", run_id: str) -> set[tuple[str, int]]:
    """Returns each metric name and step that a run holds; a resumed stage repeats the steps after its checkpoint."""
    keys = client.get_run(run_id).data.metrics
    return {(key, metric.step) for key in keys for metric in client.get_metric_history(run_id, key)}


def log_parameters(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    """Logs all values that the fingerprint hashed under flat names such as `recipe.grpo.learning_rate`."""
    from mlflow.entities import Param

    parameters = [Param(key, str(value)[:6000]) for key, value in flat(payload)]
    for start in range(0, len(parameters), 100):
        client.log_batch(run_id, params=parameters[start : start + 100])


def describe_run(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    """Logs statistics, input data sets with digests, input models, and the resulting model version."""
    from mlflow.entities import LoggedModelInput

    manifest = artifact.manifest
    logged = client.get_run(run_id).data.metrics
    for key, number in flat(artifact.statistics):
        if isinstance(number, int | float) and not isinstance(number, bool) and f"final/{key}" not in logged:
            client.log_metric(run_id, f"final/{key}", float(number))
    client.set_tag(run_id, "r1.digest", artifact.digest)
    client.set_tag(run_id, "r1.seconds", str(manifest.provenance.seconds))
    client.log_inputs(
        run_id, datasets=[_dataset_input(edge, ref, _artifacts_of(artifact)) for edge, ref in manifest.inputs.items()]
    )
    models = [model_id for ref in manifest.inputs.values() if (model_id := _model_of(client, ref))]
    if models:
        client.log_inputs(run_id, models=[LoggedModelInput(model_id=model_id) for model_id in models])
    if isinstance(artifact, Checkpoint | RewardModel):
        _register(client, run_id, artifact)


def _artifacts_of(artifact: Artifact) -> Path:
    """Returns the folder of all artifacts of the home: above kind, name and fingerprint."""
    return artifact.path.parents[1 + len(Path(artifact.name).parts)]


def _dataset_input(edge: str, ref: InputRef, artifacts: Path) -> Any:
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Dataset, DatasetInput, InputTag

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        source = resolve_dataset_source(f"artifacts/{ref.kind}/{ref.name}/{ref.fingerprint}")
    plain = MetaDataset(source=source, name=ref.name, digest=ref.digest[:DIGEST_LIMIT])._to_mlflow_entity()
    profile = json.dumps(_profile(address(artifacts, ref.kind, ref.name, ref.fingerprint)))
    dataset = Dataset(plain.name, plain.digest, plain.source_type, plain.source, plain.schema, profile)
    tags = {"mlflow.data.context": edge, "sha256": ref.digest, "kind": ref.kind, "fingerprint": ref.fingerprint}
    return DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])


def _profile(folder: Path) -> dict[str, Any]:
    """Returns what MLflow shows of an input: its rows, in all and by domain; empty if it has none or was pruned."""
    if not (folder / MANIFEST).exists():
        return {}
    statistics = read_manifest(folder).statistics
    rows = {"num_rows": statistics["rows"]} if "rows" in statistics else {}
    return rows | {f"{domain} rows": n for domain, n in statistics.get("by_domain", {}).items()}


def _model_of(client: "MlflowClient", ref: InputRef) -> str | None:
    """Returns MLflow's id of the logged model of a checkpoint, or None."""
    if ref.kind not in (Checkpoint.kind, RewardModel.kind):
        return None
    experiment = client.get_experiment_by_name(EXPERIMENT)
    query = f"name = '{registered_name(ref.name)}' AND tags.`r1.fingerprint` = '{ref.fingerprint}'"
    models = client.search_logged_models([experiment.experiment_id], filter_string=query, max_results=1)
    return str(models[0].model_id) if models else None


def _register(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    import mlflow
    from mlflow.entities import LoggedModelOutput

    name = registered_name(artifact.name)
    tags = {
        "r1.digest": artifact.digest,
        "r1.fingerprint": artifact.manifest.fingerprint,
        "r1.path": str(artifact.path),
    }
    if any(v.run_id == run_id for v in client.search_model_versions(f"name = '{name}'")):
        return
    experiment = client.get_run(run_id).info.experiment_id
    model = mlflow.create_external_model(name=name, source_run_id=run_id, tags=tags, experiment_id=experiment)
    client.log_outputs(run_id, models=[LoggedModelOutput(model_id=model.model_id, step=0)])
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=ABOUT_MODEL.format(model=artifact.name))
    source = f"models:/{model.model_id}"
    version = client.create_model_version(
        name, source, run_id, tags=tags, model_id=model.model_id, description=version_text(artifact)
    )
    client.set_registered_model_alias(name, "candidate", version.version)


def version_text(artifact: Artifact) -> str:
    """Returns the description of a model's version: what made it from what, how long that took, and its last values."""
    manifest = artifact.manifest
    inputs = ", ".join(f"{ref.name} ({edge})" for edge, ref in manifest.inputs.items()) or "nothing but its recipe"
    trained = artifact.tokens.get("trained")
    cost = f"in {manifest.provenance.seconds:.0f} s" + (f" on {trained:,} tokens" if trained else "")
    lines = [f"Made by `{manifest.stage}` {cost} on {manifest.provenance.device}, from {inputs}."]
    last = {key: row[key] for row in artifact.metrics() for key in ("reward", "reward/accuracy", "loss") if key in row}
    if last:
        lines.append(f"At the end of training: {', '.join(f'{key} {value:.3f}' for key, value in last.items())}.")
    lines.append(f"Content `{artifact.digest[:12]}`, build `{manifest.fingerprint[:12]}`.")
    return "\n\n".join(lines)
