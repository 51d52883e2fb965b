"""Laws of objectives: a name has its paper's meaning, a combination of no paper is refused, a user's own loss works."""

from pathlib import Path
from typing import Any

import pytest
import training_runs as runs
from trl import GRPOConfig

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.engines import VllmRollouts
from r1_pipeline.errors import GraphError
from r1_pipeline.graph.bound import bind, changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import load_profile
from r1_pipeline.recipe import canonical_value
from r1_pipeline.training.grpo import GrpoRecipe, train_grpo
from r1_pipeline.training.objectives import (
    OBJECTIVES,
    SURROGATES,
    Objective,
    Replies,
    Surrogate,
    objective_arguments,
    objective_identity,
)

OFF_POLICY = runs.GRPO.model_copy(update={"epsilon": 0.02, "learning_rate": 1e-3})
"""The low rate keeps rounding from sending a token to another expert."""


def clipped(replies: Replies) -> Any:
    """Computes GRPO's loss, written as a recipe file would."""
    ratio, advantages = replies.ratio_BT, replies.advantages_B1
    return -(ratio * advantages).minimum(ratio.clamp(0.98, 1.02) * advantages)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Objective:
    """GRPO by a surrogate of a recipe file's own."""
    monkeypatch.setitem(SURROGATES._entries, "clipped", Surrogate(version="7", loss_BT=clipped))  # type: ignore[index]
    return Objective(surrogate="clipped")


def train(base: Path, directory: Path, objective: Objective, **changes: Any) -> Draft:
    draft = bare_draft(directory)
    recipe = OFF_POLICY.model_copy(update={"objective": objective, **changes})
    problems, parts = runs.problems(recipe.problems), {"digits": runs.digits}
    train_grpo(base, problems, "chat", parts, {"digits": 1.0}, recipe, runs.RUNTIME, draft)
    return draft


def test_a_recipe_that_names_no_objective_has_the_identity_that_it_always_had() -> None:
    assert "objective" not in canonical_value(runs.GRPO)
    assert "objective" not in canonical_value(changed(runs.GRPO, "objective", "grpo"))
    assert canonical_value(changed(runs.GRPO, "objective", "gspo"))["objective"]["importance"] == "sequence"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grpo", ("grpo", "token", "group", 10.0, 10.0, False)),
        ("dr_grpo", ("dr_grpo", "token", "none", 10.0, 10.0, False)),
        ("dapo", ("dapo", "token", "group", 0.2, 0.28, True)),
        ("gspo", ("grpo", "sequence", "group", 3e-4, 4e-4, False)),
        ("luspo", ("luspo", "sequence", "group", 3e-4, 4e-4, False)),
        ("printed", ("grpo", "token", "group", 10.0, 10.0, False)),
        ("rloo", ("grpo", "token", "none", 10.0, 10.0, False)),
        ("reinforce_pp", ("dapo", "token", "batch", 10.0, 10.0, False)),
        ("maxrl", ("dr_grpo", "token", "none", 10.0, 10.0, False)),
    ],
)
def test_a_name_is_what_its_paper_says_and_the_recipe_clips_where_it_does_not(name: str, said: tuple[Any, ...]) -> None:
    made = objective_arguments(OBJECTIVES[name], epsilon=10.0)
    fields = ("loss_type", "importance_sampling_level", "scale_rewards", "epsilon", "epsilon_high")
    assert tuple(made[field] for field in (*fields, "mask_truncated_completions")) == said


