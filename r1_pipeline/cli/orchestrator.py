"""The interface to a program that runs the graph and records its runs, and its version without such a program."""

from typing import TYPE_CHECKING

from r1_pipeline.errors import RequirementError
from r1_pipeline.home import HomeSettings

if TYPE_CHECKING:
    from r1_pipeline.artifacts.kinds import Checkpoint


class Orchestrator:
    """Answers from the directories of a home alone; an orchestrator with its own records overrides both methods."""

    def newest_model(self, settings: HomeSettings, model: str) -> "Checkpoint":
        """Returns the newest good version of a checkpoint; raises `UnknownNameError`, which lists the valid models."""
        from r1_pipeline.graph.stored import newest_model

        profile = settings.load()
        return newest_model(settings.home, profile, profile.bound, model)

    def run(self, settings: HomeSettings, node: str) -> None:
        """Makes a node of the graph like `r1 run --select NODE`; raises `RequirementError` without an orchestrator."""
        raise RequirementError(f"making {node} again needs dagster: pip install 'r1-pipeline[dagster]'")
