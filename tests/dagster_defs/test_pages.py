"""Laws of the pages of `r1 ui` besides those of Dagster and MLflow: the report, presets, links, the first question."""

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dagster_defs.cli import app as commands
from dagster_defs.web.pages import MLFLOW_SETTINGS, graph_path, links, preset_mlflow, serve_report
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1


def test_the_report_is_served_and_nothing_else_of_the_home(tmp_path: Path) -> None:
    app, folder = Starlette(), tmp_path / "report"
    serve_report(app, folder)
    client = TestClient(app)
    missing = client.get("/report/report.html")
    assert (missing.status_code, "r1 run" in missing.text) == (404, True)
    folder.mkdir()
    (folder / "report.html").write_text("the report")
    (folder / "completions.html").write_text("the completions")
    (folder / "report.json").write_text("{}")
    assert client.get("/report/completions.html").text == "the completions"
    for name in ("report.html", "report.json", "..%2fhome.json", "x"):
        assert client.get(f"/report/{name}").text in ("the report", "Not Found")


def test_mlflow_opens_with_what_a_person_has_not_set_before_any_script_of_its_own(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text('<html><head><script src="main.js"></script></head></html>')
    app = Starlette()
    preset_mlflow(app, index)
    page = TestClient(app).get("/").text
    assert page.index("localStorage.getItem(key) === null") < page.index("main.js")
    assert all(f'"{key}"' in page for key in MLFLOW_SETTINGS)


def test_mlflow_still_has_the_keys_that_are_set() -> None:
    found = find_spec("mlflow")
    assert found is not None and found.origin is not None
    scripts = Path(found.origin).parent / "server/js/build/static/js"
    (main,) = scripts.glob("main.*.js")
    text = main.read_text(encoding="utf-8")
    for key in MLFLOW_SETTINGS:
        assert f'"{key.removesuffix("_v1")}"' in text, key
    assert "mlflow.sharedViewState." in text


def test_the_links_lead_to_the_graph_the_report_and_the_training_runs_with_the_token() -> None:
    found = links(DEEPSEEK_R1, "http://127.0.0.1:3000", "http://127.0.0.1:5000", "abc", "1", external=False)
    assert set(found) == {"graph", "report", "training runs"}
    assert all(parse_qs(urlsplit(link).query)["token"] == ["abc"] for link in found.values())
    assert found["report"].startswith("http://127.0.0.1:3000/report/report.html?")
    assert urlsplit(found["training runs"]).fragment == "/experiments/1/runs?viewStateShareKey=r1-training"
    elsewhere = links(DEEPSEEK_R1, "http://127.0.0.1:3000", "https://tracking.example.org", "abc", "1", external=True)
    assert "abc" not in elsewhere["training runs"]


def test_the_graph_opens_every_group_and_selects_r1_zero() -> None:
    address = urlsplit(graph_path(DEEPSEEK_R1))
    place = unquote(address.path)
    assert place == '/asset-groups~not group:"answers" and not group:"evaluation"/r1_zero'
    opened = parse_qs(address.query)["expanded"][0].split(",")
    assert opened[0] == "global@global:sources"
    assert {f"global@global:{node.group}" for node in DEEPSEEK_R1} <= set(opened)


def test_automation_does_not_build_everything_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R1_HOME", raising=False)
    arguments = ["ui", "--automation", "--profile", "smoke", "--home", str(tmp_path / "home")]
    refused = CliRunner().invoke(commands, arguments)
    assert refused.exit_code == 1
    said = re.sub(r"\s+", " ", refused.output)
    assert "is empty: automation builds the whole graph of smoke" in said
    assert "add --yes to agree" in said
