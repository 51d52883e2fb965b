"""Measures the time and size of installing and starting the core; prints JSON.

    python benchmarks/install.py [--unpinned]      the newest packages that pyproject.toml allows, not constraints.txt's

It builds the wheel of this checkout, installs it without extras in an empty environment, bypassing pip's cache, and
runs `r1 grade --help` there. `distributions` counts installed packages, the project included; `user_s` is processor
time, which a slow network or a busy machine does not change.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
STARTS = 15


def timed(*command: str | Path) -> dict[str, float]:
    """Returns wall time and user time of a command that must succeed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.monotonic()
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/")
    user = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return {"wall_s": round(time.monotonic() - started, 2), "user_s": round(user, 2)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpinned", action="store_true")
    pinned = [] if parser.parse_args().unpinned else ["--constraint", str(ROOT / "constraints.txt")]
    os.environ.pop("PYTHONPATH", None)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for package in ("r1_pipeline", "dagster_defs"):
            shutil.copytree(ROOT / package, folder / "source" / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder / "source" / name)
        build = timed(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, folder / "source")
        [wheel] = folder.glob("*.whl")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = folder / "venv" / "bin" / "python"
        install = timed(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *pinned, wheel)
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format=json", "--exclude=pip", "--exclude=setuptools"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        starts = [timed(python.with_name("r1"), "grade", "--help") for _ in range(STARTS)]
        found = {
            "wheel_bytes": wheel.stat().st_size,
            "build": build,
            "install": install,
            "distributions": len(json.loads(listed.stdout)),
            "grade_help": {
                "median_wall_s": statistics.median(start["wall_s"] for start in starts),
                "best_wall_s": min(start["wall_s"] for start in starts),
                "median_user_s": statistics.median(start["user_s"] for start in starts),
            },
            "load": os.getloadavg()[0],
        }
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
