"""What the library's commands ask of Dagster: the version that its checks passed, and a node made again."""

from typing import TYPE_CHECKING

from dagster_defs.cli import run_commands
from dagster_defs.settings import Settings
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.home import HomeSettings

if TYPE_CHECKING:
    from r1_pipeline.artifacts.kinds import Checkpoint


class DagsterOrchestrator(Orchestrator):
    """Answers from Dagster's records of a home."""

    def newest_model(self, settings: HomeSettings, model: str) -> "Checkpoint":
        """The newest version that passed its checks when they judged it; raises like the method it overrides."""
        from dagster_defs.latest_version import latest_good_version
        from r1_pipeline.artifacts.kinds import Checkpoint
        from r1_pipeline.graph.stored import checkpoint_name

        bound = settings.load().bound
        return Checkpoint.open(latest_good_version(Settings.from_environment(), bound, checkpoint_name(bound, model)))

    def run(self, settings: HomeSettings, node: str) -> None:
        """Makes a node of the graph again where it is out of date."""
        run_commands.run(settings.profile, node, settings.home, settings.seed)
