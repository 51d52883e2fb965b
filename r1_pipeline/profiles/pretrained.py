"""The common part of the profiles of real models: a pretrained base, and the paper's graph around it.

Problems are the built-in ones unless a sources file replaces or extends them; `Scale` says how many are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.merge import MergeRecipe
from r1_pipeline.data.prompt_schedule import PromptSchedule
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.data.screening.rows import STANDARD_SCREENING
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.data.toy_problems import ProblemsRecipe
from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.evaluation.runner import EvaluateRecipe, GradeRecipe
from r1_pipeline.generation.guessing import GuessingRecipe
from r1_pipeline.generation.rejection import KeepRecipe, RejectionRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import Recipes
from r1_pipeline.profiles.models import IN_WHEELS
from r1_pipeline.profiles.profile import Profile, sharded
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import BUILTIN_DOMAINS, REASONING_DOMAINS, Domain, Sampling
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.import_pretrained import (
    HubModel,
    ImportRecipe,
    LocalModel,
    config_of,
    digest_of,
    require_model,
)
from r1_pipeline.training.model_shape import shape_of
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.training.wheels import WHEELS, WheelModel
from r1_pipeline.verbs import GeneralRecipe, ReinforceRecipe, pretrain

BUILT_IN = ProblemsRecipe(
    seed=0,
    sums=(0, 4000),
    programs=1500,
    products=1500,
    digits=2,
    largest_sum=99,
    largest_factor=12,
    turns=3,
    heldout_share=0.25,
)
"""Problems that are too easy for a real model; name real problem sets in a sources file."""

GUESSING = GuessingRecipe(level=0.05, answers=8, stated=False)
"""The filter against lucky guesses, with values of our own.

