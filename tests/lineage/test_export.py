"""Laws of cards and exports: they say what the rows say, and the tools that they are made for read them."""

import json
from pathlib import Path

import mlcroissant
import polars as pl
import pytest
from huggingface_hub import DatasetCard, ModelCard
from lineage_world import World

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.artifacts.manifest import CARD, MANIFEST, sha256_of
from r1_pipeline.errors import ArtifactError, CorruptArtifactError
from r1_pipeline.lineage.export import export
from r1_pipeline.lineage.library import Library


def test_an_exported_corpus_is_read_as_it_stands(world: World, tmp_path: Path) -> None:
    from datasets import load_dataset

    folder = tmp_path / "out"
    names = export(world.library, world.corpus, folder)
    assert names == ["README.md", "croissant.json", MANIFEST, "samples-0.parquet", "samples-1.parquet"]
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    ids = [row.sample_id for row in world.corpus.samples()]
    assert rows["sample_id"][:] == ids
    assert pl.scan_parquet(folder / "*.parquet").collect()["sample_id"].to_list() == ids


def test_the_card_counts_licences_in_the_rows(world: World) -> None:
    card = DatasetCard.load(world.corpus.path / CARD / "README.md")
    assert card.data.to_dict()["license"] == ["apache-2.0", "mit"]
    assert card.data.to_dict()["r1"]["licences"] == {"Apache-2.0": 2, "MIT": 14}
    assert "| sums/train.jsonl | MIT | math | 14 |" in card.text
    assert "| wrong | 2 |" in card.text


def test_croissant_describes_every_file_and_column_and_shards_are_one_set(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export(world.library, world.corpus, folder)
    described = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    raw = json.loads((folder / "croissant.json").read_text())
    assert {file["name"]: file["sha256"] for file in raw["distribution"] if "sha256" in file} == {
        name: sha256_of(folder / name) for name in ("samples-0.parquet", "samples-1.parquet")
    }
    rows = [row["samples/sample_id"].decode() for row in described.records("samples")]
    assert sorted(rows) == sorted(row.sample_id for row in world.corpus.samples())
    columns = {field["name"] for field in raw["recordSet"][0]["field"]}
    assert columns == set(world.corpus.scan().collect_schema())


def test_a_models_card_names_parent_data_and_sources(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export(world.library, world.dev3, folder)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.base_model, card.data.datasets) == (["base"], ["sft_corpus"])
    assert "| dev3 | sft_corpus | sums/train.jsonl | MIT | math | 14 |" in card.text


def test_nothing_is_overwritten_and_nothing_changed_is_exported(world: World, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    with pytest.raises(ArtifactError, match="nothing is overwritten"):
        export(world.library, world.corpus, full)
    copy = world.copy(tmp_path / "copy")
    corpus = Library.of(copy).find("sft_corpus")
    assert isinstance(corpus, Corpus)
    table = corpus.tables()[1]
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptArtifactError, match="is not what its manifest says"):
        export(Library.of(copy), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
