"""Measures what a person waits for at the terminal, in a copy of a finished home; prints JSON, one object per row.

    python benchmarks/surfaces.py HOME [ROW…]      rows: help version status report promote chat again; all by default

Each row has the wall time and the processor time of one command, its children included, and the wall time to its first
character: of `chat` that is the bar. `again` is a second `r1 run`. Processor time is what a busy machine changes least.
The bar is in seconds of an idle machine. HOME is copied and stays as it is.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

PROGRAM = "from dagster_defs.cli import main; main()"


class Row(NamedTuple):
    """A command and the seconds that it may take."""

    arguments: str
    bar: float
    refused: bool = False
    """True if the command must fail."""


ROWS = {
    "help": Row("--help", 0.5),
    "version": Row("--version", 0.5),
    "status": Row("status", 2.5),
    "report": Row("report", 2.5),
    "promote": Row("promote r1 --why again", 2.5, refused=True),
    "chat": Row("chat r1 --prompt 3+5-2?", 6.0),
    "again": Row("run", 10.0),
}


def measured(row: Row, home: Path) -> dict[str, Any]:
    """Runs a command and returns its times in seconds; raises `RuntimeError` if it ends otherwise than expected."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *row.arguments.split()],
        env=clean | {"R1_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    start = process.stdout.read(1)
    first = time.monotonic() - began
    rest, error = process.communicate()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if (process.returncode != 0) != row.refused:
        raise RuntimeError(f"r1 {row.arguments} ended with {process.returncode}: {start}{rest}{error}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"first_s": round(first, 2), "wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "bar_s": row.bar}


def main() -> None:
    """Measures and prints."""
    home, wanted = Path(sys.argv[1]), sys.argv[2:] or list(ROWS)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch) / "home"
        shutil.copytree(home, copy)
        for name in wanted:
            found = {"row": name, "command": f"r1 {ROWS[name].arguments}"} | measured(ROWS[name], copy)
            print(json.dumps(found), flush=True)
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
