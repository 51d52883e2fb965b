"""`laptop`: a real pretrained model on two CPU cores, through the whole graph in some hours.

The base is Qwen2.5-Coder-0.5B-Instruct, the students are SmolLM2-135M-Instruct (Llama architecture) and the base's own
model (Qwen architecture); none of them is cut. Problems are short sets of reasoning-gym: the base can solve many of
them and seldom shows it in the form of R1-Zero, which is what reinforcement can bring out on a CPU. A sources
file replaces them or adds to them. All settings are numbers of our own; `docs/laptop.md` says how they were chosen.
"""

from collections.abc import Mapping

from r1_pipeline.data.gym_sets import GymSet
from r1_pipeline.data.licences import PERMISSIVE
from r1_pipeline.data.merge import MergeRecipe
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.data.screening.rows import STANDARD_SCREENING, RowsRecipe
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.profiles.extended import with_precision, with_prompt_forms
from r1_pipeline.profiles.models import QWEN_CODER_HALF_B, SMOLLM2_135M
from r1_pipeline.profiles.pretrained import BUILT_IN, Scale, pipeline
from r1_pipeline.profiles.profile import Forecast, Machine, Profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.settings.reruns import BY_COST
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe

MAX_TOKENS = 96
"""Maximum tokens of a reply: two or three steps and the form; most replies are half as long."""
ADAPTERS = Lora(rank=32, alpha=64.0)
"""Adapters of every stage that trains the 0.5B model: its gradients and moments would take 6 GiB more."""
SAVE_STEPS = 2
"""Optimizer steps between checkpoints; an interruption costs some minutes at most."""
SHARES: Mapping[Domain, float] = {"math": 0.8, "code": 0.2, "stem": 0.2, "logic": 0.2}
SCREENING = RowsRecipe(
    contamination=STANDARD_SCREENING.contamination.model_copy(update={"window": MAX_TOKENS}),
    quality=STANDARD_SCREENING.quality,
    duplicates=STANDARD_SCREENING.duplicates.model_copy(
        update={"similarity": 1.0, "number_similarity": 1.0, "common_share": 1.0}
    ),
)
"""Screening for problems that differ in their numbers alone: only a whole held-out problem matches, and only identical
texts count as duplicates."""


def laptop(seed: int) -> Profile:
    """Builds the profile: the smallest settings that show the recipe's effects on a real model."""
    zero, sft = _grpo(seed), _sft(seed)
    students = {"llama": SMOLLM2_135M, "qwen": QWEN_CODER_HALF_B}
    scale = Scale(
        base=QWEN_CODER_HALF_B,
        students=students,
        shares=SHARES,
        rules=Rubric(accuracy=1.0, format=0.5, language=0.0, preference=0.0, watched=("language",)),
        zero=zero,
        dev2=zero.model_copy(update={"steps": 10}),
        r1=zero.model_copy(update={"steps": 8, "temperature": 0.7}),
        general_steps=4,
        student_rl=zero.model_copy(update={"steps": 8}),
        cold_start=sft,
        sft=sft,
        distill={
            "llama": sft.model_copy(update={"lora": None, "epochs": 4, "learning_rate": 2e-4}),
            "qwen": sft,
        },
        reward_model=RewardModelRecipe(
            epochs=2,
            batch=16,
            learning_rate=2e-4,
            max_grad_norm=1.0,
            max_tokens=128,
            save_steps=SAVE_STEPS,
            seed=seed,
            lora=ADAPTERS,
        ),
        cold_start_problems=80,
        trace_problems={"math": 280, "code": 24, "stem": 24, "logic": 24},
        trace_shards={},
        trace_samples=2,
        trace_kept=1,
        readable=ReplyRecipe(
            min_language_share=0.8, max_repetition=0.5, max_paragraph=2000, code_blocks=False, max_tokens=MAX_TOKENS
        ),
        max_tokens=MAX_TOKENS,
        heldout={"math": 240, "code": 16, "stem": 16, "logic": 16, "general": 24},
        eval_samples=2,
        general_rows=100,
        corpus_rows={},
        problems=BUILT_IN.model_copy(update={"sets": _sets(seed=0)}),
        builtin=("math", "general"),
        optional=("code",),
        pairs=128,
    )
    profile = Profile(
        {**pipeline(seed, scale), "sft_corpus": MergeRecipe(seed=seed, screening=SCREENING, rows={})},
        Runtime(device="cpu", threads=2, generation_batch=64, micro_batch=8),
        GateLimits(
            gain_over_base=0.1,
            format_rate=0.6,
            language_consistency=0.8,
            preference_accuracy=0.55,
            licences=PERMISSIVE,
            unknown_characters=0.001,
            regression=0.05,
            answer_excess=0.2,
        ),
        BY_COST,
        Machine(accelerator="laptop-core", devices=2, memory_gib=0, sequence_devices=1),
        Forecast(prompt=42, zero=36, reasoning=36, general=24, kept=0.5, general_rows=100, pairs=128),
    )
    return with_prompt_forms(profile, zero="own_brief", chat="own_chat", stop="form")


def laptop_bf16(seed: int) -> Profile:
    """Builds the profile with its matrix products in bfloat16, for a processor with AVX512-BF16 or AMX."""
    return with_precision(laptop(seed), "bfloat16")


def _sets(seed: int) -> tuple[GymSet, ...]:
    """Returns the problems: the base solves each kind now and then in free text."""

    def drawn(domain: Domain, dataset: str, problems: int, **settings: int | float | str) -> GymSet:
        return GymSet(domain=domain, dataset=dataset, settings=settings, problems=problems, seed=seed)

    return (
        drawn("math", "products", 800, min_terms=2, max_terms=2, min_digits=1, max_digits=2),
        drawn("math", "chain_sum", 800, min_terms=2, max_terms=2, min_digits=2, max_digits=3),
        drawn("math", "gcd", 600, min_numbers=2, max_numbers=2, min_value=1, max_value=60),
    )


def _grpo(seed: int) -> GrpoRecipe:
    return GrpoRecipe(
        steps=30,
        prompts_per_step=8,
        group_size=8,
        steps_per_generation=1,
        num_iterations=1,
        learning_rate=5e-5,
        schedule="constant_with_warmup",
        warmup_steps=2,
        epsilon=0.2,
        beta=0.0,
        reference_sync_steps=None,
        temperature=1.0,
        top_p=1.0,
        max_completion_tokens=MAX_TOKENS,
        max_grad_norm=1.0,
        weight_decay=0.0,
        save_steps=SAVE_STEPS,
        seed=seed,
        guards=Guards(entropy_floor=0.001, empty_think_ceiling=0.9, grader_error_ceiling=0.05),
        lora=ADAPTERS,
    )


def _sft(seed: int) -> SftRecipe:
    return SftRecipe(
        epochs=2,
        batch=16,
        learning_rate=2e-4,
        final_learning_rate=2e-5,
        warmup_steps=2,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=256,
        save_steps=SAVE_STEPS,
        seed=seed,
        lora=ADAPTERS,
    )
