"""A home under Dagster: where its records and MLflow's lie, beside what is computed (`r1_pipeline.home`).

    R1_AUTOMATION (`on`: sensors and schedules run from the start)
    MLFLOW_TRACKING_URI (SQLite below the home)   R1_DAGSTER_DB (postgresql://…; SQLite below the home)

Together with `r1_pipeline.home` the only reader of the environment's settings.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1_pipeline.home import HomeSettings, require_writable

QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Neither program reports to anybody, or prints more than it is asked for."""

MLFLOW_PATH = "/mlflow"
"""Below this path `r1 ui` leads from Dagster's address to MLflow's, whatever their ports are."""

DEVICE = "device"
"""Pool of what loads a model: as many at once as the profile has lanes, which is one on accelerators."""
AUTOMATION = "R1_AUTOMATION"
DAGSTER_DB = "R1_DAGSTER_DB"
CONFIGURATION = "dagster.yaml"
MARK = "# written by r1; without this line it stays as it is"
DAGSTER_YAML = f"""\
{MARK}
telemetry: {{enabled: false}}
nux: {{enabled: false}}
concurrency: {{pools: {{default_limit: 1, granularity: op}}}}
freshness: {{enabled: true}}
run_monitoring: {{enabled: true, poll_interval_seconds: 30, free_slots_after_run_end_seconds: 60}}
run_retries: {{enabled: true, max_retries: 1, retry_on_asset_or_op_failure: false}}
"""
POSTGRES = f"storage: {{postgres: {{postgres_url: {{env: {DAGSTER_DB}}}}}}}\n"


@dataclass(frozen=True, kw_only=True)
class Settings(HomeSettings):
    """One home, one profile, one seed, and who keeps the records."""

    tracking_uri: str
    automation: bool = False
    """Whether sensors and schedules run from the start; else they wait to be switched on in the user interface."""

    @classmethod
    def _read(cls, home: Path) -> dict[str, Any]:
        return super()._read(home) | {
            "tracking_uri": with_driver(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")),
            "automation": os.environ.get(AUTOMATION) == "on",
        }

    def announce(self) -> None:
        """Make this process and its children see these settings; writes nothing."""
        super().announce()
        os.environ.update(QUIET)
        os.environ["MLFLOW_TRACKING_URI"], os.environ["DAGSTER_HOME"] = self.tracking_uri, str(self.dagster_home)
        if shared := os.environ.get(DAGSTER_DB):
            os.environ[DAGSTER_DB] = with_driver(shared)

    def export(self) -> None:
        """`announce`, and make an instance directory for Dagster; raises `RequirementError` where that cannot be."""
        self.announce()
        require_writable(self.home)
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        (self.dagster_home / CONFIGURATION).write_text(self.configuration, encoding="utf-8")

    @property
    def configuration(self) -> str:
        """What `dagster.yaml` holds: ours, unless somebody has written another."""
        file = self.dagster_home / CONFIGURATION
        content = file.read_text(encoding="utf-8") if file.exists() else MARK
        return content if MARK not in content else DAGSTER_YAML + (POSTGRES if os.environ.get(DAGSTER_DB) else "")

    @property
    def tracking_server(self) -> str | None:
        """Address of the MLflow server that is named; None where records lie in a data base, which `r1 ui` serves."""
        return self.tracking_uri.rstrip("/") if self.tracking_uri.startswith(("http://", "https://")) else None

    def mlflow_link(self, run_id: str) -> str:
        """From a page of Dagster to an MLflow run."""
        return f"{self.tracking_server}/#/runs/{run_id}" if self.tracking_server else f"{MLFLOW_PATH}/runs/{run_id}"

    @property
    def dagster_home(self) -> Path:
        """Run history and event log of Dagster."""
        return self.home / "dagster"


def with_driver(address: str) -> str:
    """The address with the driver that Dagster brings: SQLAlchemy would take another for plain `postgresql://`."""
    return address.replace("postgresql://", "postgresql+psycopg2://", 1)
