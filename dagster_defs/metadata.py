"""Metadata of materializations for readers: a picture, a sample, numbers, gates, the way to MLflow, and hashes last.

Dagster shows the entries in this order, Markdown of less than 1000 characters at once and longer one behind a button,
and plots every number over the versions of an asset; what is no measurement is therefore text. There is one function
per kind of artifact; `materialization_metadata` adds what all kinds have in common.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue

from dagster_defs.column_lineage import column_metadata
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Corpus,
    Difficulty,
    EvalReport,
    PreferenceScores,
    PreferenceSet,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.evaluation.plots import Line, curves
from r1_pipeline.evaluation.rollout_health import health
from r1_pipeline.evaluation.rollout_view import MEASURES, series
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.evaluation.small_plots import score_bars, sparkline
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import Check

ADDRESS = "r1/address"
"""Metadata key: path of the artifact relative to the home directory."""
FINGERPRINT = "fingerprint"
"""Metadata key: fingerprint of the build. Materializations with the same fingerprint hold the same artifact."""
PROFILE, SEED = "profile", "seed"
"""Metadata keys of the profile and the seed, both text."""
CURVES = ("reward", "reward/accuracy", "reward/format", "reward/language", "mean_tokens", "entropy", "kl", "loss")
"""Step metrics that are plotted where they exist."""
SAMPLE_ROWS = 5
SVG = "http://www.w3.org/2000/svg"
STYLE = (
    "<style>text{font:10px sans-serif;fill:#555}.grid{stroke:#ddd}path{fill:none;stroke:#2a6f97;stroke-width:1.6}"
    ".raw{opacity:.3}.dot{fill:#2a6f97}.end{text-anchor:end}</style>"
)
"""Inline styles of the plots, because images in Markdown see no style sheet."""

Metadata = dict[str, Any]


def materialization_metadata(artifact: Artifact, settings: Settings, bound: Bound) -> Metadata:
    """Returns the metadata of a materialization: values of its kind, gates, cost, links, columns, and identity last."""
    manifest = artifact.manifest
    runs = manifest.provenance.runs
    address = artifact.path.relative_to(settings.home)
    shared: Metadata = {"seconds": manifest.provenance.seconds}
    if checks := bound.graph.node(bound.name(artifact.name).asset).checks:
        shared["gates"] = MetadataValue.md(_gates(checks))
    if "mlflow_run_id" in runs:
        shared["mlflow/run"] = MetadataValue.url(settings.mlflow_link(runs["mlflow_run_id"]))
    if manifest.drops:
        shared["dropped"] = MetadataValue.md(markdown(["reason", "rows"], sorted(manifest.drops.items())))
    identity: Metadata = {
        "r1/inputs": MetadataValue.json({edge: ref.model_dump() for edge, ref in manifest.inputs.items()}),
        PROFILE: settings.profile,
        SEED: str(settings.seed),
        ADDRESS: str(address),
        "dagster/uri": artifact.path.as_uri(),
        "digest": artifact.digest,
        FINGERPRINT: manifest.fingerprint,
    }
    if "mlflow_run_id" in runs:
        identity["mlflow/run_id"] = runs["mlflow_run_id"]
    return _of_kind(artifact) | shared | column_metadata(artifact, bound) | identity


def _gates(checks: Sequence[Check]) -> str:
    """Returns a list with the sentence of each gate; the results are on the page's tab of checks."""
    lines = [f"- **{check.name}**{' (warns)' if check.warns else ''}: {check.about}" for check in checks]
    return "\n".join(lines)


def _of_kind(artifact: Artifact) -> Metadata:
    match artifact:
        case ProblemSet():
            return _problems(artifact)
        case Corpus():
            return _corpus(artifact)
        case Checkpoint() | RewardModel():
            return _model(artifact)
        case EvalReport():
            return _evaluation(artifact)
        case Difficulty():
            return _difficulty(artifact)
        case PreferenceScores():
            return {"mean scores": MetadataValue.json(artifact.statistics)}
        case PreferenceSet():
            return {"dagster/row_count": artifact.row_count, "held-out pairs": artifact.heldout_pairs}
        case _:
            return {}


def _problems(artifact: ProblemSet) -> Metadata:
    total = artifact.row_count
    table = artifact.rows_at(_spread(range(total))).select("domain", "language", "question", "answer")
    rows = [(*row, answer or "tests") for *row, answer in table.iter_rows()]
    sample = f"**{rows[0][0]}**: {_cell(rows[0][2], 400)}\n\n**Answer**: {_cell(rows[0][3], 300)}" if rows else ""
    return {
        **({"sample": MetadataValue.md(sample)} if sample else {}),
        "dagster/row_count": total,
        "by domain": MetadataValue.md(markdown(["domain", "rows"], list(artifact.by_domain.items()))),
        "samples": MetadataValue.md(markdown(["domain", "language", "question", "answer"], rows)),
    }


