"""Packing: a padded batch is computed as a few full rows, so that training spends nothing on padding.

Texts of one row do not see each other: positions begin again at 0 with each text, from which transformers derives the
attention mask. Loss and gradients are those of the padded batch, up to rounding.
Not covered: which texts form a batch (the trainer's sampler), and which tokens are learned (the labels).
Shapes: B texts, T tokens of the padded batch, N tokens that are no padding, P packed rows, Q tokens of a packed row.
"""

from collections.abc import Sequence
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

IGNORED = -100
"""The label of a token that is left out of the loss."""
PACKABLE = frozenset(
    {
        "deepseek_v3", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3",
    }
)  # fmt: skip
"""Model types whose attention masks follow the positions; a test compares each with its padded batch."""
PACKED_MASK = "packed_mask"
"""The attribute of a model's body with the mask of the packed rows that it computes, shape (P, Q); 0 is padding."""
_BY_MASK = ("eager", "sdpa")
"""Attention implementations that take a mask; flash attention has its own way to pack."""


class Layout(NamedTuple):
    """The place of every token of a padded batch in the packed rows."""

    real_BT: "Tensor"
    """Bool: tokens that are no padding."""
    row_N: "Tensor"
    column_N: "Tensor"
    position_N: "Tensor"
    """Index of the token in its own text."""
    shape: tuple[int, int]
    """Packed rows and tokens of a row, (P, Q)."""

    def packed(self, values_BT: "Tensor", fill: int) -> "Tensor":
        """`values_BT` as packed rows of shape (P, Q), with `fill` where no token is."""
        rows_PQ = values_BT.new_full(self.shape, fill)
        rows_PQ[self.row_N, self.column_N] = values_BT[self.real_BT]
        return rows_PQ

    def spread(self, states_PQH: "Tensor") -> "Tensor":
        """Returns the states of tokens, (P, Q, H), in the padded batch's places, (B, T, H); 0 where there is none."""
        states_BTH = states_PQH.new_zeros(*self.real_BT.shape, states_PQH.shape[-1])
        states_BTH[self.real_BT] = states_PQH[self.row_N, self.column_N]
        return states_BTH

    def unpacked(self, scores_PQ: "Tensor") -> "Tensor":
        """Scores of next tokens, (P, Q - 1), in the padded batch's places, (B, T - 1); 0 where there is none.

        The score of a token stands one place before the token.
        """
        later_N = self.position_N > 0
        after_BT = self.real_BT.clone()
        after_BT[self.real_BT] = later_N
        scores_BT = scores_PQ.new_zeros(after_BT.shape[0], after_BT.shape[1] - 1)
        scores_BT[after_BT[:, 1:]] = scores_PQ[self.row_N[later_N], self.column_N[later_N] - 1]
        return scores_BT


def layout(mask_BT: "Tensor") -> Layout:
    """Places each text, longest first, in the fullest row that still has room; rows are as long as the longest text."""
    import torch

    lengths = mask_BT.sum(1).tolist()
    row_B, start_B, rows = _best_fit(lengths)
    real_BT = mask_BT.bool()
    position_BT = mask_BT.long().cumsum(1) - 1
    rows_B1, starts_B1 = (torch.tensor(of, device=mask_BT.device).unsqueeze(1) for of in (row_B, start_B))
    return Layout(
        real_BT=real_BT,
        row_N=rows_B1.expand_as(real_BT)[real_BT],
        column_N=(starts_B1 + position_BT)[real_BT],
        position_N=position_BT[real_BT],
        shape=(rows, max(lengths)),
    )


def _best_fit(lengths: Sequence[int]) -> tuple[list[int], list[int], int]:
    """Returns the row of each text, its first column, and the number of rows."""
    row, start = [0] * len(lengths), [0] * len(lengths)
    free: list[int] = []
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        fits = [index for index, room in enumerate(free) if room >= lengths[text]]
        if not fits:
            free.append(max(lengths))
            fits = [len(free) - 1]
        row[text] = min(fits, key=free.__getitem__)
        start[text] = max(lengths) - free[row[text]]
        free[row[text]] -= lengths[text]
    return row, start, len(free)


def pack_batches(model: "PreTrainedModel") -> None:
    """Makes `model` compute padded batches as packed rows: a language model those with labels, a classifier all.

    Per-token scores (of TRL's fused head) come back in the padded batch's places; logits stay packed. A classifier's
    head sees the padded batch. Models whose attention cannot keep the texts of a row apart stay as they are.
    """
    if model.config.model_type not in PACKABLE or model.config._attn_implementation not in _BY_MASK:
        return
    if type(model).__name__.endswith("ForSequenceClassification"):
        _pack_body(body_of(model))
    else:
        _pack_labelled(model)


def body_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """Returns the layers below the head of a model, which peft may have wrapped."""
    body: PreTrainedModel = getattr(model, "get_base_model", lambda: model)().base_model
    return body


def _pack_labelled(model: "PreTrainedModel") -> None:
    """Wraps the forward pass of a language model, whose head then computes no padding either."""
    padded_forward = model.forward

    @wraps(type(model).forward)  # `generate` and the trainers read the signature
    def packed_forward(_: "PreTrainedModel", *arguments: Any, **inputs: Any) -> Any:
        import torch

        mask_BT, labels_BT = inputs.get("attention_mask"), inputs.get("labels")
        if labels_BT is None or mask_BT is None or mask_BT.all():
            return padded_forward(*arguments, **inputs)
        places = layout(mask_BT)
        first_BT = places.real_BT & (mask_BT.cumsum(1) == 1)
        inputs["input_ids"] = places.packed(inputs["input_ids"], 0)
        inputs["labels"] = places.packed(labels_BT.masked_fill(first_BT, IGNORED), IGNORED)  # nothing precedes a first
        inputs["position_ids"] = places.packed(mask_BT.long().cumsum(1) - 1, 0)
        inputs["attention_mask"] = None
        inputs["use_cache"] = False  # with a cache, the positions would not tell the texts apart
        setattr(body_of(model), PACKED_MASK, places.packed(mask_BT, 0))  # with an attention mask, texts see each other
        try:
            output = padded_forward(*arguments, **inputs)
        finally:
            delattr(body_of(model), PACKED_MASK)
        for name, value in output.items():
            if isinstance(value, torch.Tensor) and value.shape == (places.shape[0], places.shape[1] - 1):
                output[name] = places.unpacked(value)
        return output

    model.forward = MethodType(packed_forward, model)


def _pack_body(body: "PreTrainedModel") -> None:
    """Packs what enters the layers below a head, and puts their last hidden states back into their places."""
    places: list[Layout] = []

    def pack(_: "PreTrainedModel", arguments: tuple[Any, ...], inputs: dict[str, Any]) -> Any:
        mask_BT = inputs.get("attention_mask")
        if mask_BT is None or mask_BT.all():
            return None
        places.append(layout(mask_BT))
        setattr(body, PACKED_MASK, places[-1].packed(mask_BT, 0))
        ids_BT = arguments[0] if arguments else inputs["input_ids"]
        return (), {
            **inputs,
            "input_ids": places[-1].packed(ids_BT, 0),
            "position_ids": places[-1].packed(mask_BT.long().cumsum(1) - 1, 0),
            "attention_mask": None,
            "use_cache": False,
        }

    def unpack(_: "PreTrainedModel", __: Any, output: Any) -> Any:
        if places:
            delattr(body, PACKED_MASK)
            output.last_hidden_state = places.pop().spread(output.last_hidden_state)
        return output

    body.register_forward_pre_hook(pack, with_kwargs=True)
    body.register_forward_hook(unpack)
