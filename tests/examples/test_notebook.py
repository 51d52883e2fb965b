"""The notebook that explores a home runs from top to bottom on a real one, and every cell shows what it says."""

import ast
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_defs.runner.run import run
from dagster_defs.settings import Settings

NOTEBOOK = Path(__file__).parents[2] / "examples" / "explore.ipynb"
CELLS = [
    "".join(cell["source"])
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    if cell["cell_type"] == "code"
]


def executed(home: Path) -> tuple[dict[str, Any], list[Any]]:
    """Runs every cell in one namespace, as Jupyter does, and returns the namespace and the value that each shows."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "notebook"}
    shown = []
    for cell in CELLS:
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        if isinstance(last, ast.Expr):
            tree.body.append(ast.Assign([ast.Name("_shown", ast.Store())], last.value))
        exec(compile(ast.fix_missing_locations(tree), "cell", "exec"), names)
        shown.append(names.pop("_shown", None))
    return names, shown


def test_the_notebook_holds_no_output_of_another_home() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
def test_the_notebook_explores_a_finished_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    settings = Settings(tmp_path, "smoke", 0, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        assert run(settings, None, []) is None
    finally:
        os.environ.clear()
        os.environ.update(before)
    monkeypatch.setenv("R1_HOME", str(tmp_path))
    names, shown = executed(tmp_path)
    assert isinstance(shown[0], pl.DataFrame) and "r1_zero" in shown[0]["name"]
    assert shown[1]["rows"].sum() == len(names["rows"]) > 0
    assert {"base", "r1", "distilled/qwen"} <= set(shown[3]["model"])
    assert len(names["plots"][0].lines[0].get_xdata()) == len(names["steps"]) > 0
    assert (names["rollouts"] is not None) == names["kept"]
    said = capsys.readouterr().out
    assert names["rows"]["sample_id"][0] in said
    assert "Apache-2.0" in said
