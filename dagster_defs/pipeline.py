"""What every asset is given: the profile's recipe, the artifact store, and who watches.

`materialize` is the one way from a verb call to a Dagster materialization: it opens the workshop under the asset's
name, tracks the computation, and turns the artifact into a handle with data version and metadata.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
from dagster import AssetCheckExecutionContext, AssetExecutionContext

from dagster_defs.metadata import FINGERPRINT, describe
from dagster_defs.openlineage import Events, LineageEvents
from dagster_defs.pipes import StartUnderPipes
from dagster_defs.reconcile import hold
from dagster_defs.settings import Settings
from dagster_defs.tracking import DAGSTER_RUN, TrackedStage, Tracking
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, EvalReport
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.artifacts.provenance import PIPELINE_RUN
from r1_pipeline.artifacts.store import Store
from r1_pipeline.errors import may_pass
from r1_pipeline.evaluation.collect import RunFacts, collect, write_report
from r1_pipeline.profiles import PipelineRecipe, Profile
from r1_pipeline.recipe import fingerprint
from r1_pipeline.runtime.workshop import Workshop
from r1_pipeline.stages import curate, evaluate
from r1_pipeline.training.base_tokenizer import base_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

A = TypeVar("A", bound=Artifact)
Context = AssetExecutionContext | AssetCheckExecutionContext

ATTEMPTS, PAUSE_S = 4, 5.0
"""At what may pass by itself, and seconds before the second attempt; each pause is twice the one before."""
PIPELINE_RUN_TAG = "r1/run"
"""Dagster run tag: one value for all Dagster runs that one `r1 run` makes."""


class Pipeline:
    """The resource `pipeline`."""

    def __init__(self, settings: Settings, watching: Sequence[Observer] = ()) -> None:
        self.settings = settings
        self.tracking = Tracking.of(settings)
        self._events = Events(settings.home)
        self._watching = tuple(watching)

    @cached_property
    def profile(self) -> Profile:
        """Recipe, runtime and gate limits; raises like `Settings.load`."""
        return self.settings.load()

    @property
    def recipe(self) -> PipelineRecipe:
        """What is computed."""
        return self.profile.recipe

    @cached_property
    def tokenizers(self) -> Mapping[str, "PreTrainedTokenizerBase"]:
        """Base, partition after a slash -> the tokenizer that it has, or will have; made once in a process."""
        bases = {"base": self.recipe.base} | {f"student_base/{n}": one for n, one in self.recipe.student_base.items()}
        return {name: base_tokenizer(recipe, self.profile.runtime) for name, recipe in bases.items()}

    def workshop(self, context: Context, name: str) -> Workshop:
        """Where a verb works; its artifact will stand under `name`."""
        run, pipeline_run = context.run, pipeline_run_of(context)
        hold(self.settings, run.run_id)
        tags = {
            DAGSTER_RUN: run.run_id,
            "dagster.asset_key": name.partition("/")[0],
            "r1.profile": self.settings.profile,
        }
        if "/" in name:
            tags["dagster.partition"] = name.partition("/")[2]

        def warn(message: str) -> None:
            context.log.warning(message)
            Observers(self._watching).noted(name, message)

        tracked = TrackedStage(self.tracking, pipeline_run, tags, warn)
        runs = _RunIds({"dagster_run_id": run.run_id, PIPELINE_RUN: pipeline_run})
        told = LineageEvents(self._events, run.run_id, warn)
        observers = Observers([runs, tracked, told, *self._watching])
        store = Store(self.settings.home, observers, device=self.profile.runtime.device)
        return Workshop(store, self.profile.runtime, name, StartUnderPipes(context))

    def materialize(
        self, context: AssetExecutionContext, call: Callable[[Workshop, PipelineRecipe], A]
    ) -> dg.MaterializeResult[A]:
        """Run a verb for this asset (and partition) and record what came out."""
        with patient(context):
            artifact = call(self.workshop(context, asset_name(context)), self.recipe)
        if isinstance(artifact, EvalReport):
            self._consider(context, artifact)
        return dg.MaterializeResult(
            value=artifact,
            data_version=dg.DataVersion(artifact.digest),
            metadata=describe(artifact, self.settings),
        )

    def _consider(self, context: AssetExecutionContext, evaluation: EvalReport) -> None:
        """Make the model that was evaluated the champion, if it is better than the present one."""
        from dagster_defs.promotion import BY_ITSELF, PromotionError, promote

        model = evaluation.scores()["identity"]["model"]
        with self.tracking.tolerant("promote a version", context.log.warning):
            try:
                move = promote(self.settings, model, "beats the champion", who=BY_ITSELF, even_if_worse=False)
            except PromotionError as reason:
                context.log.info(str(reason))
            else:
                context.log.info("%s version %s is the champion now, pass@1 %.4f", model, move.version, move.score)

    def evaluate(self, context: Context, model: Checkpoint) -> EvalReport:
        """A model's scores on the held-out problems, both as their assets will find them."""
        with patient(context):
            heldout = curate(self.workshop(context, "heldout_problems"), self.recipe.heldout_problems)
            return evaluate(self.workshop(context, f"evaluation/{model.name}"), model, heldout, self.recipe.evaluation)

    def report(self, context: AssetExecutionContext, artifacts: Mapping[str, Artifact]) -> dg.MaterializeResult[None]:
        """Write `report.json` and `report.html` of these artifacts into the home's report directory."""
        run = RunFacts(
            profile=self.settings.profile,
            seed=self.settings.seed,
            home=self.settings.home,
            pipeline_run=pipeline_run_of(context),
        )
        limits, runtime = self.profile.gates, self.profile.runtime
        inputs = collect(artifacts, run, limits, self.recipe.guards, self.recipe.report, runtime)
        print_ = report_fingerprint(self.profile, artifacts)
        directory = self.settings.report_directory
        write_report(directory, inputs)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(print_),
            metadata={
                FINGERPRINT: print_,
                "report.html": dg.MetadataValue.url((directory / "report.html").as_uri()),
                "report.json": dg.MetadataValue.path(str(directory / "report.json")),
            },
        )


