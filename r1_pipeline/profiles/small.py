"""`small`: a real model of 135 million parameters on one GPU (`r1 plan` says how long).

The base comes from a PyPI wheel, so that no model hub is needed; one student keeps every second layer of it, the other
two layers of three. Give it real problems in a sources file, or another base as `small:DIRECTORY`.
"""

from r1_pipeline.data.licences import PERMISSIVE
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.profiles.models import SMOLLM2, cut
from r1_pipeline.profiles.pretrained import Scale, pipeline
from r1_pipeline.profiles.profile import Forecast, Machine, Profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.settings.reruns import BY_COST
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe

MAX_TOKENS = 256
SAVE_STEPS = 20


def small(seed: int) -> Profile:
    """Builds the profile: SmolLM2-135M-Instruct through the whole graph, with numbers of our own for a short run."""
    zero = _grpo(seed)
    sft = _sft(seed)
    students = {
        "qwen": cut(SMOLLM2, range(0, 30, 2), "qwen2"),
        "llama": cut(SMOLLM2, [layer for layer in range(30) if layer % 3 != 1], "llama"),
    }
    scale = Scale(
        base=SMOLLM2,
        students=students,
        shares={"math": 0.55, "code": 0.15, "stem": 0.12, "logic": 0.18},
        # SmolLM2 never samples the whole form unprompted; rewarding single tags gives RL a first signal.
        rules=Rubric(accuracy=1.0, format=0.2, language=0.0, preference=0.0, tags=0.2, watched=("language",)),
        zero=zero,
        dev2=zero.model_copy(update={"steps": 60}),
        r1=zero.model_copy(update={"steps": 60, "temperature": 0.7}),
        general_steps=20,
        student_rl=zero.model_copy(update={"steps": 60}),
        cold_start=sft,
        sft=sft,
        distill=dict.fromkeys(students, sft.model_copy(update={"learning_rate": 5e-4, "final_learning_rate": 5e-5})),
        reward_model=RewardModelRecipe(
            epochs=2,
            batch=32,
            learning_rate=2e-5,
            max_grad_norm=1.0,
            max_tokens=1024,
            save_steps=SAVE_STEPS,
            seed=seed,
            precision="bfloat16",
        ),
        cold_start_problems=200,
        trace_problems={"math": 1000, "code": 400, "stem": 400, "logic": 200},
        trace_shards={},
        trace_samples=4,
        trace_kept=2,
        readable=ReplyRecipe(
            min_language_share=0.9, max_repetition=0.3, max_paragraph=2000, code_blocks=False, max_tokens=MAX_TOKENS
        ),
        max_tokens=MAX_TOKENS,
        heldout={"math": 512, "code": 64, "stem": 64, "logic": 64, "general": 32},
        eval_samples=4,
        general_rows=2000,
        corpus_rows={},
    )
    return Profile(
        pipeline(seed, scale),
        Runtime(device="cuda", threads=8, generation_batch=512, micro_batch=32),
        GateLimits(
            gain_over_base=0.02,
            format_rate=0.8,
            language_consistency=0.9,
            preference_accuracy=0.7,
            licences=PERMISSIVE,
            unknown_characters=0.001,
            regression=0.0,
            answer_excess=0.1,
        ),
        BY_COST,
        Machine(accelerator="h100", devices=1, memory_gib=20, sequence_devices=1),
        Forecast(prompt=150, zero=150, reasoning=150, general=60, kept=0.3, general_rows=400, pairs=200),
    )


def _grpo(seed: int) -> GrpoRecipe:
    return GrpoRecipe(
        steps=100,
        prompts_per_step=32,
        group_size=16,
        steps_per_generation=1,
        num_iterations=1,
        learning_rate=5e-6,
        schedule="constant_with_warmup",
        warmup_steps=5,
        epsilon=0.2,
        beta=0.001,
        reference_sync_steps=40,
        temperature=1.0,
        top_p=1.0,
        max_completion_tokens=MAX_TOKENS,
        max_grad_norm=1.0,
        weight_decay=0.0,
        save_steps=SAVE_STEPS,
        seed=seed,
        guards=Guards(entropy_floor=0.001, kl_ceiling=10.0, empty_think_ceiling=0.9),
        precision="bfloat16",
    )


def _sft(seed: int) -> SftRecipe:
    return SftRecipe(
        epochs=2,
        batch=32,
        learning_rate=2e-4,
        final_learning_rate=2e-5,
        warmup_steps=5,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=1024,
        save_steps=SAVE_STEPS,
        seed=seed,
        precision="bfloat16",
    )