With four options, 4 of 4, 5 of 8 or 8 of 16 correct samples are above chance. Completions seldom repeat the options of
real questions word for word, so no option has to be stated."""


@dataclass(frozen=True)
class Scale:
    """The values that differ between the profiles of real models."""

    base: ImportRecipe
    students: Mapping[str, ImportRecipe]
    shares: Mapping[Domain, float]
    """Domain -> its share of the prompts of reasoning RL, relative to the others."""
    rules: Rubric
    """The rubric of R1-Zero; later models add language consistency, the last one preference as well."""
    zero: GrpoRecipe
    dev2: GrpoRecipe
    r1: GrpoRecipe
    general_steps: int
    """Number of final optimizer steps of `r1` that mix in general prompts."""
    student_rl: GrpoRecipe
    cold_start: SftRecipe
    sft: SftRecipe
    distill: Mapping[str, SftRecipe]
    reward_model: RewardModelRecipe
    cold_start_problems: int
    """Problems of each domain that are sampled for the cold start."""
    trace_problems: Mapping[Domain, int]
    trace_shards: Mapping[Domain, int]
    """Domain -> partitions of its sampling; a domain that is not named has one."""
    trace_samples: int
    """Completions per problem of `trace_problems`."""
    trace_kept: int
    """Completions kept per problem, at most."""
    readable: ReplyRecipe
    max_tokens: int
    """Maximum tokens of a completion outside training."""
    heldout: Mapping[Domain, int]
    """Domain -> problems of each evaluation."""
    eval_samples: int
    general_rows: int
    corpus_rows: Mapping[Domain, int]
    """Rows of each domain in the SFT corpus, at most; a domain that is not named is taken whole."""
    problems: ProblemsRecipe = BUILT_IN
    builtin: tuple[Domain, ...] = BUILTIN_DOMAINS
    """Domains with built-in problems; the others have none unless a source brings some."""
    optional: tuple[Domain, ...] = ()
    """Domains that are left out where this machine cannot verify them."""
    pairs: int | None = None
    """Built-in preference pairs of each kind on each side, at most; None takes all."""


def pipeline(seed: int, scale: Scale) -> Recipes:
    """Builds the recipes of the whole graph at this scale."""
    reasoning = PromptSchedule(shares=scale.shares, general_steps=0, general_share=0.5, seed=seed)
    last = reasoning.model_copy(update={"general_steps": scale.general_steps})

    def curate(domains: tuple[Domain, ...], *, heldout: bool) -> CurateRecipe:
        return CurateRecipe(
            problems=scale.problems, builtin=scale.builtin, domains=domains, optional=scale.optional, heldout=heldout
        )

    with_language = scale.rules.model_copy(update={"language": 1.0})  # equation 7, weight as in equation 8

    def rl(
        grpo: GrpoRecipe, rubric: Rubric, template: TemplateName, schedule: PromptSchedule = reasoning
    ) -> ReinforceRecipe:
        return ReinforceRecipe(template=template, rubric=rubric, schedule=schedule, grpo=grpo)

    def rejection(problems: dict[Domain, int], per_problem: int) -> RejectionRecipe:
        sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=scale.max_tokens)
        return RejectionRecipe(
            ask=SamplingRecipe(sampling=sampling, samples=scale.trace_samples, problems=problems, seed=seed),
            keep=KeepRecipe(rules=scale.readable, per_problem=per_problem, luck=GUESSING),
        )

    return {
        "reasoning_problems": curate(REASONING_DOMAINS, heldout=False),
        "heldout_problems": curate(BUILTIN_DOMAINS, heldout=True),
        "general_prompts": curate(("general",), heldout=False),
        "preference_pairs": CuratePreferencesRecipe(heldout_share=scale.problems.heldout_share, most=scale.pairs),
        "base": scale.base,
        "student_base": dict(scale.students),
        "r1_zero": rl(scale.zero, scale.rules, "zero"),
        "cold_start_data": rejection(dict.fromkeys(REASONING_DOMAINS, scale.cold_start_problems), per_problem=1),
        "dev1": scale.cold_start,
        "dev2": rl(scale.dev2, with_language, "chat"),
        "reasoning_traces": sharded(
            {d: rejection({d: scale.trace_problems[d]}, scale.trace_kept) for d in REASONING_DOMAINS},
            scale.trace_shards,
        ),
        "general_traces": GeneralRecipe(rows=scale.general_rows),
        "sft_corpus": MergeRecipe(seed=seed, screening=STANDARD_SCREENING, rows=scale.corpus_rows),
        "dev3": scale.sft,
        "helpful_rm": scale.reward_model,
        "safety_rm": scale.reward_model,
        "r1": rl(scale.r1, with_language.model_copy(update={"preference": 1.0}), "chat", last),
        "distilled": dict(scale.distill),
        "student_rl_only": rl(scale.student_rl, scale.rules, "zero"),
        "evaluation": EvaluateRecipe(
            ask=SamplingRecipe(
                sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=scale.max_tokens),  # supplement D.1
                samples=scale.eval_samples,
                problems=dict(scale.heldout),
                seed=seed,
            ),
            grade=GradeRecipe(ks=(1, scale.eval_samples)),
        ),
        "report": ReportRecipe(exchanges=10, exchange_models=("base", "r1_zero", "r1")),
    }


def with_base(profile: Profile, base: str) -> Profile:
    """Returns `profile` with another `base`: a directory, a GGUF file, or `OWNER/NAME@REVISION` of a local hub model.

    A directory of wheels stands for the same models as the profile's, students included (`with_wheels`).

    The base is the main model, not a student's: the one node that pretrains and has no partitions. Raises
    `RecipeError` for a profile that trains its own base, `RequirementError` for a model that is not on this machine.
    """
    if any(Path(base).glob(WHEELS)):
        return with_wheels(profile, Path(base).resolve())
    bases = (node for node in profile.graph if node.verb is pretrain and node.each is None)
    name = next(bases).name
    own = profile.recipes[name]
    if not isinstance(own, ImportRecipe):
        raise RecipeError(f"this profile trains its own base, which {base!r} cannot replace; use small, node or paper")
    directory, runtime = Path(base).resolve(), profile.runtime
    source: HubModel | LocalModel
    if directory.is_dir() or (directory.suffix == ".gguf" and directory.is_file()):
        source = LocalModel(digest=digest_of(directory))
        runtime = runtime.model_copy(update={"models": {**runtime.models, source.digest: str(directory)}})
    else:
        repository, _, revision = base.partition("@")
        if not revision:
            raise RequirementError(
                f"{base} is neither a directory nor a GGUF file; name a hub model with its commit: OWNER/NAME@REVISION"
            )
        source = HubModel(repository=repository, revision=revision)
        directory = require_model(source, runtime)
    config = config_of(directory)
    imported = own.model_copy(
        update={"source": source, "shape": shape_of(config), "layers": None, "architecture": config["model_type"]}
    )
    return replace(profile.with_recipes({name: imported}), runtime=runtime)


def with_wheels(profile: Profile, folder: Path) -> Profile:
    """Returns `profile` with every model that wheels hold taken from those in `folder` (`models.IN_WHEELS`).

    Raises `RecipeError` for a profile without such a model.
    """
    taken: dict[str, str] = {}

    def from_wheels(recipe: Recipe) -> Recipe:
        if not isinstance(recipe, ImportRecipe):
            return recipe
        held = IN_WHEELS.get(recipe.source, recipe)
        if isinstance(held.source, WheelModel):
            taken[held.source.sha256] = str(folder)
        shape = recipe.shape.model_copy(update={"tied": held.shape.tied})
        return recipe.model_copy(update={"source": held.source, "shape": shape})

    recipes = {
        name: {part: from_wheels(each) for part, each in own.items()} if isinstance(own, Mapping) else from_wheels(own)
        for name, own in profile.recipes.items()
    }
    if not taken:
        raise RecipeError(f"no model of this profile is in wheels that we know; name a model instead of {folder}")
    models = {**profile.runtime.models, **taken}
    return replace(profile.with_recipes(recipes), runtime=profile.runtime.model_copy(update={"models": models}))
