"""This module collects the statistics of a trained model: template, size, steps, tokens, last metrics."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.templates import TemplateName, template_hash
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.training.lora import Lora, lora_statistics

WEIGHTS = "model*.safetensors"
"""A glob pattern for the weights: one file, or the parts of a large model."""


def model_statistics(
    draft: Draft, template: TemplateName, tokens: Mapping[str, int] | None = None, lora: Lora | None = None
) -> BuildResult:
    """Returns the statistics of the model in `draft.path`, which is prompted in `template`.

    `tokens` has the numbers `generated` and `trained`; by default all tokens that the trainer counted were trained.
    `lora` has the adapters that were trained and merged.
    """
    last = (read_metrics(draft.metrics) or [{"step": 0}])[-1]  # an imported model was not trained here
    return BuildResult(
        {
            "template": template,
            "template_hash": template_hash(template),
            "parameters": sum(parameters(file) for file in draft.path.glob(WEIGHTS)),
            "steps": last["step"],
            "tokens": dict(tokens or {"trained": int(last.get("tokens", 0))}),
            **lora_statistics(lora, draft.path, "CAUSAL_LM"),
        }
    )


def parameters(weights: Path) -> int:
    """Returns the number of parameters in a safetensors file, from its header."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for dimension in tensor["shape"]:
                size *= dimension
            total += size
    return total


def token_counter(model: Path) -> Callable[[str], int]:
    """Returns a function that counts the tokens of a text under the tokenizer of the model in this directory."""
    tokenizer = load_tokenizer(model)
    return lambda text: len(tokenizer(text)["input_ids"])
