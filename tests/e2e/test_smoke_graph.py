"""The whole graph runs on the profile `smoke` in one home: command line, Dagster, MLflow and the report, for real.

One run is shared; each test reads its results, or changes one thing in a copy of its home.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

from dagster_defs.runner.run import run
from dagster_defs.settings import Settings
from r1_pipeline import profiles
from r1_pipeline.artifacts.kinds import Artifact, Corpus, open_artifact
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.graph.local import run_graph
from r1_pipeline.profiles import Profile, load_profile, smoke
from r1_pipeline.registry import Registry

NAMES = {
    *("base", "r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1", "student_rl_only"),
    *(f"{model}/{student}" for model in ("student_base", "distilled") for student in ("qwen", "llama")),
}


def r1(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


class Seen(Observer):
    """Records the artifacts that were computed and reused, and the notes about them."""

    def __init__(self) -> None:
        self.computed: set[str] = set()
        self.reused_: set[str] = set()
        self.notes: list[tuple[str, str]] = []

    def noted(self, name: str, message: str) -> None:
        self.notes.append((name, message))

    def finished(self, artifact: Artifact) -> None:
        self.computed.add(artifact.name)

    def reused(self, artifact: Artifact) -> None:
        self.reused_.add(artifact.name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    first = r1(home, "run", "--profile", "smoke")
    assert first.returncode == 0, first.stdout + first.stderr
    return home


@pytest.fixture
def home(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(made, home, dirs_exist_ok=True)
    return home


@pytest.fixture
def environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def settings(home: Path, profile: str) -> Settings:
    return Settings(home=home, profile=profile, seed=0, tracking_uri=f"sqlite:///{home / 'mlflow.db'}")


def changed(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Profile], Profile]) -> None:
    """Registers a profile `name`, which is `smoke` with this change."""
    there = {**profiles.PROFILES, name: lambda seed: change(smoke(seed))}
    monkeypatch.setattr(profiles, "PROFILES", Registry("profile", there))


def digests(home: Path) -> dict[str, tuple[str, str]]:
    """Returns the fingerprint and digest of all artifacts in a home; each exists once."""
    made = [read_manifest(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    assert len({manifest.name for manifest in made}) == len(made)
    return {manifest.name: (manifest.fingerprint, manifest.digest) for manifest in made}


def materialization(home: Path, name: str) -> dict[str, object]:
    with DagsterInstance.from_config(str(home / "dagster")) as instance:
        records = instance.fetch_materializations(
            AssetRecordsFilter(asset_key=AssetKey(name.split("/"))), limit=1
        ).records
        made = records[0].asset_materialization
        assert made is not None
        return {"tags": made.tags, **{key: value.value for key, value in made.metadata.items()}}


def test_a_the_report_has_every_model_gate_and_stage(home: Path) -> None:
    numbers = json.loads((home / "report/report.json").read_text())
    assert set(numbers["models"]) == NAMES
    assert numbers["schema"] == 1
    assert numbers["profile"] == "smoke"
    assert set(numbers["reward_models"]) == {"helpful_rm", "safety_rm"}
    assert numbers["corpus"]["heldout_overlap"] == 0
    assert set(numbers["corpus"]["by_domain"]) == {"math", "code", "stem", "logic", "general"}
    assert all(gate["passed"] for gate in numbers["gates"].values())
    assert {"base", "r1_zero", "sft_corpus", "distilled/qwen", "r1"} <= set(numbers["stages"])
    assert numbers["models"]["r1"]["by_domain"]["math"]["n"] == 12
    page = (home / "report/report.html").read_text()
    assert "<script src" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_b_every_corpus_row_carries_its_provenance(home: Path) -> None:
    corpus = open_artifact(home / str(materialization(home, "sft_corpus")["r1/address"]))
    assert isinstance(corpus, Corpus)
    samples = corpus.samples()
    assert len({s.sample_id for s in samples}) == len(samples)
    dev2 = open_artifact(home / str(materialization(home, "dev2")["r1/address"]))
    for sample in samples:
        assert sample.outcome == "correct"
        assert sample.licence
        assert sample.source
        assert sample.verifier
        assert sample.generator == (dev2.digest if sample.domain != "general" else "r1-toy/courtesies@5")


def test_b_tables_say_what_their_columns_are_and_where_they_come_from(home: Path) -> None:
    corpus, scores = materialization(home, "sft_corpus"), materialization(home, "evaluation/base")
    schema = {column.name: column.type for column in corpus["dagster/column_schema"].columns}  # type: ignore[attr-defined]
    assert (schema["response"], schema["temperature"]) == ("String", "Float64")
    about = {column.name: column.description for column in corpus["dagster/column_schema"].columns}  # type: ignore[attr-defined]
    assert about["response"] == "Text to train on: `<think>…</think>` and the summary."
    assert all(about.values())
    origins = corpus["dagster/column_lineage"].deps_by_column  # type: ignore[attr-defined]
    assert {(dep.asset_key.to_user_string(), dep.column_name) for dep in origins["licence"]} == {
        ("reasoning_traces", "licence"),
        ("general_traces", "licence"),
    }
    asked = scores["dagster/column_lineage"].deps_by_column["problem_id"]  # type: ignore[attr-defined]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in asked] == [("heldout_problems", "id")]


def test_b_an_asset_shows_a_picture_first_and_hashes_last(home: Path) -> None:
    for asset, first in (("r1_zero", "curve"), ("evaluation/base", "score"), ("sft_corpus", "sample")):
        shown = [name for name in materialization(home, asset) if name not in ("tags", "dagster/code_version")]
        assert shown[0] == first
        assert set(shown[-5:]) == {"r1/address", "dagster/uri", "digest", "fingerprint", "mlflow/run_id"}
    assert materialization(home, "r1_zero")["seed"] == "0"  # a number would be plotted


def test_c_dagster_and_mlflow_point_at_each_other(home: Path) -> None:
    import mlflow

    made = materialization(home, "r1_zero")
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}", f"sqlite:///{home / 'mlflow.db'}")
    run_ = client.get_run(str(made["mlflow/run_id"]))
    artifact = open_artifact(home / str(made["r1/address"]))
    assert run_.data.tags["dagster.asset_key"] == "r1_zero"
    assert run_.data.tags["r1.fingerprint"] == artifact.manifest.fingerprint
    assert run_.data.tags["dagster.run_id"] == artifact.manifest.provenance.runs["dagster_run_id"]
    assert run_.data.params["recipe.grpo.group_size"] == "4"
    assert run_.info.status == "FINISHED"
    steps = [m.step for m in client.get_metric_history(run_.info.run_id, "reward")]
    assert sorted(steps) == [1, 2]
    inputs = {d.dataset.name: d.dataset.digest for d in run_.inputs.dataset_inputs}
    problems = artifact.manifest.inputs["problems"]
    assert inputs["reasoning_problems"] == problems.digest[:36]
    versions = client.search_model_versions("name = 'r1_zero'")
    assert versions[0].tags["r1.digest"] == artifact.digest
    assert versions[0].description.startswith(
        f"Made by `reinforce` in {artifact.manifest.provenance.seconds:.0f} s on "
    )
    rows = {d.dataset.name: json.loads(d.dataset.profile) for d in run_.inputs.dataset_inputs}
    assert rows["reasoning_problems"]["num_rows"] > 0
    experiment = client.get_experiment(run_.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(experiment.tags["mlflow.sharedViewState.r1-training"])
    trained = {each.info.run_name for each in client.search_runs([run_.info.experiment_id], view["searchFilter"])}
    assert trained == set(NAMES) | {"helpful_rm", "safety_rm"}
    assert "GRPO from the base" in run_.data.tags["mlflow.note.content"]
    parent = client.get_run(run_.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["r1.role"] == "pipeline"
    assert parent.info.status == "FINISHED"


def test_d_a_second_run_re_does_nothing(home: Path) -> None:
    second = r1(home, "run", "--profile", "smoke")
    assert second.returncode == 0, second.stderr
    assert "0 computed" in second.stdout
    numbers = json.loads((home / "report/report.json").read_text())
    assert all(stage["reused"] for stage in numbers["stages"].values())
    states = json.loads(r1(home, "status", "--profile", "smoke", "--json").stdout)
    assert {row["state"] for row in states} == {"fresh"}


def test_d_the_graph_without_dagster_makes_the_same_artifacts_and_either_goes_on_with_the_others(
    home: Path, tmp_path: Path
) -> None:
    profile = load_profile("smoke", 0)
    made = run_graph(profile.graph, profile, tmp_path)
    assert set(made) == set(profile.bound.names) - {"report"}
    assert digests(tmp_path) == digests(home)
    ours, theirs = (json.loads((each / "report/report.json").read_text()) for each in (tmp_path, home))
    assert all(ours[part] == theirs[part] for part in ("models", "gates", "corpus", "reward_models", "sizes"))
    ran = r1(tmp_path, "run", "--profile", "smoke")
    assert ran.returncode == 0, ran.stderr
    assert "0 computed" in ran.stdout


def test_e_a_changed_recipe_re_runs_what_depends_on_it_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    def faster(made: Profile) -> Profile:
        distilled = made.recipes["distilled"]
        assert isinstance(distilled, Mapping)
        qwen = distilled["qwen"].model_copy(update={"learning_rate": 2e-3})
        return made.with_recipes({"distilled": {**distilled, "qwen": qwen}})

    changed(monkeypatch, "faster", faster)
    seen = Seen()
    assert run(settings(home, "faster"), None, [seen]) is None
    # RL on the student has the distillation as its budget, so it runs again; it costs the same tokens, yields the same
    # bytes, and its evaluation is reused.
    assert seen.computed == {
        *("distilled/qwen", "answers/distilled/qwen", "evaluation/distilled/qwen", "student_rl_only"),
    }
    assert {"base", "distilled/llama", "sft_corpus", "r1", "answers/student_rl_only"} <= seen.reused_


def test_f_the_answers_of_the_cold_start_warn_and_those_of_the_corpus_stop(
    home: Path, monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    def strict(made: Profile) -> Profile:
        return replace(made, gates=made.gates.model_copy(update={"answer_excess": -2.0}))

    changed(monkeypatch, "strict", strict)
    seen = Seen()
    assert run(settings(home, "strict"), "cold_start_data", [seen]) is None
    told = [message for name, message in seen.notes if name == "cold_start_data"]
    assert any(message.startswith("gate answer_distribution_") and "must be at most -2" in message for message in told)
    failure = run(settings(home, "strict"), "sft_corpus", [Seen()])
    assert failure is not None
    assert (failure.asset, failure.reason.startswith("gate answer_distribution_")) == ("sft_corpus", True)


def test_f_a_failed_gate_stops_what_is_below_with_value_and_limit(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    def strict(made: Profile) -> Profile:
        return replace(made, gates=made.gates.model_copy(update={"format_rate": 2.0}))

    changed(monkeypatch, "strict", strict)
    seen = Seen()
    failure = run(settings(home, "strict"), "r1_zero,cold_start_answers,cold_start_data", [seen])
    assert failure is not None
    assert failure.asset == "r1_zero"
    assert "format_rate FAILED" in failure.reason
    assert "must be at least 2" in failure.reason
    assert not {"cold_start_answers", "cold_start_data"} & (seen.computed | seen.reused_)


def test_g_names_that_do_not_exist_are_refused_in_one_line(home: Path) -> None:
    for arguments, valid in (
        (("run", "--profile", "smoke", "--select", "r1zero"), "r1_zero"),
        (("run", "--profile", "huge"), "tiny"),
        (("chat", "gpt"), "distilled/llama"),
    ):
        answer = r1(home, *arguments)
        assert answer.returncode == 1
        assert valid in answer.stderr
        assert "Traceback" not in answer.stderr


def test_h_any_checkpoint_can_be_talked_to(home: Path) -> None:
    answer = r1(home, "chat", "r1", "--prompt", "What is 1 + 2 + 3?")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_i_an_edited_checkpoint_is_refused_by_file_name(home: Path) -> None:
    weights = home / str(materialization(home, "dev1")["r1/address"]) / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    refused = r1(home, "run", "--profile", "smoke")
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert refused.returncode == 1
    assert "model.safetensors has changed" in refused.stderr


def test_j_ctrl_c_in_training_resumes_from_the_last_checkpoint(tmp_path: Path, home: Path) -> None:
    program = "from dagster_defs.cli import main; main()"
    command = [sys.executable, "-c", program, "run", "--profile", "smoke", "--select", "base", "--home", str(tmp_path)]
    interrupted = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("scratch/*/checkpoint-50/seal.json")):
        assert interrupted.poll() is None, interrupted.stderr and interrupted.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    interrupted.send_signal(signal.SIGINT)
    _, message = interrupted.communicate(timeout=600)
    assert interrupted.returncode == 1
    assert "the next run resumes from the last checkpoint" in message
    assert "Traceback" not in message
    again = r1(tmp_path, "run", "--profile", "smoke", "--select", "base")
    assert again.returncode == 0, again.stderr
    assert "resuming from step 50 of 100" in again.stdout
    ours, theirs = (materialization(where, "base")["digest"] for where in (tmp_path, home))
    assert ours == theirs
