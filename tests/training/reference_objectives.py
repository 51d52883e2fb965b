"""Objectives in numpy, from the papers' equations and nothing else; B replies of T tokens, padded on the right.

Each function gives the value that is minimized, without the KL term, and its gradient by the log-probabilities.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Term = tuple[Array, Array]
"""The loss of each token, and its derivative by that token's log-probability."""


def advantages(rewards_NG: Array, scaled: bool) -> Array:
    """Computes equation 3 of DeepSeek-R1, with the sample deviation and TRL's 1e-4 in the denominator."""
    centred = rewards_NG - rewards_NG.mean(1, keepdims=True)
    return (centred / (rewards_NG.std(1, ddof=1, keepdims=True) + 1e-4) if scaled else centred).ravel()


def less_the_others(rewards_NG: Array) -> Array:
    """Computes RLOO: each reward less the mean of the other rewards of its group."""
    return np.array([[r - np.delete(row, place).mean() for place, r in enumerate(row)] for row in rewards_NG]).ravel()


def of_the_rollout(rewards_NG: Array) -> Array:
    """Computes REINFORCE++: rewards less the mean of all, divided by the deviation of all."""
    return ((rewards_NG - rewards_NG.mean()) / (rewards_NG.std(ddof=1) + 1e-4)).ravel()


def centred_then_scaled(rewards_NG: Array) -> Array:
    """Computes REINFORCE++ with baseline: rewards less their group's mean, divided by the deviation of all of those."""
    centred = rewards_NG - rewards_NG.mean(1, keepdims=True)
    return (centred / (centred.std(ddof=1) + 1e-4)).ravel()


def per_mean(rewards_NG: Array) -> Array:
    """Computes MaxRL: rewards less their group's mean, divided by that mean; 0 for a group without any reward."""
    mean = rewards_NG.mean(1, keepdims=True)
    return np.divide(rewards_NG - mean, mean, out=np.zeros_like(rewards_NG), where=mean > 0).ravel()


def decoupled(parts_KNG: Array, weights_K: Array) -> Array:
    """Computes GDPO: each part normalized in its group, their weighted sum normalized in the rollout."""
    each = [advantages(part, scaled=True) for part in parts_KNG]
    total = np.tensordot(weights_K, np.array(each), 1)
    return (total - total.mean()) / (total.std(ddof=1) + 1e-4)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def k3(logp: Array, reference: Array) -> Term:
    """Computes equation 2: r - log r - 1 for r = reference / policy."""
    ratio = np.exp(reference - logp)
    return ratio - np.log(ratio) - 1, 1 - ratio


def k1(logp: Array, reference: Array) -> Term:
    return logp - reference, np.ones_like(logp)


def k2(logp: Array, reference: Array) -> Term:
    return (logp - reference) ** 2 / 2, logp - reference


def corrected(ratio: Array, term: Term) -> Term:
    """Computes DeepSeek-V3.2's KL term: the ratio multiplies it, and has a gradient of its own."""
    return ratio * term[0], ratio * (term[0] + term[1])


def clipped(ratio: Array, advantage: Array, low: float, high: float) -> Term:
    """Computes equation 1, the smaller of both; there is no gradient where the clip decides."""
    free, bound = ratio * advantage, np.clip(ratio, 1 - low, 1 + high) * advantage
    return -np.minimum(free, bound), np.where(free <= bound, -free, 0.0)


def weighted(weight: Array, advantage: Array, logp: Array) -> Term:
    """Computes equation 4 of CISPO: a constant weight of the log-probability."""
    return -weight * advantage * logp, -weight * advantage * np.ones_like(logp)


def gated(ratio: Array, advantage: Array, positive: float, other: float) -> Term:
    """Computes SAPO: sigmoid(t (r - 1)) 4 / t instead of the ratio."""
    t = np.where(advantage > 0, positive, other)
    gate = 1 / (1 + np.exp(-t * (ratio - 1)))
    return -4 / t * gate * advantage, -4 * gate * (1 - gate) * ratio * advantage


def gamma(log_ratio: Array, mask: Array, advantage: Array) -> Array:
    """Computes VESPO: w^k exp(k' (1 - w)) of the whole reply's ratio w."""
    w = np.exp((log_ratio * mask).sum(1, keepdims=True))
    k, decay = np.where(advantage >= 0, 2.0, 3.0), np.where(advantage >= 0, 3.0, 2.0)
    return w**k * np.exp(decay * (1 - w)) * np.ones_like(log_ratio)


def by_reply(log_ratio: Array, mask: Array, term: Callable[[Array], Term]) -> Term:
    """Computes equation 7 of GSPO: one ratio, the geometric mean of the tokens'; each token changes it by 1 / |o|."""
    length = np.maximum(mask.sum(1, keepdims=True), 1)
    loss, slope = term(np.exp((log_ratio * mask).sum(1, keepdims=True) / length))
    return loss * np.ones_like(log_ratio), slope * np.ones_like(log_ratio)


def by_product(log_ratio: Array, mask: Array, term: Callable[[Array], Term]) -> Term:
    """Computes a term of whole replies, from the logarithm of the product of their tokens' ratios.

    Each token changes that by 1, which `mean_of_replies` divides by |o|.
    """
    length = mask.sum(1, keepdims=True)
    loss, slope = term((log_ratio * mask).sum(1, keepdims=True))
    return loss * np.ones_like(log_ratio), slope * length * np.ones_like(log_ratio)


def mean_of_replies(mask: Array) -> Array:
    """Returns the weight of each token in (1/G) sum_i (1/|o_i|) sum_t."""
    return mask / np.maximum(mask.sum(1, keepdims=True), 1) / len(mask)
