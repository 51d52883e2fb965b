"""Shows reward hacking in miniature: R1-Zero of `tiny` with format rewarded as much as accuracy.

It prints JSON: held-out maths pass@1 and format rate of the base, of the profile's own R1-Zero and of this one. It uses
the artifacts of `R1_HOME` if they exist (`r1 run --select +r1_zero` makes them) and stores its own there too.
"""

import json
import os
import sys
from pathlib import Path

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.artifacts.store import Store
from r1_pipeline.profiles import load_profile
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import ask, curate, evaluate, pretrain, reinforce

WEIGHT, LEARNING_RATE = 1.0, 1e-3


def main() -> None:
    """Trains and evaluates both variants."""
    profile = load_profile("tiny", seed=0)
    store = Store(Path(os.environ.get("R1_HOME", ".r1")).resolve())

    def at(name: str) -> BuildContext:
        return BuildContext(store, profile.runtime, name)

    recipe = profile.recipes["r1_zero"]
    heavy = recipe.model_copy(
        update={
            "rubric": recipe.rubric.model_copy(update={"format": WEIGHT}),
            "grpo": recipe.grpo.model_copy(update={"learning_rate": LEARNING_RATE}),
        }
    )
    base = pretrain(at("base"), profile.recipes["base"])
    problems = curate(at("reasoning_problems"), profile.recipes["reasoning_problems"])
    heldout = curate(at("heldout_problems"), profile.recipes["heldout_problems"])
    models: dict[str, Checkpoint] = {
        "base": base,
        "format 0.1": reinforce(at("r1_zero"), base, problems, recipe),
        f"format {WEIGHT}, lr {LEARNING_RATE}": reinforce(at("r1_zero_format_heavy"), base, problems, heavy),
    }
    rows, evaluation = {}, profile.recipes["evaluation"]
    for label, model in models.items():
        answers = ask(at(f"answers/{model.name}"), model, heldout, evaluation.ask)
        scores = evaluate(at(f"evaluation/{model.name}"), answers, heldout, evaluation).scores()
        rows[label] = {
            "math_pass_at_1": scores["by_domain"]["math"]["pass_at_1"],
            "format_rate": scores["overall"]["format_rate"],
            "mean_tokens": scores["overall"]["mean_tokens"],
        }
    json.dump(rows, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
