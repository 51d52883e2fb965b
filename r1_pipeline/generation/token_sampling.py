"""Token sampling chooses one token for each row of logits from one uniform number, by the inverse of the cumulative
distribution.

A row's token depends on its own logits and number alone, so batches and their order do not matter. Not covered: the
source of the numbers (`hf`).
Shapes: R rows, V tokens of the vocabulary, K tokens of its head.
"""

from typing import TYPE_CHECKING

from r1_pipeline.records import Sampling

if TYPE_CHECKING:
    from torch import Tensor

HEAD = 64
"""The number of most likely tokens that are searched first for a nucleus: sorting a whole vocabulary costs more than
the model."""


def sample_tokens(scores_RV: "Tensor", uniform_R1: "Tensor", sampling: Sampling) -> "Tensor":
    """Returns token ids, shape (R, 1); `uniform_R1` is double, in [0, 1)."""
    import torch

    if sampling.temperature == 0:
        return scores_RV.argmax(-1, keepdim=True)
    probs_RV = (scores_RV / sampling.temperature if sampling.temperature != 1 else scores_RV).softmax(-1)
    if sampling.top_p == 1:
        cumulative_RV = probs_RV.double().cumsum(-1)
        return torch.searchsorted(cumulative_RV, uniform_R1 * cumulative_RV[:, -1:], right=True)
    head_RK, ids_RK = probs_RV.topk(min(HEAD, probs_RV.shape[-1]))
    token_R1 = _sample_top_p(head_RK, ids_RK, uniform_R1, sampling.top_p)
    wide_R = head_RK.double().sum(-1) < sampling.top_p
    if wide_R.any():
        whole = probs_RV[wide_R].sort(descending=True, stable=True)
        token_R1[wide_R] = _sample_top_p(whole.values, whole.indices, uniform_R1[wide_R], sampling.top_p)
    return token_R1


def _sample_top_p(probs_RK: "Tensor", ids_RK: "Tensor", uniform_R1: "Tensor", top_p: float) -> "Tensor":
    """Samples from the shortest head that reaches `top_p`: a token belongs to it if the mass before it is below
    `top_p`.

    Both tables are in descending order of probability.
    """
    probs_RK = probs_RK.double()
    cumulative_RK = probs_RK.cumsum(-1)
    mass_R1 = cumulative_RK.masked_fill(cumulative_RK - probs_RK >= top_p, 0).amax(-1, keepdim=True)
    return ids_RK.gather(-1, (cumulative_RK <= uniform_R1 * mass_R1).sum(-1, keepdim=True))
