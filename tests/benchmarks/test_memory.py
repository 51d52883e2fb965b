"""Planned memory stands next to the measured peak of a stage that runs in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"


@pytest.mark.slow
def test_fine_tuning_of_a_toy_takes_about_what_is_planned() -> None:
    """A model of 2.5 million parameters, whose process needs some tens of MiB besides."""
    command = [sys.executable, "-W", "ignore", str(SCRIPT), "--toy", "--stages", "sft"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["stage"], row["parameters"]) == ("sft", 2_492_672)
    assert 0.6 < row["planned/measured"] == pytest.approx(row["planned_mib"] / row["measured_mib"], abs=0.001) < 1.2
