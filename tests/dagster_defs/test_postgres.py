"""Laws of team storage: one variable each makes Dagster and MLflow use PostgreSQL, and `r1 migrate` copies a home.

The tests follow docs/operating.md with a real server of Debian's package `postgresql` on a socket of its own.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance
from dagster._core.definitions.data_version import extract_data_version_from_entry
from homes import smoke_settings
from mlflow import MlflowClient
from processes import finish, start

from dagster_defs.io_manager import blocking_checks, latest_record, passed_checks
from dagster_defs.settings import Settings, with_driver
from dagster_defs.tracking.experiment import EXPERIMENT
from dagster_defs.tracking.stage_runs import TrackingStore

pytestmark = pytest.mark.slow
PASSWORD, KEY = "open-sesame-of-postgres", "open-sesame-of-servers"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def as_server(directory: Path, *command: str) -> None:
    """Runs a command as the user `postgres` if this process is root, since the server refuses root."""
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, capture_output=True, cwd=directory, **user)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Returns the part of an address after the name of the database."""
    if not INSTALLED:
        pytest.skip("PostgreSQL is not installed; apt-get install postgresql")
    binaries, directory = INSTALLED[-1], Path(mkdtemp(prefix="r1-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    data = directory / "data"
    as_server(directory, str(binaries / "initdb"), "-D", str(data), "-U", "r1", "--auth=trust")
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    control = (str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(directory / "log"))
    as_server(directory, *control, "-o", options, "start")
    for name in ("dagster", "mlflow", "dagster_moved", "mlflow_moved"):
        as_server(directory, str(binaries / "createdb"), "-h", str(directory), "-U", "r1", name)
    yield f"?host={directory}"
    as_server(directory, *control, "-m", "immediate", "stop")
    shutil.rmtree(directory)


def test_a_run_leaves_its_records_in_postgresql_and_the_next_one_finds_them(server: str, tmp_path: Path) -> None:
    import psycopg2

    dagster, mlflow = (f"postgresql://r1:{PASSWORD}@/{name}{server}" for name in ("dagster", "mlflow"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    environment |= {"R1_DAGSTER_DB": dagster, "MLFLOW_TRACKING_URI": mlflow, "OPENAI_API_KEY": KEY, "HF_TOKEN": KEY}
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()"]
    arguments = ["run", "--profile", "smoke", "--select", "base,reasoning_problems,r1_zero,heldout_problems"]
    for said in ("8 computed", "0 computed"):
        run = subprocess.run(
            [*command, *arguments, "--home", str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0 and said in run.stdout, run.stdout + run.stderr
    assert not list(tmp_path.glob("**/*.db"))

    def count(address: str, query: str) -> int:
        with psycopg2.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return int(cursor.fetchone()[0])

    assert count(dagster, "select count(*) from asset_keys") >= 4
    assert (
        count(mlflow, "select count(*) from tags where key = 'r1.fingerprint'") == 8
    )  # two models are evaluated for a gate
    assert count(mlflow, "select count(*) from metrics where key = 'loss'") > 0

    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    kept += [dump(address) for address in (dagster, mlflow)]
    assert len(kept) > 50 and b"r1_zero" in kept[-1] and b"r1_zero" in kept[-2]
    assert [text for text in kept if PASSWORD.encode() in text or KEY.encode() in text] == []
    assert PASSWORD not in run.stdout + run.stderr


def dump(address: str) -> bytes:
    """Returns the whole content of a database."""
    return subprocess.run([str(INSTALLED[-1] / "pg_dump"), address], check=True, capture_output=True).stdout


def test_a_tracker_that_fails_is_named_without_its_password() -> None:
    address = f"postgresql+psycopg2://r1:{PASSWORD}@127.0.0.1:1/mlflow"
    assert TrackingStore(address, Path("unused")).display_uri == "postgresql+psycopg2://r1:…@127.0.0.1:1/mlflow"
    assert TrackingStore("sqlite:////home/a:b/mlflow.db", Path("unused")).display_uri == "sqlite:////home/a:b/mlflow.db"


def records(at: Settings) -> dict[str, Any]:
    """Returns the records of a home in Dagster and MLflow, without the numbers assigned by a database."""
    client = MlflowClient(at.tracking_uri, at.tracking_uri)
    tracked = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    with DagsterInstance.from_config(str(at.dagster_home)) as instance:
        runs, log = instance.get_runs(), instance.event_log_storage
        passed = {}
        for key, names in blocking_checks(at.load().graph).items():
            newest = latest_record(instance, key, None)
            passed[key] = passed_checks(instance, key, newest.storage_id, names) if newest else None
        return {
            "runs": {run.run_id: (run.status, run.tags) for run in runs},
            "events": {
                run.run_id: [(e.timestamp, e.step_key, e.user_message) for e in instance.all_logs(run.run_id)]
                for run in runs
            },
            "versions": {key: newest_digest(instance, key) for key in log.all_asset_keys()},
            "gates": passed,
            "metrics": {run.info.run_id: (run.data.metrics, run.data.params) for run in tracked},
            "steps": {
                run.info.run_id: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
                for run in tracked
            },
            "aliases": {model.name: model.aliases for model in client.search_registered_models()},
        }


def newest_digest(instance: DagsterInstance, key: AssetKey) -> str | None:
    event = instance.get_latest_data_version_record(key)
    version = extract_data_version_from_entry(event.event_log_entry) if event else None
    return version.value if version else None


def test_what_a_home_has_is_moved_and_goes_on_there(server: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = smoke_settings(home)
    had = records(before)
    assert had["gates"] and all(had["gates"].values()) and had["aliases"]
    dagster, mlflow = (f"postgresql://r1@/{name}_moved{server}" for name in ("dagster", "mlflow"))
    there = {"R1_DAGSTER_DB": dagster, "MLFLOW_TRACKING_URI": mlflow}
    assert "of MLflow are in PostgreSQL" in finish(start(home, "migrate", **there))
    refused = start(home, "migrate", **there)
    assert "already holds runs" in refused.communicate()[0] and refused.returncode

    for name, value in there.items():
        monkeypatch.setenv(name, value)
    after = replace(before, tracking_uri=with_driver(mlflow))
    after.export()
    assert records(after) == had
    assert "0 computed" in finish(start(home, "run", "--profile", "smoke", **there))
    seeded = ("run", "--profile", "smoke", "--seed", "1", "--select", "base")
    assert "1 computed" in finish(start(home, *seeded, **there))
    now = records(after)
    assert set(now["runs"]) > set(had["runs"]) and len(now["metrics"]) == len(had["metrics"]) + 2
