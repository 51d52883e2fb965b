"""Answers the library's commands from Dagster's records: the newest version that passed its checks, and re-runs."""

from typing import TYPE_CHECKING

from dagster_defs.cli import run_commands
from dagster_defs.settings import Settings
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.home import HomeSettings

if TYPE_CHECKING:
    from r1_pipeline.artifacts.kinds import Checkpoint


class DagsterOrchestrator(Orchestrator):
    """An orchestrator that reads Dagster's records of a home."""

    def newest_model(self, settings: HomeSettings, model: str) -> "Checkpoint":
        """Returns the newest version of `model` that passed its blocking checks.

        Raises `GateFailedError` if no version passed, and `UnknownNameError` for a model that is not in the graph.
        """
        from dagster_defs.latest_version import latest_good_version
        from r1_pipeline.artifacts.kinds import Checkpoint
        from r1_pipeline.graph.stored import checkpoint_name

        bound = settings.load().bound
        return Checkpoint.open(latest_good_version(Settings.from_environment(), bound, checkpoint_name(bound, model)))

    def run(self, settings: HomeSettings, node: str) -> None:
        """Materializes a node of the graph if it is out of date."""
        run_commands.run(settings.profile, node, settings.home, settings.seed)