@contextmanager
def patient(context: Context) -> Iterator[None]:
    """Asks Dagster for another attempt, after a pause that doubles, where the fault may pass by itself."""
    try:
        yield
    except Exception as error:
        if not may_pass(error):
            raise
        pause = PAUSE_S * 2**context.retry_number
        context.log.warning("%s: %s; attempt %d of %d", type(error).__name__, error, context.retry_number + 1, ATTEMPTS)
        raise dg.RetryRequested(max_retries=ATTEMPTS - 1, seconds_to_wait=pause) from error


class _RunIds(Observer):
    """Puts the orchestrator's identifiers into the provenance."""

    def __init__(self, identifiers: dict[str, str]) -> None:
        self._identifiers = identifiers

    def began(self, *_: object) -> dict[str, str]:
        return self._identifiers


def report_fingerprint(profile: Profile, artifacts: Mapping[str, Artifact]) -> str:
    """Of what a report is made from."""
    inputs = {name: artifact.digest for name, artifact in artifacts.items()}
    return fingerprint({"inputs": inputs, "recipe": profile.recipe.report, "limits": profile.gates})


def pipeline_run_of(context: Context) -> str:
    """What all Dagster runs of one `r1 run` have in common; a run started in the user interface stands for itself."""
    return context.run.tags.get(PIPELINE_RUN_TAG, context.run.run_id)


def asset_name(context: AssetExecutionContext) -> str:
    """Asset key, partition after a slash: `distilled/qwen`, `evaluation/r1_zero`."""
    path = "/".join(context.asset_key.path)
    return f"{path}/{context.partition_key}" if context.has_partition_key else path
