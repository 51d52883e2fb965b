"""Counts how often a model writes the form that it is asked for, and how often it is right; prints JSON.

    python benchmarks/prompt_forms.py MODEL [--dtype bfloat16] [--problems 24] [--tokens 96] [--forms NAME…]

MODEL is a directory with safetensors. The problems are products, sums and divisors of reasoning-gym, those of the
profile `laptop`, at temperature 1. `form`: replies in the whole form; `tags`: the right answer stands where the form
wants it; `last`: the right answer is the last number of the reply. The forms are those of the package and some wordings
that were tried and not taken, so that a base can be judged before anything is reinforced.
"""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import reasoning_gym

from r1_pipeline.data.templates import BRIEF, FORMS, render, split_reply
from r1_pipeline.engines import Transformers
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Request, Sampling
from r1_pipeline.rewards.format_check import is_well_formed

SETS: dict[str, tuple[str, dict[str, int]]] = {
    "products": ("products", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}),
    "sums": ("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 2, "max_digits": 3}),
    "divisors": ("gcd", {"min_numbers": 2, "max_numbers": 2, "min_value": 1, "max_value": 60}),
}
EXAMPLE = "User: What is 12 + 30?\nAssistant: <think>10 + 30 = 40, and 40 + 2 = 42.</think> <answer>42</answer>\n"
STEPS = "First think in one or two short steps: write <think>steps</think>. Then write <answer>result</answer>."
SEED = 7
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def add_wordings() -> None:
    """Adds the wordings that were tried and not taken to the prompt forms."""
    zero, own = FORMS["zero"], FORMS["own_zero"]
    with_example = replace(zero, render=lambda question: f"{BRIEF}{EXAMPLE}User: {question}\nAssistant:")
    FORMS.add("brief_in_own", replace(own, render=lambda question: f"{question}\n{BRIEF}".strip()))
    FORMS.add("steps_in_own", replace(own, render=lambda question: f"{question}\n{STEPS}"))
    FORMS.add("example", with_example)
    FORMS.add("example_opened", replace(with_example, opened=True))


def is_right(found: str | None, answer: str) -> bool:
    """Returns true if the text is the answer, but for spaces, commas between digits and a full stop."""
    return found is not None and found.strip().rstrip(".").replace(",", "") == answer.strip()


def measure(engine: HfEngine, form: str, dataset: str, settings: dict[str, int], count: int, limit: int) -> Any:
    """Returns the counts of one form on one set."""
    rows = list(reasoning_gym.create_dataset(dataset, size=count, seed=SEED, **settings))
    requests = [
        Request(
            problem_id=str(number), sample_index=0, seed=1000 + number, prompt=render(form, row["question"]),
            own=FORMS[form].own,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=limit, stop=FORMS[form].stops)
    replies = engine.generate(requests, sampling)
    numbers = [(NUMBER.findall(reply.text) or [None])[-1] for reply in replies]
    answers = [row["answer"] for row in rows]
    return {
        "replies": count,
        "form": sum(is_well_formed(form, reply.text) for reply in replies),
        "tags": sum(is_right(split_reply(form, r.text).final, a) for r, a in zip(replies, answers, strict=True)),
        "last": sum(is_right(number, answer) for number, answer in zip(numbers, answers, strict=True)),
        "tokens": sum(len(reply.token_ids) for reply in replies) / count,
        "cut": sum(reply.finish_reason == "length" for reply in replies),
    }


def main() -> None:
    add_wordings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=96)
    tried = [name for name in FORMS if FORMS[name].tags == FORMS["zero"].tags]
    parser.add_argument("--forms", nargs="+", choices=tried, default=tried)
    options = parser.parse_args()
    engine = HfEngine(options.model, Runtime(threads=2, generation_batch=64), Transformers(dtype=options.dtype))
    for form in options.forms:
        by_set = {
            name: measure(engine, form, dataset, settings, options.problems, options.tokens)
            for name, (dataset, settings) in SETS.items()
        }
        summed = {key: sum(each[key] for each in by_set.values()) for key in ("replies", "form", "tags", "last", "cut")}
        print(json.dumps({"name": form, **summed, "sets": by_set}), flush=True)


if __name__ == "__main__":
    main()
