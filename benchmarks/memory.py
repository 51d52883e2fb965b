"""Compares the planned memory of five kinds of stage with the measured peak on a CPU, for two models; prints JSON.

    python benchmarks/memory.py [MODEL…] [--stages NAME…]
    python benchmarks/memory.py --toy

MODEL is a directory with safetensors; without one, two random models are made: a Llama of 31 and a Qwen2 of 60 million
parameters, the second with a vocabulary of 32,768. Each stage runs in a process of its own, forked from one that has
imported the libraries. Its memory is the largest resident memory while it works, less what the process held before.
"""

import argparse
import json
import multiprocessing
import resource
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from r1_pipeline.planning.formulas import Devices, Head, kv_bytes, training_memory
from r1_pipeline.planning.hardware import ACCELERATORS
from r1_pipeline.planning.placement import FLOAT32, Placement
from r1_pipeline.training.model_shape import shape_in

LIBRARIES = [
    "datasets",
    "peft",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen2.modeling_qwen2",
    "trl",
    "trl.trainer.grpo_trainer",
    "trl.trainer.reward_trainer",
    "trl.trainer.sft_trainer",
    "r1_pipeline.training.grpo",
    "r1_pipeline.training.sft",
    "r1_pipeline.training.reward_model",
    "r1_pipeline.training.pretrain",
]
BATCH, GROUP, PROMPT, REPLY, STEPS, MIB = 8, 8, 60, 68, 2, 2**20
SAMPLES, SLEEP, PAGE = 64, 0.005, resource.getpagesize()
DEVICES = Devices(ACCELERATORS["cpu-core"], 1, "float32")
Stage = Callable[[Path, Path], float]
"""A stage: (model, folder) -> planned bytes; it does the work."""


def resident() -> int:
    """Returns the bytes of memory that this process holds, files that are mapped included."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


class Peak:
    """The largest memory while the context is open, less what was held before."""

    def __enter__(self) -> "Peak":
        self.before = self.highest = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.bytes = self.highest - self.before

    def _watch(self) -> None:
        while not self._over.wait(SLEEP):
            self.highest = max(self.highest, resident())


def words(model: Path, tokens: int, seed: int) -> str:
    """Returns a text of `tokens` tokens of the model's tokenizer, up to one."""
    from r1_pipeline.generation.tokens import load_tokenizer

    tokenizer = load_tokenizer(model)
    ids = tokenizer(f"{seed} " + " ".join(str((7 * seed + i) % 100) for i in range(tokens)))["input_ids"][:tokens]
    return str(tokenizer.decode(ids))


def sft(model: Path, folder: Path) -> float:
    from r1_pipeline.artifacts.draft import bare_draft
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.training.sft import Row, SftRecipe, train_sft

    rows = [Row(words(model, PROMPT, i), words(model, REPLY, i), "made#row") for i in range(STEPS * BATCH)]
    recipe = SftRecipe(
        epochs=1, batch=BATCH, learning_rate=1e-4, final_learning_rate=1e-5, warmup_steps=0, weight_decay=0.0,
        max_grad_norm=1.0, max_tokens=PROMPT + REPLY + 8, save_steps=STEPS, seed=0,
    )  # fmt: skip
    train_sft(model, [rows], recipe, Runtime(threads=1, micro_batch=BATCH), bare_draft(folder))
    return training(model, BATCH * (PROMPT + REPLY))


def grpo(model: Path, folder: Path) -> float:
    from r1_pipeline.artifacts.draft import bare_draft
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.records import Problem
    from r1_pipeline.training.callbacks import Guards
    from r1_pipeline.training.grpo import GrpoRecipe, train_grpo

    problems = [
        Problem(
            id=f"{i:016x}", question=words(model, PROMPT - 8, i), answer=str(i), tests=(), domain="math", language="en",
            source="made", licence="CC0-1.0",
        )
        for i in range(STEPS)
    ]  # fmt: skip
    recipe = GrpoRecipe(
        steps=STEPS, prompts_per_step=1, group_size=GROUP, steps_per_generation=1, num_iterations=1, learning_rate=1e-5,
        schedule="constant_with_warmup", warmup_steps=0, epsilon=10.0, beta=0.0, reference_sync_steps=None,
        temperature=1.0, top_p=1.0, max_completion_tokens=REPLY, max_grad_norm=1.0, weight_decay=0.0, save_steps=STEPS,
        seed=0, guards=Guards(),
    )  # fmt: skip
    parts = {"length": lambda _, replies, __: [float(len(reply.text) % 7) for reply in replies]}
    runtime = Runtime(threads=1, micro_batch=BATCH)
    train_grpo(model, problems, "chat", parts, {"length": 1.0}, recipe, runtime, bare_draft(folder))
    return training(model, GROUP * (PROMPT + REPLY))


