"""`node`: Qwen2.5-7B on one node of eight GPUs (`r1 plan` says how long); its students have a billion parameters.

It is the paper's recipe with shorter runs. RL on a 7B dense base gave the authors no real gain on AIME (supplement
G.1), so the numbers are set for problems like those of GSM8K and MATH. Real problems come from a sources file
(docs/one-gpu.md). Its Llama is behind Meta's licence, which has to be accepted on the hub first.
"""

from dataclasses import replace

from r1_pipeline.data.licences import PERMISSIVE
from r1_pipeline.engines import Vllm, VllmRollouts
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.profiles.extended import with_prompt_forms
from r1_pipeline.profiles.models import LLAMA_1B, QWEN_1_5B, QWEN_7B
from r1_pipeline.profiles.paper import paper_scale
from r1_pipeline.profiles.pretrained import Scale, pipeline
from r1_pipeline.profiles.profile import Forecast, Machine, Profile, Reported
from r1_pipeline.profiles.small import SIMPLERL_ZOO
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.settings.reruns import BY_COST

MAX_TOKENS = 4096
CONTEXT = 8192


def node(seed: int) -> Profile:
    """Builds the profile: the paper's schedule at a twentieth of the steps, on completions an eighth as long."""
    profile = Profile(
        pipeline(seed, _scale(seed)),
        Runtime(
            device="cuda",
            threads=8,
            launcher=Torchrun(processes=8, sharding="fsdp2"),
            generation_batch=256,
            generation_tokens=131_072,
            micro_batch=8,
            recompute=True,
            vllm=VllmSettings(context=CONTEXT, compiled=True),
            rollouts=Colocated(memory_share=0.4, context=CONTEXT),
            cluster=Cluster(address="local", workers=8, cpus=8, gpus=1),
        ),
        GateLimits(
            gain_over_base=0.1,
            format_rate=0.9,
            language_consistency=0.95,
            preference_accuracy=0.7,
            licences=PERMISSIVE,
            unknown_characters=0.001,
            regression=0.0,
            answer_excess=0.1,
            suspect_references=0.05,
        ),
        BY_COST,
        Machine(accelerator="h100", devices=8, memory_gib=75, sequence_devices=1),
        Forecast(prompt=150, zero=700, reasoning=900, general=300, kept=0.6, general_rows=8000, pairs=60_000),
        reported=(
            Reported(benchmark="GSM8K", before=88.2, after=91.7, source=SIMPLERL_ZOO),
            Reported(benchmark="MATH-500", before=64.6, after=78.2, source=SIMPLERL_ZOO),
        ),
    )
    return with_prompt_forms(profile.with_engine(Vllm()), zero="zero_opened", chat="chat", stop="form")


def _scale(seed: int) -> Scale:
    theirs = paper_scale(seed)
    zero = theirs.zero.model_copy(
        update={
            "steps": 480,
            "steps_per_generation": 4,
            "learning_rate": 1e-6,
            "epsilon": 0.2,
            "reference_sync_steps": 80,
            "max_completion_tokens": MAX_TOKENS,
            "save_steps": 40,
            "rollouts": VllmRollouts(),
        }
    )
    sft = theirs.sft.model_copy(update={"learning_rate": 1e-5, "final_learning_rate": 1e-6, "max_tokens": 8192})
    distill = sft.model_copy(update={"batch": 64, "learning_rate": 8e-5, "final_learning_rate": 8e-6})
    students = {"qwen": QWEN_1_5B, "llama": LLAMA_1B}
    return replace(
        theirs,
        base=QWEN_7B,
        students=students,
        zero=zero,
        dev2=zero.model_copy(update={"steps": 160}),
        r1=zero.model_copy(update={"steps": 160, "temperature": 0.7}),
        general_steps=40,
        student_rl=zero,
        cold_start=sft,
        sft=sft,
        distill=dict.fromkeys(students, distill),
        trace_problems={"math": 12_000, "code": 4000, "stem": 4000, "logic": 4000},
        trace_shards={"math": 4},
        trace_samples=8,
        trace_kept=2,
        readable=theirs.readable.model_copy(update={"max_tokens": MAX_TOKENS}),
        max_tokens=MAX_TOKENS,
        heldout={"math": 1819, "code": 164, "stem": 448, "logic": 256, "general": 128},
        eval_samples=4,
        general_rows=8000,
        corpus_rows={},
    )