def _corpus(artifact: Corpus) -> Metadata:
    import polars as pl

    total = artifact.row_count
    rows = [(s.sample_id, s.domain, s.question, s.response) for s in artifact.samples_at(_spread(range(total)))]
    licences = artifact.scan().select(pl.col("licence").unique().sort()).collect(engine="streaming").to_series()
    sample = f"**{rows[0][1]}**: {_cell(rows[0][2], 300)}\n\n**Response**: {_cell(rows[0][3], 500)}" if rows else ""
    return {
        **({"sample": MetadataValue.md(sample)} if sample else {}),
        "dagster/row_count": total,
        "by domain": MetadataValue.md(markdown(["domain", "rows"], list(artifact.by_domain.items()))),
        "tokens": sum(artifact.tokens_by_domain.values()),
        "licences": MetadataValue.text(", ".join(licences.to_list())),
        "samples": MetadataValue.md(markdown(["id", "domain", "question", "response"], rows)),
    }


def _difficulty(artifact: Difficulty) -> Metadata:
    facts = artifact.statistics
    counts = ("problems", "samples", "pass_rate", "never", "always")
    bins = len(facts["histogram"])
    shares = [(f"{index / bins:g} to {(index + 1) / bins:g}", count) for index, count in enumerate(facts["histogram"])]
    return {
        "measured on": f"{facts['of']} of {facts['model']}",
        **{name.replace("_", " "): facts[name] for name in counts},
        "by domain": MetadataValue.json(facts["by_domain"]),
        "pass rates": MetadataValue.md(markdown(["pass rate", "problems"], shares)),
    }


def _model(artifact: Checkpoint | RewardModel) -> Metadata:
    steps = artifact.metrics()
    shown: Metadata = {}
    if picture := first_curve(steps):
        shown["curve"] = MetadataValue.md(picture)
    numbers = {name: value for name, value in artifact.statistics.items() if isinstance(value, int | float | str)}
    every = plot(steps)
    return {
        **shown,
        **numbers,
        "tokens": MetadataValue.json(artifact.tokens),
        **({"curves": MetadataValue.md(every)} if every else {}),
        **_rollouts(artifact),
    }


def _rollouts(artifact: Checkpoint | RewardModel) -> Metadata:
    """Returns the health of the rollouts that a model was reinforced with: warnings, a table by step, and plots."""
    if not isinstance(artifact, Checkpoint) or not artifact.rollout_tables():
        return {}
    found = health(artifact.rollouts(), artifact.metrics())
    known = list(series(found))
    table = [
        (each.step, each.rollouts, *(_of_step(one.points, each.step, one.decimals) for one in known))
        for each in found.periods
    ]
    rows = [{"step": step, one.name: value} for one in known for step, value in one.points]
    pictures = plot(rows, [name for name, _, _ in MEASURES])
    said = "\n".join(f"- {warning}" for warning in found.warnings) or "none"
    return {
        "rollout warnings": MetadataValue.md(said),
        "rollouts by step": MetadataValue.md(markdown(["step", "rollouts", *(one.name for one in known)], table)),
    } | ({"rollout curves": MetadataValue.md(pictures)} if pictures else {})


def _of_step(points: Sequence[tuple[int, float]], step: int, decimals: int) -> str:
    value = dict(points).get(step)
    return "–" if value is None else f"{value:.{decimals}f}"


def _evaluation(artifact: EvalReport) -> Metadata:
    scores = scores_of(artifact)
    rows = [
        (domain, f"{s.pass_at_1:.3f}", f"{s.cons_at_k:.3f}", f"{s.mean_tokens:.1f}", s.n)
        for domain, s in scores.by_domain.items()
    ]
    overall, by_domain = scores.overall, {domain: s.pass_at_1 for domain, s in scores.by_domain.items()}
    text, outcome = artifact.completions().select("text", "outcome").row(0)
    return {
        "score": MetadataValue.md(_image("pass@1 by domain", score_bars(by_domain))),
        "sample": MetadataValue.md(f"**{outcome}**: {_cell(text, 700)}"),
        "pass@1": overall.pass_at_1,
        "format rate": overall.format_rate,
        "language consistency": overall.language_consistency,
        "mean tokens": overall.mean_tokens,
        "by domain": MetadataValue.md(markdown(["domain", "pass@1", "cons@k", "tokens", "n"], rows)),
    }


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a Markdown table; every cell is reduced to one escaped line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def plot(rows: Sequence[Mapping[str, Any]], names: Sequence[str] = CURVES) -> str:
    """Returns step metrics as inline SVG images in Markdown, one per metric, or an empty string if there is nothing to
    plot.
    """
    images = []
    for name in names:
        steps, values = _series(rows, name)
        if len(steps) > 1:
            inline = str(curves([Line(name, steps, values, "a")], name, 2))
            images.append(f"**{name}**\n\n{_image(name, inline.replace('>', f'>{STYLE}', 1))}")
    return "\n\n".join(images)


def first_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the most telling step metric as an image that Dagster shows at once, or an empty string."""
    for name in CURVES:
        steps, values = _series(rows, name)
        if len(steps) > 1:
            return _image(name, sparkline(name, steps, values))
    return ""


def _series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in points], [value for _, value in points]


def _image(name: str, svg: str) -> str:
    data = svg if "xmlns" in svg else svg.replace("<svg ", f'<svg xmlns="{SVG}" ', 1)
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(data.encode()).decode()})"


def _cell(value: object, limit: int = 160) -> str:
    text = str(value).replace("\n", " ⏎ ").replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _spread(rows: Sequence[Any]) -> list[Any]:
    """Returns up to `SAMPLE_ROWS` rows spread evenly over all of them."""
    step = max(1, len(rows) // SAMPLE_ROWS)
    return list(rows[::step][:SAMPLE_ROWS])
