"""Settings of a home under Dagster: where Dagster and MLflow keep their records, in addition to `r1_pipeline.home`.

    R1_AUTOMATION (`on`: sensors and schedules run from the start)
    MLFLOW_TRACKING_URI (SQLite below the home)   R1_DAGSTER_DB (postgresql://…; SQLite below the home)
    R1_TRACED_ROLLOUTS (10: traces in MLflow of every model that is reinforced)
    R1_TRACED_COMPLETIONS (3: traces in MLflow of every evaluation)

Only this module and `r1_pipeline.home` read settings from the environment.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.home import HomeSettings, require_writable

QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables that switch off the telemetry of Dagster and MLflow, and the printing of links."""

MLFLOW_PATH = "/mlflow"
"""Path on Dagster's address that `r1 ui` redirects to MLflow's address, independently of their ports."""

DEVICE = "device"
"""Pool of the stages that load a model; its size is the number of workers of the profile, which is one on accelerators.
"""
AUTOMATION = "R1_AUTOMATION"
DAGSTER_DB = "R1_DAGSTER_DB"
TRACED, DEFAULT_TRACED = "R1_TRACED_ROLLOUTS", 10
TRACED_COMPLETIONS, DEFAULT_TRACED_COMPLETIONS = "R1_TRACED_COMPLETIONS", 3
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
    """One home, profile and seed, and where the records are kept."""

    tracking_uri: str
    traced_rollouts: int = DEFAULT_TRACED
    """The number of rollouts of every reinforced model that MLflow gets as traces."""
    traced_completions: int = DEFAULT_TRACED_COMPLETIONS
    """The number of completions of every evaluation that MLflow gets as traces."""
    automation: bool = False
    """True if sensors and schedules run from the start; otherwise a user switches them on in the user interface."""

    @classmethod
    def _read(cls, home: Path) -> dict[str, Any]:
        return super()._read(home) | {
            "tracking_uri": with_driver(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")),
            "traced_rollouts": _count(TRACED, DEFAULT_TRACED),
            "traced_completions": _count(TRACED_COMPLETIONS, DEFAULT_TRACED_COMPLETIONS),
            "automation": os.environ.get(AUTOMATION) == "on",
        }

    def announce(self) -> None:
        """Exports these settings to the environment of this process and its children; writes nothing."""
        super().announce()
        os.environ.update(QUIET)
        os.environ[TRACED] = str(self.traced_rollouts)
        os.environ[TRACED_COMPLETIONS] = str(self.traced_completions)
        os.environ["MLFLOW_TRACKING_URI"], os.environ["DAGSTER_HOME"] = self.tracking_uri, str(self.dagster_home)
        if shared := os.environ.get(DAGSTER_DB):
            os.environ[DAGSTER_DB] = with_driver(shared)

    def export(self) -> None:
        """Exports these settings and creates the instance directory of Dagster.

        Raises `RequirementError` if the home cannot be written.
        """
        self.announce()
        require_writable(self.home)
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        (self.dagster_home / CONFIGURATION).write_text(self.configuration, encoding="utf-8")

    @property
    def configuration(self) -> str:
        """The text of `dagster.yaml`: the default one, unless a user has written another."""
        file = self.dagster_home / CONFIGURATION
        content = file.read_text(encoding="utf-8") if file.exists() else MARK
        return content if MARK not in content else DAGSTER_YAML + (POSTGRES if os.environ.get(DAGSTER_DB) else "")

    @property
    def tracking_server(self) -> str | None:
        """The address of an external MLflow server, or None if the records lie in a database that `r1 ui` serves."""
        return self.tracking_uri.rstrip("/") if self.tracking_uri.startswith(("http://", "https://")) else None

    def mlflow_link(self, run_id: str) -> str:
        """Returns the link from a Dagster page to an MLflow run."""
        return f"{self.tracking_server}/#/runs/{run_id}" if self.tracking_server else f"{MLFLOW_PATH}/runs/{run_id}"

    @property
    def dagster_home(self) -> Path:
        """Directory of Dagster's run history and event log."""
        return self.home / "dagster"


def _count(name: str, default: int) -> int:
    """Returns the whole number in an environment variable; raises `RecipeError` for anything else."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise RecipeError(f"{name} is {text!r}; set it to a whole number, for example {default}")
    return int(text)


def with_driver(address: str) -> str:
    """Returns the address with the driver that Dagster depends on, since SQLAlchemy picks another for `postgresql://`."""
    return address.replace("postgresql://", "postgresql+psycopg2://", 1)
