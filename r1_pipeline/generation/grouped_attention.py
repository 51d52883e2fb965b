"""Attention of new tokens on a CPU, for models whose query heads share keys and values in groups.

transformers copies keys and values once for every query head of a group. For one new token on a CPU the copy takes
about twenty times as long as the attention itself. Here the query heads of a group are several queries of one head,
which computes the same numbers up to rounding and copies nothing.
Not covered: prompts, GPUs, and groups of at most `SMALL_GROUP`, which keep the implementation of transformers.
Shapes: R texts, H query heads, K heads of keys, G = H / K query heads of a group, L tokens so far, D width of a head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

NAME = "grouped_queries"
"""The name of the implementation in transformers' registries."""
SMALL_GROUP = 2
"""The largest group whose keys are copied: it gains little, and its texts stay what they were, to the last bit."""


@contextmanager
def grouped_queries(model: "PreTrainedModel") -> Iterator[None]:
    """Lets `model` compute new tokens without copies of its keys while the context is open, where that is faster."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config, before = model.config, model.config._attn_implementation
    shared = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    if model.device.type != "cpu" or before != "sdpa" or config.num_attention_heads <= SMALL_GROUP * shared:
        yield
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attend(
    module: "Module",
    query_RHQD: "Tensor",
    key_RKLD: "Tensor",
    value_RKLD: "Tensor",
    attention_mask: "Tensor | None",
    scaling: float | None = None,
    **more: Any,
) -> "tuple[Tensor, None]":
    """Returns the attention of Q tokens, shape (R, Q, H, D); more than one token is left to transformers."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, tokens, width = query_RHQD.shape
    if tokens > 1:
        output_RQHD, _ = sdpa_attention_forward(
            module, query_RHQD, key_RKLD, value_RKLD, attention_mask, scaling=scaling, **more
        )
        return output_RQHD, None
    keys = key_RKLD.shape[1]
    query_RKGD = query_RHQD.reshape(rows, keys, heads // keys, width)
    output_RKGD = scaled_dot_product_attention(query_RKGD, key_RKLD, value_RKLD, attention_mask, scale=scaling)
    return output_RKGD.reshape(rows, 1, heads, -1), None
