"""The comparisons of `gpu.py`: two runs that should be identical, and the plan with the measurement."""

from dataclasses import replace
from pathlib import Path

from gpu_settings import Bench, BuildResult

from r1_pipeline.planning.hardware import ACCELERATORS
from r1_pipeline.planning.plan import plan


def distance(one: BuildResult, other: BuildResult) -> BuildResult:
    """Measures how far apart two runs are, in their weights and in every step."""
    from safetensors.torch import load_file

    weights = []
    for run in (one, other):
        files = sorted(Path(run["model"]).glob("*.safetensors"))
        weights.append({name: tensor for file in files for name, tensor in load_file(file).items()})
    apart = {name: (weights[0][name].float() - weights[1][name].float()).abs().max().item() for name in weights[0]}
    pairs = zip(one["steps"], other["steps"], strict=True)
    return {
        "bit_identical": one["digest"] == other["digest"],
        "largest_weight_difference": max(apart.values()),
        "tensors_that_differ": sum(gap > 0 for gap in apart.values()),
        "tensors": len(apart),
        "steps_that_differ": [a["step"] for a, b in pairs if a != b],
    }


def planned(bench: Bench, run: BuildResult) -> BuildResult:
    """Compares the measured RL run with `r1 plan` for the same run at its actual lengths."""
    name = accelerator(bench)
    if name is None:
        return {"absent": f"r1 plan knows {', '.join(ACCELERATORS)} and not this card"}
    grpo = bench.recipes["r1_zero"].grpo
    sequences = grpo.steps * grpo.prompts_per_step * grpo.group_size
    mean = run["tokens"]["generated"] / sequences
    prompt = run["tokens"]["trained"] / sequences - mean
    forecast = bench.profile.forecast.model_copy(update={"prompt": prompt, "zero": mean})
    profile = replace(bench.profile, forecast=forecast)
    stage = plan(profile, name, compare=False).stages["r1_zero"]
    return {
        "accelerator": name,
        "planned_s": stage.gpu_hours * 3600,
        "measured_s": run["seconds"],
        "planned_gib": stage.memory_gib_per_device,
        "measured_gib": run["peak_gib"],
    }


def accelerator(bench: Bench) -> str | None:
    """Returns the name that `r1 plan` has for the device; None for an unknown one."""
    if bench.size.device == "cpu":
        return "cpu-core"
    import torch

    card = torch.cuda.get_device_name().lower()
    return next((name for name in ACCELERATORS if name in card), None)
