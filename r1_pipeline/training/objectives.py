"""An objective is what one update of a policy maximizes; a recipe names it (`GrpoRecipe.objective`).

    grpo      the paper's: clipped ratio of each token, mean over a reply, then over replies       arXiv 2402.03300
    dr_grpo   neither a reply's length nor a group's deviation divides                             arXiv 2503.20783
    dapo      mean over all tokens, a wider upper clip, cut-off replies do not count               arXiv 2503.14476
    gspo      one ratio for a whole reply, clipped far more narrowly                               arXiv 2507.18071
    cispo     the ratio is a clipped weight of the log-probability: no token loses its gradient    arXiv 2506.13585
    sapo      a smooth gate instead of the clip                                                    arXiv 2511.20347
    luspo     gspo, each reply weighed by its length                                               arXiv 2602.05261
    vespo     a smooth weight of the whole reply's ratio                                           arXiv 2602.10693
    gdpo      each part of the reward is normalized in its group, and their sum in the rollout     arXiv 2601.05242

TRL computes these. `training.objective_trainer` adds what TRL does not have:

    printed   equations 1 and 2 of DeepSeek-R1 to the letter: ratio and KL of whole replies        arXiv 2501.12948
    rloo      the mean of the other replies is the baseline; a whole reply is one action           arXiv 2402.14740
    reinforce_pp            the mean and deviation of the whole rollout, not of a group            arXiv 2501.03262
    reinforce_pp_baseline   the mean of the group, then the deviation of the whole rollout         arXiv 2501.03262
    maxrl     advantages are divided by a group's mean reward: rare successes weigh more           arXiv 2602.02710

A recipe file may add its own settings to `OBJECTIVES`, and to `SURROGATES` a loss of its own. TRL's `bnpo` is left
out: it averages over a micro-batch, whose size must not change a result. DAPO's and REINFORCE++'s other halves are
elsewhere: the penalty for length (`rewards.overlong`), the weight of the KL term (`GrpoRecipe.beta`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator

from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Loss = Literal["grpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]
CLIPPED: tuple[Loss, ...] = ("grpo", "dr_grpo", "dapo", "luspo")
"""Losses that clip the ratio; they differ in how they average over tokens."""
BY_REPLY: tuple[Loss, ...] = ("grpo", "sapo", "luspo")
"""Losses that may use one ratio for a whole reply; the others would weigh a reply by its length."""
Baseline = Literal["group", "others", "batch"]
Scale = Literal["group", "batch", "none", "centred", "mean"]
KlEstimator = Literal["k1", "k2", "k3"]


@dataclass(frozen=True)
class Replies:
    """The replies of a minibatch as tensors, for a surrogate: B replies, T tokens each, padded on the right."""

    logp_BT: "Tensor"
    """Log-probabilities under the policy, with their gradient."""
    old_logp_BT: "Tensor"
    """Log-probabilities under the policy that sampled, without gradient."""
    advantages_B1: "Tensor"
    """The advantage of each reply (paper, equation 3), scaled by the objective."""
    mask_BT: "Tensor"
    """The mask of the loss: 1 where a token counts, 0 in padding and in replies that are left out."""

    @property
    def ratio_BT(self) -> "Tensor":
        """The ratio of both probabilities of each token."""
        return (self.logp_BT - self.old_logp_BT).exp()


@dataclass(frozen=True)
class Surrogate:
    """A loss that a recipe file defines."""

    version: str
    """The version of the function, part of fingerprints; raise it when the function computes something else."""
    loss_BT: Callable[[Replies], "Tensor"]
    """The function that returns the loss of each token, to be minimized; it is masked and averaged afterwards."""


SURROGATES: Registry[Surrogate] = Registry("surrogate", {})
"""Losses that recipe files add; an objective names one in `surrogate`."""


class Objective(Recipe):
    """The objective of an update; the defaults are the paper's."""

    loss: Loss = "grpo"
    """TRL's loss, which fixes its surrogate and its average.

    `grpo` averages over the tokens of a reply, then over replies; `dapo`, `cispo`, `vespo` over all tokens of the
    rollout; `dr_grpo` divides by the limit of tokens; `luspo` does not average.
    """
    surrogate: Annotated[str, AfterValidator(SURROGATES.valid)] | None = None
    """A loss of `SURROGATES` for each token, instead of TRL's, averaged like `loss`."""
    importance: Literal["token", "sequence", "product"] = "token"
    """Each token has a ratio, or each reply: the geometric mean of its tokens' [GSPO, LUSPO: sequence], or their
    product, which is the ratio of the reply's probabilities; the KL term is then that of the reply too [R1's equations
    1 and 2, RLOO: product]."""
    baseline: Annotated[Baseline, AddedField()] = "group"
    """The rewards whose mean is subtracted: all of the reply's group, the others of its group [RLOO: others], or all
    of the rollout [REINFORCE++: batch]."""
    scale_rewards: Scale = "group"
    """The divisor of the advantages.

    `group` and `batch`: the standard deviation of the group's or the rollout's rewards; `centred`: that of the
    rollout's rewards less their baselines [REINFORCE++ with baseline]; `mean`: the group's mean reward [MaxRL], for
    rewards that are not negative; `none`: nothing divides [Dr. GRPO, RLOO].
    """
    parts: Annotated[Literal["summed", "decoupled"], AddedField()] = "summed"
    """Parts of the reward are summed before they are normalized, or each is normalized in its group first, so that a
    part with little spread is not drowned; the sum is then normalized in the rollout [GDPO: decoupled]."""
    epsilon_low: float | None = None
    """The ratio is clipped below 1 minus this; None: the recipe's `epsilon` [DAPO 0.2, GSPO 3e-4]."""
    epsilon_high: float | None = None
    """The ratio is clipped above 1 plus this; None: the recipe's `epsilon` [DAPO 0.28, GSPO 4e-4].

    In `cispo` the highest weight itself, as TRL has it [5.0 in ScaleRL, arXiv 2510.13786; MiniMax-M1 does not say]."""
    ratio_ceiling: float | None = None
    """The upper bound of the ratio, also where the advantage is negative and the clip has none [4 in INTELLECT-2,
    2505.07291]."""
    mask_truncated: bool = False
    """Replies that were cut off are left out of the loss, instead of counting as wrong, if true [DAPO: yes]."""
    unbiased_kl: bool = False
    """The ratio multiplies the KL term if true, so that its gradient is unbiased [DeepSeek-V3.2, arXiv 2512.02556]."""
    kl: Annotated[KlEstimator, AddedField()] = "k3"
    """The estimator of the KL term from the log-ratio d of policy to reference: k1 = d, k2 = d²/2, or k3 = exp(-d) + d
    - 1 [R1, equation 2; REINFORCE++ with baseline: k2]; log-probabilities' names are Schulman's."""
    gate_temperatures: tuple[float, float] | None = None
    """The steepness of the gate of `sapo` for positive and for other advantages [1.0, 1.05]."""
    gamma_weights: tuple[float, float, float, float] | None = None
    """The power and decay of the weight of `vespo` for positive, then for negative advantages [2, 3, 3, 2]."""

    def model_post_init(self, _: Any) -> None:
        self.check()

    @property
    def of_whole_rollout(self) -> bool:
        """True if the advantages of a group depend on the other groups of its rollout."""
        return self.baseline == "batch" or self.scale_rewards in ("batch", "centred") or self.parts == "decoupled"

    def check(self) -> None:
        """Raises `RecipeError` for a combination that no paper uses, with the one that was probably intended."""
        clips = self.surrogate is None and self.loss in CLIPPED
        self._check_whole_replies()
        self._check_advantages()
        self._check_kl()
        if self.importance == "sequence" and self.loss not in BY_REPLY:
            raise RecipeError(
                f"importance is 'sequence' and loss {self.loss!r} sums over tokens, so long replies would weigh more; "
                "take loss 'grpo' for GSPO"
            )
        if self.loss == "luspo" and self.importance != "sequence":
            raise RecipeError("loss 'luspo' is a loss of whole replies; set importance to 'sequence'")
        if self.surrogate is not None:
            self._check_surrogate()
        if not clips and self.epsilon_low is not None:
            raise RecipeError(f"epsilon_low is {self.epsilon_low:g} and nothing is clipped below; leave it out")
        if not (clips or (self.loss == "cispo" and self.surrogate is None)) and self.epsilon_high is not None:
            raise RecipeError(f"epsilon_high is {self.epsilon_high:g} and nothing is clipped above; leave it out")
        if self.loss == "cispo" and self.epsilon_high is None:
            raise RecipeError("loss 'cispo' needs epsilon_high, the highest weight of a token; 5.0 is ScaleRL's")
        self._check_bounds(clips)
        for name, loss in (("gate_temperatures", "sapo"), ("gamma_weights", "vespo")):
            if (getattr(self, name) is not None) != (self.loss == loss):
                verb = "needs" if self.loss == loss else "does not know"
                raise RecipeError(f"loss {self.loss!r} {verb} {name}; they belong to {loss!r}")

    def _check_whole_replies(self) -> None:
        if self.importance == "product" and self.loss != "grpo":
            raise RecipeError(
                f"importance is 'product', the ratio of whole replies, and loss {self.loss!r} counts tokens; "
                "take loss 'grpo', which then is the mean over replies"
            )

    def _check_advantages(self) -> None:
        if self.parts == "decoupled" and (self.baseline, self.scale_rewards) != ("group", "group"):
            raise RecipeError(
                "parts are 'decoupled', so each is centred and scaled in its group; "
                "leave baseline and scale_rewards at 'group'"
            )
        if self.baseline == "batch" and self.scale_rewards in ("group", "mean"):
            raise RecipeError(
                f"baseline is 'batch' and scale_rewards {self.scale_rewards!r} is of one group; take 'batch' or 'none'"
            )
        if self.baseline == "others" and self.scale_rewards == "mean":
            raise RecipeError("scale_rewards 'mean' is MaxRL's, whose baseline is that mean; take baseline 'group'")

    def _check_kl(self) -> None:
        if self.kl == "k1" and not self.unbiased_kl:
            raise RecipeError("kl 'k1' as a loss has a gradient of mean zero; set unbiased_kl, or take k2 or k3")
        if self.kl == "k2" and self.unbiased_kl:
            raise RecipeError(
                "kl 'k2' has the gradient of the KL without unbiased_kl, and with it another; leave it out"
            )
        if self.kl != "k3" and self.surrogate is None and self.loss not in CLIPPED:
            raise RecipeError(
                f"loss {self.loss!r} is TRL's, whose KL is k3; leave kl out, or take loss {' or '.join(CLIPPED)}"
            )

    def _check_surrogate(self) -> None:
        if self.importance != "token":
            raise RecipeError("a surrogate is given the log-probabilities of tokens; leave importance at 'token'")
        if self.unbiased_kl:
            raise RecipeError("unbiased_kl needs TRL's ratio, and a surrogate has its own; leave it out")
        if self.loss not in CLIPPED:
            raise RecipeError(
                f"a surrogate replaces a clipped ratio; take loss {' or '.join(CLIPPED[:3])} for its mean"
            )

    def _check_bounds(self, clips: bool) -> None:
        for name in ("epsilon_low", "epsilon_high"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise RecipeError(f"{name} is {value:g}; it must be above 0")
        if self.ratio_ceiling is None:
            return
        if not clips or self.epsilon_high is None:
            raise RecipeError("ratio_ceiling bounds a clipped ratio; give epsilon_high with it")
        if self.ratio_ceiling <= 1 + self.epsilon_high:
            raise RecipeError(f"ratio_ceiling is {self.ratio_ceiling:g}; it must lie above 1 + epsilon_high")

    def but(self, **changes: Any) -> Self:
        """Returns this objective with some fields changed, and checks it again."""
        return type(self)(**{**dict(self), **changes})


OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "grpo": Objective(),
        "dr_grpo": Objective(loss="dr_grpo", scale_rewards="none"),
        "dapo": Objective(loss="dapo", epsilon_low=0.2, epsilon_high=0.28, mask_truncated=True),
        "gspo": Objective(importance="sequence", epsilon_low=3e-4, epsilon_high=4e-4),
        "cispo": Objective(loss="cispo", epsilon_high=5.0),
        "sapo": Objective(loss="sapo", gate_temperatures=(1.0, 1.05)),
        "luspo": Objective(loss="luspo", importance="sequence", epsilon_low=3e-4, epsilon_high=4e-4),
        "vespo": Objective(loss="vespo", gamma_weights=(2.0, 3.0, 3.0, 2.0)),
        "gdpo": Objective(parts="decoupled"),
        "printed": Objective(importance="product"),
        "rloo": Objective(importance="product", baseline="others", scale_rewards="none"),
        "reinforce_pp": Objective(loss="dapo", baseline="batch", scale_rewards="batch", kl="k2"),
        "reinforce_pp_baseline": Objective(loss="dapo", scale_rewards="centred", kl="k2"),
        "maxrl": Objective(loss="dr_grpo", scale_rewards="mean"),
    },
)
"""All named objectives; a recipe file may add its own. Papers other than GRPO's also set `beta` to 0."""