def test_every_named_objective_is_one_that_trl_takes(tmp_path: Path) -> None:
    for objective in OBJECTIVES.values():
        arguments = objective_arguments(objective, epsilon=0.2)
        made = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", **arguments)
        assert {name: getattr(made, name) for name in arguments} == arguments
        objective.check()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"loss": "dapo", "importance": "sequence"}, "long replies would weigh more; take loss 'grpo' for GSPO"),
        ({"loss": "luspo"}, "set importance to 'sequence'"),
        ({"loss": "cispo"}, "needs epsilon_high, the highest weight of a token"),
        ({"loss": "cispo", "epsilon_high": 5.0, "epsilon_low": 0.2}, "epsilon_low is 0.2 and nothing is clipped below"),
        ({"loss": "sapo"}, "'sapo' needs gate_temperatures"),
        ({"gate_temperatures": (1.0, 1.0)}, "'grpo' does not know gate_temperatures; they belong to 'sapo'"),
        ({"loss": "vespo"}, "'vespo' needs gamma_weights"),
        ({"epsilon_high": 0.0}, "epsilon_high is 0; it must be above 0"),
        ({"ratio_ceiling": 4.0}, "give epsilon_high with it"),
        ({"ratio_ceiling": 1.1, "epsilon_high": 0.2}, "it must lie above 1 \\+ epsilon_high"),
        ({"loss": "bnpo"}, "Input should be 'grpo'"),
        ({"loss": "dapo", "importance": "product"}, "counts tokens; take loss 'grpo', which then is the mean over"),
        ({"parts": "decoupled", "scale_rewards": "none"}, "leave baseline and scale_rewards at 'group'"),
        ({"parts": "decoupled", "baseline": "others"}, "leave baseline and scale_rewards at 'group'"),
        ({"baseline": "batch"}, "scale_rewards 'group' is of one group; take 'batch' or 'none'"),
        ({"baseline": "others", "scale_rewards": "mean"}, "is MaxRL's, whose baseline is that mean"),
        ({"kl": "k1"}, "a gradient of mean zero; set unbiased_kl, or take k2 or k3"),
        ({"kl": "k2", "unbiased_kl": True}, "has the gradient of the KL without unbiased_kl"),
        ({"loss": "sapo", "gate_temperatures": (1.0, 1.0), "kl": "k2"}, "loss 'sapo' is TRL's, whose KL is k3"),
        ({"surrogate": "unheard_of"}, "unknown surrogate 'unheard_of'; valid: none"),
    ],
)
def test_what_no_paper_means_is_refused_with_what_to_do(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Objective(**fields)


def test_a_surrogate_is_refused_where_it_would_not_be_what_it_says(own: Objective) -> None:
    for fields, words in (
        ({"importance": "sequence"}, "leave importance at 'token'"),
        ({"loss": "cispo", "epsilon_high": 5.0}, "take loss grpo or dr_grpo or dapo for its mean"),
        ({"epsilon_low": 0.2}, "nothing is clipped below"),
        ({"unbiased_kl": True}, "unbiased_kl needs TRL's ratio"),
    ):
        with pytest.raises(ValueError, match=words):
            own.but(**fields)


def test_weights_of_tokens_cannot_come_from_rollouts_that_weigh_replies() -> None:
    fields = {**dict(runs.GRPO), "objective": "vespo", "rollouts": {"type": "vllm"}}
    assert GrpoRecipe(**fields).rollouts == VllmRollouts(correction="token_truncate", clip=2.0)
    fields["rollouts"] = {"type": "vllm", "correction": "sequence_mask"}
    with pytest.raises(ValueError, match="set correction of rollouts to token_truncate"):
        GrpoRecipe(**fields)


def test_a_node_with_another_objective_is_one_line() -> None:
    profile = load_profile("smoke", seed=0)

    def deriving(change: dict[str, Any]) -> Any:
        graph = profile.graph.deriving("dev2_other", "dev2", change, "Dev2 by another objective.")
        return bind(graph, profile.recipes).recipe(AssetName("dev2_other"))

    dev2 = profile.bound.recipe(AssetName("dev2"))
    assert deriving({"grpo.objective": "cispo"}) == changed(dev2, "grpo.objective", OBJECTIVES["cispo"])
    assert deriving({"grpo.objective.scale_rewards": "batch"}).grpo.objective == Objective(scale_rewards="batch")
    with pytest.raises(GraphError, match=r"^dev2_other: .*unknown objective 'gpro'; did you mean gspo\? valid: grpo, "):
        deriving({"grpo.objective": "gpro"})
    with pytest.raises(GraphError, match=r"^dev2_other: Objective: .*loss 'cispo' needs epsilon_high"):
        deriving({"grpo.objective.loss": "cispo"})


def test_a_loss_of_ones_own_trains_as_the_same_loss_of_trl(own: Objective, tiny: Path, tmp_path: Path) -> None:
    ours, theirs = (
        read_metrics(train(tiny, tmp_path / name, objective).metrics)
        for name, objective in (("own", own), ("grpo", OBJECTIVES["grpo"]))
    )
    assert sum(row["clipped"] for row in theirs) > 0
    for name in ("loss", "grad_norm", "kl", "reward", "entropy"):
        expected = [row[name] for row in theirs if name in row]
        assert len(set(expected)) > 1
        assert [row[name] for row in ours if name in row] == pytest.approx(expected, abs=1e-4, rel=1e-3), name
    assert not any("clipped" in row for row in ours)  # nothing that TRL could count


def test_the_version_of_a_loss_of_ones_own_stands_in_the_fingerprint(own: Objective) -> None:
    assert objective_identity(own) == {"surrogate": "clipped@7"}
    assert objective_identity(OBJECTIVES["cispo"]) == {}


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "grpo"])
def test_every_named_objective_trains_and_changes_what_is_learned(name: str, tiny: Path, tmp_path: Path) -> None:
    made, paper = (train(tiny, tmp_path / each, OBJECTIVES[each], steps=2) for each in (name, "grpo"))
    assert runs.digests(made.path) not in (runs.digests(paper.path), runs.digests(tiny))
