"""The toy world as recipes: its facts and its web, its models, and every stage's recipe as a function of a `Size`.

The profiles that choose the sizes are in `profiles.tiny`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.merge import MergeRecipe
from r1_pipeline.data.prompt_schedule import PromptSchedule
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.data.screening.rows import STANDARD_SCREENING, RowsRecipe
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.data.toy_corpus import ToyRecipe
from r1_pipeline.data.toy_general import Manner
from r1_pipeline.data.toy_problems import ProblemsRecipe
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.evaluation.runner import EvaluateRecipe, GradeRecipe
from r1_pipeline.generation.guessing import GuessingRecipe
from r1_pipeline.generation.rejection import KeepRecipe, RejectionRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import Recipes
from r1_pipeline.profiles.profile import Forecast, Machine, Profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import BUILTIN_DOMAINS, REASONING_DOMAINS, Domain, Sampling
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.settings.reruns import BY_COST
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.pretrain import DeepseekV3, Dense, PretrainRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import GeneralRecipe, ReinforceRecipe

MAX_TOKENS = 64
"""Maximum tokens of a completion in the toy world; its longest careful solution needs about 35."""
SAVE_STEPS = 50
"""Optimizer steps between checkpoints, and so the most that an interruption costs."""
TOY_SCREENING = RowsRecipe(
    contamination=STANDARD_SCREENING.contamination.model_copy(update={"window": MAX_TOKENS}),
    quality=STANDARD_SCREENING.quality,
    duplicates=STANDARD_SCREENING.duplicates.model_copy(
        update={"similarity": 1.0, "number_similarity": 1.0, "common_share": 1.0}
    ),
)
"""Screening for problems that differ in one number or word: a held-out problem must match as a whole, and only
identical texts count as duplicates."""

BASE = DeepseekV3(
    width=128,
    layers=3,
    heads=4,
    intermediate=256,
    expert_intermediate=64,
    experts=4,
    experts_per_token=2,
    latent=64,
    rope_dim=32,
    value_dim=32,
)
STUDENTS: Mapping[str, Dense] = {
    "qwen": Dense(type="qwen2", width=96, layers=3, heads=4, key_value_heads=2, intermediate=256),
    "llama": Dense(type="llama", width=96, layers=3, heads=4, key_value_heads=2, intermediate=256),
}
"""Small dense models of other families that are distilled from the teacher: partition key -> architecture."""
FACTS = ProblemsRecipe(
    seed=0,
    sums=(150, 350, 400, 250),
    programs=400,
    products=700,
    digits=1,
    largest_sum=18,
    largest_factor=6,
    turns=3,
    heldout_share=0.25,
)
WEB = ToyRecipe(
    problems=FACTS,
    seed=0,
    texts=96_000,
    domains={"math": 0.32, "code": 0.1, "stem": 0.32, "logic": 0.18, "general": 0.15},
    zero_share=0.6,
    untidy_share=0.55,
    styles={"hasty": 0.65, "steps": 0.1, "check": 0.25},
    hasty_steps=2,
    mixed={"hasty": 0.3, "steps": 0.5, "check": 0.6},
    slip=0.2,
    notice=0.9,
    mixed_care=0.5,
    manners={
        "good": 0.42,
        "long": 0.12,
        "half": 0.08,
        "name": 0.04,
        "thing": 0.04,
        "foreign": 0.06,
        "hedged": 0.08,
        "curt": 0.06,
        "rude": 0.06,
        "off": 0.04,
    },
)
"""The toy web, hasty enough that a base which learns it well is bad at every problem."""
DEMONSTRATED: tuple[tuple[Manner, float], ...] = (
    ("good", 0.5), ("long", 0.2), ("half", 0.1), ("hedged", 0.1), ("rude", 0.1),
)  # fmt: skip
"""Manners of written general replies, each with its relative frequency; the verifier drops some bad ones, as it does
for real data."""

EXPERT_BIAS_RATE = 0.001
"""Update rate of the expert biases of the mixture-of-experts model in every stage that trains it; DeepSeek-V3's value
(its report, section 4.2)."""
RL_SHARES: Mapping[Domain, float] = {"math": 0.4, "code": 0.1, "stem": 0.3, "logic": 0.2}
"""Domain -> its share of the prompts of reasoning RL; the paper has 0.30, 0.28, 0.25 and 0.17 (supplement, table 4,
with bug fixing)."""


FORECAST = Forecast(prompt=8, zero=17, reasoning=17, general=15, kept=0.5, general_rows=400, pairs=2300)
"""Lengths and counts as measured on the profile `tiny`, rounded."""


@dataclass(frozen=True)
class Size:
    """The values that differ between the profiles of the toy world."""

    base: DeepseekV3
    students: Mapping[str, Dense]
    web: ToyRecipe
    vocabulary: int
    base_steps: int
    student_steps: int
    batch: int
    zero_steps: int
    dev2_steps: int
    r1_steps: int
    r1_general_steps: int
    student_rl_steps: int
    prompts_per_step: int
    minibatches: int
    """Minibatches of a rollout, one optimizer step each."""
    group_size: int
    cold_start_problems: int
    trace_problems: int
    trace_samples: int
    luck_level: float
    """Significance level at which a problem with few possible answers counts as solved better than by guessing."""
    heldout_maths: int
    heldout_others: int
    eval_samples: int
    cold_start_epochs: int
    sft_epochs: int
    base_learning_rate: float
    lanes: int


def toy_world(seed: int, size: Size, limits: GateLimits, guards: Guards) -> Profile:
    """Builds the profile of the toy world at this size; all seeds but the facts' derive from `seed`."""
    facts = size.web.problems
    readable = ReplyRecipe(
        min_language_share=1.0, max_repetition=0.3, max_paragraph=2000, code_blocks=False, max_tokens=MAX_TOKENS
    )

    def rejection(problems: dict[Domain, int], per_problem: int) -> RejectionRecipe:
        sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=MAX_TOKENS)
        return RejectionRecipe(
            ask=SamplingRecipe(sampling=sampling, samples=size.trace_samples, problems=problems, seed=seed),
            keep=KeepRecipe(
                rules=readable,
                per_problem=per_problem,
                luck=GuessingRecipe(level=size.luck_level, answers=8, stated=size.luck_level < 1),
            ),
        )

    sft = _sft(seed, size)
    balanced = sft.model_copy(update={"expert_bias_rate": EXPERT_BIAS_RATE})
    reinforce = _reinforcements(seed, size, guards)
    recipes: Recipes = {
        "reasoning_problems": CurateRecipe(
            problems=facts, domains=REASONING_DOMAINS, optional=("code",), heldout=False
        ),
        "heldout_problems": CurateRecipe(problems=facts, domains=BUILTIN_DOMAINS, optional=("code",), heldout=True),
        "general_prompts": CurateRecipe(problems=facts, domains=("general",), optional=(), heldout=False),
        "preference_pairs": CuratePreferencesRecipe(heldout_share=facts.heldout_share, wrong_share=0.08),
        "base": _pretrain(seed, size, size.base, size.base_steps),
        "student_base": {name: _pretrain(seed + 1, size, size.students[name], size.student_steps) for name in STUDENTS},
        "r1_zero": reinforce["r1_zero"],
        "cold_start_data": rejection(dict.fromkeys(REASONING_DOMAINS, size.cold_start_problems), per_problem=1),
        "dev1": balanced.model_copy(update={"epochs": size.cold_start_epochs}),
        "dev2": reinforce["dev2"],
        "reasoning_traces": {str(d): rejection({d: size.trace_problems}, per_problem=2) for d in REASONING_DOMAINS},
        "general_traces": GeneralRecipe(rows=900, manners=DEMONSTRATED),
        "sft_corpus": MergeRecipe(seed=seed, screening=TOY_SCREENING, rows={}),
        "dev3": balanced,
        "helpful_rm": _reward_model(seed, size),
        "safety_rm": _reward_model(seed, size),
        "r1": reinforce["r1"],
        "distilled": dict.fromkeys(STUDENTS, sft),
        "student_rl_only": reinforce["student_rl_only"],
        "evaluation": EvaluateRecipe(
            ask=SamplingRecipe(
                sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=MAX_TOKENS),
                samples=size.eval_samples,
                problems={d: size.heldout_maths if d == "math" else size.heldout_others for d in BUILTIN_DOMAINS},
                seed=seed,
            ),
            grade=GradeRecipe(ks=(1, size.eval_samples)),
        ),
        "report": ReportRecipe(exchanges=10, exchange_models=("base", "r1_zero", "r1")),
    }
    return Profile(
        recipes,
        Runtime(lanes=size.lanes, micro_batch=256, generation_batch=1024),
        limits,
        BY_COST,
        Machine(accelerator="cpu-core", devices=1, memory_gib=0, sequence_devices=1),
        FORECAST,
    )


