"""`small`: Qwen2.5-1.5B on GSM8K and MATH, on one GPU of 80 GB (`r1 plan` says how long).

Settings are those with which others saw the effect of R1-Zero at this size: base, problems and the figures to compare
with are SimpleRL-Zoo's (arXiv 2503.18892), objective, rates and colocated vLLM Oat-Zero's (Dr. GRPO, arXiv 2503.20783),
the length of replies TinyZero's (github.com/Jiayi-Pan/TinyZero). Problems come from a sources file (docs/one-gpu.md).
"""

from r1_pipeline.data.licences import PERMISSIVE
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.engines import Vllm, VllmRollouts
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.profiles.extended import with_prompt_forms
from r1_pipeline.profiles.models import QWEN_1_5B, QWEN_HALF_B, SMOLLM2_360M
from r1_pipeline.profiles.pretrained import Scale, pipeline
from r1_pipeline.profiles.profile import Forecast, Machine, Profile, Reported
from r1_pipeline.recipe import Runtime
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.settings.launchers import Subprocess
from r1_pipeline.settings.reruns import BY_COST
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.objectives import OBJECTIVES
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe

MAX_TOKENS = 1024  # TinyZero
CONTEXT = 4096
SAVE_STEPS = 20
SIMPLERL_ZOO = "SimpleRL-Zoo, arXiv 2503.18892"


def small(seed: int) -> Profile:
    """Builds the profile: the whole graph on a base of 1.5 billion parameters, students of 0.5 and 0.36 billion."""
    zero, sft = _grpo(seed), _sft(seed)
    profile = Profile(
        pipeline(seed, _scale(seed, zero, sft)),
        Runtime(
            device="cuda",
            threads=8,
            launcher=Subprocess(),
            generation_batch=256,
            generation_tokens=131_072,
            micro_batch=8,
            recompute=True,
            vllm=VllmSettings(context=CONTEXT),
            rollouts=Colocated(memory_share=0.35, context=CONTEXT),  # Oat-Zero
        ),
        GateLimits(
            gain_over_base=0.05,
            format_rate=0.8,
            language_consistency=0.9,
            preference_accuracy=0.7,
            licences=PERMISSIVE,
            unknown_characters=0.001,
            regression=0.0,
            answer_excess=0.1,
            suspect_references=0.1,
        ),
        BY_COST,
        Machine(accelerator="h100", devices=1, memory_gib=75, sequence_devices=1),
        Forecast(prompt=200, zero=350, reasoning=400, general=100, kept=0.5, general_rows=400, pairs=850),
        reported=(
            Reported(benchmark="GSM8K", before=55.7, after=74.4, source=SIMPLERL_ZOO),
            Reported(benchmark="MATH-500", before=29.6, after=59.0, source=SIMPLERL_ZOO),
        ),
    )
    return with_prompt_forms(profile.with_engine(Vllm()), zero="zero_opened", chat="chat", stop="form")


def _scale(seed: int, zero: GrpoRecipe, sft: SftRecipe) -> Scale:
    students = {"qwen": QWEN_HALF_B, "llama": SMOLLM2_360M}
    distill = sft.model_copy(update={"batch": 64, "learning_rate": 1e-4, "final_learning_rate": 1e-5})  # [R1, table 6]
    return Scale(
        base=QWEN_1_5B,
        students=students,
        shares={"math": 0.7, "code": 0.1, "stem": 0.1, "logic": 0.1},
        # A rigid format reward harms weak bases (SimpleRL-Zoo): a tenth, and the prompt opens `<think>`.
        rules=Rubric(accuracy=1.0, format=0.1, language=0.0, preference=0.0, watched=("language", "tags")),
        zero=zero,
        dev2=zero.model_copy(update={"steps": 80}),
        r1=zero.model_copy(update={"steps": 80, "temperature": 0.7}),
        general_steps=20,
        student_rl=zero.model_copy(update={"learning_rate": 2e-6}),
        cold_start=sft,
        sft=sft,
        distill=dict.fromkeys(students, distill),
        reward_model=RewardModelRecipe(
            epochs=1,
            batch=64,
            learning_rate=1e-5,
            max_grad_norm=1.0,
            max_tokens=1024,
            save_steps=SAVE_STEPS,
            seed=seed,
            precision="bfloat16",
        ),
        cold_start_problems=500,
        trace_problems={"math": 6000, "code": 400, "stem": 400, "logic": 200},
        trace_shards={},
        trace_samples=4,
        trace_kept=2,
        readable=ReplyRecipe(
            min_language_share=0.9, max_repetition=0.3, max_paragraph=2000, code_blocks=False, max_tokens=MAX_TOKENS
        ),
        max_tokens=MAX_TOKENS,
        heldout={"math": 1819, "code": 64, "stem": 64, "logic": 64, "general": 32},  # GSM8K 1,319 and MATH-500
        eval_samples=4,
        general_rows=2000,
        corpus_rows={},
    )


def _grpo(seed: int) -> GrpoRecipe:
    """Returns R1-Zero's recipe: 120 rollouts of 64 problems x 8, two updates each."""
    return GrpoRecipe(
        steps=240,
        prompts_per_step=32,
        group_size=8,  # SimpleRL-Zoo, Oat-Zero
        steps_per_generation=2,
        num_iterations=1,
        learning_rate=1e-6,  # Oat-Zero
        schedule="constant_with_warmup",
        warmup_steps=5,
        epsilon=0.2,
        beta=0.0,  # Oat-Zero
        reference_sync_steps=None,
        temperature=1.0,
        top_p=1.0,
        max_completion_tokens=MAX_TOKENS,
        max_grad_norm=1.0,
        weight_decay=0.0,
        save_steps=SAVE_STEPS,
        seed=seed,
        guards=Guards(entropy_floor=0.001, kl_ceiling=10.0, empty_think_ceiling=0.9),
        objective=OBJECTIVES["dr_grpo"],  # Oat-Zero
        precision="bfloat16",
        rollouts=VllmRollouts(),
    )


def _sft(seed: int) -> SftRecipe:
    return SftRecipe(
        epochs=2,
        batch=32,
        learning_rate=1e-5,
        final_learning_rate=1e-6,
        warmup_steps=5,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=2048,
        save_steps=SAVE_STEPS,
        seed=seed,
        precision="bfloat16",
    )
