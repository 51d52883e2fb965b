"""`paper`: DeepSeek-V3-Base on 64 nodes of eight H800, with the hyper-parameters of the paper.

[N] is Nature 645:633-638 with its Methods, [S] arXiv 2501.12948v2 with its appendices, [v1] its first version. Values
that the authors did not publish are marked. The profile is for planning, reading and deriving; we have never run it.
"""

from collections.abc import Mapping

from r1_pipeline.data.licences import PERMISSIVE
from r1_pipeline.data.screening.replies import ReplyRecipe
from r1_pipeline.engines import Vllm, VllmRollouts
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.profiles.models import DEEPSEEK_V3_BASE, LLAMA_8B, QWEN_32B
from r1_pipeline.profiles.pretrained import Scale, pipeline
from r1_pipeline.profiles.profile import Forecast, Machine, Profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import REASONING_DOMAINS, Domain
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.settings.reruns import BY_COST
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe

MAX_TOKENS = 32_768  # [S] D.1 for evaluation; not published for rejection sampling
CORPUS_ROWS: Mapping[Domain, int] = {  # [S] table 5
    "math": 395_285,
    "code": 211_129,
    "stem": 10_124,
    "logic": 10_395,
    "general": 177_812,
}
SAMPLES, KEPT = 16, 4  # "several" of each problem, [S] B.3.3; the numbers are ours


def paper(seed: int) -> Profile:
    """Builds the profile of the paper's run."""
    profile = Profile(
        pipeline(seed, paper_scale(seed)),
        Runtime(
            device="cuda",
            threads=8,
            launcher=Torchrun(
                processes=8, nodes=64, sharding="fsdp2", starter=("srun", "--nodes=64", "--ntasks-per-node=1")
            ),
            generation_batch=8192,  # a whole rollout, [N] Methods, on 16 copies
            generation_tokens=65_536,
            micro_batch=1,
            recompute=True,
            # 32 devices hold a copy in 16 bits; the authors had FP8 and parallel experts. Ray finds the devices of one.
            vllm=VllmSettings(devices=32, compiled=True),
            rollouts=Colocated(devices=32, memory_share=0.65),
            cluster=Cluster(address="auto", workers=16, cpus=8, gpus=0),
        ),
        GateLimits(
            gain_over_base=0.5,
            format_rate=0.95,
            language_consistency=0.97,
            preference_accuracy=0.7,
            licences=PERMISSIVE,
            unknown_characters=0.001,
            regression=0.0,
            answer_excess=0.1,
            suspect_references=0.05,
        ),
        BY_COST,
        Machine(accelerator="h800", devices=512, memory_gib=79, sequence_devices=8),  # 64 x 8 H800, [S] B.4.4
        Forecast(
            prompt=200,  # 122 maths, 161 STEM, about 420 logic, [S] table 4; the template on top
            zero=6000,  # mean over the run of the curve of [v1] figure 3: 0.5k at the start, 2k, 4k, 5-6k, 10k
            reasoning=8000,  # 8,793 on contest problems of 2024, [S] E; 6,094 and 7,436 in maths and code rows
            general=1420,  # [S] table 5
            kept=0.5,  # not published
            general_rows=CORPUS_ROWS["general"],
            pairs=86_000,  # mean of 66,000 helpful pairs and 106,000 safety labels, [N] Methods
        ),
    )
    return profile.with_engine(Vllm())


