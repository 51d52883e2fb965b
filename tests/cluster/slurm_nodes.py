"""A Slurm of a controller and two nodes, all on this machine: each node takes processes as if it were another one."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

MISSING = next((name for name in ("slurmctld", "slurmd", "sbatch", "srun") if not shutil.which(name)), None)
CONFIGURATION = """
ClusterName=r1
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
SlurmUser={user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/linear
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus}
PartitionName=main Nodes=n1,n2 Default=YES State=UP MaxTime=INFINITE
"""
DAEMONS = (("slurmctld", "-D", "-c"), ("slurmd", "-D", "-N", "n1"), ("slurmd", "-D", "-N", "n2"))


class Slurm:
    """Takes jobs until it is closed; what it and they say lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("state", "n1", "n2"):
            (folder / name).mkdir()
        configuration = folder / "slurm.conf"
        ports = [_free_port() for _ in range(3)]
        host = socket.gethostname().partition(".")[0]  # Slurm knows machines without their domain
        facts = {"host": host, "user": getpass.getuser(), "cpus": os.cpu_count(), "ports": ports}
        configuration.write_text(CONFIGURATION.format(folder=folder, **facts))
        self._environment = {**os.environ, "SLURM_CONF": str(configuration)}
        with (folder / "daemons.log").open("w") as log:
            self._daemons = [subprocess.Popen(daemon, env=self._environment, stderr=log) for daemon in DAEMONS]
        if not until(lambda: self._run("sinfo", "--noheader", "--format=%T %D", check=False) == "idle 2", 60):
            self.close()
            raise AssertionError((folder / "daemons.log").read_text())

    def submit(self, script: str) -> str:
        """Number of the job."""
        file = self._folder / "script.sh"
        file.write_text(script)
        return self._run("sbatch", "--parsable", f"--output={self._folder}/%j.out", str(file))

    def cancel(self, job: str) -> None:
        """Ask Slurm to end a job."""
        self._run("scancel", job)

    def finish(self, job: str) -> None:
        """Wait for a job, which must succeed."""
        until(lambda: self._state(job) not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"), 300)
        assert self._state(job) == "COMPLETED", self.said(job)

    def said(self, job: str) -> str:
        """Its output so far."""
        return (self._folder / f"{job}.out").read_text()

    def close(self) -> None:
        """End the daemons."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait()

    def _state(self, job: str) -> str:
        facts = self._run("scontrol", "show", "job", job).split()
        return next(fact for fact in facts if fact.startswith("JobState=")).partition("=")[2]

    def _run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=check)
        return done.stdout.strip()


def until(law: Callable[[], bool], patience_s: float) -> bool:
    """Waits for the law to hold; returns True if it did in time."""
    end = time.monotonic() + patience_s
    while not (holds := law()) and time.monotonic() < end:
        time.sleep(0.2)
    return holds


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
