"""Benchmarks in TOML files: the shipped ones against public data, and what a bad file or other data is told."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.ingest.mapping import ProblemMapping
from r1_pipeline.errors import RecipeError, RequirementError, SourceError
from r1_pipeline.evaluation.benchmarks import benchmarks_in, has_data, load_benchmark, locate, shipped_benchmarks
from r1_pipeline.evaluation.paper import STAGE_TABLE
from r1_pipeline.graph.node import AssetName
from r1_pipeline.home import HomeSettings
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import benchmark_problems
from r1_pipeline.recipe import Runtime
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import curate

LOCAL = {
    "gsm8k": "gsm8k/gsm8k_test.parquet",
    "math_500": "math/math500_test.parquet",
    "aime_2024": "competition/aime24_test.parquet",
    "aime_2025": "competition/aime25_light_r1.parquet",
    "amc_2023": "competition/amc23_test.parquet",
    "olympiadbench": "competition/olympiadbench_test.parquet",
    "mgsm_zh": "zh/mgsm_zh.parquet",
    "cmath": "zh/cmath_deepseek.parquet",
    "mmlu_stem": "stem/mmlu_stem_test.jsonl.gz",
    "humaneval": "code/humaneval.parquet",
    "mbpp": "code/mbpp.parquet",
    "ifeval": "instruct/ifeval_input_data.jsonl.gz",
    "sat_math": "stem/sat_math.parquet",
    "aqua": "stem/aqua_test.parquet",
    "gaokao_math_qa": "zh/gaokao_math_qa.parquet",
    "mt_bench": "instruct/mt_bench_questions.jsonl.gz",
}
"""The public data of shipped benchmarks."""
LEFT_OUT = {"olympiadbench": {"reference_ungradable": 1}, "mbpp": {"reference_wrong": 1}}
"""References that fail their own verifier; the note of the benchmark says so."""
SLOW = ("humaneval", "mbpp")
"""Benchmarks whose references are programs to run."""


def test_every_shipped_benchmark_says_what_a_user_needs() -> None:
    for name in shipped_benchmarks():
        benchmark = load_benchmark(name)
        assert benchmark.about.endswith(".")
        assert benchmark.obtain, name
        assert benchmark.use == "evaluate"
        assert (benchmark.digest is None) == (benchmark.problems is None)
        assert benchmark.digest is not None or name not in LOCAL
    rows = Counter(load_benchmark(name).paper for name in shipped_benchmarks())
    assert set(rows) - {None} == {row.benchmark for row in STAGE_TABLE} - {"Codeforces percentile"}
    assert all(count == 1 for row, count in rows.items() if row)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in LOCAL]
)
def test_references_of_shipped_benchmarks_pass_their_own_verifier(name: str, public_data: Path, tmp_path: Path) -> None:
    file = public_data / LOCAL[name]
    shutil.copy(file, tmp_path / f"{name}.{file.name.partition('.')[2]}")
    benchmark = load_benchmark(name)
    assert has_data(benchmark, tmp_path)
    found = locate(benchmark, tmp_path)
    recipe = benchmark_problems(load_profile("smoke", 0), found.source)
    runtime = Runtime(threads=2, folders={name: str(found.folder)})
    made = curate(BuildContext(Store(tmp_path / "home"), runtime, f"{name}_problems"), recipe)
    faulty = {reason: count for reason, count in made.manifest.drops.items() if reason.startswith("reference_")}
    assert faulty == LEFT_OUT.get(name, {})
    assert made.row_count == benchmark.problems
    assert bool(faulty) <= ("left out" in benchmark.note)


def write(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


ROWS = '{"question": "What is 1+1?", "answer": "2"}\n{"question": "What is 1+2?", "answer": "3"}\n'
MINE = 'title = "Mine"\nabout = "Two sums."\norigin = "here"\nlicence = "MIT"\nmapping = "question_answer"\n'
DIGEST = "6462dc1634153577ec14272f9ec743eb078a10fde0ab5b5d49230e76bc8a4441"


def test_a_file_that_pins_nothing_is_told_its_digest(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(ROWS, encoding="utf-8")
    write(tmp_path, "mine", MINE)
    with pytest.raises(RecipeError, match=f'add to its TOML file .*: problems = 2 and digest = "{DIGEST}"'):
        locate(load_benchmark("mine", tmp_path), tmp_path)


def test_a_benchmark_like_a_shipped_one_replaces_single_fields(tmp_path: Path) -> None:
    write(tmp_path, "quick", 'like = "gsm8k"\nsamples = 2\nlimit = 10\n')
    (quick,) = benchmarks_in(tmp_path)
    shipped = load_benchmark("gsm8k")
    assert (quick.name, quick.samples, quick.limit) == ("quick", 2, 10)
    assert (quick.digest, quick.mapping, quick.max_tokens) == (shipped.digest, "gsm8k", shipped.max_tokens)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", r"mine\.toml is not TOML"),
        ('like = "gsm9k"', "unknown shipped benchmark 'gsm9k'"),
        (MINE + "sample = 4\n", "sample: Extra inputs are not permitted"),
        (MINE + "samples = 0\n", "samples: Input should be greater than 0"),
        (MINE + 'paper = "AIME 1999"\n', "paper: the paper has no row 'AIME 1999'"),
        (MINE.replace("MIT", "mine"), "licence: .*give an SPDX expression"),
        (
            MINE.replace("question_answer", "prompt") + "problems = 2\ndigest = '0'\n",
            "so it has no score; name a verifier",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_field(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(ROWS, encoding="utf-8")
    write(tmp_path, "mine", text)
    with pytest.raises(RecipeError, match=message):
        locate(load_benchmark("mine", tmp_path), tmp_path)


def test_what_cannot_be_had_or_scored_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        RequirementError, match=r"gpqa_diamond has no data here; .*after its publisher has granted access"
    ):
        locate(load_benchmark("gpqa_diamond"), tmp_path)
    with pytest.raises(RequirementError, match="drop cannot be scored here: it needs an F1 score"):
        locate(load_benchmark("drop"), tmp_path)
    with pytest.raises(RequirementError, match="mmlu_redux has no mapping yet"):
        locate(load_benchmark("mmlu_redux"), tmp_path)


def test_the_options_of_gpqa_are_shuffled_by_a_hash() -> None:
    mapping = load_benchmark("gpqa_diamond").mapping
    assert isinstance(mapping, ProblemMapping)
    letters = Counter()
    for number in range(40):
        row = {"Question": f"Which of them? ({number})", "Correct Answer": "right"}
        row |= {f"Incorrect Answer {wrong}": f"wrong {wrong}" for wrong in (1, 2, 3)}
        made = mapping.record(row, "x:1", "MIT")
        assert made == mapping.record(row, "x:1", "MIT")
        assert f"{made.answer}. right" in made.question.splitlines()
        letters[made.answer] += 1
    assert set(letters) == set("ABCD")


def test_a_toml_file_in_the_home_is_screened_planned_evaluated_and_reported(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = home / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "mine.jsonl").write_text(ROWS, encoding="utf-8")
    pinned = f'problems = 2\ndigest = "{DIGEST}"\nsamples = 2\nmax_tokens = 8\npaper = "MATH-500"\n'
    write(folder, "mine", MINE + pinned)
    profile = HomeSettings(home=home, profile="smoke", seed=0).load()
    bound, graph = profile.bound, profile.graph
    assert {"mine/r1", "mine_answers/distilled", "mine_problems"} <= set(graph.nodes)
    assert bound.inputs(AssetName("sft_corpus"))["benchmarks"] == {"mine": AssetName("mine_problems")}
    assert planned_hours(profile)["mine_answers/r1"] > 0
    recipe = bound.recipe(bound.name("mine/r1"))
    assert recipe.ask.sampling.max_tokens == 8
    assert recipe.grade.ks == (1, 2)
    assert "mine/r1" in graph.node("report").inputs
    assert graph.benchmarks[1].paper == "MATH-500"
    assert "mine_problems" not in load_profile("smoke", 0).graph.nodes


def test_data_that_is_twice_there_is_refused(tmp_path: Path) -> None:
    for ending in ("jsonl", "csv"):
        (tmp_path / f"gsm8k.{ending}").write_text("", encoding="utf-8")
    with pytest.raises(SourceError, match=r"gsm8k has .*gsm8k\.csv and .*gsm8k\.jsonl; remove one"):
        locate(load_benchmark("gsm8k"), tmp_path)
