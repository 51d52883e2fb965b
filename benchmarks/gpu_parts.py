"""The parts of `gpu.py`; each calls the verbs in a process of its own and returns its figures."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from gpu_settings import SEED, Bench, BuildResult, vllm_is_absent

from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, EvalReport, ProblemSet
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.engines import EngineSpec, Transformers, Vllm
from r1_pipeline.errors import RequirementError
from r1_pipeline.evaluation.paired import differences, marks_of
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation.engine import requests_for
from r1_pipeline.generation.engine_factory import open_engine
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Precision
from r1_pipeline.records import Completion, Request
from r1_pipeline.training.precision import require_precision
from r1_pipeline.verbs import GeneralRecipe, ask, collect_general, curate, evaluate, finetune, pretrain, reinforce

GIB = 2.0**30
SHOWN = (
    "step",
    "reward",
    "reward/accuracy",
    "reward/format",
    "loss",
    "mean_tokens",
    "truncated",
    "mismatch",
    "seconds",
)
"""The metrics of a step that are reported."""
ALIKE = ("reward", "loss", "grad_norm", "mean_tokens")
"""Metrics that agree in every step of two identical runs."""


class Watch(Observer):
    """Reports the progress of a stage on standard error, and records whether anything was computed."""

    computed = False

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self.computed = True
        shown = " ".join(f"{key} {metrics[key]:.4g}" for key in SHOWN if key in metrics)
        print(f"{name} {step}/{total} {shown}", file=sys.stderr, flush=True)

    def noted(self, name: str, message: str) -> None:
        print(f"{name}: {message}", file=sys.stderr, flush=True)


class Killed(Watch):
    """Ends the process once a step is done, as a power cut would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        super().stepped(name, step, total, metrics)
        if step == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def peak_gib(bench: Bench) -> float | None:
    """Returns the peak memory of this process, on the GPU or on the machine, in GiB; None if it computed nothing."""
    if not (isinstance(bench.observer, Watch) and bench.observer.computed):
        return None
    if bench.size.device == "cpu":
        # `getrusage` would include the parent's peak, since this process was forked from it.
        said = Path("/proc/self/status").read_text(encoding="ascii")
        return int(said.partition("VmHWM:")[2].split()[0]) * 1024 / GIB
    import torch

    return torch.cuda.max_memory_allocated() / GIB


def base(bench: Bench) -> Checkpoint:
    return pretrain(bench.at("base"), bench.recipes["base"])


def heldout(bench: Bench) -> ProblemSet:
    return curate(bench.at("heldout_problems"), bench.recipes["heldout_problems"])


def reinforced(
    bench: Bench, home: str = "store", steps: int | None = None, save_steps: int | None = None
) -> Checkpoint:
    """Trains R1-Zero from the base, in a home of its own if it is made more than once."""
    recipe = bench.recipes["r1_zero"]
    if steps is not None:
        grpo = recipe.grpo.model_copy(update={"steps": steps, "save_steps": save_steps, "warmup_steps": 1})
        recipe = recipe.model_copy(update={"grpo": grpo})
    problems = curate(bench.at("reasoning_problems"), bench.recipes["reasoning_problems"])
    return reinforce(bench.at("r1_zero", home), base(bench), problems, recipe)


def imported(bench: Bench) -> BuildResult:
    """Imports the base as an artifact and opens it."""
    made = base(bench)
    shape = bench.recipes["base"].shape
    size = sum(file.bytes for file in made.manifest.files)
    return {
        "source": bench.recipes["base"].source.model_dump(),
        "architecture": bench.recipes["base"].architecture,
        "parameters": shape.parameters,
        "bytes": size,
        "seconds": made.manifest.provenance.seconds,
        "digest": made.digest,
    }


def rollouts(bench: Bench) -> BuildResult:
    """Runs every engine on the same requests: tokens per second, and the gap to the trainer's log-probabilities."""
    engines: dict[str, EngineSpec] = {"transformers": Transformers(), "vllm": Vllm(dtype="bfloat16")}
    absent = vllm_is_absent()
    if absent:
        del engines["vllm"]
    found: BuildResult = {name: _engine(bench, spec) for name, spec in engines.items()}
    return {**found, "vllm": {"absent": absent}} if absent else found


