"""Portions: the trainer's own rollouts are generated a bounded number of tokens at once.

TRL generates all completions of a rank in one call, whose KV cache grows with their number and their longest. A portion
takes as many of them as `Runtime.generation_tokens` allows at the longest possible reply. Not covered: rollouts by
vLLM, which bounds its cache itself (`rollouts`).
"""

from collections.abc import Callable
from typing import Any

from r1_pipeline.generation.device import batches
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.distributed import all_reduce_max


def in_portions(generate: Callable[..., Any], runtime: Runtime, limit: int) -> Callable[..., Any]:
    """Returns a model's `generate` for completions of at most `limit` tokens, in portions.

    All ranks make the same number of portions, since a sharded model is gathered by all of them together.
    """
    import torch
    from torch.nn.functional import pad

    def portioned(generation_config: Any, **inputs: Any) -> Any:
        ids_BT = inputs["input_ids"]
        longest = int(all_reduce_max(torch.tensor(ids_BT.shape[1], device=ids_BT.device)))
        parts = [
            generate(generation_config=generation_config, **{name: tensor[part] for name, tensor in inputs.items()})
            for part in batches([longest + limit] * len(ids_BT), runtime)
        ]
        width = max(part.shape[1] for part in parts)
        fill = generation_config.pad_token_id
        return torch.cat([pad(part, (0, width - part.shape[1]), value=fill) for part in parts])

    return generate if runtime.generation_tokens is None else portioned
