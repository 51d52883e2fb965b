"""Laws of sources: every origin of problems is a source asset, and a user's files are observed by content."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import extract_data_version_from_entry
from typer.testing import CliRunner

from dagster_defs.cli import app
from dagster_defs.code_location import code_location
from dagster_defs.column_lineage import column_metadata
from dagster_defs.settings import Settings
from dagster_defs.staleness.source_sensor import source_sensor
from r1_pipeline.artifacts.store import Store
from r1_pipeline.errors import SourceError
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.sources import fed_nodes
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import curate_preferences

READERS = fed_nodes(load_profile("smoke", 0))
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
    return Settings(tmp_path / "home", "smoke", 0, tmp_path / "sources.toml", tracking_uri="unused")


def parents(graph: dg.Definitions) -> Mapping[str, set[str]]:
    nodes = graph.resolve_asset_graph()
    return {
        name: {key.to_user_string().removesuffix("_source") for key in nodes.get(dg.AssetKey(name)).parent_keys}
        for name in READERS
    }


def test_without_sources_of_ones_own_the_builtin_ones_feed_the_graph(tmp_path: Path) -> None:
    assert parents(code_location(Settings(tmp_path, "smoke", 0, tracking_uri="unused"))) == {
        "reasoning_problems": {"math", "code", "stem", "logic"},
        "heldout_problems": {"math", "code", "stem", "logic", "general"},
        "general_prompts": {"general"},
        "preference_pairs": {"preference"},
    }


def test_sources_of_ones_own_stand_beside_and_in_the_place_of_the_builtin_ones(settings: Settings) -> None:
    assert parents(code_location(settings)) == {
        "reasoning_problems": {"sums", "code", "stem", "logic"},
        "heldout_problems": {"sums", "code", "stem", "logic", "general"},
        "general_prompts": {"general"},
        "preference_pairs": {"replies"},
    }


def code_versions(of: Settings) -> dict[str, str | None]:
    nodes = code_location(of).resolve_asset_graph()
    return {key.to_user_string(): nodes.get(key).code_version for key in nodes.materializable_asset_keys}


def test_only_what_takes_a_source_gets_another_recipe(settings: Settings, tmp_path: Path) -> None:
    before, after = code_versions(Settings(tmp_path, "smoke", 0, tracking_uri="unused")), code_versions(settings)
    assert {name for name in before if before[name] != after[name]} == set(READERS)


def observed(settings: Settings) -> dict[str, str | None]:
    graph = code_location(settings)
    keys = [dg.AssetKey("sums_source"), dg.AssetKey("replies_source")]
    job = graph.resolve_job_def("sources")
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, asset_selection=keys).success
        return {key.to_user_string(): version_of(instance, key) for key in keys}


def version_of(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    record = instance.get_latest_data_version_record(key)
    version = extract_data_version_from_entry(record.event_log_entry) if record else None
    return version.value if version else None


def test_observing_a_source_hashes_its_files(settings: Settings, tmp_path: Path) -> None:
    before = observed(settings)
    assert before["sums_source"] == settings.load().recipes["heldout_problems"].sources[0].digest
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": "1 + 2?", "answer": "#### 3"}), encoding="utf-8")
    after = observed(settings)
    assert after["sums_source"] != before["sums_source"]
    assert after["replies_source"] == before["replies_source"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(loaded: dg.Definitions, instance: dg.DagsterInstance) -> str:
    """Returns the message of the sensor `sources` in a code location that was loaded once."""
    said = source_sensor(dg.build_sensor_context(instance=instance, repository_def=loaded.get_repository_def()))
    assert isinstance(said, dg.SkipReason)
    return str(said.skip_message)


def test_the_sensor_records_a_source_when_its_files_have_changed_and_only_then(
    settings: Settings, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(settings, monkeypatch)
    loaded, key = code_location(settings), dg.AssetKey("sums_source")
    everything = ("code", "stem", "logic", "general", "sums", "replies")
    assert tick(loaded, instance) == f"changed: {', '.join(f'{name}_source' for name in everything)}"
    before = version_of(instance, key)
    (tmp_path / "sums.jsonl").touch()
    assert tick(loaded, instance) == "changed: no source"
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": "1 + 2?", "answer": "#### 3"}), encoding="utf-8")
    assert tick(loaded, instance) == "changed: sums_source"
    assert version_of(instance, key) == settings.load().recipes["heldout_problems"].sources[0].digest != before
    (tmp_path / "sums.jsonl").unlink()
    with pytest.raises(SourceError, match=r"source sums: .*sums\.jsonl does not exist"):
        tick(loaded, instance)


def test_a_changed_file_changes_no_code_version_and_a_changed_declaration_asks_for_the_code_anew(
    settings: Settings, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(settings, monkeypatch)
    before, loaded = code_versions(settings), code_location(settings)
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": "1 + 2?", "answer": "#### 3"}), encoding="utf-8")
    assert code_versions(settings) == before
    (tmp_path / "sources.toml").write_text(SOURCES.replace("MIT AND CC-BY-4.0", "MIT"), encoding="utf-8")
    assert tick(loaded, instance).endswith("the sources file has changed; reload the code location to update the graph")
    assert tick(code_location(settings), instance) == "changed: no source"


def test_columns_of_a_users_file_are_where_columns_of_the_rows_come_from(settings: Settings) -> None:
    profile = settings.load()
    at = BuildContext(Store(settings.home), profile.runtime, "preference_pairs")
    found = column_metadata(curate_preferences(at, profile.recipes["preference_pairs"]), profile.bound)
    origins = found["dagster/column_lineage"].deps_by_column
    assert {
        name: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps] for name, deps in origins.items()
    } == {
        "prompt": [("replies_source", "p")],
        "chosen": [("replies_source", "c")],
        "rejected": [("replies_source", "r")],
    }
    assert [column.name for column in found["dagster/column_schema"].columns][:2] == ["id", "prompt"]


def exported(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"R1_HOME": settings.home, "R1_PROFILE": "smoke", "R1_SEED": 0, "R1_SOURCES": settings.sources}
    for name, value in named.items():
        monkeypatch.setenv(name, str(value))


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
