"""Pages of `r1 ui` besides those of Dagster and MLflow: the report, MLflow's settings, and the links that it prints.

The report lies in the home and is served under Dagster's address; its own policy lets it run no script but its own and
call nobody. MLflow keeps the settings of its pages in the browser; a script in front of its page sets those that a
person has not set: pages for training, no notice about telemetry, and an assistant that stays closed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from dagster_defs.jobs import EVALUATION_GROUPS
from dagster_defs.tracking.experiment import VIEW
from r1_pipeline.evaluation.completions_page import PAGE as COMPLETIONS
from r1_pipeline.graph.node import Graph

REPORT = "report.html"
NO_REPORT = "There is no report in this home yet; r1 run makes it, or Materialize of the asset report.\n"
MLFLOW_SETTINGS: Mapping[str, object] = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}
"""Keys of the browser's storage and their values, as MLflow 3.17 names them; an unknown key changes nothing."""
SETTINGS_SCRIPT = f"""<script>
for (const [key, value] of Object.entries({json.dumps(MLFLOW_SETTINGS)}))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
</script>"""


def serve_report(app: Starlette, folder: Path) -> None:
    """Serves the report and the page of completions of a home below `/report/`."""

    def page(request: Request) -> Response:
        path = folder / (COMPLETIONS if request.path_params["page"] == COMPLETIONS else REPORT)
        return FileResponse(path) if path.is_file() else PlainTextResponse(NO_REPORT, 404)

    app.router.routes.insert(0, Route("/report/{page}", page))


def preset_mlflow(app: Starlette, index: Path) -> None:
    """Serves MLflow's page `index` with the script that sets `MLFLOW_SETTINGS`."""
    text = index.read_text(encoding="utf-8")
    assert "<head>" in text, f"{index} is no page"
    text = text.replace("<head>", f"<head>{SETTINGS_SCRIPT}", 1)

    def page(_: Request) -> HTMLResponse:
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    app.router.routes.insert(0, Route("/", page))


def links(graph: Graph, dagster: str, mlflow: str, token: str, experiment: str, *, external: bool) -> dict[str, str]:
    """Returns the addresses that `r1 ui` prints by what they show.

    `dagster` and `mlflow` are origins, `experiment` is the id of the experiment in MLflow. An `external` server of
    MLflow gets no token.
    """
    view = f"#/experiments/{experiment}/runs?viewStateShareKey={VIEW}"
    return {
        "graph": f"{dagster}{graph_path(graph)}&{urlencode({'token': token})}",
        "report": f"{dagster}/report/{REPORT}?{urlencode({'token': token})}",
        "training runs": f"{mlflow}/{view}" if external else f"{mlflow}/?{urlencode({'token': token})}{view}",
    }


def graph_path(graph: Graph) -> str:
    """Returns the path of Dagster's page of the graph: every group open, without the evaluations, R1-Zero selected."""
    hidden = [group for group in EVALUATION_GROUPS if any(node.group == group for node in graph)]
    query = " and ".join(f'not group:"{group}"' for group in hidden) or "*"
    groups = dict.fromkeys(["sources", *(node.group for node in graph)])
    selected = f"/{quote(graph.cast.zero, safe='')}" if graph.cast else "/"
    opened = ",".join(f"global@global:{group}" for group in groups)
    return f"/asset-groups~{quote(query, safe='')}{selected}?{urlencode({'expanded': opened})}"
