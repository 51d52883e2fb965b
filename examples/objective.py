"""Adds two variants of Dev2 with other objectives: GSPO, and a loss that TRL does not have.

    r1 run --profile smoke --recipe examples/objective.py --select +evaluation/dev2_topr

The version of the objective enters fingerprints.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from r1_pipeline.profiles import Profile
from r1_pipeline.training.objectives import OBJECTIVES, SURROGATES, Objective, Replies, Surrogate

if TYPE_CHECKING:
    from torch import Tensor


def tapered(replies: Replies) -> "Tensor":
    """Computes TOPR (arXiv 2503.14286): good replies count in full, bad ones less as the policy leaves them behind."""
    log_ratio = (replies.logp_BT - replies.old_logp_BT).detach() * replies.mask_BT
    weight = log_ratio.sum(1, keepdim=True).exp().clamp(max=1.0)
    weight = weight.where(replies.advantages_B1 < 0, 1.0)
    return -weight * replies.advantages_B1 * replies.logp_BT


SURROGATES.add("tapered", Surrogate(version="1", loss_BT=tapered))
OBJECTIVES.add("topr", Objective(loss="dapo", surrogate="tapered"))


def extend(profile: Profile) -> Profile:
    """Adds the nodes, which are evaluated and reported like every checkpoint."""
    graph = profile.graph
    for name in ("gspo", "topr"):
        graph = graph.deriving(f"dev2_{name}", "dev2", {"grpo.objective": name}, f"Dev2 by the objective {name}.")
    return replace(profile, graph=graph)