def reward_model(model: Path, folder: Path) -> float:
    from r1_pipeline.artifacts.draft import bare_draft
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.records import PreferencePair
    from r1_pipeline.training.reward_model import RewardModelRecipe, train_reward_model

    pairs = [
        PreferencePair(
            id=f"{i:016x}", prompt=words(model, PROMPT, i), chosen=words(model, REPLY, 3 * i),
            rejected=words(model, REPLY, 5 * i + 1), kind="helpful", language="en", source="made", licence="CC0-1.0",
        )
        for i in range(STEPS * BATCH)
    ]  # fmt: skip
    recipe = RewardModelRecipe(
        epochs=1, batch=BATCH, learning_rate=1e-4, max_grad_norm=1.0, max_tokens=PROMPT + REPLY + 8, save_steps=STEPS,
        seed=0,
    )  # fmt: skip
    train_reward_model(model, pairs, recipe, Runtime(threads=1, micro_batch=BATCH), bare_draft(folder))
    return training(model, 2 * BATCH * (PROMPT + REPLY), head="score")


def sampling(model: Path, folder: Path) -> float:
    from r1_pipeline.generation.hf import HfEngine
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.records import Request, Sampling

    prompts = [words(model, PROMPT, number) for number in range(SAMPLES)]
    requests = [Request(problem_id=str(i), prompt=prompt, sample_index=0, seed=i) for i, prompt in enumerate(prompts)]
    engine = HfEngine(model, Runtime(threads=1, generation_batch=SAMPLES))
    engine.generate(requests, Sampling(temperature=1.0, top_p=1.0, max_tokens=REPLY))
    place = Placement("transformers", together=1, copies=1, size=FLOAT32, seats=SAMPLES)
    shape = shape_in(model)
    return FLOAT32 * shape.parameters + SAMPLES * (PROMPT + REPLY) * kv_bytes(shape, place)


def imported(model: Path, folder: Path) -> float:
    from r1_pipeline.artifacts.draft import bare_draft
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.training.import_pretrained import ImportRecipe, LocalModel, digest_of, import_base

    digest, shape = digest_of(model), shape_in(model)
    recipe = ImportRecipe(
        source=LocalModel(digest=digest), shape=shape, layers=None, dtype="float32",
        architecture=json.loads((model / "config.json").read_text(encoding="utf-8"))["model_type"],
    )  # fmt: skip
    import_base(recipe, Runtime(threads=1, models={digest: str(model)}), bare_draft(folder))
    return float(FLOAT32 * shape.parameters)


def training(model: Path, tokens: int, head: Head = "tiles") -> float:
    """Returns the planned bytes of training with `tokens` in a pass."""
    return sum(training_memory(shape_in(model), DEVICES, tokens, recompute=False, reference=False, head=head))


STAGES: Mapping[str, Stage] = {
    "import": imported,
    "sft": sft,
    "grpo": grpo,
    "reward_model": reward_model,
    "sampling": sampling,
}


def measure(name: str, model: Path, answers: Any) -> None:
    """Runs a stage in this process and hands over measured and planned bytes."""
    import torch

    torch.set_num_threads(1)
    with TemporaryDirectory() as folder, Peak() as peak:
        planned = STAGES[name](model, Path(folder))
    answers.put((peak.bytes, planned))


def make_model(folder: Path, kind: str, vocabulary: int, layers: int, width: int) -> Path:
    """Writes a random model and a tokenizer whose texts are digits and letters."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from r1_pipeline.training.tokenizer import train_tokenizer

    tokenizer = train_tokenizer([f"User: {i} Assistant: <think></think> yes no" for i in range(200)], 300, 512)
    config = AutoConfig.for_model(
        kind, vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 128, max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    """Prints planned and measured memory of every stage and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--toy", action="store_true", help="one random model of 2 million parameters")
    given = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with TemporaryDirectory() as folder:
        makes = [("qwen2", 2048, 2, 256)] if given.toy else [("llama", 1024, 8, 512), ("qwen2", 32_768, 4, 512)]
        models = given.models or [make_model(Path(folder) / make[0], *make) for make in makes]
        for model in models:
            for name in given.stages:
                answers = context.SimpleQueue()
                process = context.Process(target=measure, args=(name, model, answers))
                process.start()
                process.join()
                if process.exitcode:
                    raise RuntimeError(f"stage {name} of {model.name} ended with status {process.exitcode}")
                measured, planned = answers.get()
                row = {"model": model.name, "parameters": shape_in(model).parameters, "stage": name}
                mib = {"measured_mib": round(measured / MIB, 1), "planned_mib": round(planned / MIB, 1)}
                print(json.dumps({**row, **mib, "planned/measured": round(planned / measured, 3)}), flush=True)


if __name__ == "__main__":
    main()
