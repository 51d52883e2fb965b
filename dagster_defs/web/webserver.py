"""Runs one of the two web servers of `r1 ui` behind the auth middleware; the token is in `R1_UI_TOKEN`.

    python -m dagster_defs.web.webserver HOST PORT ORIGINS dagster WORKSPACE PAGES
    python -m dagster_defs.web.webserver HOST PORT ORIGINS mlflow

`ORIGINS` are the allowed origins of the server, separated by commas. `PAGES` is the address of MLflow for each of them;
links in Dagster name a path of its own server, which redirects there. The address of MLflow's records comes from the
environment, since any user of the machine could read a password on a command line.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import uvicorn
from dagster import DagsterInstance
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from dagster_defs.dagster_private import web_application
from dagster_defs.settings import MLFLOW_PATH, Settings
from dagster_defs.web.auth_middleware import TOKEN, AuthMiddleware
from dagster_defs.web.pages import preset_mlflow, serve_report


def serve_dagster(host: str, port: int, origins: Sequence[str], workspace: str, pages: Sequence[str]) -> None:
    """Serves Dagster until a signal; the file `workspace` names the socket of the code server."""
    with DagsterInstance.get() as instance, web_application(instance, workspace) as app:
        redirect_to_mlflow(dict(zip(origins, pages, strict=True)), app)
        serve_report(app, Settings.from_environment().report_directory)
        _serve(app, host, port, origins)


def serve_mlflow(host: str, port: int, origins: Sequence[str]) -> None:
    """Serves MLflow until a signal.

    MLflow's own middleware would let every page of this machine write; the auth middleware does not.
    """
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(origin.partition("://")[2] for origin in origins)
    os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(origins)
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR  # the import reads both variables

    settings = Settings.from_environment()
    os.environ[BACKEND_STORE_URI_ENV_VAR] = settings.tracking_uri
    os.environ[ARTIFACT_ROOT_ENV_VAR] = (settings.home / "mlflow-artifacts").as_uri()
    import mlflow.server
    from mlflow.server.fastapi_app import app

    preset_mlflow(app, Path(mlflow.server.app.static_folder) / "index.html")
    _serve(app, host, port, origins)


def redirect_to_mlflow(pages: Mapping[str, str], app: Starlette) -> None:
    """Redirects paths below `MLFLOW_PATH` to the same page of MLflow, according to the origin of the request."""

    def page(request: Request) -> RedirectResponse:
        mlflow = pages[f"{request.url.scheme}://{request.url.netloc}"]
        return RedirectResponse(f"{mlflow}/#/{quote(request.path_params['page'])}")

    app.router.routes.insert(0, Route(f"{MLFLOW_PATH}/{{page:path}}", page))


def _serve(app: object, host: str, port: int, origins: Sequence[str]) -> None:
    guarded = AuthMiddleware(cast(Any, app), origins, os.environ[TOKEN])
    uvicorn.run(cast(Any, guarded), host=host, port=port, log_level="warning", proxy_headers=False)


if __name__ == "__main__":
    _, host, port, origins, server, *rest = sys.argv
    if server == "dagster":
        serve_dagster(host, int(port), origins.split(","), rest[0], rest[1].split(","))
    else:
        serve_mlflow(host, int(port), origins.split(","))
