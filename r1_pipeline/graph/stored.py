"""Finds the newest stored version of a model that passes its gates, from the folders of a home alone.

This serves homes without records of runs: one that `run_graph` made, a copy, a machine without Dagster. Gates read the
artifacts in the model's lineage and the stored evaluations of these models; nothing is made. Limits are those of
the current profile.
"""

from pathlib import Path

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, EvalReport, open_artifact
from r1_pipeline.artifacts.manifest import folders_of, read_manifest
from r1_pipeline.errors import GateFailedError, UnknownNameError
from r1_pipeline.evaluation.gates import failures
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.local import Find, GatedArtifact, Setting, decide, lineage_of
from r1_pipeline.graph.node import AssetName


def newest_model(home: Path, profile: Setting, bound: Bound, model: str) -> Checkpoint:
    """Returns the newest version of a checkpoint of the graph that passes its gates.

    Raises `UnknownNameError` with the known models, `GateFailedError` if no version is stored or none passes.
    """
    name = checkpoint_name(bound, model)
    folders = folders_of(home, Checkpoint.kind, model)
    if not folders:
        raise GateFailedError(f"{model} has never been made; run it first: r1 run --select {name.asset}")
    reasons = []
    for folder in folders:
        version = Checkpoint.open(folder)
        judged = GatedArtifact(bound, name, version, profile.gates, profile.runtime, stored(home, bound, version))
        try:
            failed = [gate for gates in decide(judged, warnings=False).values() for gate in failures(gates)]
        except GateFailedError as undecided:
            reasons.append(str(undecided))
            continue
        if not failed:
            return version
        reasons.append(f"gate {failed[0]}")
    raise GateFailedError(
        f"no version of {model} passes its gates ({reasons[0]}); correct its recipe, and run it again"
    )


def checkpoint_name(bound: Bound, model: str) -> AssetName:
    """Returns the checkpoint of the graph that `model` spells; raises `UnknownNameError` with the known models."""
    valid = {str(name): name for name in bound.checkpoints}
    if model not in valid:
        raise UnknownNameError("model", model, valid)
    return valid[model]


def stored(home: Path, bound: Bound, artifact: Artifact) -> Find:
    """Returns a function that finds the ancestors of `artifact`, and the evaluations of the models among them.

    The function raises `GateFailedError` for any other artifact, since a gate that needs it cannot be decided.
    """
    lineage = lineage_of(artifact, home, bound)
    checkpoints = bound.checkpoints if bound.graph.benchmarks else ()
    models = {bound.evaluation(name): folder for name, folder in lineage.items() if name in checkpoints}

    def find(name: AssetName) -> Artifact:
        if name in lineage:
            return open_artifact(lineage[name])
        report = evaluation_of(home, name, read_manifest(models[name]).digest) if name in models else None
        if report is None:
            raise GateFailedError(f"{name} is not stored; run it first: r1 run --select {name.asset}")
        return report

    return find


def evaluation_of(home: Path, evaluation: AssetName, digest: str) -> EvalReport | None:
    """Returns the newest version of an evaluation of the model with this digest; None if there is none."""
    for folder in folders_of(home, EvalReport.kind, str(evaluation)):
        report = EvalReport(folder, read_manifest(folder))
        if scores_of(report).identity.model_digest == digest:
            return report
    return None
