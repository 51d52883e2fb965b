"""The actual cost of a finished model: every stage of its lineage once, with its planned cost.

Times come from provenance and step metrics, tokens from the statistics of each artifact. An interrupted stage counts
all its steps, not only those after the last resume. Evaluations, gates and failed runs are not covered.
"""

from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.edges import is_selection_edge, is_training_edge
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.records import Record


class StageCost(Record):
    """The cost of one artifact of the lineage, or of several of one name."""

    seconds: float
    """Wall-clock time."""
    device_seconds: float
    """Time of all devices together."""
    device: str
    generated: int
    """Tokens generated."""
    trained: int
    """Tokens trained on, prompts included."""
    planned_device_seconds: float | None
    """Planned time of all devices; None for stages without planned work: curation, merging, an imported base."""


class Cost(Record):
    """The cost of a model and of everything in its lineage, sources first."""

    model: str
    digest: str
    stages: dict[str, StageCost]

    @property
    def total(self) -> StageCost:
        """The sum of all stages; the planned time covers the stages that have a plan."""
        parts = self.stages.values()
        return _summed(parts, sum(part.planned_device_seconds or 0.0 for part in parts))


def cost_of_lineage(model: Artifact, home: Path, devices: int, planned_hours: Mapping[str, float]) -> Cost:
    """Computes the cost of `model`, whose stages ran on `devices` devices each.

    Raises like `open_input` for a broken lineage.
    """
    parts: dict[str, list[StageCost]] = {}
    for artifact in _lineage(model, home):
        parts.setdefault(artifact.name, []).append(_spent(artifact, devices))
    planned = {name: 3600 * hours for name, hours in planned_hours.items()}
    stages = {name: _summed(costs, planned.get(name)) for name, costs in parts.items()}
    return Cost(model=model.name, digest=model.digest, stages=stages)


def _lineage(model: Artifact, home: Path) -> list[Artifact]:
    """Lists every artifact once, inputs before outputs."""
    needed: dict[Path, list[Artifact]] = {}

    def sources(artifact: Artifact) -> list[Artifact]:
        edges = artifact.manifest.inputs.items()  # what keeps rows out, counts or sets an amount did no work for it
        needed[artifact.path] = [
            open_input(home, reference)
            for edge, reference in edges
            if is_training_edge(edge) or is_selection_edge(edge)
        ]
        return needed[artifact.path]

    found = {artifact.path: artifact for artifact in with_ancestors([model], sources)}
    order = TopologicalSorter({path: [source.path for source in given] for path, given in needed.items()})
    return [found[path] for path in order.static_order()]


def _summed(parts: Collection[StageCost], planned: float | None) -> StageCost:
    return StageCost(
        seconds=sum(part.seconds for part in parts),
        device_seconds=sum(part.device_seconds for part in parts),
        device=", ".join(dict.fromkeys(part.device for part in parts)),
        generated=sum(part.generated for part in parts),
        trained=sum(part.trained for part in parts),
        planned_device_seconds=planned,
    )


def _spent(artifact: Artifact, devices: int) -> StageCost:
    made, steps = artifact.manifest.provenance, artifact.metrics()
    seconds = max(made.seconds, sum(step.get("seconds", 0.0) for step in steps))
    counted = {"trained": steps[-1].get("tokens", 0) if steps else 0}  # reward models say it in their metrics alone
    tokens = artifact.statistics.get("tokens", counted)
    return StageCost(
        seconds=seconds,
        device_seconds=seconds * devices,
        device=made.device,
        generated=int(tokens.get("generated", 0)),
        trained=int(tokens.get("trained", 0)),
        planned_device_seconds=None,
    )
