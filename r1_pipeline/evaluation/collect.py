"""From the artifacts of a run to the values of its report, and the report onto the disk.

Artifacts go by name: asset key, partition after a slash. A stage shows what making its artifact cost, whenever that
was. `total_seconds` is the time in which at least one of them was being made: what one waits for, lanes considered, and
the same after a run that reuses everything.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

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
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.evaluation.gates import Gate, GateLimits, all_gates, heldout_overlap, pick
from r1_pipeline.evaluation.inputs import (
    CorpusDomain,
    CorpusStats,
    GateResult,
    ReportInputs,
    RewardModelScore,
    StageFacts,
)
from r1_pipeline.evaluation.preferences import overall
from r1_pipeline.evaluation.recheck import Recheck, recheck
from r1_pipeline.evaluation.report import ReportRecipe, build_report, exchanges
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.evaluation.sizes import sizes_of
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import DOMAINS, Record
from r1_pipeline.rewards.verifier import default_grader
from r1_pipeline.training.callbacks import Guards

A = TypeVar("A", bound=Artifact)


class RunFacts(Record):
    """Which run is reported."""

    profile: str
    seed: int
    home: Path
    pipeline_run: str
    """What this run computed itself carries it in the provenance; all else was reused."""


def collect(
    artifacts: Mapping[str, Artifact],
    run: RunFacts,
    limits: GateLimits,
    guards: Mapping[str, Guards],
    recipe: ReportRecipe,
    runtime: Runtime,
) -> ReportInputs:
    """Everything the report shows; `guards` are those of each reinforced model.

    Raises `ArtifactError` where something that the report needs is not among `artifacts`.
    """
    problem_sets = _of(ProblemSet, artifacts)
    corpus, heldout = pick(Corpus, artifacts, "sft_corpus"), pick(ProblemSet, artifacts, "heldout_problems")
    with default_grader(runtime) as grader:
        rechecked = recheck(corpus, problem_sets.values(), grader)
    evaluations = {n.removeprefix("evaluation/"): report for n, report in _of(EvalReport, artifacts).items()}
    stages = {name: _stage(artifact, run) for name, artifact in artifacts.items()}
    return ReportInputs(
        profile=run.profile,
        seed=run.seed,
        home=str(run.home),
        left_out={domain: why for problems in problem_sets.values() for domain, why in problems.left_out.items()},
        models={name: EvalScores.model_validate(report.scores()) for name, report in evaluations.items()},
        reward_models={name: _accuracy(model) for name, model in _of(RewardModel, artifacts).items()},
        general_preference={
            model: overall(kinds)
            for scores in _of(PreferenceScores, artifacts).values()
            for model, kinds in scores.scores().items()
        },
        corpus=_corpus(corpus, heldout, rechecked),
        sizes={n: sizes_of(model) for n, model in _of(Checkpoint, artifacts).items() if "base" in n.partition("/")[0]},
        stages=stages,
        gates={name: _decision(gate) for name, gate in all_gates(artifacts, limits, guards, rechecked).items()},
        training={name: _curves(model) for name, model in _of(Checkpoint, artifacts).items()},
        exchanges=exchanges(
            recipe, heldout.problems(), {name: report.completions() for name, report in evaluations.items()}
        ),
        total_seconds=busy_seconds([span for artifact in artifacts.values() for span in _spans(artifact, run)]),
        environment=_environment([artifact.manifest for artifact in artifacts.values()]),
    )


def write_report(directory: Path, inputs: ReportInputs) -> dict[str, Any]:
    """Write `report.json` and `report.html`, each whole or not at all; returns the former."""
    directory.mkdir(parents=True, exist_ok=True)
    numbers, page = build_report(inputs)
    _write_whole(directory / "report.json", json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write_whole(directory / "report.html", page)
    return numbers


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of (start, end) intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _of(kind: type[A], artifacts: Mapping[str, Artifact]) -> dict[str, A]:
    return {name: artifact for name, artifact in artifacts.items() if isinstance(artifact, kind)}


def _stage(artifact: Artifact, run: RunFacts) -> StageFacts:
    """Facts of one asset; the asking, whose answers are an artifact of their own, is included."""
    made = _made(artifact, run)
    tokens = [sum(manifest.statistics["tokens"].values()) for manifest in made if "tokens" in manifest.statistics]
    return StageFacts(
        seconds=sum(manifest.provenance.seconds for manifest in made),
        reused=all(manifest.provenance.runs.get(PIPELINE_RUN) != run.pipeline_run for manifest in made),
        fingerprint=artifact.manifest.fingerprint,
        digest=artifact.digest,
        tokens=sum(tokens) if tokens else None,
    )


def _made(artifact: Artifact, run: RunFacts) -> list[Manifest]:
    answers = artifact.manifest.inputs.get("answers")
    return [artifact.manifest, *([open_input(run.home, answers).manifest] if answers else [])]


def _spans(artifact: Artifact, run: RunFacts) -> list[tuple[float, float]]:
    facts = [manifest.provenance for manifest in _made(artifact, run)]
    starts = [datetime.fromisoformat(made.started).timestamp() for made in facts]
    return [(start, start + made.seconds) for start, made in zip(starts, facts, strict=True)]


def _accuracy(model: RewardModel) -> RewardModelScore:
    return RewardModelScore(accuracy=model.statistics["accuracy"], n=model.statistics["heldout_pairs"])


def _corpus(corpus: Corpus, heldout: ProblemSet, rechecked: Recheck) -> CorpusStats:
    rows, tokens = corpus.statistics["by_domain"], corpus.statistics["tokens_by_domain"]
    return CorpusStats(
        by_domain={d: CorpusDomain(rows=rows[d], tokens=tokens[d]) for d in DOMAINS if d in rows},
        dropped=corpus.manifest.drops,
        heldout_overlap=heldout_overlap(corpus, heldout),
        rechecked=rechecked.rechecked,
        agreed=rechecked.agreed,
    )


def _decision(gate: Gate) -> GateResult:
    return GateResult(passed=gate.passed, value=gate.value, limit=gate.limit)


def _curves(model: Checkpoint) -> tuple[dict[str, float], ...]:
    return tuple({key: value for key, value in row.items() if key not in ("total", "time")} for row in model.metrics())


def _environment(manifests: list[Manifest]) -> dict[str, str]:
    """Circumstances of the artifact that was made last."""
    last = max((manifest.provenance for manifest in manifests), key=lambda provenance: provenance.started)
    return {
        "commit": last.commit or "not a checkout",
        "uncommitted changes": last.diff_sha256 or "none",
        "python": last.python,
        "platform": last.platform,
        "device": last.device,
        **last.packages,
    }


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
