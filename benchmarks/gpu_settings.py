"""The settings of `gpu.py`: its two sizes, and the profile `small` cut to one base, one domain and half an hour."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.engines import Transformers, VllmRollouts
from r1_pipeline.errors import EngineError, RecipeError, RequirementError
from r1_pipeline.evaluation.runner import EvaluateRecipe, GradeRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.generation.vllm import vllm_version
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.models import QWEN_1_5B
from r1_pipeline.profiles.sources import with_sources
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Sampling
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.settings.launchers import Inline
from r1_pipeline.training.import_pretrained import HubModel, ImportRecipe
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import ReinforceRecipe, pretrain

SEED = 0
BuildResult = dict[str, Any]
"""The figures of a part, as in its JSON."""
SOURCES = """
builtin = ["preference"]

[[source]]
name = "gsm8k_train"
path = "{train}"
mapping = "gsm8k"
licence = "MIT"
origin = "https://github.com/openai/grade-school-math"
side = "train"

[[source]]
name = "gsm8k_test"
path = "{test}"
mapping = "gsm8k"
licence = "MIT"
origin = "https://github.com/openai/grade-school-math"
side = "heldout"

[[source]]
name = "gsm8k_worked"
path = "{train}"
licence = "MIT"
origin = "https://github.com/openai/grade-school-math"
side = "train"
[source.mapping]
makes = "demonstration"
language = "en"
prompt = '{{{{ question }}}}'
reply = '{{{{ answer }}}}'
"""
"""A sources file for GSM8K; its worked solutions are demonstrations, on which FP8 is measured."""


@dataclass(frozen=True)
class Size:
    """The amount of work of each part."""

    device: str
    threads: int
    generation_batch: int
    micro_batch: int
    steps: int
    """Optimizer steps of RL; the next six fields belong to RL too."""
    save_steps: int
    prompts: int
    group: int
    tokens: int
    """Maximum tokens of a completion, in evaluation too."""
    learning_rate: float
    warmup: int
    heldout: int
    """Problems of each evaluation."""
    samples: int
    """Completions per problem of an evaluation."""
    asked: int
    """Completions by which an engine's speed is measured."""
    compared: int
    """Number of those completions whose log-probabilities are compared."""
    sft_steps: int
    sft_batch: int
    short: int
    """Optimizer steps of the run that is killed and resumed."""
    short_save: int
    killed_after: int


CARD = Size(
    device="cuda", threads=8, generation_batch=512, micro_batch=16, steps=60, save_steps=20, prompts=32, group=8,
    tokens=320, learning_rate=2e-6, warmup=5, heldout=400, samples=2, asked=512, compared=64, sft_steps=20,
    sft_batch=64, short=6, short_save=2, killed_after=3,
)  # fmt: skip
"""Thirty minutes of one GPU with 80 GB, as estimated: 320 tokens of 30 ms each are 10 s of sampling per step."""
TOY = Size(
    device="cpu", threads=1, generation_batch=64, micro_batch=8, steps=4, save_steps=2, prompts=2, group=4, tokens=40,
    learning_rate=3e-4, warmup=1, heldout=6, samples=2, asked=8, compared=4, sft_steps=3, sft_batch=4, short=4,
    short_save=2, killed_after=3,
)  # fmt: skip
"""One minute of one core."""
TOY_STEPS = 80
"""Training steps of the toy base, chosen so that it is often but not always right and rewards differ in a group."""
HUB = QWEN_1_5B.source
assert isinstance(HUB, HubModel)
MODEL = f"{HUB.repository}@{HUB.revision}"
"""The default base."""


@dataclass(frozen=True)
class Bench:
    """The folder, profile and model that the parts work with."""

    home: Path
    size: Size
    profile: Profile
    observer: Observer

    @property
    def recipes(self) -> dict[str, Recipe]:
        return {name: recipe for name, recipe in self.profile.recipes.items() if isinstance(recipe, Recipe)}

    def at(self, name: str, home: str = "store") -> BuildContext:
        """Returns a build context in the store of this home, or in a separate one."""
        store = Store((self.home / home).resolve(), self.observer, device=self.size.device)
        return BuildContext(store, self.profile.runtime, name)


def toy_base(home: Path, observer: Observer) -> Path:
    """Makes the miniature base of the profile `smoke` and returns its directory, to be imported like any other."""
    smoke = load_profile("smoke", SEED)
    recipe = smoke.recipes["base"]
    assert isinstance(recipe, PretrainRecipe)
    store = Store((home / "toy").resolve(), observer)
    return pretrain(BuildContext(store, smoke.runtime, "base"), recipe.model_copy(update={"steps": TOY_STEPS})).path


