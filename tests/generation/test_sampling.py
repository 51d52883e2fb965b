"""Sampling works in shards: an interruption loses one shard at most, and a damaged shard is not used."""

from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.tables import read_table, write_table
from r1_pipeline.data.subset import shuffled
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.grade_completions import completions_of, grade_completions
from r1_pipeline.generation.sampling import SamplingRecipe, Shard, sample_completions, select_problems
from r1_pipeline.records import Completion, Domain, Problem, Request, Sampling
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader

PROBLEMS = [
    Problem(
        id=f"p{i}",
        question=f"q{i}",
        answer="A",
        tests=(),
        domain="logic",
        language="en",
        source="t",
        licence="CC0-1.0",
    )
    for i in range(3)
]
DRAWN = shuffled(PROBLEMS)
RECIPE = SamplingRecipe(
    sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=64), samples=4, problems={"logic": 3}, seed=0
)


def asking(problems: dict[Domain, int]) -> SamplingRecipe:
    return RECIPE.model_copy(update={"problems": problems})


class Counting(FakeEngine):
    """An engine that counts its requests, and stops after `limit` completions."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__(lambda r: f"<think>two words</think>\\boxed{{{'AB'[r.seed % 2]}}}")
        self.asked = 0
        self._limit = limit

    def _complete(self, request: Request, limit: int) -> Completion:
        if self.asked == self._limit:
            raise KeyboardInterrupt
        self.asked += 1
        return super()._complete(request, limit)


class Notes(Observer):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def noted(self, name: str, message: str) -> None:
        self.messages.append(message)


def run(draft: Draft, engine: Counting) -> pl.DataFrame:
    return sample_completions(engine, PROBLEMS, "chat", RECIPE, draft, shard=4)


def interrupted(directory: Path) -> Draft:
    draft = bare_draft(directory)
    with pytest.raises(KeyboardInterrupt):
        run(draft, Counting(limit=9))
    return draft


def test_an_interrupted_run_repeats_at_most_one_shard(tmp_path: Path) -> None:
    draft = interrupted(tmp_path / "a")
    engine = Counting()
    resumed = run(draft, engine)
    assert engine.asked == 4  # of 12 completions, two shards of four were done
    assert resumed.equals(run(bare_draft(tmp_path / "b"), Counting()))
    assert [row["step"] for row in read_metrics(draft.metrics)] == [1, 2, 3]


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign"])
def test_a_damaged_shard_is_sampled_again_and_said_so(damage: str, tmp_path: Path) -> None:
    draft = interrupted(tmp_path)
    draft.observer = notes = Notes()
    path = draft.scratch / "answers-00001.parquet"
    whole = path.read_bytes()
    if damage == "foreign":
        write_table(path, read_table(draft.scratch / "answers-00000.parquet"))
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        middle = len(whole) // 4
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :])
    engine = Counting()
    run(draft, engine)
    assert engine.asked == 8
    assert path.read_bytes() == whole
    assert len(notes.messages) == 1
    assert "answers-00001.parquet" in notes.messages[0]


def test_where_there_are_fewer_problems_than_wanted_all_are_asked_and_it_is_said(tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    draft.observer = notes = Notes()
    assert select_problems(PROBLEMS, asking({"logic": 5, "math": 1}), draft) == (DRAWN, [])
    assert notes.messages == ["0 problems in math, 1 wanted", "3 problems in logic, 5 wanted"]
    assert select_problems(PROBLEMS, asking({"logic": 2}), draft) == (DRAWN[:2], [])


def test_what_is_asked_does_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    assert select_problems(PROBLEMS[::-1], asking({"logic": 2}), draft) == select_problems(
        PROBLEMS, asking({"logic": 2}), draft
    )


def test_shards_ask_together_what_the_whole_asks_and_hear_the_same(tmp_path: Path) -> None:
    whole = run(bare_draft(tmp_path / "whole"), Counting())
    heard = []
    for index in range(2):
        draft = bare_draft(tmp_path / str(index))
        part = RECIPE.model_copy(update={"shard": Shard(index=index, of=2)})
        chosen, _ = select_problems(PROBLEMS, part, draft)
        assert chosen == DRAWN[index::2]
        heard.append(sample_completions(Counting(), chosen, "chat", part, draft, shard=4))
    assert pl.concat(heard).sort("problem_id", "sample_index").equals(whole)


def test_judging_adds_columns_to_what_was_said_and_changes_nothing_of_it(tmp_path: Path) -> None:
    said = run(bare_draft(tmp_path), Counting())
    with Grader({"logic": ChoiceVerifier()}) as grader:
        judged = grade_completions(said, PROBLEMS, grader, "chat")
    assert judged.select(said.columns).equals(said)
    assert completions_of(judged) == completions_of(said)
    right = ["A" in text for text in said["text"]]
    assert judged["score"].to_list() == [float(is_right) for is_right in right]
    assert judged["domain"].unique().to_list() == ["logic"]


def test_a_file_in_order_of_subject_gives_every_subject_its_share(tmp_path: Path) -> None:
    """The file has 100 rows of algebra, then 100 of geometry: the first 40 in stored order contained no geometry.

    At least 8 of 40 is the bound of chance in 10,000 draws (hypergeometric: below 10 once in 4,000).
    """
    ordered = [
        PROBLEMS[0].model_copy(update={"id": f"{subject}-{row}", "source": f"mine/a.jsonl:{row}#{row}"})
        for subject in ("algebra", "geometry")
        for row in range(100)
    ]
    recipe = RECIPE.model_copy(update={"problems": {ordered[0].domain: 40}})
    drawn, _ = select_problems(ordered, recipe, bare_draft(tmp_path))
    share = sum(problem.id.startswith("geometry") for problem in drawn)
    assert len(drawn) == 40
    assert 8 <= share <= 32
    assert select_problems(ordered[::-1], recipe, bare_draft(tmp_path)) == (drawn, [])
