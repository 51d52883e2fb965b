"""A card describes an artifact to people and tools; it is rendered from what the store knows and the rows say.

Sets of rows carry theirs, `card/README.md` (in Hugging Face's format) and `card/croissant.json`, from the time they are
made; both name the tables by their paths in an export (`export_path`). Licences, languages and sources are counted in
the rows. A model's card is rendered when it is exported, since its evaluations come later.
Not covered: whether a card is true (`audit`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, EvalReport
from r1_pipeline.artifacts.manifest import CARD
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.data.licences import OTHER, hub_name, slug
from r1_pipeline.evaluation import paper
from r1_pipeline.lineage.croissant import croissant
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.logs import model_index
from r1_pipeline.lineage.training_data import own_rollout_sources, row_counts, training_ancestors, training_sources
from r1_pipeline.recipe import canonical_value, fingerprint

if TYPE_CHECKING:
    import polars as pl

README = "README.md"
CROISSANT = "croissant.json"
DATA, ASIDE = "data", "aside"
"""The folders of an exported set: its rows, and tables of other columns, such as dropped rows."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Hugging Face's size categories, each with the number of rows that it stays below."""
SHOWN_SOURCES = 50
"""The maximum number of sources in a card's table, the largest ones; the others are counted."""


def write_data_card(folder: Path, kind: type[Artifact], spec: Spec, facts: BuildResult) -> None:
    """Writes the card of the tables in `folder`, which a stage has just written, into its `card` directory."""
    import polars as pl

    written = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.parquet"))}
    tables = {export_path(kind, name): path for name, path in written.items() if _holds_rows(kind, name)}
    rows = pl.scan_parquet(list(tables.values()))
    shares = row_counts(rows)
    licences = dict(shares.group_by("licence").agg(pl.col("rows").sum()).sort("licence").iter_rows())
    languages = rows.select(pl.col("language").unique().sort()).collect()["language"].to_list()
    fp = fingerprint(spec.payload())
    total = int(shares["rows"].sum())
    known = {
        "name": spec.name,
        "stage": f"{spec.stage}@{spec.version}",
        "fingerprint": fp,
        "rows": total,
        "licences": licences,
    }
    (folder / CARD).mkdir()
    (folder / CARD / README).write_text(
        _data_readme(known, shares, languages, _splits(tables), spec, facts), encoding="utf-8"
    )
    described = croissant(
        name=spec.name,
        about=f"{total} rows made by the stage {spec.stage} of r1-pipeline.",
        version=f"{spec.version}.0.0+{fp[:12]}",
        made=datetime.now(UTC).date().isoformat(),
        licences=list(licences),
        tables=tables,
    )
    (folder / CARD / CROISSANT).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def export_path(kind: type[Artifact], name: str) -> str:
    """Returns the path of an artifact's file in an export: the card on top, rows in `data/`, other tables in
    `aside/`."""
    if kind.rows and name.endswith(".parquet"):
        return f"{DATA if _holds_rows(kind, name) else ASIDE}/{name}"
    return name.removeprefix(f"{CARD}/")


def _holds_rows(kind: type[Artifact], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in kind.rows)


def card_fields(artifact: Artifact) -> dict[str, Any]:
    """Returns `name`, `stage`, `fingerprint`, `rows` and `licences` from the card of a set of rows; empty if it has
    none."""
    from huggingface_hub import DatasetCard

    path = artifact.path / CARD / README
    return dict(DatasetCard.load(path).data.to_dict().get("r1", {})) if path.is_file() else {}


def model_card(model: Artifact, library: Library) -> str:
    """Returns the card of a checkpoint or reward model: parent, training data, recipe, and its scores in this
    folder."""
    from huggingface_hub import ModelCard, ModelCardData

    shares = training_sources(library, model)
    parents = [edge.name for edge in model.manifest.inputs.values() if edge.kind == model.kind]
    reports = evaluations(model, library)
    data = ModelCardData(
        **_licence({*(share.licence for share in shares), *_weights_licences(library, model)}),
        base_model=parents or None,
        library_name="transformers",
        datasets=sorted({share.data for share in shares if share.learner == model.name}) or None,
        model_name=model.name,
        eval_results=model_index(reports) or None,
        tags=["r1-pipeline"],
    )
    return str(
        ModelCard.from_template(
            data,
            template_str=_template("model.md.j2"),
            manifest=model.manifest,
            shares=shares[:SHOWN_SOURCES],
            more=max(0, len(shares) - SHOWN_SOURCES),
            scores=[report.scores() for report in reports],
            rollouts=rollout_facts(model, library) if holds_rollouts(model) else None,
            recipe=_pretty(model.manifest.payload.get("recipe", {})),
        )
    )


def holds_rollouts(model: Artifact) -> TypeGuard[Checkpoint]:
    """Returns True for a checkpoint that rollouts are stored with."""
    return isinstance(model, Checkpoint) and bool(model.rollout_tables())


