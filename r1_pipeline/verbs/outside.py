"""The verb that samples from models outside the graph: a directory, a snapshot of the Hub, or a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Completions, ProblemSet
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.data.templates import TemplateName, form_identity, template_hash
from r1_pipeline.engines import OpenAi
from r1_pipeline.generation import sampling
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.engine_factory import engine_identity, open_engine, open_server
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingSubject
from r1_pipeline.generation.tokens import fitting_problems
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Problem
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.import_pretrained import HubModel, LocalModel, require_model
from r1_pipeline.verbs.versions import verb


class ServedModel(Recipe):
    """A model on a server with OpenAI's protocol; the runtime has its address."""

    type: Literal["served"] = "served"
    name: str
    """The name under which the server serves it."""


OutsideModel = Annotated[HubModel | LocalModel | ServedModel, Field(discriminator="type")]


class OutsideRecipe(SamplingRecipe):
    """The recipe of sampling from a model outside the graph."""

    model: OutsideModel
    template: TemplateName
    """The prompt form that the model is asked in."""


@dataclass(frozen=True)
class Weights:
    """A model in a directory, as engines load it."""

    path: Path
    digest: str


def identity_of(recipe: OutsideRecipe) -> str:
    """Returns what is known about a model's identity: a digest, a commit, or the name that a server has for it."""
    match recipe.model:
        case LocalModel():
            return recipe.model.digest
        case HubModel():
            return f"hub/{recipe.model.repository}@{recipe.model.revision}"
        case ServedModel():
            return f"server/{engine_identity(recipe.engine)}/{recipe.model.name}"


@verb("inference")
def ask_outside(context: BuildContext, problems: ProblemSet, recipe: OutsideRecipe) -> Build[Completions]:
    """Samples completions of a model outside the graph for `problems`, and stores them ungraded (paper, section D.1).

    The `recipe` names the model and its prompt form. A server is asked in text, so token counts are unknown and nothing
    is dropped as too long.

    Raises `RequirementError` for a model or an engine that this machine lacks, `EngineError` if text cannot be
    generated.
    """

    def make(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model=context.name, model_digest=identity_of(recipe), problems_digest=problems.digest)
        chosen, _ = sampling.select_problems(problems.problems(), recipe, draft)
        with _opened(recipe, chosen, context.runtime, context.store.home) as (engine, fit, dropped):
            drops = record_dropped(draft, dropped)
            said = sampling.sample_and_store(engine, fit, recipe.template, recipe, subject, draft)
        return BuildResult(
            {"rows": said.height, "tokens": {"generated": int(said["token_ids"].list.len().sum())}}, drops
        )

    form = form_identity(recipe.template, recipe.stop)
    tool_versions = {"engine": engine_identity(recipe.engine), "template": template_hash(recipe.template), **form}
    return Build(Completions, recipe, {"problems": problems}, make, tool_versions)


@contextmanager
def _opened(
    recipe: OutsideRecipe, problems: list[Problem], runtime: Runtime, home: Path
) -> Iterator[tuple[Engine, list[Problem], list[DroppedRow]]]:
    """Opens the engine with the model, and returns the problems that fit into its context and the others."""
    if isinstance(recipe.model, ServedModel):
        assert isinstance(recipe.engine, OpenAi)
        yield open_server(recipe.engine, recipe.model.name, runtime, home), problems, []
        return
    weights = Weights(require_model(recipe.model, runtime), identity_of(recipe))
    fit, dropped = fitting_problems(problems, weights.path, recipe.template, recipe.sampling.max_tokens)
    with open_engine(weights, recipe.engine, runtime, home) as engine:
        yield engine, fit, dropped
