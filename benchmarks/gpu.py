"""Measures this pipeline on one GPU with 80 GB in half an hour; writes figures as JSON, and as a page to post.

    python benchmarks/gpu.py HOME --gsm8k FOLDER                        Qwen2.5-1.5B, from the hub's cache
    python benchmarks/gpu.py HOME --gsm8k FOLDER --model FILE.gguf      or a directory, or OWNER/NAME@COMMIT
    python benchmarks/gpu.py HOME --toy                                 on a CPU, in miniature; other options allowed

It imports a base, measures the speed of the installed engines, trains the base by RL, scores it before and after on
held-out problems, fine-tunes in bfloat16 and in FP8, kills a run and resumes it, and compares time and memory with
`r1 plan`. Libraries that this machine lacks are reported as absent. Each part runs in a process; a finished part is not
repeated, and an interrupted one resumes. The results are `HOME/gpu.json` and `HOME/gpu.md`.
"""

import argparse
import json
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gpu_compare import distance, planned
from gpu_page import page
from gpu_parts import PARTS, Watch
from gpu_settings import CARD, MODEL, TOY, Bench, BuildResult, bench, toy_base

from r1_pipeline.artifacts.atomic_write import write_text_atomically
from r1_pipeline.artifacts.provenance import code_state
from r1_pipeline.errors import R1Error, RecipeError, RequirementError
from r1_pipeline.recipe import fingerprint

PACKAGES = ("torch", "transformers", "trl", "vllm", "torchao")


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    home: Path
    model: str | None
    """The base model; None for the base of `smoke` at toy size."""
    gsm8k: Path | None
    toy: bool
    part: str | None

    def again(self, part: str) -> list[str]:
        """Returns the command that runs one part with the same options."""
        named = {"--model": self.model, "--gsm8k": self.gsm8k}
        own = [word for name, value in named.items() if value is not None for word in (name, str(value))]
        return [sys.executable, __file__, str(self.home), *own, *["--toy"][: self.toy], "--part", part]


def options(arguments: Sequence[str]) -> Options:
    """Parses the command line; raises `SystemExit` if an option is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--gsm8k", type=Path)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if not given.toy and given.gsm8k is None:
        parser.error("say where GSM8K is: --gsm8k FOLDER; or take --toy, which needs no data and no GPU")
    model = given.model or (None if given.toy else MODEL)
    return Options(given.home.resolve(), model, given.gsm8k, given.toy, given.part)


def open_bench(given: Options) -> Bench:
    """Opens the bench of a command line; raises `RequirementError` if the GPU, the model or the data is missing."""
    watch = Watch()
    if not given.toy:
        import torch

        if not torch.cuda.is_available():
            raise RequirementError("PyTorch finds no GPU; run this on a machine that has one, or with --toy")
    model = given.model or str(toy_base(given.home, watch))
    return bench(given.home, TOY if given.toy else CARD, model, given.gsm8k, watch)


def machine(given: Options) -> BuildResult:
    """Describes the machine that the figures were measured on."""
    import torch

    found = {name: version for name in PACKAGES if (version := _version(name))}
    card = None if given.toy else torch.cuda.get_device_name()
    return {
        "card": card,
        "memory_gib": None if given.toy else torch.cuda.get_device_properties(0).total_memory / 2**30,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": found,
        "commit": code_state()[0],
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def run_part(given: Options, name: str) -> BuildResult:
    """Returns the figures of a part, from its file if it is finished, otherwise from a run in its own process.

    Raises `SystemExit` if the process fails, or if a process that should be killed ends in another way.
    """
    file = given.home / "parts" / f"{name}.json"
    if not file.exists():
        print(f"== {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        code = subprocess.run(given.again(name)).returncode
        if name == "killed" and code == -signal.SIGKILL:
            _store(file, {"killed": True, "wall_s": time.monotonic() - start})
        elif code or not file.exists():
            sys.exit(f"part {name} ended with {code}; see its message above; the same command resumes it")
    found: BuildResult = json.loads(file.read_text(encoding="utf-8"))
    return found


def _store(file: Path, facts: BuildResult) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(file, json.dumps(facts, indent=1) + "\n")


def claim(given: Options, ready: Bench) -> None:
    """Reserves the home for these recipes and this machine; raises `RecipeError` if it holds parts of others."""
    file = given.home / "parts" / "settings.json"
    mine = {"recipes": fingerprint(ready.recipes), "machine": machine(given)}
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) != mine:
        raise RecipeError(
            f"{given.home} holds parts of another base, size, version or machine; name another home, or remove it"
        )
    _store(file, mine)


def measure(given: Options, ready: Bench) -> BuildResult:
    """Runs all parts and returns their figures as one record."""
    start = time.monotonic()
    found = {name: run_part(given, name) for name in PARTS}
    runs = {name: found.pop(name) for name in ("whole", "again", "killed", "resumed")}
    return {
        "size": "toy" if given.toy else "card",
        "machine": machine(given),
        **{name: facts for name, facts in found.items() if name not in ("bfloat16", "float8")},
        "precision": {name: found[name] for name in ("bfloat16", "float8")},
        "resume": {
            "steps": ready.size.short,
            "killed_after": ready.size.killed_after,
            "checkpoint_every": ready.size.short_save,
            "twice": distance(runs["whole"], runs["again"]),
            "resumed": distance(runs["whole"], runs["resumed"]),
        },
        "plan": planned(ready, found["reinforcement"]),
        "seconds_of_this_call": time.monotonic() - start,
    }


def main(arguments: Sequence[str]) -> None:
    """Runs one part, or all that are missing; prints the JSON and the path of the page."""
    given = options(arguments)
    try:
        if given.part:
            ready = open_bench(given)
            start = time.monotonic()
            facts = PARTS[given.part](ready)
            _store(given.home / "parts" / f"{given.part}.json", {**facts, "wall_s": time.monotonic() - start})
            return
        ready = open_bench(given)  # raises for missing requirements before anything runs
        claim(given, ready)
        found = measure(given, ready)
    except R1Error as error:
        sys.exit(str(error))
    write_text_atomically(given.home / "gpu.json", json.dumps(found, indent=1) + "\n")
    write_text_atomically(given.home / "gpu.md", page(found))
    print(json.dumps(found, indent=1))
    print(f"page: {given.home / 'gpu.md'}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
