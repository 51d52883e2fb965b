"""Measures how far two CPU ranks deviate from one process in the tests' small runs; prints one JSON object per method.

    python benchmarks/ranks.py FOLDER [ddp fsdp2 zero3]

FOLDER, which must be new, receives the runs. `zero3` needs DeepSpeed (the environment of `make test-deepspeed`, with
DS_ACCELERATOR=cpu). The runs are those of `tests/training/test_distributed.py`, whose tolerance is 1e-4 per step.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "training"))

import rank_runs as ranks
from conftest import make_model

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics

METHODS = ("sft", "reward_model", "grpo_on_fixed_rollouts")


def losses(folder: Path, method: str) -> list[float]:
    """Returns the loss of each step."""
    return [row["loss"] for row in read_metrics(bare_draft(folder / method).metrics)]


def main(folder: Path, ways: list[str]) -> None:
    """Prints the largest difference in loss for each method."""
    (folder / "base").mkdir(parents=True)
    base = make_model(folder / "base")
    for method in METHODS:
        ranks.METHODS[method](base, bare_draft(folder / "alone" / method), ranks.runtime_of(None))
    for keeps in ways:
        done = ranks.launch(keeps, base, folder / keeps, *METHODS)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        apart = {}
        for method in METHODS:
            pairs = zip(losses(folder / "alone", method), losses(folder / keeps, method), strict=True)
            apart[method] = max(abs(alone - shared) for alone, shared in pairs)
        print(json.dumps({"keeps": keeps, "ranks": ranks.RANKS, "largest_difference": apart}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["ddp", "fsdp2", "zero3"])
