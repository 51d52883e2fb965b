"""The law of a process's first stage: the MLflow client is imported before the tracker's time limit starts."""

import subprocess
import sys
from pathlib import Path

BEGIN = """
import sys, threading
from importlib.abc import MetaPathFinder
from pathlib import Path
from dagster_defs.tracking.stage_runs import MLflowObserver, TrackingStore

importers = []

class Watch(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("mlflow", "mlflow.store.tracking.sqlalchemy_store"):
            importers.append((name, threading.current_thread() is threading.main_thread()))

sys.meta_path.insert(0, Watch())
home = Path(sys.argv[1])
stage = MLflowObserver(TrackingStore(f"sqlite:///{home / 'mlflow.db'}", home / "mlflow-artifacts"), "run", {}, print)
stage.began("base", "f" * 64, {}, {}, home / "metrics.jsonl")
(home / "metrics.jsonl").touch()
stage.failed("base", ValueError("enough"))
assert importers == [("mlflow", True), ("mlflow.store.tracking.sqlalchemy_store", True)], importers
"""


def test_imports_are_made_by_the_stage_and_not_in_the_time_that_the_tracker_is_given(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
