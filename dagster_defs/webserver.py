"""The guarded webserver: `python -m dagster_defs.webserver HOST PORT WORKSPACE MLFLOW`, token in `R1_UI_TOKEN`.

`MLFLOW` is the address of MLflow's pages: links in Dagster name a path of this server, which leads there.
"""

import os
import sys
from typing import Any, cast
from urllib.parse import quote

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from dagster_defs.guard import Guard
from dagster_defs.settings import MLFLOW_PATH

TOKEN = "R1_UI_TOKEN"


def main(host: str, port: int, workspace: str, mlflow: str) -> None:
    """Serve until a signal; the file `workspace` says where the code server listens."""
    names = {host, "127.0.0.1", "localhost"} if host == "127.0.0.1" else {host}
    hosts = frozenset(f"{name}:{port}" for name in names)
    target = WorkspaceFileTarget(paths=[workspace])
    with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as context:
        app = create_app_from_workspace_process_context(context)
        lead_to(mlflow, app)
        guarded = Guard(cast(Any, app), hosts, os.environ[TOKEN])
        uvicorn.run(cast(Any, guarded), host=host, port=port, log_level="warning")


def lead_to(mlflow: str, app: Starlette) -> None:
    """Redirect what lies below `MLFLOW_PATH` to the page of that name at the address `mlflow`."""

    def page(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{mlflow}/#/{quote(request.path_params['page'])}")

    app.router.routes.insert(0, Route(f"{MLFLOW_PATH}/{{page:path}}", page))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
