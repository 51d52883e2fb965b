"""The guarded webserver: `python -m dagster_defs.webserver HOST PORT WORKSPACE`, token in `R1_UI_TOKEN`."""

import os
import sys
from typing import Any, cast

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from dagster_defs.guard import Guard

TOKEN = "R1_UI_TOKEN"


def main(host: str, port: int, workspace: str) -> None:
    """Serve until a signal; the file `workspace` says where the code server listens."""
    names = {host, "127.0.0.1", "localhost"} if host == "127.0.0.1" else {host}
    hosts = frozenset(f"{name}:{port}" for name in names)
    target = WorkspaceFileTarget(paths=[workspace])
    with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as context:
        app = create_app_from_workspace_process_context(context)
        guarded = Guard(cast(Any, app), hosts, os.environ[TOKEN])
        uvicorn.run(cast(Any, guarded), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
