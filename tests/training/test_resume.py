"""The final weights of an interrupted run are those of an uninterrupted one, bit by bit."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.training.checkpoints import SINGLE_RANK, newest_valid_checkpoint


class Notes(Observer):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def noted(self, name: str, message: str) -> None:
        self.texts.append(message)


METHODS = [pytest.param(name, marks=runs.needs_peft) if "lora" in name else name for name in runs.RUNS]


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(method: str, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """The uninterrupted run."""
    draft = bare_draft(tmp_path_factory.mktemp(method))
    runs.RUNS[method](tiny, draft)
    return draft


def resume(method: str, tiny: Path, draft: Draft) -> list[str]:
    notes = Notes()
    draft.observer = notes
    runs.RUNS[method](tiny, draft)
    return notes.texts


def test_the_same_run_twice_gives_the_same_bytes(method: str, tiny: Path, whole: Draft, tmp_path: Path) -> None:
    again = bare_draft(tmp_path)
    runs.RUNS[method](tiny, again)
    assert runs.digests(again.path) == runs.digests(whole.path)


def test_the_artifact_is_the_model_and_nothing_else(method: str, tiny: Path, whole: Draft) -> None:
    files, before = runs.digests(whole.path), runs.digests(tiny)
    if method.startswith("reward_model"):  # another head, and nothing to generate
        assert before.keys() - files.keys() == {"generation_config.json"}
        del before["generation_config.json"], before["config.json"], files["config.json"]
    assert files.keys() == before.keys()
    assert {name for name in files if files[name] != before[name]} == {"model.safetensors"}


def test_killed_and_resumed_is_bit_identical(method: str, tiny: Path, whole: Draft, tmp_path: Path) -> None:
    script = Path(runs.__file__)
    command = [sys.executable, str(script), method, str(tiny), str(tmp_path), "5"]
    killed = subprocess.run(command, cwd=script.parents[2], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    draft = bare_draft(tmp_path)
    assert read_metrics(draft.metrics)[-1]["step"] == 5
    assert resume(method, tiny, draft) == ["resuming from step 4 of 6"]
    assert runs.digests(draft.path) == runs.digests(whole.path)
    assert [row["step"] for row in read_metrics(draft.metrics)] == [1, 2, 3, 4, 5, 6]


def test_a_broken_checkpoint_costs_steps_but_not_bits(method: str, tiny: Path, whole: Draft, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    shutil.copytree(whole.scratch, draft.scratch, dirs_exist_ok=True)
    (draft.scratch / "checkpoint-6" / "rng_state.pth").unlink()
    notes = resume(method, tiny, draft)
    assert "rng_state.pth is missing" in notes[0]
    assert notes[1:] == ["resuming from step 4 of 6"]
    assert runs.digests(draft.path) == runs.digests(whole.path)


def test_ctrl_c_leaves_the_last_checkpoint(method: str, tiny: Path, whole: Draft, tmp_path: Path) -> None:
    class Interrupt(Observer):
        def stepped(self, name: str, step: int, total: int, metrics: object) -> None:
            if step == 5:
                raise KeyboardInterrupt

    draft = bare_draft(tmp_path)
    draft.observer = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        runs.RUNS[method](tiny, draft)
    assert resume(method, tiny, draft) == ["resuming from step 4 of 6"]
    assert runs.digests(draft.path) == runs.digests(whole.path)


def truncate(checkpoint: Path) -> None:
    (weights,) = checkpoint.glob("*model.safetensors")  # of the model, or of its adapters
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])


def flip(name: str) -> Callable[[Path], None]:
    def change(checkpoint: Path) -> None:
        (file,) = checkpoint.glob(name)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / name).unlink()


def empty(name: str) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / name).write_bytes(b"")


CORRUPTIONS: dict[str, Callable[[Path], None]] = {
    "weights truncated": truncate,
    "weights flipped": flip("*model.safetensors"),
    "optimizer flipped": flip("optimizer.pt"),
    "state flipped": flip("trainer_state.json"),
    "checksums flipped": flip("seal.json"),
    "optimizer missing": remove("optimizer.pt"),
    "scheduler missing": remove("scheduler.pt"),
    "rng missing": remove("rng_state.pth"),
    "checksums missing": remove("seal.json"),
    "scheduler empty": empty("scheduler.pt"),
    "checksums empty": empty("seal.json"),
    "extra file": lambda checkpoint: (checkpoint / "model-00002.safetensors").write_bytes(b"x"),
    "another step's": lambda checkpoint: checkpoint.rename(checkpoint.with_name("checkpoint-7")) and None,
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_is_detected(corruption: str, whole: Draft, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    shutil.copytree(whole.scratch, scratch)
    CORRUPTIONS[corruption](scratch / "checkpoint-6")
    notes: list[str] = []
    assert newest_valid_checkpoint(scratch, SINGLE_RANK, notes.append) == scratch / "checkpoint-4"
    assert len(notes) == 1
    assert [path.name for path in scratch.glob("checkpoint-*")] == ["checkpoint-4"]


def test_intact_checkpoints_are_accepted(whole: Draft) -> None:
    notes: list[str] = []
    assert newest_valid_checkpoint(whole.scratch, SINGLE_RANK, notes.append) == whole.scratch / "checkpoint-6"
    assert notes == []
