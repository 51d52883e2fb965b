"""Scores by language and difficulty are those of the problems with that property, counted by hand."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.evaluation.benchmarks import load_benchmark, locate
from r1_pipeline.evaluation.groups import groups_of
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import own_evaluation
from r1_pipeline.records import Language, Problem


def problem(id_: str, language: Language, difficulty: str | None) -> Problem:
    return Problem(
        id=id_, question=id_, answer="1", tests=(), domain="math", language=language, source="s", licence="MIT",
        difficulty=difficulty,
    )  # fmt: skip


def test_each_group_has_the_mean_of_its_problems() -> None:
    problems = [problem("a", "en", "1"), problem("b", "en", "2"), problem("c", "zh", "2"), problem("d", "zh", None)]
    rows = [("a", 1.0), ("a", 0.0), ("b", 1.0), ("b", 1.0), ("c", 0.0), ("c", None), ("d", None)]
    judged = pl.DataFrame(
        {"problem_id": [id_ for id_, _ in rows], "fact": [id_ for id_, _ in rows], "score": [s for _, s in rows]}
    )
    found = groups_of(judged, problems, ("language", "difficulty"))
    shares = {
        by: {value: (each.problems, each.pass_at_1) for value, each in parts.items()} for by, parts in found.items()
    }
    assert shares == {
        "language": {"en": (2, 0.75), "zh": (1, 0.0)},
        "difficulty": {"1": (1, 0.5), "2": (2, 0.5)},
    }


def test_a_benchmark_is_scored_by_what_its_mapping_reads(public_data: Path, tmp_path: Path) -> None:
    own = own_evaluation(load_profile("smoke", 0))
    for name, file, by in (("math_500", "math/math500_test", ("difficulty",)), ("gsm8k", "gsm8k/gsm8k_test", ())):
        shutil.copy(public_data / f"{file}.parquet", tmp_path / f"{name}.parquet")
        assert locate(load_benchmark(name), tmp_path).recipe(own).grade.by == by


@pytest.mark.parametrize(("language", "by"), [("en", ()), ("{{ lang }}", ("language",))])
def test_a_language_that_differs_by_row_is_a_group(language: str, by: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "1+1?", "answer": "2", "lang": "en"}\n', encoding="utf-8")
    (tmp_path / "mine.toml").write_text(
        f'title = "M"\nabout = "One."\norigin = "x"\nlicence = "MIT"\nproblems = 1\ndigest = "0"\n[mapping]\n'
        f'makes = "problem"\ndomain = "math"\nlanguage = "{language}"\nquestion = "{{{{ question }}}}"\n'
        'answer = "{{ answer }}"\n',
        encoding="utf-8",
    )
    own = own_evaluation(load_profile("smoke", 0))
    assert locate(load_benchmark("mine", tmp_path), tmp_path).recipe(own).grade.by == by
