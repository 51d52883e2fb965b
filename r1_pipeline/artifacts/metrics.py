"""The append-only JSONL file of step metrics, from which every tracker is fed.

A dead tracker can therefore neither stall training nor lose a step. A line cut short by a crash is skipped on reading.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.atomic_write import write_text_atomically

METRICS = "metrics.jsonl"


def append_metrics(path: Path, step: int, total: int, metrics: Mapping[str, float]) -> None:
    """Appends one step, durably."""
    line = json.dumps({"step": step, "total": total, "time": time.time(), **metrics}, allow_nan=False)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a metrics file in order; a last line cut short by a crash is skipped."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            rows.append(json.loads(line))
    return rows


def rewind_metrics(path: Path, step: int) -> None:
    """Removes the rows after `step`, which a resumed run will log again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    write_text_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
