"""Measures what LoRA saves in SFT of a random Llama of 69 million parameters on a CPU, next to the plan; prints JSON.

    python benchmarks/lora.py [--rank N]

Each variant trains in a process of its own. Its memory is the peak while training minus what the process held before
it; the plan leaves out what a process needs besides weights, gradients, optimizer and activations.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.data.toy_corpus import toy_texts
from r1_pipeline.planning.formulas import Devices, training_memory
from r1_pipeline.planning.hardware import ACCELERATORS
from r1_pipeline.profiles.toy_world import WEB
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.lora import Lora, layers_in
from r1_pipeline.training.model_shape import shape_in
from r1_pipeline.training.sft import Row, SftRecipe, train_sft
from r1_pipeline.training.tokenizer import train_tokenizer

ROWS, BATCH, CONTEXT, MEGABYTE = 64, 4, 128, 1e6


def texts() -> list[tuple[str, str]]:
    """Returns prompts and replies of the toy web."""
    return toy_texts(WEB.model_copy(update={"texts": 2000}))


def make_model(folder: Path) -> None:
    """Writes the random model and its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer([prompt + reply for prompt, reply in texts()], 1024, CONTEXT)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=8,
        num_attention_heads=12,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def memory(field: str) -> int:
    """Returns a field of this process's status, in bytes; `getrusage` would include the parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def measure(model: Path, rank: int) -> dict[str, float]:
    """Trains in this process, with LoRA where the rank is above 0, and returns measured and planned megabytes."""
    import peft  # noqa: F401 - imported before memory is read, as are torch and TRL
    import torch  # noqa: F401
    from trl import SFTTrainer  # noqa: F401

    lora = Lora(rank=rank, alpha=2.0 * rank) if rank else None
    recipe = SftRecipe(
        epochs=1,
        batch=BATCH,
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        warmup_steps=1,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=CONTEXT,
        save_steps=ROWS,
        seed=0,
        lora=lora,
    )
    rows = [Row(prompt, reply, "toy#row") for prompt, reply in texts()[:ROWS]]
    before = memory("VmRSS")
    with TemporaryDirectory() as folder:
        train_sft(model, [rows], recipe, Runtime(threads=1), bare_draft(Path(folder)))
    adapters = lora.trainable(layers_in(model)) if lora else None
    shape = shape_in(model)
    tokens = BATCH * sum(len(prompt + reply) for prompt, reply in texts()[:ROWS]) / ROWS / 4  # four letters a token
    planned = training_memory(shape, Devices(ACCELERATORS["cpu-core"], 1, "float32"), tokens, False, False, adapters)
    return {"measured_mb": (memory("VmHWM") - before) / MEGABYTE, "planned_mb": sum(planned) / MEGABYTE}


def main() -> None:
    """Prints both variants and what LoRA saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.rank)))
        return
    with TemporaryDirectory() as folder:
        make_model(Path(folder))
        found = {}
        for name, rank in (("whole", 0), ("lora", given.rank)):
            command = [sys.executable, "-W", "ignore", __file__, "--measure", folder, "--rank", str(rank)]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(ended.stdout.splitlines()[-1])
    saved = {key: found["whole"][key] - found["lora"][key] for key in found["lora"]}
    print(json.dumps({"rank": given.rank, **found, "saved": saved}, indent=1))


if __name__ == "__main__":
    main()
