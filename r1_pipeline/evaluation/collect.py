"""This module collects the values of a report from the artifacts of a run, and writes the report.

Artifacts have names: the asset key, with the partition after a slash. The cost of a stage is the cost of making its
artifact, even if an earlier run made it. `total_seconds` is the time in which at least one artifact was being made: the
waiting time with parallel workers, which stays the same if a later run reuses everything.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from r1_pipeline.artifacts.atomic_write import write_text_atomically
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Corpus,
    EvalReport,
    PreferenceScores,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.manifest import Manifest
from r1_pipeline.artifacts.provenance import PIPELINE_RUN
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.answer_bias import favourites
from r1_pipeline.evaluation.completions_page import PAGE, render_completions, shown_completions
from r1_pipeline.evaluation.controls import Control, measured
from r1_pipeline.evaluation.gates import Gate, heldout_overlap
from r1_pipeline.evaluation.general import general_of
from r1_pipeline.evaluation.inputs import (
    Cast,
    CorpusDomain,
    CorpusStats,
    GateResult,
    ReportInputs,
    RewardModelScore,
    StageFacts,
)
from r1_pipeline.evaluation.paired import marks_of
from r1_pipeline.evaluation.preferences import overall
from r1_pipeline.evaluation.reflection import depths
from r1_pipeline.evaluation.report import ReportRecipe, build_report, exchanges
from r1_pipeline.evaluation.rollout_view import shown_rollouts
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.evaluation.sizes import sizes_of
from r1_pipeline.evaluation.stored_agreements import stored_agreement
from r1_pipeline.evaluation.support import support
from r1_pipeline.records import DOMAINS, Record
from r1_pipeline.rewards.preference import Confidence, calibration_error

A = TypeVar("A", bound=Artifact)


class RunFacts(Record):
    """The run that is reported."""

    profile: str
    seed: int
    home: Path
    pipeline_run: str
    """The id of the run; an artifact with another id in its provenance was reused."""
    overrides: tuple[str, ...] = ()
    """The fields of recipes that a user has set, with the profile's value and the value now."""


@dataclass(frozen=True)
class Material:
    """The artifacts of a graph, and their roles in it."""

    artifacts: Mapping[str, Artifact]
    """The artifacts by name, in the order of the graph."""
    node_of: Mapping[str, str]
    """The node of each artifact."""
    evaluations: Mapping[str, Mapping[str, EvalReport]]
    """The evaluations by benchmark and model; the held-out problems come first."""
    decisions: Mapping[str, Mapping[str, list[Gate]]]
    """The gates by artifact and check."""
    cast: Cast
    controls: tuple[Control, ...]
    """The effects that are shown with their controls."""
    published: Mapping[str, str] = field(default_factory=dict)
    """The row of the paper's table of stages, by benchmark."""


def collect(material: Material, run: RunFacts, recipe: ReportRecipe) -> ReportInputs:
    """Collects everything that the report shows; raises `ArtifactError` if a required artifact is missing."""
    artifacts, cast = material.artifacts, material.cast
    problem_sets = _of(ProblemSet, artifacts)
    corpus, heldout = pick(Corpus, artifacts, cast.corpus), pick(ProblemSet, artifacts, cast.heldout)
    held_out, *others = material.evaluations
    held_out_problems = heldout.problems()
    models = material.evaluations[held_out]
    preference = {
        model: kinds for each in _of(PreferenceScores, artifacts).values() for model, kinds in each.scores().items()
    }
    return ReportInputs(
        cast=cast,
        node_of=dict(material.node_of),
        profile=run.profile,
        seed=run.seed,
        home=str(run.home),
        overrides=run.overrides,
        left_out={domain: why for problems in problem_sets.values() for domain, why in problems.left_out.items()},
        models={name: scores_of(report) for name, report in models.items()},
        marks={name: marks_of(report.completions(), "domain") for name, report in models.items()},
        favourites={name: favourites(report.completions()) for name, report in models.items()},
        depths={
            name: found for name, report in models.items() if (found := depths(report.completions(), held_out_problems))
        },
        benchmarks={b: {name: scores_of(report) for name, report in material.evaluations[b].items()} for b in others},
        published=dict(material.published),
        agreements=tuple(
            opinion
            for reports in material.evaluations.values()
            for report in reports.values()
            if (opinion := stored_agreement(run.home, report.name, report.digest))
        ),
        reward_models={name: _accuracy(model) for name, model in _of(RewardModel, artifacts).items()},
        general_preference={model: overall(kinds) for model, kinds in preference.items()},
        general={
            name: general
            for name, report in models.items()
            if (general := general_of(scores_of(report), preference.get(name, {})))
        },
        liked={
            str(model): marks_of(answers, "kind")
            for scores in _of(PreferenceScores, artifacts).values()
            for (model,), answers in scores.answers().group_by("model", maintain_order=True)
        },
        corpus=_corpus(corpus, heldout, material.decisions.get(cast.corpus, {})),
        sizes={
            name: sizes_of(model)
            for name, model in _of(Checkpoint, artifacts).items()
            if material.node_of[name] in (cast.base, cast.student_base)
        },
        stages={name: _stage(artifact, run) for name, artifact in artifacts.items()},
        gates={
            f"{name}.{gate.name}": _decision(gate)
            for name, checks in material.decisions.items()
            for gates in checks.values()
            for gate in gates
        },
        training={name: _curves(model) for name, model in _of(Checkpoint, artifacts).items()},
        rollouts={
            name: shown_rollouts(model) for name, model in _of(Checkpoint, artifacts).items() if model.rollout_tables()
        },
        controls=measured(material.controls, models, material.node_of),
        exchanges=exchanges(recipe, held_out_problems, {name: report.completions() for name, report in models.items()}),
        total_seconds=busy_seconds([_span(artifact) for artifact in artifacts.values()]),
        environment=_environment([artifact.manifest for artifact in artifacts.values()]),
    )


