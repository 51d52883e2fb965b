"""What commands ask of the program that runs the graph and keeps records of its runs; here there is none."""

from typing import TYPE_CHECKING

from r1_pipeline.errors import RequirementError
from r1_pipeline.home import HomeSettings

if TYPE_CHECKING:
    from r1_pipeline.artifacts.kinds import Checkpoint


class Orchestrator:
    """Answers from the folders of a home alone; an orchestrator with records of its own overrides both methods."""

    def newest_model(self, settings: HomeSettings, model: str) -> "Checkpoint":
        """The newest good version of a checkpoint of the graph; raises `UnknownNameError` with the models there are."""
        from r1_pipeline.graph.stored import newest_model

        profile = settings.load()
        return newest_model(settings.home, profile, profile.bound, model)

    def run(self, settings: HomeSettings, node: str) -> None:
        """Makes a node of the graph, as `r1 run --select NODE` does; raises `RequirementError` where nothing can."""
        raise RequirementError(f"making {node} again needs dagster: pip install 'r1-pipeline[dagster]'")
