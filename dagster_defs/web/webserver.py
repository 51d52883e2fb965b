"""The two web servers of `r1 ui`, each behind the guard; the token is in `R1_UI_TOKEN`.

    python -m dagster_defs.web.webserver HOST PORT ORIGINS dagster WORKSPACE PAGES
    python -m dagster_defs.web.webserver HOST PORT ORIGINS mlflow

`ORIGINS` are what browsers may call the server by, with commas between them; `PAGES`, for each of them, the address of
MLflow's pages: links in Dagster name a path of its server, which leads there. Where MLflow's records are is in the
environment: on a command line everybody on the machine could read the password.
"""

import os
import sys
from collections.abc import Mapping, Sequence
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


def serve_dagster(host: str, port: int, origins: Sequence[str], workspace: str, pages: Sequence[str]) -> None:
    """Until a signal; the file `workspace` says where the code server listens."""
    with DagsterInstance.get() as instance, web_application(instance, workspace) as app:
        redirect_to_mlflow(dict(zip(origins, pages, strict=True)), app)
        _serve(app, host, port, origins)


def serve_mlflow(host: str, port: int, origins: Sequence[str]) -> None:
    """Until a signal. Its own middleware lets every page of this machine write; the guard does not."""
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(origin.partition("://")[2] for origin in origins)
    os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(origins)
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR  # reads the two variables above

    settings = Settings.from_environment()
    os.environ[BACKEND_STORE_URI_ENV_VAR] = settings.tracking_uri
    os.environ[ARTIFACT_ROOT_ENV_VAR] = (settings.home / "mlflow-artifacts").as_uri()
    from mlflow.server.fastapi_app import app

    _serve(app, host, port, origins)


def redirect_to_mlflow(pages: Mapping[str, str], app: Starlette) -> None:
    """Redirect what lies below `MLFLOW_PATH` to the page of that name, as seen from the origin that was called."""

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