def bench(home: Path, size: Size, model: str, gsm8k: Path | None, observer: Observer) -> Bench:
    """Sets up the profile `small` with this base and these problems (None for the built-in sums), at this size.

    Raises `RequirementError` if the model, the data or the GPU is missing.
    """
    home.mkdir(parents=True, exist_ok=True)
    profile = load_profile(f"small:{model}", SEED)
    runtime = profile.runtime.model_copy(
        update={
            "device": size.device,
            "launcher": Inline(),
            "threads": size.threads,
            "generation_batch": size.generation_batch,
            "micro_batch": size.micro_batch,
            "vllm": VllmSettings(kv_cache_gib=16, context=1024),
        }
    )
    if colocates(size):
        place = Colocated(max_mismatch=0.2, memory_share=0.3, context=1024, devices=1, sleeps=True)
        runtime = runtime.model_copy(update={"rollouts": place})
    profile = replace(profile, runtime=runtime)
    if gsm8k is not None:
        profile = with_sources(profile, read_sources(declared(home, gsm8k)))
    return Bench(home, size, profile.with_recipes(_recipes(profile, size, own=gsm8k is not None)), observer)


def declared(home: Path, folder: Path) -> Path:
    """Writes a sources file for GSM8K in `folder`; raises `RequirementError` unless each split is one Parquet file."""
    sides = {}
    for side in ("train", "test"):
        found = sorted(folder.rglob(f"*{side}*.parquet"))
        if len(found) != 1:
            raise RequirementError(
                f"{folder} holds {len(found)} files *{side}*.parquet, one is needed; name a folder with GSM8K as its "
                "authors published it: hf download openai/gsm8k --repo-type dataset --include 'main/*' --local-dir DIR"
            )
        sides[side] = found[0].resolve()
    file = home / "gsm8k.toml"
    file.write_text(SOURCES.format(**sides), encoding="utf-8")
    return file


def colocates(size: Size) -> bool:
    """Returns True if vLLM makes the rollouts: it is installed and there is a GPU."""
    return size.device != "cpu" and vllm_is_absent() is None


def vllm_is_absent() -> str | None:
    """Returns the reason why vLLM is not measured; None if it is installed."""
    try:
        vllm_version()
    except EngineError as error:
        return str(error)
    return None


def _recipes(profile: Profile, size: Size, *, own: bool) -> dict[str, Recipe]:
    recipes, smoke = profile.recipes, load_profile("smoke", SEED).recipes
    base, zero, tuned = recipes["base"], recipes["r1_zero"], recipes["dev1"]
    if not (isinstance(base, ImportRecipe) and isinstance(zero, ReinforceRecipe) and isinstance(tuned, SftRecipe)):
        raise RecipeError("the profile small has changed its verbs; correct benchmarks/gpu_settings.py")
    curated = {}
    for name, domain in (("reasoning_problems", "math"), ("heldout_problems", "math"), ("general_prompts", "general")):
        recipe = recipes[name] if own else smoke[name]
        assert isinstance(recipe, CurateRecipe)
        curated[name] = recipe.model_copy(update={"domains": (domain,), "optional": ()})
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=size.tokens)
    asked = SamplingRecipe(sampling=sampling, samples=size.samples, problems={"math": size.heldout}, seed=SEED)
    return {
        **curated,
        "base": base.model_copy(update={"dtype": "bfloat16"}) if own else base,
        "r1_zero": _reinforced(zero, size),
        "dev1": tuned.model_copy(
            update={"epochs": 1, "batch": size.sft_batch, "learning_rate": 1e-5, "final_learning_rate": 1e-6}
        ),
        "evaluation": EvaluateRecipe(ask=asked, grade=GradeRecipe(ks=(1,))),
    }


def _reinforced(zero: ReinforceRecipe, size: Size) -> ReinforceRecipe:
    values = {
        "steps": size.steps,
        "save_steps": size.save_steps,
        "prompts_per_step": size.prompts,
        "group_size": size.group,
        "max_completion_tokens": size.tokens,
        "learning_rate": size.learning_rate,
        "warmup_steps": size.warmup,
        "steps_per_generation": 1,
        "reference_sync_steps": None,
    }
    values["rollouts"] = VllmRollouts() if colocates(size) else Transformers()
    schedule = zero.schedule.model_copy(update={"shares": {"math": 1.0}})
    return zero.model_copy(update={"schedule": schedule, "grpo": zero.grpo.model_copy(update=values)})
