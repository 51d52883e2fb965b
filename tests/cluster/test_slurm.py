"""The batch script of `docs/scaling.md` on a real Slurm: a job on two nodes, whole, and cancelled in the middle."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_nodes import MISSING, Slurm, until

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.lineage.library import Library

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"Slurm is not installed: {MISSING} is missing"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Slurm's nodes want to run as root"),
]

RUNTIME = """
[launcher]
type = "torchrun"
nodes = 2
processes = 1
sharding = "ddp"
starter = ["srun", "--nodes=2", "--ntasks-per-node=1"]
"""
SCRIPT = """#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1
{r1} run --profile smoke --select base --home {home}
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    folder = tmp_path / "slurm"
    folder.mkdir()
    started = Slurm(folder)
    yield started
    started.close()


def home_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "runtime.toml").write_text(RUNTIME)
    return folder


def script(home: Path) -> str:
    return SCRIPT.format(r1=Path(sys.executable).with_name("r1"), home=home)


def base(home: Path) -> Checkpoint:
    (found,) = Library.of(home).newest(Checkpoint)
    assert isinstance(found, Checkpoint)
    return found


def at_work(home: Path) -> bool:
    """Returns True if a process has the home in its command line."""
    return any(str(home).encode() in command for command in map(command_of, Path("/proc").glob("[0-9]*")))


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return b""


def test_a_job_on_two_nodes_goes_on_after_it_was_cancelled(slurm: Slurm, tmp_path: Path) -> None:
    whole, home = home_in(tmp_path / "whole"), home_in(tmp_path / "cancelled")
    slurm.finish(slurm.submit(script(whole)))
    job = slurm.submit(script(home))
    assert until(lambda: any(home.rglob("checkpoint-*/seal.json")), 120), slurm.said(job)
    slurm.cancel(job)
    assert until(lambda: not at_work(home), 60)
    assert not any(home.rglob("manifest.json"))
    slurm.finish(slurm.submit(script(home)))
    assert base(home).digest == base(whole).digest
    assert [row["step"] for row in base(home).metrics()] == [row["step"] for row in base(whole).metrics()]
