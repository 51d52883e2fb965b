"""An export is an artifact as a folder for others: its tables or weights, the card where tools expect it, the manifest.

    `data/`    the rows, and nothing else, for Polars, DuckDB and pandas
    `aside/`   tables of other columns: dropped rows with their reasons, verdicts

`datasets.load_dataset(DIR)` reads the rows by the card; `transformers` reads an exported model, whose files are on top.
The copies are verified against the manifest, and the folder appears complete or not at all.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.manifest import LOGS, MANIFEST, sha256_of
from r1_pipeline.errors import ArtifactError, CorruptArtifactError
from r1_pipeline.lineage.cards import (
    CROISSANT,
    DATA,
    README,
    export_path,
    holds_rollouts,
    model_card,
    rollout_card,
)
from r1_pipeline.lineage.croissant import croissant
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.training_data import Model, own_rollout_sources


def export(library: Library, artifact: Artifact, target: Path) -> list[str]:
    """Writes `artifact` to `target`, which must not exist or be empty; returns the names of the files.

    Raises `ArtifactError` for a target with something in it, `CorruptArtifactError` for a file that has changed.
    """
    with _appearing(target) as draft:
        for entry in artifact.manifest.files:
            if not entry.path.startswith(f"{LOGS}/"):
                _copy(artifact.path / entry.path, draft / export_path(type(artifact), entry.path), entry.sha256)
        shutil.copyfile(artifact.path / MANIFEST, draft / MANIFEST)
        if isinstance(artifact, Model):
            (draft / README).write_text(model_card(artifact, library), encoding="utf-8")
        _check_card(draft, artifact)
    return _names(target)


def export_rollouts(library: Library, model: Artifact, target: Path) -> list[str]:
    """Writes the rollouts of a reinforced model to `target` as a data set of their own; raises like `export`.

    Raises `ArtifactError` for anything that no rollouts are stored with.
    """
    if not holds_rollouts(model):
        raise ArtifactError(
            f"{model.name} holds no rollouts; name a model that was reinforced, or leave out --rollouts"
        )
    hashes = {model.path / entry.path: entry.sha256 for entry in model.manifest.files}
    tables = {f"{DATA}/{path.name}": path for path in model.rollout_tables()}
    with _appearing(target) as draft:
        for name, path in tables.items():
            _copy(path, draft / name, hashes[path])
        shutil.copyfile(model.path / MANIFEST, draft / MANIFEST)
        (draft / README).write_text(rollout_card(model, library, list(tables)), encoding="utf-8")
        described = croissant(
            name=f"{model.name}_rollouts",
            about=f"Rollouts that {model.name} was reinforced with, by the stage {model.manifest.stage}.",
            version=f"{model.manifest.stage_version}.0.0+{model.manifest.fingerprint[:12]}",
            made=model.manifest.provenance.started[:10],
            licences=sorted({each.licence for each in own_rollout_sources(library, model)}),
            tables=tables,
        )
        (draft / CROISSANT).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return _names(target)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Yields a folder that becomes `target` at the end; raises `ArtifactError` for a target with something in it."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target} is not an empty folder; name another, nothing is overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _check_card(folder: Path, artifact: Artifact) -> None:
    """Raises `ArtifactError` for a card that names missing tables, since an earlier version wrote it."""
    from huggingface_hub import DatasetCard

    if not artifact.rows or not (folder / README).exists():
        return
    configs = DatasetCard.load(folder / README).data.to_dict()["configs"]
    named = [path for config in configs for split in config["data_files"] for path in split["path"]]
    if missing := [path for path in named if not (folder / path).exists()]:
        raise ArtifactError(
            f"the card of {artifact.name} names {missing[0]}, which exports no longer have: an earlier version wrote "
            f"it; move {artifact.path} away and run again: it will be rebuilt"
        )


def _copy(source: Path, target: Path, sha256: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if sha256_of(target) != sha256:
        raise CorruptArtifactError(f"{source} differs from its manifest; `r1 audit` lists everything that differs")
