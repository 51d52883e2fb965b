"""The decoding loop of transformers' `generate`, for batches whose texts end at different times.

A prompt that occurs several times is read once, no token is computed twice, and a text that has ended leaves the batch,
so that a batch costs what its tokens cost and not what its longest text costs.
Not covered: the choice of a token (`token_sampling`, or a draw from the scores), and the end of a text
(`StoppingCriteria`).
Shapes: R unfinished texts, L tokens so far, V tokens of the vocabulary, U different prompts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from r1_pipeline.generation.grouped_attention import grouped_queries

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

Choice = Callable[["Tensor", "Tensor"], "Tensor"]
"""A function (scores_RV, index of each row in the batch, shape (R,)) -> token ids, shape (R, 1); it is called for some
rows at a time, and once for every token of a row."""
LARGE_VOCABULARY = 1 << 14
"""The number of tokens above which a CPU chooses for a few rows at a time: a table that leaves its cache costs five
times as much."""
SLICE = 1 << 19
"""The number of scores in the table of these rows."""


def decode(
    model: "PreTrainedModel",
    input_ids: "Tensor",
    logits_processor: "LogitsProcessorList",
    stopping_criteria: "StoppingCriteriaList",
    generation_config: "GenerationConfig",
    choose: Choice | None = None,
    **inputs: Any,
) -> "Tensor":
    """Continues left-padded prompts; for `generate(custom_generate=decode)`.

    Returns prompts and continuations, shape (batch, longest), filled up with the padding token. Without `choose` a
    token is drawn from the scores, or is the likeliest where `do_sample` is off.
    """
    with grouped_queries(model):
        return _decode(model, input_ids, logits_processor, stopping_criteria, generation_config, choose, **inputs)


def _decode(
    model: "PreTrainedModel",
    input_ids: "Tensor",
    logits_processor: "LogitsProcessorList",
    stopping_criteria: "StoppingCriteriaList",
    generation_config: "GenerationConfig",
    choose: Choice | None,
    **inputs: Any,
) -> "Tensor":
    import torch

    length, cache = input_ids.shape[1], inputs["past_key_values"]
    choose = choose or (_drawn if generation_config.do_sample else _likeliest)
    prompts, copy_R = torch.cat([input_ids, inputs["attention_mask"]], dim=1).unique(dim=0, return_inverse=True)
    ids_UL, mask_UL = prompts.split(length, dim=1)
    logits_UV = _logits(model, ids_UL, mask_UL, (mask_UL.cumsum(-1) - 1).clamp(min=0), cache)
    cache.batch_select_indices(copy_R)
    logits_RV, mask_RL, text_RL = logits_UV[copy_R], mask_UL[copy_R], input_ids
    row_R = torch.arange(len(input_ids), device=input_ids.device)
    together = _rows_together(logits_RV)
    output = input_ids.new_full((len(input_ids), generation_config.max_length), generation_config.pad_token_id)
    output[:, :length] = input_ids
    while True:
        slices = zip(*(of.split(together) for of in (text_RL, logits_RV, row_R)), strict=True)
        token_R1 = torch.cat([choose(logits_processor(text, logits.float()), row) for text, logits, row in slices])
        output[row_R, text_RL.shape[1]] = token_R1[:, 0]
        text_RL = torch.cat([text_RL, token_R1], dim=1)
        on_R = ~stopping_criteria(text_RL, None)
        if not on_R.any():
            return output[:, : text_RL.shape[1]]
        if not on_R.all():
            row_R, text_RL, mask_RL, token_R1 = (of[on_R] for of in (row_R, text_RL, mask_RL, token_R1))
            cache.batch_select_indices(on_R.nonzero()[:, 0])
        mask_RL = torch.cat([mask_RL, torch.ones_like(token_R1)], dim=1)
        logits_RV = _logits(model, token_R1, mask_RL, mask_RL.sum(-1, keepdim=True) - 1, cache)


def _logits(model: "PreTrainedModel", ids: "Tensor", mask: "Tensor", positions: "Tensor", cache: Any) -> "Tensor":
    """Returns the scores of the token after the last one, shape (texts, vocabulary)."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1]


def _rows_together(logits_RV: "Tensor") -> int:
    """Returns the number of rows whose tokens are chosen at once."""
    rows, tokens = int(logits_RV.shape[0]), int(logits_RV.shape[1])
    large = logits_RV.device.type == "cpu" and tokens > LARGE_VOCABULARY
    return max(1, SLICE // tokens) if large else rows


def _drawn(scores_RV: "Tensor", _: "Tensor") -> "Tensor":
    return scores_RV.softmax(-1).multinomial(1)


def _likeliest(scores_RV: "Tensor", _: "Tensor") -> "Tensor":
    return scores_RV.argmax(-1, keepdim=True)
