"""Every place that problems come from is a source asset; a user's is observed by the contents of its files."""

import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import extract_data_version_from_entry
from dagster._core.definitions.observe import observe
from typer.testing import CliRunner

from dagster_defs.assets.sources import READERS
from dagster_defs.cli import app
from dagster_defs.definitions import definitions
from dagster_defs.settings import Settings
from r1_pipeline.errors import SourceError

SOURCES = """
builtin = ["code", "stem", "logic", "general"]

[[source]]
name = "sums"
path = "sums.jsonl"
mapping = "gsm8k"
licence = "MIT AND CC-BY-4.0"
origin = "my desk"
side = "split"

[[source]]
name = "replies"
path = "replies.jsonl"
licence = "MIT"
origin = "my desk"
side = "split"

[source.mapping]
makes = "pair"
kind = "helpful"
language = "en"
prompt = "{{ p }}"
chosen = "{{ c }}"
rejected = "{{ r }}"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "#### 2"}), encoding="utf-8")
    (tmp_path / "replies.jsonl").write_text(json.dumps({"p": "?", "c": "Yes.", "r": "No."}), encoding="utf-8")
    (tmp_path / "sources.toml").write_text(SOURCES, encoding="utf-8")
    return Settings(tmp_path / "home", "smoke", 0, "unused", tmp_path / "sources.toml")


def parents(graph: dg.Definitions) -> Mapping[str, set[str]]:
    nodes = graph.resolve_asset_graph()
    return {
        name: {key.to_user_string().removesuffix("_source") for key in nodes.get(dg.AssetKey(name)).parent_keys}
        for name in READERS
    }


def test_without_sources_of_ones_own_the_builtin_ones_feed_the_graph(tmp_path: Path) -> None:
    assert parents(definitions(Settings(tmp_path, "smoke", 0, "unused"))) == {
        "reasoning_problems": {"math", "code", "stem", "logic"},
        "heldout_problems": {"math", "code", "stem", "logic", "general"},
        "general_prompts": {"general"},
        "preference_pairs": {"preference"},
    }


def test_sources_of_ones_own_stand_beside_and_in_the_place_of_the_builtin_ones(settings: Settings) -> None:
    assert parents(definitions(settings)) == {
        "reasoning_problems": {"sums", "code", "stem", "logic"},
        "heldout_problems": {"sums", "code", "stem", "logic", "general"},
        "general_prompts": {"general"},
        "preference_pairs": {"replies"},
    }


def test_only_what_takes_a_source_gets_another_recipe(settings: Settings, tmp_path: Path) -> None:
    def versions(of: Settings) -> dict[str, str | None]:
        nodes = definitions(of).resolve_asset_graph()
        return {key.to_user_string(): nodes.get(key).code_version for key in nodes.materializable_asset_keys}

    before, after = versions(Settings(tmp_path, "smoke", 0, "unused")), versions(settings)
    assert {name for name in before if before[name] != after[name]} == set(READERS)


def observed(settings: Settings) -> dict[str, str | None]:
    graph = definitions(settings)
    keys = [dg.AssetKey("sums_source"), dg.AssetKey("replies_source")]
    with dg.DagsterInstance.ephemeral() as instance:
        assets = [asset for asset in graph.assets or [] if isinstance(asset, dg.SourceAsset) and asset.key in keys]
        assert observe(assets, instance=instance).success
        found = {}
        for key in keys:
            record = instance.get_latest_data_version_record(key)
            assert record is not None
            version = extract_data_version_from_entry(record.event_log_entry)
            found[key.to_user_string()] = version.value if version else None
    return found


def test_observing_a_source_hashes_its_files(settings: Settings, tmp_path: Path) -> None:
    before = observed(settings)
    assert before["sums_source"] == settings.load().recipe.heldout_problems.sources[0].digest
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": "1 + 2?", "answer": "#### 3"}), encoding="utf-8")
    after = observed(settings)
    assert after["sums_source"] != before["sums_source"]
    assert after["replies_source"] == before["replies_source"]


def test_a_sources_file_in_the_home_is_taken_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_HOME", str(tmp_path))
    monkeypatch.delenv("R1_SOURCES", raising=False)
    assert Settings.from_environment().sources is None
    (tmp_path / "sources.toml").write_text("", encoding="utf-8")
    assert Settings.from_environment().sources == tmp_path / "sources.toml"
    monkeypatch.setenv("R1_SOURCES", str(tmp_path / "other.toml"))
    assert Settings.from_environment().sources == tmp_path / "other.toml"


def test_a_source_that_is_not_there_is_an_error_before_any_work(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sums.jsonl").unlink()
    for name, value in {"R1_HOME": str(settings.home), "R1_PROFILE": "", "R1_SOURCES": ""}.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(app, ["run", "--profile", "smoke", "--sources", str(settings.sources)])
    assert isinstance(ran.exception, SourceError)
    assert str(ran.exception).startswith(f"source sums: {tmp_path / 'sums.jsonl'} does not exist")
    assert not settings.home.exists()
