"""What `gpu.py` runs: its two sizes, and the profile `small` cut to one base, one domain and half an hour."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.engines import VllmRollouts
from r1_pipeline.errors import EngineError, RecipeError, RequirementError
from r1_pipeline.evaluation.runner import EvaluateRecipe, GradeRecipe
from r1_pipeline.generation.asking import AskRecipe
from r1_pipeline.generation.vllm import vllm_version
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.models import QWEN_1_5B
from r1_pipeline.profiles.sources import with_sources
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Sampling
from r1_pipeline.runtime.workshop import Workshop
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.training.adopt import AdoptRecipe, HubModel
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import ReinforceRecipe, pretrain

SEED = 0
Facts = dict[str, Any]
"""What a part measured, as JSON has it."""
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
"""GSM8K, and its worked solutions as demonstrations: what FP8 is measured on."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    device: str
    threads: int
    generation_batch: int
    micro_batch: int
    steps: int
    """Of reinforcement, as are the next six."""
    save_steps: int
    prompts: int
    group: int
    tokens: int
    """Of a completion, at most; in evaluation too."""
    learning_rate: float
    warmup: int
    heldout: int
    """Problems of each evaluation."""
    samples: int
    """Completions of each of them."""
    asked: int
    """Completions by which an engine's speed is taken."""
    compared: int
    """Of those, completions whose log-probabilities are compared."""
    sft_steps: int
    sft_batch: int
    short: int
    """Steps of a run that is killed and resumed."""
    short_save: int
    killed_after: int


CARD = Size(
    device="cuda", threads=8, generation_batch=512, micro_batch=16, steps=60, save_steps=20, prompts=32, group=8,
    tokens=320, learning_rate=2e-6, warmup=5, heldout=400, samples=2, asked=512, compared=64, sft_steps=20,
    sft_batch=64, short=6, short_save=2, killed_after=3,
)  # fmt: skip
"""Thirty minutes of one card with 80 GB, by arithmetic: 320 tokens at 30 ms each are 10 s of sampling a step."""
TOY = Size(
    device="cpu", threads=1, generation_batch=64, micro_batch=8, steps=4, save_steps=2, prompts=2, group=4, tokens=40,
    learning_rate=3e-4, warmup=1, heldout=6, samples=2, asked=8, compared=4, sft_steps=3, sft_batch=4, short=4,
    short_save=2, killed_after=3,
)  # fmt: skip
"""A minute of one core."""
TOY_STEPS = 80
"""Of the toy base: after these it is right often, and not always, so that groups of replies differ in their reward."""
HUB = QWEN_1_5B.source
assert isinstance(HUB, HubModel)
MODEL = f"{HUB.repository}@{HUB.revision}"
"""The base unless another is named."""


@dataclass(frozen=True)
class Bench:
    """Where the parts work, and on what."""

    home: Path
    size: Size
    profile: Profile
    observer: Observer

    @property
    def recipes(self) -> dict[str, Recipe]:
        return {name: recipe for name, recipe in self.profile.recipes.items() if isinstance(recipe, Recipe)}

    def at(self, name: str, home: str = "store") -> Workshop:
        """A workshop in the store of this home, or in one that shares nothing with it."""
        store = Store((self.home / home).resolve(), self.observer, device=self.size.device)
        return Workshop(store, self.profile.runtime, name)


def toy_base(home: Path, observer: Observer) -> Path:
    """A base in miniature, that of the profile `smoke`: a directory like any other to what comes after."""
    smoke = load_profile("smoke", SEED)
    recipe = smoke.recipes["base"]
    assert isinstance(recipe, PretrainRecipe)
    store = Store((home / "toy").resolve(), observer)
    return pretrain(Workshop(store, smoke.runtime, "base"), recipe.model_copy(update={"steps": TOY_STEPS})).path


def bench(home: Path, size: Size, model: str, gsm8k: Path | None, observer: Observer) -> Bench:
    """The profile `small` with this base and these problems (None: the built-in sums), at this size.

    Raises `RequirementError` where the model, the data or the card are missing.
    """
    home.mkdir(parents=True, exist_ok=True)
    profile = load_profile(f"small:{model}", SEED)
    runtime = profile.runtime.model_copy(
        update={
            "device": size.device,
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
    """A sources file for GSM8K in `folder`; raises `RequirementError` unless each side is one Parquet file."""
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
    """Whether vLLM makes the rollouts: where it is installed beside a GPU."""
    return size.device != "cpu" and vllm_is_absent() is None


def vllm_is_absent() -> str | None:
    """What there is to say of vLLM where it is not installed; None where it is."""
    try:
        vllm_version()
    except EngineError as error:
        return str(error)
    return None


def _recipes(profile: Profile, size: Size, *, own: bool) -> dict[str, Recipe]:
    recipes, smoke = profile.recipes, load_profile("smoke", SEED).recipes
    base, zero, tuned = recipes["base"], recipes["r1_zero"], recipes["dev1"]
    if not (isinstance(base, AdoptRecipe) and isinstance(zero, ReinforceRecipe) and isinstance(tuned, SftRecipe)):
        raise RecipeError("the profile small has changed its verbs; correct benchmarks/gpu_settings.py")
    curated = {}
    for name, domain in (("reasoning_problems", "math"), ("heldout_problems", "math"), ("general_prompts", "general")):
        recipe = recipes[name] if own else smoke[name]
        assert isinstance(recipe, CurateRecipe)
        curated[name] = recipe.model_copy(update={"domains": (domain,), "optional": ()})
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=size.tokens)
    asked = AskRecipe(sampling=sampling, samples=size.samples, problems={"math": size.heldout}, seed=SEED)
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
        "reference_sync_steps": None,
    }
    if colocates(size):
        values["rollouts"] = VllmRollouts(clip=2.0)
    schedule = zero.schedule.model_copy(update={"shares": {"math": 1.0}})
    return zero.model_copy(update={"schedule": schedule, "grpo": zero.grpo.model_copy(update=values)})
