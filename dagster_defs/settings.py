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

from r1_pipeline.artifacts.manifest import MARKER, check_marker
from r1_pipeline.errors import RecipeError, RequirementError, did_you_mean

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
CONFIGURATION = "dagster.yaml"
SEEDS = 2**32
"""NumPy takes no seed from here on."""
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
        """What the environment says, with the defaults above; raises `RecipeError` for a seed that is none."""
        home = Path(os.environ.get("R1_HOME", ".r1")).resolve()
        return cls(
            home=home,
            profile=os.environ.get("R1_PROFILE", "tiny"),
            seed=_seed(os.environ.get("R1_SEED", "0")),
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

    def announce(self) -> None:
        """Make this process and its children see these settings; writes nothing."""
        os.environ.update(OFFLINE_AND_QUIET)
        os.environ["R1_HOME"], os.environ["R1_PROFILE"] = str(self.home), self.profile
        os.environ["R1_SEED"], os.environ["MLFLOW_TRACKING_URI"] = str(self.seed), self.tracking_uri
        os.environ["DAGSTER_HOME"] = str(self.dagster_home)
        os.environ["R1_SOURCES"], os.environ["R1_RECIPE"] = str(self.sources or ""), str(self.recipe or "")
        if hub := sys.modules.get("huggingface_hub.constants"):
            vars(hub)["HF_HUB_OFFLINE"] = True  # it read the environment when a source was fetched
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
        there = self.dagster_home / CONFIGURATION
        known = there.read_text(encoding="utf-8") if there.exists() else MARK
        return known if MARK not in known else DAGSTER_YAML + (POSTGRES if os.environ.get(DAGSTER_DB) else "")

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


def require_home(home: Path) -> None:
    """Raises `RequirementError` unless `home` is one: a question makes none."""
    if (home / MARKER).is_file():
        return check_marker(home)
    if home.exists():
        raise RequirementError(f"{home} is not a home (it has no {MARKER}); name one with --home")
    beside = [each.parent.name for each in home.parent.glob(f"*/{MARKER}")]
    raise RequirementError(
        f"there is no home {home};{did_you_mean(home.name, beside)} name one with --home, or make it: r1 run"
    )


def require_writable(home: Path) -> None:
    """Raises `RequirementError` unless `home` is a folder, or can become one, that this user may write to."""
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir():
        raise RequirementError(f"{home} cannot be a home: {nearest} is a file; name a folder with --home")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RequirementError(f"{home} cannot be written: no permission in {nearest}; name another with --home")
    if (home / MARKER).is_file():
        check_marker(home)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEEDS:
        raise RecipeError(f"the seed is {text!r}; give a whole number from 0 to {SEEDS - 1} (--seed or R1_SEED)")
    return int(text)


def _named_or_kept(home: Path, variable: str, file: str) -> Path | None:
    """The file that the environment names, or the one that is kept in the home."""
    if named := os.environ.get(variable):
        return Path(named).resolve()
    kept = home / file
    return kept if kept.exists() else None


def with_driver(address: str) -> str:
    """The address with the driver that Dagster brings: SQLAlchemy would take another for plain `postgresql://`."""
    return address.replace("postgresql://", "postgresql+psycopg2://", 1)