def _named(value: Any) -> Any:
    """Returns the objective with this name; raises `ValueError` with the valid names."""
    return OBJECTIVES[OBJECTIVES.valid(value)] if isinstance(value, str) else value


AnyObjective = Annotated[Objective, BeforeValidator(_named)]
"""An objective, or the name of one."""


def objective_identity(objective: Objective) -> dict[str, str]:
    """Returns what fingerprints contain in addition to the recipe: name and version of a recipe file's own
    surrogate."""
    if objective.surrogate is None:
        return {}
    return {"surrogate": f"{objective.surrogate}@{SURROGATES[objective.surrogate].version}"}


def objective_arguments(objective: Objective, epsilon: float) -> dict[str, Any]:
    """Returns arguments of `GRPOConfig`; `epsilon` is the clip range of an objective without its own."""
    low, high = objective.epsilon_low, objective.epsilon_high
    arguments: dict[str, Any] = {
        "loss_type": objective.loss,
        "importance_sampling_level": "sequence" if objective.importance == "sequence" else "token",
        "scale_rewards": objective.scale_rewards if objective.scale_rewards in ("group", "batch") else "none",
        "multi_objective_aggregation": "normalize_then_sum" if objective.parts == "decoupled" else "sum_then_normalize",
        "mask_truncated_completions": objective.mask_truncated,
        "epsilon": epsilon if low is None else low,
        "epsilon_high": epsilon if high is None else high,
        "delta": objective.ratio_ceiling,
        "use_bias_correction_kl": objective.unbiased_kl,  # TRL's default is not the paper's equation 2
    }
    for names, values in (
        (("sapo_temperature_pos", "sapo_temperature_neg"), objective.gate_temperatures),
        (("vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"), objective.gamma_weights),
    ):
        arguments |= dict(zip(names, values or (), strict=False))
    return arguments
