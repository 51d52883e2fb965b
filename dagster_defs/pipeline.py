"""The resource that every asset receives: the profile's recipes, the artifact store and the observers.

`materialize` is the only way from a node of the graph to a Dagster materialization. It opens a build context under the
artifact's name, tracks the computation, and returns the artifact with data version and metadata.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import dagster as dg
from dagster import AssetCheckExecutionContext, AssetExecutionContext

from dagster_defs.execution.dead_runs import hold_run_lock
from dagster_defs.execution.pipes import PipesLauncher
from dagster_defs.metadata import FINGERPRINT, materialization_metadata
from dagster_defs.settings import Settings
from dagster_defs.tracking.model_registry import AUTOMATIC, PromotionError, promote
from dagster_defs.tracking.openlineage import EventSink, OpenLineageObserver
from dagster_defs.tracking.stage_runs import DAGSTER_RUN, NOTE, MLflowObserver, TrackingStore
from r1_pipeline.artifacts.kinds import Artifact, EvalReport, open_artifact
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.artifacts.provenance import PIPELINE_RUN
from r1_pipeline.artifacts.store import Store
from r1_pipeline.errors import may_pass
from r1_pipeline.evaluation.collect import RunFacts
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.local import GatedArtifact, lineage_of, write_graph_report
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import fingerprint
from r1_pipeline.runtime.build_context import BuildContext

Context = AssetExecutionContext | AssetCheckExecutionContext

MAX_ATTEMPTS, INITIAL_BACKOFF_S = 4, 5.0
"""Attempts at transient errors, and the initial back-off in seconds, which doubles after every attempt."""
PIPELINE_RUN_TAG = "r1/run"
"""Dagster run tag with one value for all Dagster runs of one `r1 run`."""


class PipelineResource:
    """The Dagster resource `pipeline`."""

    def __init__(self, settings: Settings, observers: Sequence[Observer] = ()) -> None:
        self.settings = settings
        self.tracking = TrackingStore.of(settings)
        self._events = EventSink(settings.home)
        self._observers = tuple(observers)

    @cached_property
    def profile(self) -> Profile:
        """The profile of the home: recipes, runtime and gate limits. Raises the errors of `Settings.load`."""
        return self.settings.load()

    @property
    def bound(self) -> Bound:
        """The graph with the profile's recipes."""
        return self.profile.bound

    def build_context(self, context: Context, name: AssetName) -> BuildContext:
        """Returns the context in which a verb builds the artifact `name`."""
        run, pipeline_run = context.run, pipeline_run_of(context)
        hold_run_lock(self.settings, run.run_id)
        tags = {
            DAGSTER_RUN: run.run_id,
            "dagster.asset_key": name.asset,
            "r1.profile": self.settings.profile,
            NOTE: self.bound.graph.node(name.asset).about,
        }
        if name.partition:
            tags["dagster.partition"] = name.partition

        def warn(message: str) -> None:
            self.warn(context, str(name), message)

        tracked = MLflowObserver(self.tracking, pipeline_run, tags, warn)
        runs = _RunIdObserver({"dagster_run_id": run.run_id, PIPELINE_RUN: pipeline_run})
        lineage = OpenLineageObserver(self._events, run.run_id, warn)
        observers = Observers([runs, tracked, lineage, *self._observers])
        store = Store(self.settings.home, observers, device=self.profile.runtime.device)
        return BuildContext(store, self.profile.runtime, str(name), PipesLauncher(context))

    def warn(self, context: Context, name: str, message: str) -> None:
        """Logs a warning about the artifact `name` and passes it to the observers."""
        context.log.warning(message)
        Observers(self._observers).noted(name, message)

    def materialize(
        self, context: AssetExecutionContext, name: AssetName, inputs: Sequence[Artifact]
    ) -> dg.MaterializeResult[Any]:
        """Makes the artifact `name` from these inputs and records the result.

        Raises `RetryRequested` after a transient error and any other error of the verb unchanged.
        """
        if self.bound.graph.node(name.asset).verb is None:
            return self._report(context, name, inputs)
        by_name = {artifact.name: artifact for artifact in inputs}
        with retry_transient(context):
            artifact = self.bound.make(name, self.build_context(context, name), lambda each: by_name[str(each)])
        if isinstance(artifact, EvalReport):
            self._promote_if_better(context, artifact)
        return dg.MaterializeResult(
            value=artifact,
            data_version=dg.DataVersion(artifact.digest),
            metadata=materialization_metadata(artifact, self.settings, self.bound),
        )

    def _promote_if_better(self, context: AssetExecutionContext, evaluation: EvalReport) -> None:
        """Makes the evaluated model the champion if it scores better than the present one."""
        model = self.bound.name(scores_of(evaluation).identity.model)
        if evaluation.name != str(self.bound.evaluation(model)):
            return  # only the evaluation on held-out problems decides, no other benchmark
        with self.tracking.best_effort("promote a version", context.log.warning):
            try:
                promotion = promote(self.settings, self.bound, model, None, AUTOMATIC, even_if_worse=False)
            except PromotionError as reason:
                context.log.info(str(reason))
            else:
                context.log.info(
                    "%s version %s is the champion now, pass@1 %.4f", model, promotion.version, promotion.score
                )

    def judged(self, context: AssetCheckExecutionContext, artifact: Artifact) -> GatedArtifact:
        """Returns an artifact prepared for its gates, which can look up its upstream artifacts and make any other they
        need.
        """
        lineage, opened = (
            lineage_of(artifact, self.settings.home, self.bound),
            {self.bound.name(artifact.name): artifact},
        )

        def find(name: AssetName) -> Artifact:
            if name not in opened:
                with retry_transient(context):
                    opened[name] = (
                        open_artifact(lineage[name])
                        if name in lineage
                        else self.bound.make(name, self.build_context(context, name), find)
                    )
            return opened[name]

        name = self.bound.name(artifact.name)
        return GatedArtifact(self.bound, name, artifact, self.profile.gates, self.profile.runtime, find)

    def _report(
        self, context: AssetExecutionContext, name: AssetName, inputs: Sequence[Artifact]
    ) -> dg.MaterializeResult[None]:
        """Writes `report.json` and `report.html` of these artifacts to the home's report directory."""
        run = RunFacts(
            profile=self.settings.profile,
            seed=self.settings.seed,
            home=self.settings.home,
            pipeline_run=pipeline_run_of(context),
        )
        artifacts = {self.bound.name(artifact.name): artifact for artifact in inputs}
        directory = write_graph_report(self.bound, name, artifacts, self.profile, run)
        fp = report_fingerprint(self.profile, name, {artifact.name: artifact for artifact in inputs})
        return dg.MaterializeResult(
            data_version=dg.DataVersion(fp),
            metadata={
                "report.html": dg.MetadataValue.url("/report/report.html"),
                "completions.html": dg.MetadataValue.url("/report/completions.html"),
                "folder": dg.MetadataValue.path(str(directory)),
                "report.json": dg.MetadataValue.path(str(directory / "report.json")),
                FINGERPRINT: fp,
            },
        )


