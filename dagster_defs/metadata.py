"""Metadata of materializations for readers: numbers, samples as Markdown tables and curves as small plots.

There is one function per kind of artifact; `materialization_metadata` adds what all kinds have in common.
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
    EvalReport,
    PreferenceScores,
    PreferenceSet,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.evaluation.plots import Line, curves
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.graph.bound import Bound

ADDRESS = "r1/address"
"""Metadata key: path of the artifact relative to the home directory."""
FINGERPRINT = "fingerprint"
"""Metadata key: fingerprint of the build. Materializations with the same fingerprint hold the same artifact."""
PROFILE, SEED = "profile", "seed"
"""Metadata keys of the profile and the seed."""
CURVES = ("reward", "reward/accuracy", "reward/format", "reward/language", "mean_tokens", "loss")
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
    """Returns the metadata of a materialization: identity, cost, links, columns, and values of its kind."""
    manifest = artifact.manifest
    runs = manifest.provenance.runs
    address = artifact.path.relative_to(settings.home)
    common: Metadata = {
        ADDRESS: str(address),
        "dagster/uri": artifact.path.as_uri(),
        FINGERPRINT: manifest.fingerprint,
        PROFILE: settings.profile,
        SEED: settings.seed,
        "digest": artifact.digest,
        "seconds": manifest.provenance.seconds,
        "r1/inputs": MetadataValue.json({edge: ref.model_dump() for edge, ref in manifest.inputs.items()}),
    }
    if "mlflow_run_id" in runs:
        common["mlflow/run_id"] = runs["mlflow_run_id"]
        common["mlflow/run"] = MetadataValue.url(settings.mlflow_link(runs["mlflow_run_id"]))
    if manifest.drops:
        common["dropped"] = MetadataValue.md(markdown(["reason", "rows"], sorted(manifest.drops.items())))
    return common | column_metadata(artifact, bound) | _of_kind(artifact)


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
        case PreferenceScores():
            return {"mean scores": MetadataValue.json(artifact.statistics)}
        case PreferenceSet():
            return {"dagster/row_count": artifact.row_count, "held-out pairs": artifact.heldout_pairs}
        case _:
            return {}


def _problems(artifact: ProblemSet) -> Metadata:
    total = artifact.row_count
    sample_rows = artifact.rows_at(_spread(range(total))).select("domain", "language", "question", "answer")
    sample = [(*row, answer or "tests") for *row, answer in sample_rows.iter_rows()]
    return {
        "dagster/row_count": total,
        "by domain": MetadataValue.json(artifact.by_domain),
        "sample": MetadataValue.md(markdown(["domain", "language", "question", "answer"], sample)),
    }


def _corpus(artifact: Corpus) -> Metadata:
    import polars as pl

    total = artifact.row_count
    rows = [(s.sample_id, s.domain, s.question, s.response) for s in artifact.samples_at(_spread(range(total)))]
    licences = artifact.scan().select(pl.col("licence").unique().sort()).collect(engine="streaming").to_series()
    return {
        "dagster/row_count": total,
        "by domain": MetadataValue.json(artifact.by_domain),
        "tokens": sum(artifact.tokens_by_domain.values()),
        "licences": MetadataValue.json(licences.to_list()),
        "sample": MetadataValue.md(markdown(["id", "domain", "question", "response"], rows)),
    }


def _model(artifact: Checkpoint | RewardModel) -> Metadata:
    metadata: Metadata = {
        name: value for name, value in artifact.statistics.items() if isinstance(value, int | float | str)
    }
    metadata["tokens"] = MetadataValue.json(artifact.tokens)
    curves = plot(artifact.metrics())
    return metadata | ({"curves": MetadataValue.md(curves)} if curves else {})


def _evaluation(artifact: EvalReport) -> Metadata:
    scores = scores_of(artifact)
    rows = [
        (domain, f"{s.pass_at_1:.3f}", f"{s.cons_at_k:.3f}", f"{s.mean_tokens:.1f}", s.n)
        for domain, s in scores.by_domain.items()
    ]
    overall = scores.overall
    return {
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


def plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns step metrics as inline SVG images in Markdown, one per metric, or an empty string if there is nothing to
    plot.
    """
    images = []
    for name in CURVES:
        points = [(row["step"], row[name]) for row in rows if name in row]
        if len(points) > 1:
            steps, values = zip(*points, strict=True)
            inline = str(curves([Line(name, steps, values, "a")], name, 2))
            drawn = inline.replace("<svg ", f'<svg xmlns="{SVG}" ', 1).replace(">", f">{STYLE}", 1)
            image = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
            images.append(f"**{name}**\n\n![{name}]({image})")
    return "\n\n".join(images)


def _cell(value: object) -> str:
    text = str(value).replace("\n", " ⏎ ").replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 160 else f"{text[:159]}…"


def _spread(rows: Sequence[Any]) -> list[Any]:
    """Returns up to `SAMPLE_ROWS` rows spread evenly over all of them."""
    step = max(1, len(rows) // SAMPLE_ROWS)
    return list(rows[::step][:SAMPLE_ROWS])
