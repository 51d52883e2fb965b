"""Dagster's and MLflow's user interfaces together, on the loopback address only, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time

from rich.console import Console

from dagster_defs.settings import Settings
from dagster_defs.tracking import Tracking
from r1_pipeline.errors import R1Error

HOST = "127.0.0.1"
GRACE = 15.0
"""Seconds that a server gets to end before it is killed."""


def serve(settings: Settings, dagster_port: int, mlflow_port: int, console: Console) -> None:
    """Run both until one ends or Ctrl-C; raises `R1Error` if a server ends by itself."""
    settings.export()
    Tracking.of(settings).connect()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    commands = {
        "Dagster": [
            *("dagster", "dev", "-m", "dagster_defs.definitions", "-h", HOST, "-p", str(dagster_port)),
            *("--log-level", "warning"),
        ],
        "MLflow": [
            *("mlflow", "server", "--host", HOST, "--port", str(mlflow_port), "--workers", "1"),
            *("--backend-store-uri", settings.tracking_uri),
        ],
    }
    servers = {
        name: subprocess.Popen([sys.executable, "-m", *command], start_new_session=True)
        for name, command in commands.items()
    }
    console.print(f"Dagster  http://{HOST}:{dagster_port}\nMLflow   http://{HOST}:{mlflow_port}\nCtrl-C ends both.")
    try:
        while True:
            for name, server in servers.items():
                if server.poll() is not None:
                    raise R1Error(f"the {name} server ended with exit code {server.returncode}; its output says why")
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("ending both servers")
    finally:
        for server in servers.values():
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """The whole process group: both servers have children of their own."""
    for signal_number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        if server.poll() is None:
            os.killpg(server.pid, signal_number)
            try:
                server.wait(patience)
            except subprocess.TimeoutExpired:
                continue
