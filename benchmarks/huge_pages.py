"""Compares a training step on the CPU with big tensors in huge pages and in small ones; prints JSON.

    python benchmarks/huge_pages.py [--steps 4] [--layers 4] [--turns 2]

The model is a random Qwen2 with the width and the vocabulary of Qwen2.5-0.5B and a few of its layers, in float32; a
step is forward, backward and update of 8 texts of 96 tokens. Each setting runs in a process of its own, in turns, since
torch reads `THP_MEM_ALLOC_ENABLE` once. Times are processor seconds of the steps, without loading.
"""

import argparse
import json
import os
import resource
import subprocess
import sys

SETTINGS = {"huge": "1", "small": "0"}
CHILD = "--child"


def steps(count: int, layers: int) -> dict[str, float]:
    """Returns user and system seconds, and page faults, of `count` training steps after a first one."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=896, intermediate_size=4864, num_hidden_layers=layers, num_attention_heads=14,
            num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True,
        )
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    tokens = torch.randint(0, 151936, (8, 96))
    before = resource.getrusage(resource.RUSAGE_SELF)
    for step in range(count + 1):
        if step == 1:
            before = resource.getrusage(resource.RUSAGE_SELF)
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "user_s": after.ru_utime - before.ru_utime,
        "system_s": after.ru_stime - before.ru_stime,
        "faults": after.ru_minflt - before.ru_minflt,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--steps", 4), ("--layers", 4), ("--turns", 2)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument(CHILD, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(steps(options.steps, options.layers)))
        return
    arguments = [sys.executable, __file__, CHILD, "--steps", str(options.steps), "--layers", str(options.layers)]
    totals = dict.fromkeys(SETTINGS, 0.0)
    for _ in range(options.turns):
        for name, value in SETTINGS.items():
            environment = os.environ | {"THP_MEM_ALLOC_ENABLE": value}
            found = json.loads(subprocess.run(arguments, env=environment, check=True, capture_output=True).stdout)
            totals[name] += found["user_s"] + found["system_s"]
            print(json.dumps({"name": name, **found}), flush=True)
    print(json.dumps({"name": "huge over small, processor seconds", "ratio": totals["huge"] / totals["small"]}))


if __name__ == "__main__":
    main()
