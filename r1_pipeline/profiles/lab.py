"""The laboratory: variants of R1-Zero, each the same run with one thing changed, at equal tokens.

A `Variant` is a change of the recipe of R1-Zero's node, with what its paper reports. `with_variants` adds a derived
node for each to a profile's graph. It may take more steps than plain R1-Zero, and ends when it has generated and
trained on as many tokens, so a variant with shorter replies makes more updates. Recipe files add to `VARIANTS`.
Not covered: running them (`cli.lab`), comparing them (`evaluation.lab`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from r1_pipeline.errors import GraphError
from r1_pipeline.graph.node import AssetName, Ref, derived
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.registry import Registry
from r1_pipeline.rewards.overlong import Overlong
from r1_pipeline.training.critic import Critic
from r1_pipeline.training.objectives import OBJECTIVES, Objective
from r1_pipeline.verbs import ReinforceRecipe

Change = Mapping[str, Any]
"""Dotted field of the recipe -> its new value."""
STEPS = 3
"""The factor by which a variant may take more steps than plain R1-Zero before its tokens are spent."""


@dataclass(frozen=True)
class Variant:
    """One row of the laboratory's table."""

    change: Change | Callable[[ReinforceRecipe], Change]
    """The change of the recipe, or a function of plain R1-Zero's recipe that returns it."""
    claim: str
    """The report of its source, in a sentence without its full stop."""
    source: str
    """The number of the paper on arXiv, or where else the claim stands."""

    def changes(self, plain: ReinforceRecipe) -> Change:
        """Returns the change for this recipe of plain R1-Zero."""
        return self.change(plain) if callable(self.change) else self.change


def _named(name: str) -> Change:
    return {"grpo.objective": name}


def _own(**fields: Any) -> Change:
    return {"grpo.objective": Objective(**fields)}


def _ppo(gae_lambda: float) -> Callable[[ReinforceRecipe], Change]:
    """Returns PPO; its critic learns ten times as fast as the policy, as in TinyZero, and warms up for two rollouts."""

    def change(plain: ReinforceRecipe) -> Change:
        critic = Critic(
            gae_lambda=gae_lambda,
            discount=1.0,
            learning_rate=10 * plain.grpo.learning_rate,
            warmup_steps=2 * plain.grpo.steps_per_generation,
            value_clip=None,
            whiten=True,
        )
        return {"grpo.critic": critic}

    return change


