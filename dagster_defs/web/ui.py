"""Dagster's and MLflow's user interfaces together, on the loopback address unless told otherwise, until Ctrl-C.

Both web servers stand behind the guard, and behind a reverse proxy where their public origins are named. Dagster's code
server listens on a socket that only this user can open. Where a tracking server is named, that one is MLflow and none
is started.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

from dagster_defs.execution.reconcile import limit_devices, reconcile
from dagster_defs.running.lanes import end_with_parent
from dagster_defs.settings import AUTOMATION, Settings
from dagster_defs.staleness.watch import CODE_SOCKET
from dagster_defs.tracking.stage_runs import Tracking
from dagster_defs.web.addresses import Address
from dagster_defs.web.guard import TOKEN
from r1_pipeline.errors import R1Error

WORKSPACE = """\
load_from:
  - grpc_server: {{socket: {socket}, location_name: r1_pipeline}}
"""
CODE = "Dagster code"
GRACE = 15.0
"""Seconds that a server gets to end before it is killed."""
EXPOSED = (
    "r1 ui listens on {host}: anybody who reaches it with the token can start runs as you. Put a reverse proxy with "
    "TLS and a login in front (docs/operating.md), give viewers a dagster-webserver --read-only of their own, and let "
    "a team share an mlflow server --app-name basic-auth by MLFLOW_TRACKING_URI."
)
INCOMPLETE = (
    "pages of Dagster link to MLflow, and both are seen through the proxy or neither; name --dagster-origin and "
    "--mlflow-origin, two that differ"
)
NOT_OURS = "MLflow is the server at {server}, which r1 ui does not start; leave --mlflow-origin out"


def serve(settings: Settings, dagster: Address, mlflow: Address, *, automation: bool, console: Console) -> None:
    """Run all servers until one ends, Ctrl-C or SIGTERM; raises `R1Error` if one ends by itself."""
    check_origins(settings, dagster, mlflow)
    ours = (dagster,) if settings.tracking_server else (dagster, mlflow)
    if len({address.port for address in ours}) < len(ours):
        raise R1Error(f"both servers would listen on port {dagster.port}; name another --mlflow-port")
    for address in ours:
        address.require_free()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.export()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ[TOKEN] = secrets.token_urlsafe(24)
    os.environ[AUTOMATION] = "on" if automation else "off"
    tracking = Tracking.of(settings)
    with tracking.required():
        tracking.connect()
    reconcile(settings)
    limit_devices(settings, settings.load().runtime.lanes)
    if dagster.is_open:
        console.print(EXPOSED.format(host=dagster.host), highlight=False)
    code, workspace = Path(mkdtemp(prefix="r1-")) / "code", settings.dagster_home / "ui-workspace.yaml"
    os.environ[CODE_SOCKET] = str(code)
    workspace.write_text(WORKSPACE.format(socket=code), encoding="utf-8")
    servers: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands(settings, dagster, mlflow, code, workspace).items():
            servers[name] = subprocess.Popen(
                [sys.executable, "-m", *command], start_new_session=True, preexec_fn=end_with_parent
            )
            while name == CODE and not code.exists():
                _check(servers)
        while not all(address.answers() for address in ours):
            _check(servers)
        token = f"/?token={os.environ[TOKEN]}"
        pages = settings.tracking_server or f"{mlflow.origins[0]}{token}"
        console.print(
            f"Dagster  {dagster.origins[0]}{token}\nMLflow   {pages}\nCtrl-C ends both.",
            soft_wrap=True,
            highlight=False,
        )
        while True:
            _check(servers)
    except KeyboardInterrupt:
        console.print("ending all servers")
    finally:
        for server in reversed(servers.values()):  # a server that asks another ends before it
            _end(server)


def check_origins(settings: Settings, dagster: Address, mlflow: Address) -> None:
    """Raise `R1Error` where links from Dagster's pages to MLflow's could not work through the proxy."""
    if settings.tracking_server:
        if mlflow.public:
            raise R1Error(NOT_OURS.format(server=settings.tracking_server))
    elif (dagster.public or mlflow.public) and (
        dagster.public == mlflow.public or not (dagster.public and mlflow.public)
    ):
        raise R1Error(INCOMPLETE)


def commands(
    settings: Settings, dagster: Address, mlflow: Address, code: Path, workspace: Path
) -> dict[str, tuple[str, ...]]:
    """Module and arguments of each server, in the order of starting."""
    at = {each: (each.host, str(each.port), ",".join(each.origins)) for each in (dagster, mlflow)}
    pages = [settings.tracking_server] * len(dagster.origins) if settings.tracking_server else mlflow.origins
    own = {} if settings.tracking_server else {"MLflow": ("dagster_defs.web.webserver", *at[mlflow], "mlflow")}
    return own | {
        CODE: (
            "dagster", "code-server", "start", "-m", "dagster_defs.definitions", "--socket", str(code),
            "--log-level", "warning", "--use-python-environment-entry-point",
        ),
        "Dagster web": ("dagster_defs.web.webserver", *at[dagster], "dagster", str(workspace), ",".join(pages)),
        "Dagster daemon": ("dagster._daemon", "run", "-w", str(workspace), "--log-level", "error"),
    }  # fmt: skip


def _check(servers: Mapping[str, "subprocess.Popen[bytes]"]) -> None:
    """Look whether all are running still, and wait a moment."""
    for name, server in servers.items():
        if server.poll() is not None:
            raise R1Error(f"the {name} server ended with exit code {server.returncode}; its output says why")
    time.sleep(0.1)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """The whole process group: servers have children of their own."""
    for signal_number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        if server.poll() is None:
            os.killpg(server.pid, signal_number)
            try:
                server.wait(patience)
            except subprocess.TimeoutExpired:
                continue
