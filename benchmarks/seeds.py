"""Runs five seeds of `tiny` on this version of the code, one after the other, and prints their figures as ranges.

    python benchmarks/seeds.py FOLDER              runs what is missing, then prints the table
    python benchmarks/seeds.py FOLDER --seeds 3

Each seed has its own home, `FOLDER/seed-N`. A seed is finished once `FOLDER/seed-N.json` exists, which has its report,
the processor and the commit. A finished seed is not repeated; an interrupted one resumes. Seeds of different commits
are refused, because their spread would mean nothing.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

Report = dict[str, Any]


def processor() -> str:
    """Returns the processor's name, and the number of its cores that this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else os.uname().machine}, {len(os.sched_getaffinity(0))} cores"


def commit() -> str:
    """Returns the commit that is checked out, with a plus if files differ from it."""

    def git(*arguments: str) -> str:
        root = Path(__file__).parent.parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def measure(folder: Path, seed: int) -> None:
    """Runs one seed and stores its report; raises `CalledProcessError` if the run fails."""
    home = folder / f"seed-{seed}"
    program = "from dagster_defs.cli import main; main()"
    command = [sys.executable, "-c", program, "run", "--profile", "tiny", "--seed", str(seed), "--home", str(home)]
    subprocess.run(command, check=True)
    report = json.loads((home / "report" / "report.json").read_text(encoding="utf-8"))
    made = {"processor": processor(), "commit": commit(), "report": report}
    part = folder / f"seed-{seed}.json.part"
    part.write_text(json.dumps(made, indent=1), encoding="utf-8")
    part.rename(folder / f"seed-{seed}.json")


def figures(report: Report) -> dict[str, float | None]:
    """Returns the figures of the table by name: every bar, pass@1 of every model and domain, differences."""
    bars = report["bars"]
    found: dict[str, float | None] = {f"{b['claim']} ({b['sense']} {b['limit']:g})": b["value"] for b in bars}
    for name, model in report["models"].items():
        found |= {f"`{name}` {domain} pass@1": scores["pass_at_1"] for domain, scores in model["by_domain"].items()}
    for name, by_domain in report["differences"].items():
        found |= {f"{name}, {domain}": each["value"] for domain, each in by_domain.items()}
    met = sum(bar["passed"] is True for bar in bars)
    return found | {"bars met": met, "bars": len(bars), "corpus rows": report["corpus"]["rows"]}


def table(measured: list[Report]) -> str:
    """Renders Markdown: one row per figure, with mean, minimum and maximum over the seeds, then each seed."""
    each = [figures(made["report"]) for made in measured]
    heads = ["figure", "mean", "min", "max", *(f"seed {made['report']['seed']}" for made in measured)]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for name in each[0]:
        values = [seed.get(name) for seed in each]
        known = [value for value in values if value is not None]
        spread = [sum(known) / len(known), min(known), max(known)] if known else [None] * 3
        lines.append(f"| {name} | {' | '.join(map(shown, [*spread, *values]))} |")
    return "\n".join(lines)


def shown(value: float | None) -> str:
    """Formats a figure with three decimals, a large one with none, and a missing one as a dash."""
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


def one_version(measured: list[Report]) -> None:
    """Checks that all seeds were made with one commit; raises `SystemExit` if not."""
    commits = {made["commit"] for made in measured}
    if len(commits) > 1:
        raise SystemExit(f"seeds of different versions ({', '.join(sorted(commits))}); delete the older seed-N.json")


def main(arguments: list[str]) -> None:
    """Runs the missing seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    files = [chosen.folder / f"seed-{seed}.json" for seed in range(chosen.seeds)]
    for seed, file in enumerate(files):
        if not file.exists():
            measure(chosen.folder, seed)
    measured = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    one_version(measured)
    print(table(measured))
    for name in sorted({made["processor"] for made in measured}):
        seconds = [made["report"]["total_seconds"] for made in measured if made["processor"] == name]
        print(
            f"\n{name}: {min(seconds) / 60:.0f} to {max(seconds) / 60:.0f} minutes of work a seed, {len(seconds)} seeds"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
