"""Extends a profile by a user's recipe file: `r1 run --recipe my_recipe.py`.

The file can add to any registry (domains, verifiers, reward parts, prompt forms, engines, profiles) and can define

    def extend(profile: Profile) -> Profile: ...

which adds or replaces nodes and recipes. `with_benchmark`, `with_student` and the others here cover common changes.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.data.ingest.declared import Side, SourceRecipe, hash_files
from r1_pipeline.data.ingest.mapping import ProblemMapping, load_mapping
from r1_pipeline.data.templates import FORMS, StopRule, TemplateName
from r1_pipeline.engines import Transformers
from r1_pipeline.errors import RecipeError
from r1_pipeline.evaluation.difficulty import DifficultyRecipe
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.judgements import SampleGeneralRecipe
from r1_pipeline.generation.rejection import RejectionRecipe, RewriteKeepRecipe, RewriteRecipe
from r1_pipeline.generation.rewriting import ByCheckpoint, ByServer
from r1_pipeline.graph.bound import NodeRecipe
from r1_pipeline.graph.node import Node, Ref
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.recipe import Recipe
from r1_pipeline.registry import EXTEND, error_in, load_file
from r1_pipeline.training.form_warm_up import WarmUpRecipe
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import (
    ReinforceRecipe,
    ask,
    collect_general,
    curate,
    draft_cold_start,
    fit_preference,
    rewrite_cold_start,
    sample_general,
    warm_up,
)


def extended(profile: Profile, file: Path) -> Profile:
    """Applies a recipe file to `profile`; raises `RecipeError` that names the file, `GraphError` for its nodes."""
    extend = getattr(load_file(file), EXTEND, None)
    if extend is None:
        return profile
    try:
        changed = extend(profile)
    except ValidationError as error:
        raise RecipeError(f"the recipe file {file} states an invalid recipe: {error_in(file, error)}") from error
    if not isinstance(changed, Profile):
        raise RecipeError(f"{EXTEND} of {file} returns {type(changed).__name__}; return the profile that it changed")
    return changed


def file_source(name: str, file: Path, mapping: str, licence: str, origin: str, side: Side) -> SourceRecipe:
    """Declares a user's `file` as a source; `mapping` names a built-in mapping, or a TOML file in the same folder.

    Raises like `data.ingest.declared.read_sources`.
    """
    return SourceRecipe(
        name=name,
        licence=licence,
        origin=origin,
        side=side,
        mapping=load_mapping(mapping, file.parent),
        files=hash_files(file.parent, [file.name]),
    )


def with_source(profile: Profile, source: SourceRecipe, folder: Path, *nodes: str) -> Profile:
    """Returns `profile` whose problem sets `nodes` also take the rows of `source`; its files lie in `folder`."""
    changed = {}
    for name in nodes:
        recipe = profile.recipes[name]
        assert isinstance(recipe, CurateRecipe)
        domains = tuple(dict.fromkeys([*recipe.domains, source.feeds]))
        changed[name] = recipe.model_copy(update={"domains": domains, "sources": (*recipe.sources, source)})
    folders = {**profile.runtime.folders, source.name: str(folder)}
    return replace(profile.with_recipes(changed), runtime=profile.runtime.model_copy(update={"folders": folders}))


def with_benchmark(
    profile: Profile, name: str, source: SourceRecipe, folder: Path, problems: int, samples: int
) -> Profile:
    """Returns `profile` with a further benchmark: every checkpoint is evaluated on rows of `source`, as `NAME/MODEL`.

    The rows are kept out of all training data; the evaluations are planned, scheduled and reported. At most `problems`
    problems are sampled `samples` times each, otherwise as the profile evaluates. Raises `RecipeError` for prompts
    that nothing scores. A benchmark in a TOML file is added by `profiles.benchmarks`.
    """
    mapping = source.mapping
    if source.feeds == "general" and not (isinstance(mapping, ProblemMapping) and (mapping.answer or mapping.verifier)):
        raise RecipeError(
            f"the benchmark {name} has general prompts without a reference, so it has no score; name a verifier in the "
            'mapping, or hold them out with side = "heldout": reward models and the refusal rule score those'
        )
    own = own_evaluation(profile)
    asked = own.ask.model_copy(update={"problems": {source.feeds: problems}, "samples": samples})
    counted = own.grade.model_copy(update={"ks": tuple(sorted({1, samples}))})
    return asked_everywhere(profile, name, source, folder, EvaluateRecipe(ask=asked, grade=counted))


def own_evaluation(profile: Profile) -> EvaluateRecipe:
    """Returns the recipe by which the profile evaluates on its own held-out problems."""
    own = profile.recipes[profile.graph.benchmarks[0].name]
    assert isinstance(own, EvaluateRecipe)
    return own


def benchmark_problems(profile: Profile, source: SourceRecipe) -> CurateRecipe:
    """Returns the recipe of a problem set that holds the rows of `source` alone."""
    held_out = profile.recipes[profile.graph.benchmarks[0].problems]
    assert isinstance(held_out, CurateRecipe)
    only = {"builtin": (), "domains": (source.feeds,), "optional": (), "sources": (source,)}
    return held_out.model_copy(update=only)


def asked_everywhere(
    profile: Profile,
    name: str,
    source: SourceRecipe,
    folder: Path,
    recipe: EvaluateRecipe,
    paper: str | None = None,
    trainable: bool = False,
) -> Profile:
    """Returns `profile` with a further benchmark whose evaluations follow `recipe`.

    `paper` is its row in the paper; `trainable` permits that its files are also a training source.
    """
    node = Node(
        name=f"{name}_problems",
        verb=curate,
        inputs={},
        group="problems",
        about=f"Problems of the benchmark {name}, from {source.origin}; no training stage ever sees them.",
        recipe=f"{name}_problems",
    )
    recipes: dict[str, Recipe] = {node.name: benchmark_problems(profile, source), name: recipe}
    wider = replace(profile, graph=profile.graph.with_benchmark(name, node, paper, trainable)).with_recipes(recipes)
    folders = {**profile.runtime.folders, source.name: str(folder)}
    return replace(wider, runtime=profile.runtime.model_copy(update={"folders": folders}))


def with_sampled_general(
    profile: Profile, writer: str, recipe: SampleGeneralRecipe, judge: str | None = None
) -> Profile:
    """Returns `profile` whose general rows are sampled from the node `writer` and kept by the opinion of another model.

    That model is the checkpoint of the node `judge` if `recipe.keep.by` is a judge. Otherwise reward models decide;
    they are trained from the base, since those of the graph descend from a model that is trained on these very rows.
    """
    graph, recipes = profile.graph, profile.recipes
    general = next(node for node in graph if node.verb is collect_general)
    asked = Node(
        name=f"{general.name}_answers",
        verb=ask,
        inputs={"model": Ref(writer), "problems": general.inputs["prompts"]},
        group=general.group,
        about=f"Completions of {writer} for general prompts, not judged.",
        recipe=f"{general.name}.ask",
    )
    models: dict[str, Ref] = {}
    for node in [node for node in graph if node.verb is fit_preference]:
        if judge is None:
            early = replace(
                node, name=f"general_{node.name}", inputs={**node.inputs, "base": general.inputs["tokenizer_of"]}
            )
            graph = graph.with_nodes(replace(early, recipe=early.name, paper_cost=None))
            recipes = {**recipes, early.name: recipes[node.name]}
            models[node.given["kind"]] = Ref(early.name)
    approved = replace(
        general,
        verb=sample_general,
        inputs={
            "answers": Ref(asked.name),
            "prompts": general.inputs["prompts"],
            **({"judge": Ref(judge)} if judge else {"reward_models": models}),
        },
        about=f"Replies of {writer} to general prompts, kept by the opinion of {judge or 'reward models'}.",
    )
    wider = replace(profile, graph=graph.with_nodes(asked).replacing(approved), recipes=recipes)
    return wider.with_recipes({general.name: recipe})


def with_writer(profile: Profile, how: ByCheckpoint | ByServer, writer: str | None = None) -> Profile:
    """Returns `profile` whose cold start is rewritten by a model: the checkpoint of the node `writer`, or a server's.

    Raises `UnknownNameError` for an unknown node, and `GraphError` for one that is not a checkpoint or is trained on
    these very rows.
    """
    graph = profile.graph
    draft = next(node for node in graph if node.verb is draft_cold_start)
    own = profile.recipes[draft.name]
    assert isinstance(own, RejectionRecipe)
    reader = {"writer": Ref(graph.node(writer).name)} if writer else {}
    who = writer or (how.model if isinstance(how, ByServer) else "nobody")
    rewritten = replace(
        draft,
        verb=rewrite_cold_start,
        inputs={**draft.inputs, **reader},
        about=f"Long reasoning to start from: R1-Zero's right and readable samples in the words of {who}.",
    )
    keep = RewriteKeepRecipe(**{**dict(own.keep), "writer": how})
    wider = replace(profile, graph=graph.replacing(rewritten))
    changed = wider.with_recipes({draft.name: RewriteRecipe(ask=own.ask, keep=keep)})
    assert changed.bound  # raises before any work
    return changed


def with_prompt_forms(profile: Profile, zero: TemplateName, chat: TemplateName, stop: StopRule) -> Profile:
    """Returns `profile` with other prompt forms in the places of R1-Zero's and of the later models', and with these
    stop strings.

    Bases are asked in R1-Zero's form, and keep their own chat template if one of the forms is their own.
    """
    own = FORMS[zero].own or FORMS[chat].own
    each = [part for known in profile.recipes.values() for part in _parts(known)]
    before = next((recipe.template for recipe in each if isinstance(recipe, ImportRecipe)), "zero")
    tuned = (recipe for recipe in each if isinstance(recipe, SftRecipe) and not isinstance(recipe, WarmUpRecipe))
    later = next((recipe.template for recipe in tuned), "chat")
    forms = {before: zero, later: chat}

    def changed(recipe: Recipe) -> Recipe:
        if isinstance(recipe, ImportRecipe):
            return recipe.model_copy(update={"template": zero, "chat_template": "own" if own else "ours"})
        if isinstance(recipe, ReinforceRecipe):
            grpo = recipe.grpo.model_copy(update={"stop": stop})
            return recipe.model_copy(update={"template": forms.get(recipe.template, recipe.template), "grpo": grpo})
        if isinstance(recipe, SftRecipe):
            return recipe.model_copy(update={"template": forms.get(recipe.template, recipe.template)})
        if isinstance(recipe, EvaluateRecipe | RejectionRecipe | DifficultyRecipe):
            return recipe.model_copy(update={"ask": recipe.ask.model_copy(update={"stop": stop})})
        return recipe

    def all_changed(recipe: NodeRecipe) -> NodeRecipe:
        if isinstance(recipe, Mapping):
            return {part: changed(each) for part, each in recipe.items()}
        return changed(recipe)

    return profile.with_recipes({name: all_changed(recipe) for name, recipe in profile.recipes.items()})


def _parts(recipe: NodeRecipe) -> list[Recipe]:
    return list(recipe.values()) if isinstance(recipe, Mapping) else [recipe]


def with_form_warm_up(profile: Profile, name: str, start: str, recipe: WarmUpRecipe) -> Profile:
    """Returns `profile` with one more checkpoint: the node `start` after a warm-up on a prompt form alone.

    It is evaluated and reported like every checkpoint. A node starts from it where it reads `name` instead of `start`
    (`Graph.deriving`, `instead`). Raises `UnknownNameError` for a node that is not there.
    """
    warm = Node(
        name=name,
        verb=warm_up,
        inputs={"base": Ref(profile.graph.node(start).name)},
        group="ablations",
        about=f"{start} after a warm-up on the prompt form {recipe.template} alone; the paper has none.",
        recipe=name,
    )
    return replace(profile, graph=profile.graph.with_nodes(warm)).with_recipes({name: recipe})


def with_precision(profile: Profile, precision: Literal["float32", "bfloat16"]) -> Profile:
    """Returns `profile` whose matrix products have this precision, in training and in sampling by transformers.

    Imported weights keep the precision that they are read in. On a CPU, bfloat16 is four times as fast as float32 where
    the processor has AVX512-BF16 or AMX, and refused elsewhere.
    """

    def changed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {part: changed(each) for part, each in value.items()}
        if isinstance(value, Transformers):
            return value.model_copy(update={"dtype": precision})
        if not isinstance(value, Recipe) or isinstance(value, ImportRecipe):
            return value
        fields = {name: changed(getattr(value, name)) for name in type(value).model_fields}
        if isinstance(value, GrpoRecipe):
            fields["rollouts"] = value.rollouts  # they have the precision of the trainer
        if "precision" in fields:
            fields["precision"] = precision
        return value.model_copy(update=fields)

    return profile.with_recipes({name: changed(recipe) for name, recipe in profile.recipes.items()})


def with_student(profile: Profile, name: str, base: Recipe, distill: Recipe) -> Profile:
    """Returns `profile` with one more student, its base and its distillation; raises `RecipeError` for a taken name."""
    recipes = {}
    for node in profile.graph:
        known = profile.recipes.get(node.name)
        if node.each == "students" and isinstance(known, dict):
            if name in known:
                raise RecipeError(f"there is a student {name!r} already; choose another name")
            recipes[node.name] = {**known, name: base if node.group == "base" else distill}
    return profile.with_recipes(recipes)
