"""Laws of work on a real cluster of two nodes: sampling, grading and whole verbs give the rows of a single process.

They do so even if one node is lost on the way.
"""

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.screening.rows import STANDARD_SCREENING, TASK_ROWS, screen_rows
from r1_pipeline.errors import EngineError
from r1_pipeline.generation.engine import requests_for
from r1_pipeline.generation.engine_factory import open_engine
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.sampling import SamplingRecipe, sample_completions
from r1_pipeline.profiles import load_profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Sampling
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.cluster import Cluster

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.slow
PROFILE = load_profile("smoke", 0)
LEAK = (
    "A merchant buys seven crates of nine lamps each and sells all but eleven; how many lamps has she sold by evening?"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def base(home: Path) -> Checkpoint:
    return verbs.pretrain(BuildContext(Store(home), PROFILE.runtime, "base"), PROFILE.recipes["base"])


@pytest.fixture(scope="module")
def problems(home: Path) -> ProblemSet:
    return verbs.curate(
        BuildContext(Store(home), PROFILE.runtime, "reasoning_problems"), PROFILE.recipes["reasoning_problems"]
    )


def runtime_on(nodes: Any) -> Runtime:
    settings = Cluster(address=nodes.address, workers=2, cpus=1, gpus=0)
    return PROFILE.runtime.model_copy(update={"cluster": settings})


class PullsThePlug(Observer):
    """Takes the second node away, without grace, when a third of the shards are there."""

    def __init__(self, nodes: Any) -> None:
        self._nodes = nodes
        self.pulled = False

    def stepped(self, name: str, step: int, total: int, metrics: object) -> None:
        if step >= total // 3 and not self.pulled:
            self.pulled = True
            self._nodes.lose()


def test_a_node_lost_in_the_middle_costs_no_row_and_changes_none(
    nodes: Any, home: Path, base: Checkpoint, problems: ProblemSet, tmp_path: Path
) -> None:
    sampling = Sampling(temperature=1.0, top_p=0.95, max_tokens=48)
    recipe = SamplingRecipe(sampling=sampling, samples=16, problems={}, seed=0)
    asked = problems.problems()
    plug, rows = PullsThePlug(nodes), {}
    for name, runtime in (("cluster", runtime_on(nodes)), ("alone", PROFILE.runtime)):
        draft = bare_draft(tmp_path / name)
        if name == "cluster":
            draft.observer = plug
        with open_engine(base, recipe.engine, runtime, home) as engine, default_grader(runtime) as grader:
            rows[name] = grade_completions(
                sample_completions(engine, asked, "zero", recipe, draft, shard=16), asked, grader, "zero"
            )
    assert plug.pulled and sum(node["Alive"] for node in ray.nodes()) == 1
    nodes.add()
    keys = rows["cluster"].select("problem_id", "sample_index").rows()
    assert len(set(keys)) == len(keys) == 16 * len(asked)
    assert digest(rows["cluster"]) == digest(rows["alone"])


def test_a_verb_makes_the_same_artifact_and_an_error_of_a_worker_arrives_as_it_was(
    nodes: Any, tmp_path: Path, home: Path, base: Checkpoint, problems: ProblemSet
) -> None:
    recipe = PROFILE.recipes["reasoning_traces"]["math"]
    made = []
    for folder, runtime in ((home, PROFILE.runtime), (tmp_path, runtime_on(nodes))):
        store = Store(folder)
        answers = verbs.ask(BuildContext(store, runtime, "reasoning_answers/math"), base, problems, recipe.ask)
        at = BuildContext(store, runtime, "reasoning_traces/math")
        made.append(verbs.rejection_sample(at, answers, problems, recipe))
    assert made[0].path != made[1].path and made[0].samples()
    assert (made[0].digest, made[0].manifest.fingerprint) == (made[1].digest, made[1].manifest.fingerprint)
    short = recipe.ask.sampling.model_copy(update={"max_tokens": 10_000})
    with (
        open_engine(base, recipe.ask.engine, runtime_on(nodes), home) as engine,
        pytest.raises(EngineError, match="the reply up to 10000, the engine's context is 128"),
    ):
        engine.generate(requests_for(problems.problems()[:2], "zero", 1, 0), short)


def test_screening_over_workers_drops_what_one_process_drops(nodes: Any, tmp_path: Path) -> None:
    """Three tasks; a repeat of a row of the first in the last, and a held-out text in the second."""
    fact = "row {} says that the sum of {} and {} is {}, which can be seen by counting on from one to the other"
    texts = [fact.format(i, i, 3 * i, 4 * i) for i in range(2 * TASK_ROWS + 100)]
    texts[TASK_ROWS + 5], texts[-1] = LEAK, texts[7]
    table = pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "text": texts})
    table.with_columns(reasoning=pl.lit(None, pl.String), language=pl.lit("en")).write_parquet(
        tmp_path / "rows.parquet"
    )
    rows, items = pl.scan_parquet(tmp_path / "rows.parquet"), pl.DataFrame({"id": ["leak"], "text": [LEAK]})
    settings = runtime_on(nodes).cluster
    spread, alone = (screen_rows(rows, items, STANDARD_SCREENING, 1, cluster=cluster) for cluster in (settings, None))
    assert spread.equals(alone)
    found = {row["row"]: (row["reason"], row["against"]) for row in spread.iter_rows(named=True)}
    assert found[TASK_ROWS + 5] == ("contaminated", "leak")
    assert found[len(texts) - 1] == ("duplicate", "r7")


def digest(rows: pl.DataFrame) -> str:
    return hashlib.sha256(rows.write_json().encode()).hexdigest()
