"""`make gpu` in miniature on a CPU: every part runs through the verbs, and what it prints is what was made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-W", "ignore", str(SCRIPT), *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    done = run(str(folder), "--toy")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "gpu.json").read_text(encoding="utf-8"))
    return folder


@pytest.fixture(scope="module")
def found(home: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((home / "gpu.json").read_text(encoding="utf-8"))
    return record


def test_the_sampler_agrees_with_the_trainer_up_to_bfloat16(found: dict[str, Any]) -> None:
    engine = found["rollouts"]["transformers"]
    assert engine["tokens_per_s"] == pytest.approx(engine["tokens"] / engine["seconds"])
    assert 0 < engine["gap_to_trainer"]["mean"] < 0.05  # nats; a shift by one token would be whole nats
    assert engine["gap_to_trainer"]["precision"] == "bfloat16"


def test_the_gain_is_the_difference_of_both_scores_on_the_same_problems(found: dict[str, Any]) -> None:
    gain = found["after"]["gain"]
    assert gain["value"] == pytest.approx(found["after"]["pass_at_1"] - found["before"]["pass_at_1"])
    assert gain["lo"] <= gain["value"] <= gain["hi"]
    assert [step["step"] for step in found["reinforcement"]["steps"]] == [1, 2, 3, 4]


def test_a_killed_run_that_is_resumed_ends_in_the_bytes_of_a_whole_one(home: Path, found: dict[str, Any]) -> None:
    assert json.loads((home / "parts" / "killed.json").read_text(encoding="utf-8"))["killed"]
    for pair in ("twice", "resumed"):
        assert found["resume"][pair]["bit_identical"], pair
        assert found["resume"][pair]["largest_weight_difference"] == 0
        assert found["resume"][pair]["steps_that_differ"] == []
    whole, resumed = (
        json.loads((home / "parts" / f"{name}.json").read_text(encoding="utf-8")) for name in ("whole", "resumed")
    )
    assert whole["model"] != resumed["model"]
    assert any(step["grad_norm"] > 0 for step in whole["steps"]), "no step moved a weight, so nothing was compared"


def test_what_this_machine_lacks_is_said_to_be_absent(found: dict[str, Any]) -> None:
    assert found["machine"]["card"] is None
    assert "FP8 training needs an NVIDIA GPU" in found["precision"]["float8"]["absent"]
    if "absent" in found["rollouts"]["vllm"]:
        assert "vLLM is not installed" in found["rollouts"]["vllm"]["absent"]
    assert len(found["precision"]["bfloat16"]["steps"]) == 3


def test_the_peak_of_a_part_is_its_own_and_not_that_of_the_process_it_was_forked_from(found: dict[str, Any]) -> None:
    peaks = {found["reinforcement"]["peak_gib"], found["precision"]["bfloat16"]["peak_gib"]}
    assert len(peaks) == 2
    assert all(0.1 < peak < 8 for peak in peaks)  # torch alone is a tenth; a unit of kilobytes would be off by 1,024


def test_the_page_has_the_figures_of_the_record(home: Path, found: dict[str, Any]) -> None:
    page = (home / "gpu.md").read_text(encoding="utf-8")
    assert f"{found['rollouts']['transformers']['tokens_per_s']:,.0f}" in page
    assert f"| peak GiB | {found['plan']['planned_gib']:.2f} | {found['plan']['measured_gib']:.2f} |" in page
    assert "float8: absent." in page


def test_a_second_call_repeats_no_part(home: Path, found: dict[str, Any]) -> None:
    done = run(str(home), "--toy")
    assert done.returncode == 0, done.stderr
    assert "==" not in done.stderr
    again = json.loads(done.stdout)
    del again["seconds_of_this_call"]
    assert again == {key: value for key, value in found.items() if key != "seconds_of_this_call"}


def test_parts_of_other_settings_are_not_mixed_in(home: Path, tmp_path: Path) -> None:
    base = next((home / "toy" / "artifacts").rglob("config.json"))
    theirs = json.loads((home / "parts" / "settings.json").read_text(encoding="utf-8"))
    theirs["machine"]["card"] = "another"
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "settings.json").write_text(json.dumps(theirs), encoding="utf-8")
    done = run(str(tmp_path), "--toy", "--model", str(base.parent))
    assert done.returncode != 0
    assert "parts of another base, size, version or machine; name another home" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say where GSM8K is: --gsm8k FOLDER"),
        (["--gsm8k", "."], "PyTorch finds no GPU; run this on a machine that has one, or with --toy"),
    ],
)
def test_what_is_missing_is_said_before_any_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available() and arguments:
        pytest.skip("a GPU is here")
    done = run(str(tmp_path / "home"), *arguments)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "home").exists()
