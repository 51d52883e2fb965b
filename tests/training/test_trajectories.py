"""Laws of replay: on the same rollouts a run is the same run, and no release of a library moves it without notice."""

import json
from pathlib import Path

import polars as pl
import pytest
import trajectory_dump as dump

from r1_pipeline.artifacts.draft import bare_draft


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("trajectories")
    return dump.trained(dump.make_llama(folder / "base"), folder, pl.read_parquet(dump.ROLLOUTS))


@pytest.mark.parametrize("trainer", ["sft", "reward_model", "grpo"])
def test_twenty_steps_are_those_that_are_stored(trainer: str, found: dict[str, list[dict[str, float]]]) -> None:
    stored = json.loads(dump.LOSSES.read_text(encoding="utf-8"))[trainer]
    assert len(found[trainer]) == len(stored) >= dump.STEPS
    for step, (ours, theirs) in enumerate(zip(found[trainer], stored, strict=True), 1):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5), f"{trainer}, step {step}"


def test_stored_rollouts_reproduce_the_run_that_sampled_them(tmp_path: Path) -> None:
    base, sampled, again = (
        dump.make_llama(tmp_path / "base"),
        bare_draft(tmp_path / "one"),
        bare_draft(tmp_path / "two"),
    )
    dump.run_grpo(base, sampled)
    rollouts = dump.runs.rollouts(sampled)
    dump.replayed(rollouts, lambda: dump.run_grpo(base, again))
    for step, (ours, theirs) in enumerate(zip(dump.trajectory(again), dump.trajectory(sampled), strict=True), 1):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5), f"step {step}"  # rows of a batch are in another order
    kept = ("step", "prompt", "sample_index", "text", "reward")
    assert dump.runs.rollouts(again).select(kept).equals(rollouts.select(kept))