def pick(kind: type[A], artifacts: Mapping[str, Artifact], name: str) -> A:
    """Returns the artifact `name` of this kind; raises `ArtifactError`, which lists the names, if there is none."""
    found = artifacts.get(name)
    if not isinstance(found, kind):
        raise ArtifactError(f"no {kind.kind} {name!r} among the artifacts; there are {', '.join(sorted(artifacts))}")
    return found


def write_report(directory: Path, inputs: ReportInputs) -> dict[str, Any]:
    """Writes `report.json` and `report.html` atomically, and returns the value of the former."""
    directory.mkdir(parents=True, exist_ok=True)
    numbers, page = build_report(inputs)
    write_text_atomically(
        directory / "report.json", json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    write_text_atomically(directory / "report.html", page)
    return numbers


def write_completions(directory: Path, material: Material, run: RunFacts) -> None:
    """Writes the page of all completions atomically, next to the report."""
    shown = shown_completions(material.evaluations, _of(ProblemSet, material.artifacts).values())
    write_text_atomically(directory / PAGE, render_completions(shown, run.profile, run.seed))


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Returns the length of the union of intervals, each given by its start and end in seconds."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _of(kind: type[A], artifacts: Mapping[str, Artifact]) -> dict[str, A]:
    return {name: artifact for name, artifact in artifacts.items() if isinstance(artifact, kind)}


def _stage(artifact: Artifact, run: RunFacts) -> StageFacts:
    made = artifact.manifest
    return StageFacts(
        seconds=made.provenance.seconds,
        reused=made.provenance.runs.get(PIPELINE_RUN) != run.pipeline_run,
        fingerprint=made.fingerprint,
        digest=artifact.digest,
        tokens=sum(artifact.tokens.values()) if artifact.tokens else None,
    )


def _span(artifact: Artifact) -> tuple[float, float]:
    made = artifact.manifest.provenance
    start = datetime.fromisoformat(made.started).timestamp()
    return start, start + made.seconds


def _accuracy(model: RewardModel) -> RewardModelScore:
    groups = tuple(Confidence.model_validate(row) for row in model.calibration)
    return RewardModelScore(
        accuracy=model.accuracy, n=model.heldout_pairs, calibration=groups, calibration_error=calibration_error(groups)
    )


def _corpus(corpus: Corpus, heldout: ProblemSet, decisions: Mapping[str, list[Gate]]) -> CorpusStats:
    rows, tokens = corpus.by_domain, corpus.tokens_by_domain
    rounds = corpus.statistics.get("rounds_by_domain", {})
    rechecked = [gate for gates in decisions.values() for gate in gates if gate.looked_at is not None]
    return CorpusStats(
        by_domain={
            d: CorpusDomain(rows=rows[d], tokens=tokens[d], rounds=rounds.get(d, 1.0)) for d in DOMAINS if d in rows
        },
        dropped=corpus.manifest.drops,
        heldout_overlap=heldout_overlap(corpus, heldout),
        rechecked=sum(gate.looked_at or 0 for gate in rechecked),
        agreed=sum((gate.looked_at or 0) - round(gate.value) for gate in rechecked),
        support=support(corpus),
    )


def _decision(gate: Gate) -> GateResult:
    return GateResult(passed=gate.passed, blocking=gate.blocking, value=gate.value, limit=gate.limit)


def _curves(model: Checkpoint) -> tuple[dict[str, float], ...]:
    return tuple({key: value for key, value in row.items() if key not in ("total", "time")} for row in model.metrics())


def _environment(manifests: list[Manifest]) -> dict[str, str]:
    """Returns the environment in which the latest artifact was made."""
    last = max((manifest.provenance for manifest in manifests), key=lambda provenance: provenance.started)
    return {
        "commit": last.commit or "not a checkout",
        "uncommitted changes": last.diff_sha256 or "none",
        "python": last.python,
        "platform": last.platform,
        "device": last.device,
        **last.packages,
    }
