"""The two web servers of `r1 ui`, each behind the guard; the token is in `R1_UI_TOKEN`.

    python -m dagster_defs.webserver HOST PORT dagster WORKSPACE MLFLOW
    python -m dagster_defs.webserver HOST PORT mlflow

`MLFLOW` is the address of MLflow's pages: links in Dagster name a path of its server, which leads there. Where MLflow's
records are is in the environment: on a command line everybody on the machine could read the password.
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

from dagster_defs.guard import LOOPBACK, TOKEN, Guard
from dagster_defs.settings import MLFLOW_PATH, Settings


def hosts(host: str, port: int) -> frozenset[str]:
    """What a browser may call this address."""
    return frozenset(f"{name}:{port}" for name in ({host, "localhost"} if host == LOOPBACK else {host}))


def serve_dagster(host: str, port: int, workspace: str, mlflow: str) -> None:
    """Until a signal; the file `workspace` says where the code server listens."""
    target = WorkspaceFileTarget(paths=[workspace])
    with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as context:
        app = create_app_from_workspace_process_context(context)
        lead_to(mlflow, app)
        _serve(app, host, port)


def serve_mlflow(host: str, port: int) -> None:
    """Until a signal. Its own middleware lets every page of this machine write; the guard does not."""
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    settings = Settings.from_environment()
    os.environ[BACKEND_STORE_URI_ENV_VAR] = settings.tracking_uri
    os.environ[ARTIFACT_ROOT_ENV_VAR] = (settings.home / "mlflow-artifacts").as_uri()
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(sorted(hosts(host, port)))
    from mlflow.server.fastapi_app import app

    _serve(app, host, port)


def lead_to(mlflow: str, app: Starlette) -> None:
    """Redirect what lies below `MLFLOW_PATH` to the page of that name at the address `mlflow`."""

    def page(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{mlflow}/#/{quote(request.path_params['page'])}")

    app.router.routes.insert(0, Route(f"{MLFLOW_PATH}/{{page:path}}", page))


def _serve(app: object, host: str, port: int) -> None:
    guarded = Guard(cast(Any, app), hosts(host, port), os.environ[TOKEN])
    uvicorn.run(cast(Any, guarded), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    _, at, on, which, *rest = sys.argv
    if which == "dagster":
        serve_dagster(at, int(on), *rest)
    else:
        serve_mlflow(at, int(on))