def _engine(bench: Bench, spec: EngineSpec) -> BuildResult:
    model, sampling = base(bench), bench.recipes["evaluation"].ask.sampling
    problems = heldout(bench).problems()[: max(1, bench.size.asked // bench.size.group)]
    requests = requests_for(problems, model.template, bench.size.group, SEED)
    with open_engine(model, spec, bench.profile.runtime, bench.home) as engine:
        engine.generate(requests[: bench.size.group], sampling)  # warm-up: kernel selection, memory allocation
        start = time.monotonic()
        said = engine.generate(requests, sampling)
        seconds = time.monotonic() - start
        identity = engine.identity
    tokens = sum(len(completion.token_ids) for completion in said)
    precision = bench.recipes["r1_zero"].grpo.precision
    some = [round(i * len(said) / bench.size.compared) for i in range(bench.size.compared)]
    gap = _gap(bench, model.path, [requests[i] for i in some], [said[i] for i in some], precision)
    return {
        "engine": identity,
        "completions": len(said),
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_s": tokens / seconds,
        "truncated": sum(completion.finish_reason == "length" for completion in said) / len(said),
        "gap_to_trainer": gap,
    }


def _gap(
    bench: Bench, model: Path, requests: Sequence[Request], said: Sequence[Completion], precision: Precision
) -> BuildResult:
    """Returns the gap, in nats per token, between an engine's log-probabilities and the trainer's forward pass."""
    import torch
    from transformers import AutoModelForCausalLM

    device, tokenizer = bench.size.device, load_tokenizer(model)
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, use_safetensors=True).to(device).eval()
    gaps = []
    for request, completion in zip(requests, said, strict=True):
        prompt = tokenizer(request.prompt)["input_ids"]
        ids = torch.tensor([[*prompt, *completion.token_ids]], device=device)
        with (
            torch.inference_mode(),
            torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=precision != "float32"),
        ):
            logits = net(ids[:, :-1]).logits[0, len(prompt) - 1 :]
        chances = logits.float().log_softmax(-1).gather(-1, ids[0, len(prompt) :, None])[:, 0]
        gaps += (chances.cpu() - torch.tensor(completion.logprobs)).tolist()
    sizes = [abs(gap) for gap in gaps]
    return {"precision": precision, "tokens": len(sizes), "mean": sum(sizes) / len(sizes), "largest": max(sizes)}


def _evaluated(bench: Bench, model: Checkpoint) -> EvalReport:
    recipe, problems = bench.recipes["evaluation"], heldout(bench)
    answers = ask(bench.at(f"answers/{model.name}"), model, problems, recipe.ask)
    return evaluate(bench.at(f"evaluation/{model.name}"), answers, problems, recipe)


def _scores(report: EvalReport) -> BuildResult:
    found = scores_of(report).overall.model_dump(mode="json")
    return {
        key: found[key] for key in ("pass_at_1", "pass_at_1_ci", "format_rate", "mean_tokens", "problems", "outcomes")
    }


def before(bench: Bench) -> BuildResult:
    """Evaluates the base."""
    return _scores(_evaluated(bench, base(bench)))


def trained(bench: Bench) -> BuildResult:
    """Trains by RL and returns the metrics of every step."""
    made = reinforced(bench)
    return {**_course(made), "tokens": made.statistics["tokens"], "peak_gib": peak_gib(bench)}


def after(bench: Bench) -> BuildResult:
    """Evaluates the RL-trained base, and its gain over the base problem by problem."""
    reports = [_evaluated(bench, model) for model in (reinforced(bench), base(bench))]
    gain = differences(*(marks_of(report.completions(), "domain") for report in reports))["math"]
    return {**_scores(reports[0]), "gain": gain.model_dump()}


def _course(model: Checkpoint) -> BuildResult:
    """Returns the steps of a training run; its seconds include those before an interruption."""
    steps = [{key: row[key] for key in SHOWN if key in row} for row in model.metrics()]
    seconds = [row["seconds"] for row in steps]
    return {"steps": steps, "seconds": sum(seconds), "seconds_a_step": median(seconds)}


def tuned(precision: Precision) -> Callable[[Bench], BuildResult]:
    """Makes a part that fine-tunes the base in this precision, on the same rows in the same order."""

    def part(bench: Bench) -> BuildResult:
        try:
            require_precision(precision, bench.size.device)
        except RequirementError as error:
            return {"absent": str(error)}
        prompts = curate(bench.at("general_prompts"), bench.recipes["general_prompts"])
        rows = GeneralRecipe(rows=bench.size.sft_steps * bench.size.sft_batch)
        corpus: Corpus = collect_general(bench.at("demonstrations"), prompts, base(bench), rows)
        recipe = bench.recipes["dev1"].model_copy(update={"precision": precision})
        made = finetune(bench.at(f"sft/{precision}"), base(bench), corpus, recipe)
        return {**_course(made), "rows": corpus.row_count, "peak_gib": peak_gib(bench)}

    return part


def short(home: str) -> Callable[[Bench], BuildResult]:
    """Makes a part that runs a short RL training in a home of its own."""

    def part(bench: Bench) -> BuildResult:
        made = reinforced(bench, home, bench.size.short, bench.size.short_save)
        rows = [{key: row[key] for key in ("step", *ALIKE)} for row in made.metrics()]
        return {"digest": made.digest, "model": str(made.path), "steps": rows}

    return part


def killed(bench: Bench) -> BuildResult:
    """Runs the short RL training until it is killed at a step."""
    made = short("resumed")(replace(bench, observer=Killed(bench.size.killed_after)))
    return {"finished": made}


PARTS: Mapping[str, Callable[[Bench], BuildResult]] = {
    "import": imported,
    "rollouts": rollouts,
    "before": before,
    "reinforcement": trained,
    "after": after,
    "bfloat16": tuned("bfloat16"),
    "float8": tuned("float8"),
    "whole": short("whole"),
    "again": short("again"),
    "killed": killed,
    "resumed": short("resumed"),
}
"""Parts in the order in which they run, each in a process."""