def rollout_facts(model: Checkpoint, library: Library) -> dict[str, Any]:
    """Returns facts about the rollouts of a reinforced model for a card.

    These are `count`, `reward` (the mean), `share` (of the prompts, those that are stored), `columns` and `sources`.
    """
    import polars as pl

    rows = model.rollouts()
    count, reward = rows.select(pl.len(), pl.col("reward").mean()).collect(engine="streaming").row(0)
    return {
        "count": count,
        "reward": reward,
        "share": model.manifest.payload["recipe"].get("kept_rollouts", 1.0),
        "columns": list(rows.collect_schema()),
        "sources": [each.model_dump() for each in own_rollout_sources(library, model)],
    }


def rollout_card(model: Checkpoint, library: Library, paths: Sequence[str]) -> str:
    """Returns the card of the rollouts of a model, exported as a data set whose tables have these paths."""
    import polars as pl
    from huggingface_hub import DatasetCard, DatasetCardData

    facts = rollout_facts(model, library)
    languages = model.rollouts().select(pl.col("language").unique().sort()).collect()["language"].to_list()
    data = DatasetCardData(
        **_licences({each["licence"] for each in facts["sources"]}),
        language=languages,
        pretty_name=f"Rollouts of {model.name}",
        size_categories=[_size(facts["count"])],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": list(paths)}]}],
        tags=["r1-pipeline", "reinforcement-learning", "rollouts"],
    )
    template = _template("rollouts.md.j2")
    return str(
        DatasetCard.from_template(
            data,
            template_str=template,
            manifest=model.manifest,
            rollouts=facts,
            recipe=_pretty(model.manifest.payload.get("recipe", {})),
        )
    )


def _weights_licences(library: Library, model: Artifact) -> Iterator[str]:
    """Yields the licences of the imported models that a model descends from, as their recipes state them."""
    for learner in training_ancestors(library, model):
        if licence := learner.manifest.payload.get("recipe", {}).get("licence"):
            yield licence


def evaluations(model: Artifact, library: Library) -> list[EvalReport]:
    """Returns the evaluations of exactly this version of a model."""
    reports = [report for report in library.of_kind(EvalReport) if isinstance(report, EvalReport)]
    return [report for report in reports if report.scores()["identity"]["model_digest"] == model.digest]


def _data_readme(
    known: Mapping[str, Any],
    shares: "pl.DataFrame",
    languages: Sequence[str],
    splits: Mapping[str, list[str]],
    spec: Spec,
    facts: BuildResult,
) -> str:
    from huggingface_hub import DatasetCard, DatasetCardData

    data = DatasetCardData(
        **_licences(known["licences"]),
        language=list(languages),
        pretty_name=spec.name,
        size_categories=[_size(known["rows"])],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": paths} for split, paths in splits.items()],
            }
        ],
        r1=dict(known),
    )
    by_source = shares.sort("rows", descending=True)
    return str(
        DatasetCard.from_template(
            data,
            template_str=_template("dataset.md.j2"),
            known=known,
            shares=by_source.head(SHOWN_SOURCES).to_dicts(),
            more=max(0, by_source.height - SHOWN_SOURCES),
            inputs={edge: artifact.manifest for edge, artifact in spec.inputs.items()},
            domains=_domains(facts),
            paper=paper,
            recipe=_pretty(canonical_value(spec.recipe)),
            drops=dict(facts.drops),
        )
    )


def _size(rows: int) -> str:
    return next((name for below, name in SIZES if rows < below), "n>1M")


def _licences(expressions: Iterable[str]) -> dict[str, Any]:
    """Returns `license` of rows, and `license_name` of those for which the format has no name."""
    names = {expression: hub_name(expression) for expression in sorted(expressions)}
    unnamed = [expression for expression, name in names.items() if name == OTHER]
    return {"license": sorted({*names.values()})} | _named(unnamed)


def _licence(expressions: Iterable[str]) -> dict[str, Any]:
    """Returns `license` of a model, whose card has room for one."""
    known = sorted(expressions)
    if len(known) == 1 and (name := hub_name(known[0])) != OTHER:
        return {"license": name}
    return {"license": OTHER} | _named(known)


def _named(expressions: Sequence[str]) -> dict[str, str]:
    return {"license_name": "-and-".join(map(slug, expressions))} if expressions else {}


def _domains(facts: BuildResult) -> list[dict[str, Any]]:
    """Returns the rows, mean tokens and rounds of a corpus by domain, each with the paper's; an empty list for other
    rows."""
    means: Mapping[str, float] = facts.statistics.get("mean_tokens_by_domain", {})
    if not means:
        return []
    rows, total = facts.statistics["by_domain"], facts.statistics["rows"]
    return [
        {
            "domain": theirs.domain,
            "rows": rows.get(theirs.domain, 0),
            "share": rows.get(theirs.domain, 0) / total,
            "mean_tokens": means.get(theirs.domain),
            "rounds": facts.statistics.get("rounds_by_domain", {}).get(theirs.domain, 1),
            "theirs": theirs,
        }
        for theirs in paper.CORPUS
    ]


def _splits(paths: Iterable[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for path in paths:
        split = "test" if path.startswith(f"{DATA}/heldout") else "train"
        splits.setdefault(split, []).append(path)
    return splits


def _pretty(recipe: Mapping[str, Any]) -> str:
    return json.dumps(recipe, indent=1, ensure_ascii=False)


def _template(name: str) -> str:
    return (files("r1_pipeline.lineage") / "templates" / name).read_text(encoding="utf-8")
