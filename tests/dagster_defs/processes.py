"""Real processes for tests: `r1` on a home of its own, an MLflow server, and the user interface."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple


def clean_environment() -> dict[str, str]:
    """Returns the environment without the settings of the user who runs the tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}


def start(
    home: Path, *arguments: str, output: int | IO[str] = subprocess.PIPE, **environment: str
) -> "subprocess.Popen[str]":
    """Starts `r1 ARGUMENTS --home HOME` in a session of its own."""
    command = [sys.executable, "-u", "-c", "from dagster_defs.cli import main; main()", *arguments, "--home", str(home)]
    return subprocess.Popen(
        command,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment() | environment,
        start_new_session=True,
    )


def follow(process: "subprocess.Popen[str]", until: str) -> bool:
    """Reads the lines of a process until one contains the text; returns False if the process ends before."""
    assert process.stdout is not None
    return any(until in line for line in process.stdout)


def finish(process: "subprocess.Popen[str]") -> str:
    """Returns the output of a process after it has succeeded."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def kill(process: "subprocess.Popen[str]") -> None:
    """Kills the whole process group at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def free_port() -> int:
    """Returns a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(store: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs MLflow over a database during the block, and kills it without a grace period."""
    environment = clean_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--backend-store-uri", store],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            assert process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Surfaces(NamedTuple):
    """The addresses of a running user interface."""

    dagster: str
    mlflow: str
    token: str
    process: "subprocess.Popen[str]"
    links: dict[str, str]
    """The pages that `r1 ui` prints in addition to the two addresses, by title."""

    @property
    def welcome(self) -> str:
        """Returns the address that `r1 ui` prints."""
        return f"{self.dagster}/?token={self.token}"


@contextmanager
def user_interface(home: Path, *arguments: str, **environment: str) -> Iterator[Surfaces]:
    """Runs `r1 ui` of the profile `smoke` on free ports during the block."""
    ports = free_port(), free_port()
    places = ("--dagster-port", str(ports[0]), "--mlflow-port", str(ports[1]))
    home.mkdir(exist_ok=True)
    with (home / "ui.log").open("w", encoding="utf-8") as log:
        process = start(home, "ui", "--profile", "smoke", *places, *arguments, output=log, **environment)
    try:
        while "Ctrl-C" not in (said := (home / "ui.log").read_text(encoding="utf-8")):
            assert process.poll() is None, said
            time.sleep(0.1)
        ((dagster, token),) = re.findall(r"Dagster +(\S+)/\?token=(\S+)", said)
        (mlflow,) = re.findall(r"MLflow +(https?://[^/\s]+)", said)
        titles = dict(re.findall(r"^(graph|report|training runs): +(\S+)$", said, re.MULTILINE))
        yield Surfaces(dagster, mlflow, token, process, titles)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(600)