@contextmanager
def retry_transient(context: Context) -> Iterator[None]:
    """Requests another attempt from Dagster after a transient error, with a back-off that doubles."""
    try:
        yield
    except Exception as error:
        if not may_pass(error):
            raise
        backoff = INITIAL_BACKOFF_S * 2**context.retry_number
        context.log.warning(
            "%s: %s; attempt %d of %d", type(error).__name__, error, context.retry_number + 1, MAX_ATTEMPTS
        )
        raise dg.RetryRequested(max_retries=MAX_ATTEMPTS - 1, seconds_to_wait=backoff) from error


class _RunIdObserver(Observer):
    """Adds the orchestrator's run ids to the provenance."""

    def __init__(self, identifiers: dict[str, str]) -> None:
        self._identifiers = identifiers

    def began(self, *_: object) -> dict[str, str]:
        return self._identifiers


def report_fingerprint(profile: Profile, name: AssetName, artifacts: Mapping[str, Artifact]) -> str:
    """Returns the sha256 of everything that the report is made from."""
    inputs = {each: artifact.digest for each, artifact in artifacts.items()}
    shown = {"overrides": [str(each) for each in profile.overrides]} if profile.overrides else {}
    return fingerprint({"inputs": inputs, "recipe": profile.bound.recipe(name), "limits": profile.gates, **shown})


def pipeline_run_of(context: Context) -> str:
    """Returns the id shared by all Dagster runs of one `r1 run`; a run started in the user interface has its own id."""
    return context.run.tags.get(PIPELINE_RUN_TAG, context.run.run_id)
