"""The law of team storage: with one variable each, Dagster and MLflow keep their records in PostgreSQL.

A real server of Debian's package `postgresql`, started here on a socket of its own.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

pytestmark = pytest.mark.slow
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def as_server(directory: Path, *command: str) -> None:
    """Run as the user `postgres` where this is root: the server refuses root."""
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, capture_output=True, cwd=directory, **user)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The part of an address after the data base's name."""
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
    for name in ("dagster", "mlflow"):
        as_server(directory, str(binaries / "createdb"), "-h", str(directory), "-U", "r1", name)
    yield f"?host={directory}"
    as_server(directory, *control, "-m", "immediate", "stop")
    shutil.rmtree(directory)


def test_a_run_leaves_its_records_in_postgresql_and_the_next_one_finds_them(server: str, tmp_path: Path) -> None:
    import psycopg2

    dagster, mlflow = (f"postgresql://r1@/{name}{server}" for name in ("dagster", "mlflow"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    environment |= {"R1_DAGSTER_DB": dagster, "MLFLOW_TRACKING_URI": mlflow}
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