def paper_scale(seed: int) -> Scale:
    """Returns the paper's numbers, from which `node` derives its own."""
    zero = _grpo(seed)
    # [N] Methods: 1,700 steps; 1,696 are whole rollouts of 16. Dev2's number is not published: as many.
    later = zero.model_copy(update={"steps": 1696})
    sft = _sft(seed)
    return Scale(
        base=DEEPSEEK_V3_BASE,
        students={"qwen": QWEN_32B, "llama": LLAMA_8B},  # two of the six, [S] table 6
        shares={
            "math": 26,
            "code": 25,
            "stem": 22,
            "logic": 15,
        },  # thousands of prompts, [S] table 4, bug fixing in code
        rules=Rubric(accuracy=1.0, format=1.0, language=0.0, preference=0.0, watched=("language",)),  # [N] equation 4
        zero=zero,
        dev2=later,
        r1=later.model_copy(update={"temperature": 0.7}),  # [N] Methods
        general_steps=400,  # [N] Methods
        student_rl=zero.model_copy(update={"learning_rate": 2e-6}),  # Qwen2.5-32B, [S] B.4.1; over 10k steps, F.1
        cold_start=sft,
        sft=sft,
        distill={
            # batch 64 and a tenth at the end, [S] B.4.3; rates, [S] table 6
            "qwen": sft.model_copy(update={"batch": 64, "learning_rate": 6e-5, "final_learning_rate": 6e-6}),
            "llama": sft.model_copy(update={"batch": 64, "learning_rate": 5e-5, "final_learning_rate": 5e-6}),
        },
        reward_model=RewardModelRecipe(
            epochs=1,  # [N] Methods
            batch=256,  # [N] Methods
            learning_rate=6e-6,  # [N] Methods
            max_grad_norm=1.0,  # not published
            max_tokens=8192,  # [N] Methods
            save_steps=50,
            seed=seed,
            precision="bfloat16",  # not published
        ),
        cold_start_problems=2000,  # "thousands", [S] B.3.2
        trace_problems={domain: -(-CORPUS_ROWS[domain] // KEPT) for domain in REASONING_DOMAINS},
        trace_shards={"math": 32, "code": 24},  # some 50,000 completions each, as the other domains have
        trace_samples=SAMPLES,
        trace_kept=KEPT,
        readable=ReplyRecipe(
            min_language_share=0.95, max_repetition=0.3, max_paragraph=2000, code_blocks=False, max_tokens=MAX_TOKENS
        ),  # not published
        max_tokens=MAX_TOKENS,
        heldout={"math": 530, "code": 400, "stem": 198, "logic": 100, "general": 500},  # about its benchmarks' sizes
        eval_samples=16,  # 64 for AIME and GPQA, 16 for MATH, 8 for LiveCodeBench, [S] D.1
        general_rows=CORPUS_ROWS["general"],
        corpus_rows=CORPUS_ROWS,
    )


def _grpo(seed: int) -> GrpoRecipe:
    return GrpoRecipe(
        steps=10_400,  # [N] Methods
        prompts_per_step=32,  # [N] Methods
        group_size=16,  # [N] Methods
        steps_per_generation=16,  # 8,192 outputs in 16 minibatches, [N] Methods
        num_iterations=1,  # [N] Methods
        learning_rate=3e-6,  # [N] Methods
        schedule="constant_with_warmup",  # not published
        warmup_steps=0,  # not published
        epsilon=10.0,  # stated for RL stage 1, [S] B.4; not for R1-Zero
        beta=0.001,  # [N] Methods
        reference_sync_steps=400,  # [N] Methods
        temperature=1.0,  # [N] Methods
        top_p=1.0,  # not published
        max_completion_tokens=MAX_TOKENS,  # [N] Methods; 65,536 from step 8,200 on, where TRL has one limit a run
        max_grad_norm=1.0,  # not published
        weight_decay=0.0,  # not published
        save_steps=80,
        seed=seed,
        guards=Guards(),
        precision="bfloat16",  # not published for RL; V3 itself was trained in FP8
        rollouts=VllmRollouts(),  # vLLM, [S] B.1; the correction is ours
    )


def _sft(seed: int) -> SftRecipe:
    return SftRecipe(
        epochs=2,  # 2 to 3, [S] B.4.2; two for the 800k, [v1]
        batch=128,  # [S] B.4.2
        learning_rate=5e-5,  # [S] B.4.2
        final_learning_rate=5e-6,  # [S] B.4.2
        warmup_steps=0,  # not published
        weight_decay=0.0,  # not published
        max_grad_norm=1.0,  # not published
        max_tokens=MAX_TOKENS,  # [S] B.4.2
        save_steps=500,
        seed=seed,
        precision="bfloat16",  # not published
    )
