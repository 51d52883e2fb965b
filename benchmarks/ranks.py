"""How far two CPU ranks come from one process in the tests' small runs. Prints JSON, one object a way to share a model.

    python benchmarks/ranks.py FOLDER [ddp fsdp2 zero3]

FOLDER, which must be new, takes the runs. `zero3` needs DeepSpeed (the environment of `make test-deepspeed`, with
DS_ACCELERATOR=cpu). The runs are those of `tests/training/test_ranks.py`, which holds every step to 1e-4.
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
    """Of each step."""
    return [row["loss"] for row in read_metrics(bare_draft(folder / method).metrics)]


def main(folder: Path, ways: list[str]) -> None:
    """Print the largest difference of the loss of each method."""
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
