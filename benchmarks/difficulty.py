"""Compares R1-Zero of `tiny` with and without a choice of prompts by difficulty, at equal generated tokens.

    python benchmarks/difficulty.py FOLDER                      five seeds, each in its own home FOLDER/seed-N
    python benchmarks/difficulty.py FOLDER --seeds 1 --base .r1 takes the base, and what else fits, from a home

    none      the profile's own run, whose generated tokens are everybody's limit
    filter    problems that the base solves in 10 to 90% of four answers; the answers count as generated tokens
    dynamic   flat groups are replaced up to twice before each step; what is replaced counts too

It prints the share of flat groups among those trained on and among all sampled, tokens, steps, and held-out pass@1 with
95% intervals. A finished seed is FOLDER/seed-N.json and is not repeated; an interrupted one resumes.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from r1_pipeline.artifacts.atomic_write import write_text_atomically
from r1_pipeline.artifacts.kinds import Checkpoint, Difficulty, ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.difficulty import ByDifficulty
from r1_pipeline.evaluation.difficulty import DifficultyRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.records import Sampling
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import ask, curate, evaluate, measure_difficulty, pretrain, reinforce

PROBLEMS, SAMPLES = {"math": 160, "code": 40, "stem": 120, "logic": 80}, 4
"""Problems that the base answers for the filter, in the shares of the prompts, and the answers to each."""
LOWEST, HIGHEST = 0.1, 0.9
TIMES = 2
SHARED = ("base", "reasoning_problems", "heldout_problems", "r1_zero", "answers/r1_zero", "evaluation/r1_zero")
"""Artifacts that are taken from another home."""


class Seed:
    """The three runs of one seed in one home."""

    def __init__(self, home: Path, seed: int) -> None:
        self.profile: Profile = load_profile("tiny", seed=seed)
        self.store = Store(home)
        recipes = self.profile.recipes
        self.zero = recipes["r1_zero"]
        self.base = pretrain(self.at("base"), recipes["base"])
        self.problems: ProblemSet = curate(self.at("reasoning_problems"), recipes["reasoning_problems"])
        self.heldout: ProblemSet = curate(self.at("heldout_problems"), recipes["heldout_problems"])

    def at(self, name: str) -> BuildContext:
        """Returns the context of an artifact."""
        return BuildContext(self.store, self.profile.runtime, name)

    def difficulty(self) -> tuple[Difficulty, int]:
        """Measures the base; returns its pass rates and the tokens that its answers took."""
        grpo = self.zero.grpo
        asked = SamplingRecipe(
            sampling=Sampling(temperature=grpo.temperature, top_p=grpo.top_p, max_tokens=grpo.max_completion_tokens),
            samples=SAMPLES,
            problems=PROBLEMS,
            seed=grpo.seed,
        )
        answers = ask(self.at("r1_zero_filter_difficulty_answers"), self.base, self.problems, asked)
        rates = measure_difficulty(
            self.at("r1_zero_filter_difficulty"), answers, self.problems, DifficultyRecipe(ask=asked)
        )
        return rates, answers.tokens["generated"]

    def arms(self) -> Iterator[tuple[str, Checkpoint, int]]:
        """Yields the name of each run, its model, and the tokens that were generated before it."""
        none = reinforce(self.at("r1_zero"), self.base, self.problems, self.zero)
        yield "none", none, 0
        limit = none.tokens["generated"]
        dynamic = changed(changed(self.zero, "schedule.resample", TIMES), "grpo.generated_tokens", limit)
        yield "dynamic", reinforce(self.at("r1_zero_dynamic"), self.base, self.problems, dynamic), 0
        rates, spent = self.difficulty()
        by = ByDifficulty(lowest=LOWEST, highest=HIGHEST)
        chosen = changed(changed(self.zero, "schedule.difficulty", by), "grpo.generated_tokens", limit - spent)
        yield (
            "filter",
            reinforce(self.at("r1_zero_filter"), self.base, self.problems, chosen, difficulty=rates),
            spent,
        )

    def measure(self) -> dict[str, dict[str, Any]]:
        """Trains, evaluates and returns the figures of each run."""
        evaluation, found = self.profile.recipes["evaluation"], {}
        for name, model, before in self.arms():
            answers = ask(self.at(f"answers/{model.name}"), model, self.heldout, evaluation.ask)
            scores = evaluate(self.at(f"evaluation/{model.name}"), answers, self.heldout, evaluation).scores()
            flat = [row["flat_groups"] for row in model.metrics() if "flat_groups" in row]
            parts = {"overall": scores["overall"], **scores["by_domain"]}
            found[name] = {
                "flat_trained": sum(flat) / len(flat),
                "flat_sampled": model.rollouts().select(pl.col("flat").mean()).collect().item(),
                "generated": model.tokens["generated"] + before,
                "steps": len(model.metrics()),
                "seconds": model.manifest.provenance.seconds,
                "pass_at_1": {part: (each["pass_at_1"], each["pass_at_1_ci"]) for part, each in parts.items()},
            }
        return found


def adopt(base: Path, home: Path) -> None:
    """Copies the shared artifacts of a home that `home` lacks."""
    for kind in (base / "artifacts").iterdir():
        for name in SHARED:
            for folder in (kind / name).glob("*/manifest.json"):
                target = home / folder.parent.relative_to(base)
                if not target.exists():
                    shutil.copytree(folder.parent, target)


def table(seeds: list[dict[str, dict[str, Any]]]) -> str:
    """Renders Markdown: one row for each run of each seed."""
    parts = list(seeds[0]["none"]["pass_at_1"])
    heads = ["seed", "run", "flat, trained on", "flat, sampled", "generated", "steps", "minutes", *parts]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for seed, runs in enumerate(seeds):
        for name, run in runs.items():
            accuracy = [f"{value:.3f} ({ci['lo']:.3f} to {ci['hi']:.3f})" for value, ci in run["pass_at_1"].values()]
            cells = [f"{run['flat_trained']:.3f}", f"{run['flat_sampled']:.3f}", f"{run['generated']:,}"]
            cells += [str(run["steps"]), f"{run['seconds'] / 60:.1f}"]
            lines.append(f"| {seed} | {name} | {' | '.join([*cells, *accuracy])} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Runs the missing seeds and prints the table, and each run's flat groups relative to none's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--base", type=Path, help="a home of `tiny`, such as .r1")
    chosen = parser.parse_args(arguments)
    measured = []
    for seed in range(chosen.seeds):
        home, file = (chosen.folder / f"seed-{seed}").resolve(), chosen.folder / f"seed-{seed}.json"
        if not file.exists():
            home.mkdir(parents=True, exist_ok=True)
            if chosen.base:
                adopt(chosen.base.resolve(), home)
            write_text_atomically(file, json.dumps(Seed(home, seed).measure(), indent=1))
        measured.append(json.loads(file.read_text(encoding="utf-8")))
    print(table(measured))
    for name in ("dynamic", "filter"):
        ratio = sum(runs[name]["flat_trained"] for runs in measured) / sum(m["none"]["flat_trained"] for m in measured)
        print(f"{name}: {ratio:.2f} times the flat groups of none among those trained on")


if __name__ == "__main__":
    main(sys.argv[1:])
