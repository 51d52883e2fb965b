"""Measures the cost of operation on the profile `smoke`; prints JSON, one object per row.

    python benchmarks/operating.py [ROW…]      rows: loading pages overhead tick thousand kills; all by default

Homes are made in a temporary folder and removed. `kills` runs the tests of killed runs, workers and daemons three
times.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

TESTS = Path(__file__).parents[1] / "tests" / "dagster_defs"
sys.path.insert(0, str(TESTS))

from homes import Automation, smoke_settings  # noqa: E402
from processes import clean_environment, user_interface  # noqa: E402

from dagster_defs.runner.executor import Executor  # noqa: E402
from dagster_defs.runner.run import run  # noqa: E402
from r1_pipeline.artifacts.observer import Observer  # noqa: E402
from r1_pipeline.artifacts.store import Store  # noqa: E402
from r1_pipeline.graph.node import AssetName  # noqa: E402
from r1_pipeline.lineage.library import Library  # noqa: E402
from r1_pipeline.runtime.build_context import BuildContext  # noqa: E402
from r1_pipeline.verbs import curate, curate_preferences, pretrain  # noqa: E402

TURNS = 5
HEAVY = ("torch", "transformers", "trl", "vllm", "ray", "mlflow")
LOAD = f"""
import sys, time
began = time.perf_counter()
import dagster_defs.definitions
print(time.perf_counter() - began, [name for name in {HEAVY!r} if name in sys.modules])
"""
DATA = ("preference_pairs", "general_prompts", "heldout_problems", "reasoning_problems")


def loading(home: Path) -> dict[str, Any]:
    """Times loading the code location in a new process, in seconds, and lists the heavy libraries it imports."""
    turns = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LOAD],
            env=clean_environment() | {"R1_HOME": str(home)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(TURNS)
    ]
    return {
        "seconds": statistics.median(float(turn.split()[0]) for turn in turns),
        "imported": turns[-1].partition(" ")[2].strip(),
        "bar": "4 s, no torch, trl, vllm, ray",
    }


def pages(home: Path) -> dict[str, Any]:
    """Times `r1 ui` to the first page of both user interfaces, in seconds, on a new home and on one that has run."""
    spent = {}
    for kind in ("new home", "the same home again"):
        began = time.perf_counter()
        with user_interface(home) as surfaces:
            for address in (surfaces.dagster, surfaces.mlflow):
                asked = Request(address, headers={"authorization": f"Bearer {surfaces.token}"})
                assert "<html" in urlopen(asked).read().decode()
            spent[kind] = time.perf_counter() - began
    return {"seconds": spent, "bar": "20 s"}


def overhead(home: Path) -> dict[str, Any]:
    """Measures the seconds that a materialization adds to its verb, in one process and without reuse.

    `around` excludes the work itself, as timed in the manifests, since training times vary by more than the rest.
    """
    settings = smoke_settings(home)
    settings.export()
    profile, worker = settings.load(), Executor(settings, {}, Observer())
    recipes = profile.recipes
    verbs: dict[str, Callable[[BuildContext], object]] = {
        "preference_pairs": lambda at: curate_preferences(at, recipes["preference_pairs"]),
        "general_prompts": lambda at: curate(at, recipes["general_prompts"]),
        "heldout_problems": lambda at: curate(at, recipes["heldout_problems"]),
        "base": lambda at: pretrain(at, recipes["base"]),
    }
    assert worker.materialize(["base"], None) is None  # imports
    more = {}
    for name, verb in verbs.items():
        turns = []
        for _ in range(TURNS):
            forget(home)
            began = time.perf_counter()
            verb(BuildContext(Store(home, device=profile.runtime.device), profile.runtime, name))
            direct, alone = time.perf_counter() - began, worked(home, name)
            forget(home)
            began = time.perf_counter()
            assert worker.materialize([name], None) is None
            through = time.perf_counter() - began
            turns.append((direct, through, through - worked(home, name) - (direct - alone)))
        direct, through, around = (statistics.median(turn[side] for turn in turns) for side in range(3))
        more[name] = {"verb": direct, "materialization": through, "overhead": through - direct, "around": around}
    return {"seconds": more, "bar": "0.5 s an asset"}


def worked(home: Path, name: str) -> float:
    """Returns the seconds of the work itself."""
    return Library.of(home).find(name).manifest.provenance.seconds


def tick(home: Path) -> dict[str, Any]:
    """Times an automation tick over the whole graph without changes, in seconds."""
    assert run(smoke_settings(home), None, []) is None
    automation, turns, requested = Automation(home), [], set[AssetName]()
    for _ in range(TURNS):
        began = time.perf_counter()
        requested |= automation.tick()
        turns.append(time.perf_counter() - began)
    return {"seconds": statistics.median(turns), "requested": len(requested), "bar": "3 s, 0 requested"}


def thousand(home: Path) -> dict[str, Any]:
    """Runs 1,000 materializations of data assets in one process, each recomputed and tracked."""
    settings = smoke_settings(home)
    settings.export()
    worker, memory, failures = Executor(settings, {}, Observer()), [], []
    began = time.perf_counter()
    for _ in range(1000 // len(DATA)):
        forget(home)
        failure = worker.materialize(DATA, None)
        failures += [failure.reason] if failure else []
        memory.append(psutil.Process().memory_info().rss / 2**20)
    early, late = (statistics.median(part) for part in (memory[25:50], memory[-25:]))
    return {
        "seconds": time.perf_counter() - began,
        "memory_mib": {"after 100 to 200": early, "after 900 to 1,000": late},
        "growth": late / early - 1,
        "failed": failures,
        "bar": "growth 10%, no locked data base",
    }


def kills(_: Path) -> dict[str, Any]:
    """Repeats the tests that kill runs in every kind of stage, run workers and daemons, with SIGKILL."""
    command = [sys.executable, "-m", "pytest", "-m", "slow", "-k", "killed", str(TESTS / "test_faults.py")]
    turns = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(3)]
    return {
        "rounds": [re.findall(r"\d+ (?:passed|failed)[^\n]*", turn.stdout)[-1] for turn in turns],
        "survived": all(turn.returncode == 0 for turn in turns),
        "bar": "all",
    }


def forget(home: Path) -> None:
    """Removes all artifacts, so that everything is recomputed."""
    shutil.rmtree(home / "artifacts", ignore_errors=True)


ROWS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "loading": loading,
    "pages": pages,
    "overhead": overhead,
    "tick": tick,
    "thousand": thousand,
    "kills": kills,
}


def main(names: Sequence[str]) -> None:
    """Prints the rows; each runs in a process of its own, so that imports are not shared."""
    if len(names) == 1:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"row": names[0], **ROWS[names[0]](Path(folder) / "home")}), flush=True)
    else:
        for name in names or ROWS:
            subprocess.run([sys.executable, "-W", "ignore", __file__, name], check=True, env=dict(os.environ))


if __name__ == "__main__":
    main(sys.argv[1:])