def _pretrain(seed: int, size: Size, shape: DeepseekV3 | Dense, steps: int) -> PretrainRecipe:
    return PretrainRecipe(
        web=size.web.model_copy(update={"seed": seed}),
        architecture=shape,
        vocabulary=size.vocabulary,
        context=128,
        steps=steps,
        batch=size.batch,
        learning_rate=size.base_learning_rate,
        warmup_steps=min(30, steps // 4),
        beta2=0.98,
        weight_decay=0.01,
        max_grad_norm=1.0,
        save_steps=SAVE_STEPS,
        seed=seed,
        expert_bias_rate=EXPERT_BIAS_RATE if isinstance(shape, DeepseekV3) else 0.0,
    )


def _sft(seed: int, size: Size) -> SftRecipe:
    return SftRecipe(
        epochs=size.sft_epochs,
        batch=64,
        learning_rate=1e-3,
        final_learning_rate=1e-4,
        warmup_steps=2,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=128,
        save_steps=SAVE_STEPS,
        seed=seed,
    )


def _reward_model(seed: int, size: Size) -> RewardModelRecipe:
    return RewardModelRecipe(
        epochs=min(2, size.sft_epochs),
        batch=64,
        learning_rate=3e-4,
        max_grad_norm=1.0,
        max_tokens=128,
        save_steps=SAVE_STEPS,
        seed=seed,
    )


def _reinforcements(seed: int, size: Size, guards: Guards) -> dict[str, ReinforceRecipe]:
    rules = Rubric(accuracy=1.0, format=0.1, language=0.0, preference=0.0, watched=("language", "reflection"))
    with_language = rules.model_copy(update={"language": 1.0})
    reasoning = PromptSchedule(shares=RL_SHARES, general_steps=0, general_share=0.5, seed=seed)

    def run(
        steps: int,
        rubric: Rubric,
        template: TemplateName,
        temperature: float,
        schedule: PromptSchedule = reasoning,
        learning_rate: float = 3e-4,
        expert_bias_rate: float = EXPERT_BIAS_RATE,
    ) -> ReinforceRecipe:
        grpo = GrpoRecipe(
            steps=steps,
            prompts_per_step=size.prompts_per_step,
            group_size=size.group_size,
            steps_per_generation=size.minibatches,
            num_iterations=1,
            learning_rate=learning_rate,
            schedule="constant_with_warmup",
            warmup_steps=min(5, steps // 2),
            epsilon=0.2,  # at the paper's 10 only a ratio of 11 would be clipped
            beta=0.001,
            reference_sync_steps=32,
            temperature=temperature,
            top_p=1.0,
            max_completion_tokens=MAX_TOKENS,
            max_grad_norm=1.0,
            weight_decay=0.0,
            save_steps=SAVE_STEPS // size.minibatches * size.minibatches,
            seed=seed,
            guards=guards,
            expert_bias_rate=expert_bias_rate,
        )
        return ReinforceRecipe(template=template, rubric=rubric, schedule=schedule, grpo=grpo)

    last = reasoning.model_copy(update={"general_steps": size.r1_general_steps})
    return {
        "r1_zero": run(size.zero_steps, rules, "zero", 1.0),
        "dev2": run(size.dev2_steps, with_language, "chat", 1.0),
        "r1": run(
            size.r1_steps,
            with_language.model_copy(update={"preference": 1.0, "watched": ("courtesy",)}),
            "chat",
            0.7,
            last,
            1.5e-4,
        ),
        "student_rl_only": run(size.student_rl_steps, rules, "zero", 1.0, expert_bias_rate=0.0),
    }
