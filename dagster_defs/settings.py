"""Where a run leaves everything, and what it computes: the only reader of the environment.

    R1_HOME (./.r1)   R1_PROFILE (tiny)   R1_SEED (0)   R1_SOURCES (sources.toml in the home, where there is one)
    R1_RECIPE (recipe.py in the home, where there is one)
    R1_AUTOMATION (`on`: sensors and schedules run from the start)
    MLFLOW_TRACKING_URI (SQLite below the home)   R1_DAGSTER_DB (postgresql://…; SQLite below the home)

The command line sets the same variables, so the user interface and the terminal see one and the same graph.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from r1_pipeline.profiles import Profile

OFFLINE_AND_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "passive",
}
"""Nothing below the graph may reach the network; tokenizer threads must not outlive a fork; and threads that wait must
not spin, which on a shared machine costs several times the work itself."""

MLFLOW_PATH = "/mlflow"
"""Below this path `r1 ui` leads from Dagster's address to MLflow's, whatever their ports are."""

DEVICE = "device"
"""Pool of what loads a model: as many at once as the profile has lanes, which is one on accelerators."""
AUTOMATION = "R1_AUTOMATION"
DAGSTER_DB = "R1_DAGSTER_DB"
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


@dataclass(frozen=True)
class Settings:
    """One home, one profile, one seed."""

    home: Path
    profile: str
    seed: int
    tracking_uri: str
    sources: Path | None = None
    """The user's own sources (`r1_pipeline.data.ingest.declared`); None: the built-in problems alone."""
    recipe: Path | None = None
    """The user's own recipe file (`r1_pipeline.profiles.extended`); None: the package alone."""
    automation: bool = False
    """Whether sensors and schedules run from the start; else they wait to be switched on in the user interface."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """What the environment says, with the defaults above."""
        home = Path(os.environ.get("R1_HOME", ".r1")).resolve()
        return cls(
            home=home,
            profile=os.environ.get("R1_PROFILE", "tiny"),
            seed=int(os.environ.get("R1_SEED", "0")),
            tracking_uri=with_driver(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")),
            sources=_named_or_kept(home, "R1_SOURCES", "sources.toml"),
            recipe=_named_or_kept(home, "R1_RECIPE", "recipe.py"),
            automation=os.environ.get(AUTOMATION) == "on",
        )

    def load(self) -> "Profile":
        """The profile, with the user's sources in it, on this machine (`runtime.toml` in the home, where there is one).

        Raises `UnknownNameError`, `RecipeError` or `SourceError`; fetches what a source names on the Hub and its cache
        lacks, before `export` takes this process offline.
        """
        from r1_pipeline.data.ingest.declared import read_sources
        from r1_pipeline.profiles import load_profile
        from r1_pipeline.profiles.extended import extended
        from r1_pipeline.profiles.runtimes import with_runtime
        from r1_pipeline.profiles.sources import with_sources
        from r1_pipeline.registry import load_file

        if self.recipe:
            load_file(self.recipe)  # it may bring the profile
        profile = load_profile(self.profile, self.seed)
        if (machine := self.home / "runtime.toml").exists():
            profile = with_runtime(profile, machine)
        if self.recipe:
            profile = extended(profile, self.recipe)
        return with_sources(profile, read_sources(self.sources)) if self.sources else profile

    def export(self) -> None:
        """Make this process and its children see these settings, and an instance directory for Dagster."""
        os.environ.update(OFFLINE_AND_QUIET)
        os.environ["R1_HOME"], os.environ["R1_PROFILE"] = str(self.home), self.profile
        os.environ["R1_SEED"], os.environ["MLFLOW_TRACKING_URI"] = str(self.seed), self.tracking_uri
        os.environ["DAGSTER_HOME"] = str(self.dagster_home)
        os.environ["R1_SOURCES"], os.environ["R1_RECIPE"] = str(self.sources or ""), str(self.recipe or "")
        if hub := sys.modules.get("huggingface_hub.constants"):
            vars(hub)["HF_HUB_OFFLINE"] = True  # it read the environment when a source was fetched
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        configuration = self.dagster_home / "dagster.yaml"
        if not configuration.exists() or MARK in configuration.read_text(encoding="utf-8"):
            shared = os.environ.get(DAGSTER_DB)
            if shared:
                os.environ[DAGSTER_DB] = with_driver(shared)
            text = DAGSTER_YAML + (POSTGRES if shared else "")
            configuration.write_text(text, encoding="utf-8")

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

    @property
    def report_directory(self) -> Path:
        """Where the newest report lies."""
        return self.home / "report"


def _named_or_kept(home: Path, variable: str, file: str) -> Path | None:
    """The file that the environment names, or the one that is kept in the home."""
    if named := os.environ.get(variable):
        return Path(named).resolve()
    kept = home / file
    return kept if kept.exists() else None


def with_driver(address: str) -> str:
    """The address with the driver that Dagster brings: SQLAlchemy would take another for plain `postgresql://`."""
    return address.replace("postgresql://", "postgresql+psycopg2://", 1)
