"""Laws of cards and exports: they agree with the rows, and the tools that they are made for read them."""

import json
from pathlib import Path

import mlcroissant
import polars as pl
import pytest
from huggingface_hub import DatasetCard, ModelCard
from lineage_world import Seeded, Shop, World, problem

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.artifacts.manifest import CARD, MANIFEST, sha256_of
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.errors import ArtifactError, CorruptArtifactError
from r1_pipeline.lineage.cards import write_data_card
from r1_pipeline.lineage.export import export
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Problem


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported corpus: two shards, and dropped rows."""
    folder = tmp_path_factory.mktemp("export") / "out"
    names = export(world.library, world.corpus, folder)
    assert names == [
        "README.md", "aside/dropped-00000.parquet", "croissant.json", "data/samples-0.parquet",
        "data/samples-1.parquet", MANIFEST,
    ]  # fmt: skip
    return folder


def ids(world: World) -> list[str]:
    return [row.sample_id for row in world.corpus.samples()]


def test_datasets_read_an_exported_folder(world: World, folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    assert load_dataset(str(folder), split="train", cache_dir=str(tmp_path))["sample_id"][:] == ids(world)


def test_polars_read_its_data(world: World, folder: Path) -> None:
    assert pl.read_parquet(folder / "data")["sample_id"].to_list() == ids(world)
    assert pl.scan_parquet(folder / "data/*.parquet").collect()["sample_id"].to_list() == ids(world)


def test_pandas_read_its_data(world: World, folder: Path) -> None:
    import pandas as pd

    assert pd.read_parquet(folder / "data")["sample_id"].to_list() == ids(world)


def test_duckdb_reads_its_data(world: World, folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb comes with the extra `dev`")
    rows = duckdb.sql(f"SELECT sample_id FROM '{folder}/data/*.parquet'").fetchall()
    assert sorted(sample_id for (sample_id,) in rows) == sorted(ids(world))


def test_what_was_dropped_lies_apart_with_its_reason(folder: Path) -> None:
    assert pl.read_parquet(folder / "aside/dropped-*.parquet")["reason"].to_list() == ["wrong", "wrong"]


def test_both_splits_of_a_set_are_found(world: World, tmp_path: Path) -> None:
    from datasets import load_dataset

    folder = tmp_path / "pairs"
    export(world.library, world.pairs, folder)
    assert load_dataset(str(folder), cache_dir=str(tmp_path / "cache")).num_rows == {"train": 3, "test": 1}
    assert pl.read_parquet(folder / "data/heldout.parquet").height == 1


def test_a_card_of_another_layout_is_not_exported(world: World, tmp_path: Path) -> None:
    spec = Spec("old", "curate", 1, Seeded(), {})

    def make(draft: Draft) -> BuildResult:
        write_records(draft.path / "problems.parquet", [problem(1)], Problem)
        facts = BuildResult({"rows": 1})
        write_data_card(draft.path, ProblemSet, spec, facts)
        card = draft.path / CARD / "README.md"
        card.write_text(card.read_text(encoding="utf-8").replace("data/problems", "problems"), encoding="utf-8")
        return facts

    old = Store(tmp_path / "home").build(ProblemSet, spec, make)
    with pytest.raises(ArtifactError, match="an earlier version wrote it"):
        export(Library.of(tmp_path / "home"), old, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_expressions_and_terms_of_ones_own_are_named_as_cards_and_croissant_can(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "home")
    licences = ("MIT", "MIT OR Apache-2.0", "LicenseRef-Mine", "ODC-By-1.0")
    rows = [problem(number, licence) for number, licence in enumerate(licences)]
    folder = tmp_path / "out"
    mixed = shop.problems("mixed", rows)
    export(Library.of(tmp_path / "home"), mixed, folder)
    raw = json.loads((folder / "croissant.json").read_text())
    page = "https://spdx.org/licenses"
    assert raw["license"] == [
        {"@type": "sc:CreativeWork", "name": "LicenseRef-Mine"},
        f"{page}/MIT",
        {"@type": "sc:CreativeWork", "name": "MIT OR Apache-2.0", "url": [f"{page}/MIT", f"{page}/Apache-2.0"]},
        f"{page}/ODC-By-1.0",
    ]
    described = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    assert len(described.metadata.license) == 4
    card = DatasetCard.load(folder / "README.md").data.to_dict()
    assert card["license"] == ["mit", "odc-by", "other"]
    assert card["license_name"] == "licenseref-mine-and-mit-or-apache-2.0"
    assert card["r1"]["licences"] == dict.fromkeys(sorted(licences), 1)


def test_the_card_counts_licences_in_the_rows(world: World) -> None:
    card = DatasetCard.load(world.corpus.path / CARD / "README.md")
    assert card.data.to_dict()["license"] == ["apache-2.0", "mit"]
    assert card.data.to_dict()["r1"]["licences"] == {"Apache-2.0": 2, "MIT": 14}
    assert "| sums/train.jsonl | MIT | math | 14 |" in card.text
    assert "| wrong | 2 |" in card.text


def test_croissant_describes_every_file_and_column_and_shards_are_one_set(world: World, folder: Path) -> None:
    described = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    raw = json.loads((folder / "croissant.json").read_text())
    assert {file["name"]: file["sha256"] for file in raw["distribution"] if "sha256" in file} == {
        name: sha256_of(folder / name) for name in ("data/samples-0.parquet", "data/samples-1.parquet")
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


def test_a_models_card_has_the_licence_of_the_imported_weights_that_it_descends_from(tmp_path: Path) -> None:
    class Imported(Recipe):
        licence: str

    def make(draft: Draft) -> BuildResult:
        (draft.path / "model.safetensors").write_text("weights")
        return BuildResult({"steps": 0, "tokens": {"trained": 0}})

    shop = Shop(tmp_path / "home")
    base = shop.store.build(Checkpoint, Spec("base", "pretrain", 1, Imported(licence="Apache-2.0"), {}), make)
    tuned = shop.model("dev1", "finetune", "tuned", base=base)
    for model in (base, tuned):
        export(Library.of(tmp_path / "home"), model, tmp_path / model.name)
        assert ModelCard.load(tmp_path / model.name / "README.md").data.to_dict()["license"] == "apache-2.0"


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
    with pytest.raises(CorruptArtifactError, match="differs from its manifest"):
        export(Library.of(copy), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
