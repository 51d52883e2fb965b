"""Serves the user interfaces of Dagster and MLflow together until Ctrl-C, on the loopback address by default.

Both web servers require the token (`auth_middleware`), and work behind a reverse proxy whose public origins are given.
Dagster's code server listens on a socket that only this user can open. If an external tracking server is configured, it
is used and no MLflow server is started.
"""

import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

from dagster_defs.execution.dead_runs import reap_dead_runs, set_device_slots
from dagster_defs.runner.worker_pool import terminate_with_parent
from dagster_defs.settings import AUTOMATION, Settings
from dagster_defs.staleness.source_sensor import CODE_SOCKET
from dagster_defs.tracking.stage_runs import TrackingStore
from dagster_defs.web.addresses import Address
from dagster_defs.web.auth_middleware import TOKEN
from dagster_defs.web.pages import links
from dagster_defs.web.token_file import kept_token
from r1_pipeline.errors import R1Error

WORKSPACE = """\
load_from:
  - grpc_server: {{socket: {socket}, location_name: r1_pipeline}}
"""
CODE_SERVER = "Dagster code"
STOP_TIMEOUT_S = 15.0
"""Seconds that a server has to stop before it is killed."""
EXPOSED_WARNING = (
    "r1 ui listens on {host}: anyone who reaches it with the token can start runs as you. Put a reverse proxy with "
    "TLS and a login in front (docs/operating.md), give viewers a dagster-webserver --read-only of their own, and let "
    "a team share an mlflow server --app-name basic-auth through MLFLOW_TRACKING_URI."
)
ORIGINS_INCOMPLETE = (
    "Dagster's pages link to MLflow's, so both need a public origin or neither; give --dagster-origin and "
    "--mlflow-origin, two different ones"
)
EXTERNAL_MLFLOW = "MLflow is the external server {server}, which r1 ui does not start; remove --mlflow-origin"


def serve(
    settings: Settings,
    dagster: Address,
    mlflow: Address,
    *,
    automation: bool,
    rotate_token: bool,
    show: bool,
    console: Console,
) -> None:
    """Runs all servers until one ends, or until Ctrl-C or SIGTERM; raises `R1Error` if a server ends by itself."""
    check_origins(settings, dagster, mlflow)
    listening = (dagster,) if settings.tracking_server else (dagster, mlflow)
    if len({address.port for address in listening}) < len(listening):
        raise R1Error(f"both servers would use port {dagster.port}; choose another --mlflow-port")
    for address in listening:
        address.require_free()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.export()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ[TOKEN] = kept_token(settings.home, renew=rotate_token)
    os.environ[AUTOMATION] = "on" if automation else "off"
    tracking = TrackingStore.of(settings)
    with tracking.required():
        tracking.connect()
    reap_dead_runs(settings)
    set_device_slots(settings, settings.load().runtime.lanes)
    if dagster.is_exposed:
        console.print(EXPOSED_WARNING.format(host=dagster.host), highlight=False)
    code, workspace = Path(mkdtemp(prefix="r1-")) / "code", settings.dagster_home / "ui-workspace.yaml"
    os.environ[CODE_SOCKET] = str(code)
    workspace.write_text(WORKSPACE.format(socket=code), encoding="utf-8")
    servers: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in server_commands(settings, dagster, mlflow, code, workspace).items():
            servers[name] = subprocess.Popen(
                [sys.executable, "-m", *command], start_new_session=True, preexec_fn=terminate_with_parent
            )
            while name == CODE_SERVER and not code.exists():
                _require_running(servers)
        while not all(address.answers() for address in listening):
            _require_running(servers)
        _announce(settings, dagster, mlflow, tracking.experiment, show, console)
        while True:
            _require_running(servers)
    except KeyboardInterrupt:
        console.print("stopping all servers")
    finally:
        for server in reversed(servers.values()):  # clients stop before their servers
            _stop(server)


def _announce(
    settings: Settings, dagster: Address, mlflow: Address, experiment: str, show: bool, console: Console
) -> None:
    """Prints the addresses of both servers and of the pages that people want first; opens the graph if `show`."""
    token, external = os.environ[TOKEN], settings.tracking_server
    shown = links(
        settings.load().graph, dagster.origins[0], external or mlflow.origins[0], token, experiment,
        external=external is not None,
    )  # fmt: skip
    lines = [
        f"Dagster  {dagster.origins[0]}/?token={token}",
        f"MLflow   {external or f'{mlflow.origins[0]}/?token={token}'}",
        *(f"{title + ':':<15}{link}" for title, link in shown.items()),
        "Press Ctrl-C to stop both.",
    ]
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
    if show and not webbrowser.open(shown["graph"]):
        console.print("no web browser could be started; open one of the addresses", highlight=False)


def check_origins(settings: Settings, dagster: Address, mlflow: Address) -> None:
    """Raises `R1Error` if links from Dagster's pages to MLflow's pages cannot work through the proxy."""
    if settings.tracking_server:
        if mlflow.public:
            raise R1Error(EXTERNAL_MLFLOW.format(server=settings.tracking_server))
    elif (dagster.public or mlflow.public) and (
        dagster.public == mlflow.public or not (dagster.public and mlflow.public)
    ):
        raise R1Error(ORIGINS_INCOMPLETE)


def server_commands(
    settings: Settings, dagster: Address, mlflow: Address, code: Path, workspace: Path
) -> dict[str, tuple[str, ...]]:
    """Returns module and arguments of each server, in order of start."""
    arguments = {each: (each.host, str(each.port), ",".join(each.origins)) for each in (dagster, mlflow)}
    pages = [settings.tracking_server] * len(dagster.origins) if settings.tracking_server else mlflow.origins
    mlflow_server = (
        {} if settings.tracking_server else {"MLflow": ("dagster_defs.web.webserver", *arguments[mlflow], "mlflow")}
    )
    return mlflow_server | {
        CODE_SERVER: (
            "dagster", "code-server", "start", "-m", "dagster_defs.definitions", "--socket", str(code),
            "--log-level", "warning", "--use-python-environment-entry-point",
        ),
        "Dagster web": ("dagster_defs.web.webserver", *arguments[dagster], "dagster", str(workspace), ",".join(pages)),
        "Dagster daemon": ("dagster._daemon", "run", "-w", str(workspace), "--log-level", "error"),
    }  # fmt: skip


def _require_running(servers: Mapping[str, "subprocess.Popen[bytes]"]) -> None:
    """Raises `R1Error` if a server has ended, and otherwise pauses for a moment."""
    for name, server in servers.items():
        if server.poll() is not None:
            raise R1Error(f"the {name} server ended with exit code {server.returncode}; see its output above")
    time.sleep(0.1)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Ends the process group of a server, since servers have children of their own."""
    for signal_number, patience in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        if server.poll() is None:
            os.killpg(server.pid, signal_number)
            try:
                server.wait(patience)
            except subprocess.TimeoutExpired:
                continue