def _dapo(plain: ReinforceRecipe) -> Change:
    """Returns DAPO but for its dynamic sampling; the penalty begins at four fifths of the limit, as in the paper."""
    limit = plain.grpo.max_completion_tokens
    shaping = Overlong(weight=1.0, max_tokens=limit, margin=max(1, limit // 5))
    return {"grpo.objective": OBJECTIVES["dapo"], "rubric.overlong": shaping}


VARIANTS: Registry[Variant] = Registry(
    "variant",
    {
        "another_seed": Variant(
            lambda plain: {"grpo.seed": plain.grpo.seed + 1},
            "Nothing is changed but the dice; what differs here is chance",
            "control",
        ),
        "printed": Variant(
            _named("printed"), "The paper prints whole replies' ratios and does not compare them", "2501.12948, eq. 1"
        ),
        "dr_grpo": Variant(_named("dr_grpo"), "Equal accuracy with shorter wrong replies", "2503.20783"),
        "dapo": Variant(_dapo, "AIME24 30 to 50 with four changes, of which three are here", "2503.14476"),
        "clip_higher": Variant(
            _own(epsilon_low=0.2, epsilon_high=0.28), "One of DAPO's changes: AIME24 36 to 38", "2503.14476"
        ),
        "token_mean": Variant(_own(loss="dapo"), "One of DAPO's changes: AIME24 41 to 42", "2503.14476"),
        "dynamic_sampling": Variant(
            {"schedule.resample": 2}, "One of DAPO's changes, without a limit there: AIME24 42 to 50", "2503.14476"
        ),
        "gspo": Variant(
            _named("gspo"), "More stable and more efficient than GRPO, on mixtures above all", "2507.18071"
        ),
        "cispo": Variant(_named("cispo"), "Twice as fast as DAPO", "2506.13585"),
        "sapo": Variant(_named("sapo"), "More stable than GSPO and GRPO, higher pass@1 at equal budgets", "2511.20347"),
        "luspo": Variant(_named("luspo"), "Better than GRPO and GSPO, without GSPO's bias of length", "2602.05261"),
        "vespo": Variant(_named("vespo"), "Stays stable where rollouts are very stale", "2602.10693"),
        "gdpo": Variant(_named("gdpo"), "Better than GRPO where there are several rewards", "2601.05242"),
        "rloo": Variant(_named("rloo"), "Better than PPO in learning from preferences", "2402.14740"),
        "reinforce_pp": Variant(_named("reinforce_pp"), "Overfits less than advantages of groups", "2501.03262"),
        "reinforce_pp_baseline": Variant(
            _named("reinforce_pp_baseline"), "Better than GRPO in reasoning with tools", "2501.03262"
        ),
        "maxrl": Variant(_named("maxrl"), "Better pass@k than GRPO at equal pass@1", "2602.02710"),
        "ppo": Variant(_ppo(1.0), "PPO with lambda 1.0 is close to GRPO", "2501.12948, A.3"),
        "ppo_lambda_095": Variant(_ppo(0.95), "PPO with lambda 0.95 is clearly worse than GRPO", "2501.12948, A.3"),
        "kl_k1": Variant(_own(kl="k1", unbiased_kl=True), "Untested there; unbiased in value and gradient", "control"),
        "kl_k2": Variant(_own(kl="k2"), "The gradient of k2 is that of the KL, k3's is not", "2501.03262"),
        "kl_unbiased": Variant(_own(unbiased_kl=True), "More stable than k3 without the ratio", "2512.02556"),
        "no_kl": Variant(
            {"grpo.reference_sync_steps": None, "grpo.beta": 0.0}, "The KL term can be left out", "2503.14476"
        ),
        "fixed_reference": Variant(
            {"grpo.reference_sync_steps": None}, "The paper replaces the reference, without a comparison", "2501.12948"
        ),
        "paper_clip": Variant(
            {"grpo.epsilon": 10.0}, "The paper clips at 10; narrower cuts the gradient of many tokens", "2501.12948"
        ),
        "on_policy": Variant(
            {"grpo.steps_per_generation": 1}, "The paper makes 16 updates of a rollout, for speed", "2501.12948"
        ),
        "no_scaling": Variant(
            _own(scale_rewards="none"), "Problems of middling difficulty weigh too much", "2503.20783"
        ),
        "no_format": Variant({"rubric.format": 0.0}, "A format reward harms weak bases", "2503.18892"),
    },
)
"""All variants by name, in the order of the table."""


def with_variants(profile: Profile, names: Iterable[str]) -> Profile:
    """Returns `profile` with a node for each variant; raises `UnknownNameError` for an unknown one, and `GraphError`
    for a graph without R1-Zero or a recipe that a change does not fit."""
    graph, zero = profile.graph, zero_of(profile)
    plain = profile.bound.recipe(AssetName(zero))
    if not isinstance(plain, ReinforceRecipe):
        raise GraphError(f"{zero} of {profile.name} is not made by reinforcement; take another profile")
    longer = {"grpo.steps": STEPS * plain.grpo.steps}
    for name in names:
        variant = VARIANTS[name]
        about = f"R1-Zero's run, with the change {name}, at equal tokens ({variant.source})."
        node = derived(graph.node(zero), node_of(profile, name), {**longer, **variant.changes(plain)}, about)
        graph = graph.with_nodes(replace(node, inputs={**node.inputs, "budget": Ref(zero)}))
    return replace(profile, graph=graph)


def misfits(profile: Profile) -> dict[str, str]:
    """Returns the variants that `profile` cannot have, such as a critic next to LoRA, each with the reason."""
    found: dict[str, str] = {}
    for name in VARIANTS:
        try:
            assert with_variants(profile, [name]).bound
        except GraphError as error:
            found[name] = str(error)
    return found


def zero_of(profile: Profile) -> str:
    """Returns the name of the node that is plain R1-Zero; raises `GraphError` if none is."""
    if profile.graph.cast is None:
        raise GraphError(f"{profile.name} has no cast, so no node is R1-Zero; give its graph a cast")
    return profile.graph.cast.zero


def node_of(profile: Profile, name: str) -> str:
    """Returns the name of a variant's node."""
    return f"{zero_of(profile)}_{name}"
