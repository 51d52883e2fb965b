"""Nothing is trained on a benchmark whose use is `evaluate`, nor on a text with a canary."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from r1_pipeline.artifacts.kinds import PreferenceSet, ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe, hash_files, read_sources
from r1_pipeline.data.ingest.mapping import load_mapping
from r1_pipeline.data.ingest.reserved import canaries
from r1_pipeline.data.ingest.rows import digest_of_problems, read_source
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.errors import GraphError, RecipeError, SourceError
from r1_pipeline.graph.node import AssetName
from r1_pipeline.home import HomeSettings
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import benchmark_problems
from r1_pipeline.recipe import Runtime
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import curate, curate_preferences

LONG = "A farmer has 17 sheep and buys 12 more at the market on Friday. How many sheep does he have in all?"
ITEMS = [("What is 1+1?", "2"), (LONG, "29")]
CANARY = "my-benchmark-canary-0123456789"


def source(folder: Path, name: str, side: str, rows: list[dict[str, str]], canary: str | None = None) -> SourceRecipe:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files, mapping = hash_files(folder, [f"{name}.jsonl"]), load_mapping("question_answer", folder)
    return SourceRecipe.model_validate(
        {
            "name": name, "licence": "MIT", "origin": "here", "side": side, "mapping": mapping, "files": files,
            "canary": canary,
        }
    )  # fmt: skip


def rows(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"question": question, "answer": answer} for question, answer in pairs]


def test_the_whole_test_set_is_recognized_by_its_content(public_data: Path, tmp_path: Path) -> None:
    shutil.copy(public_data / "gsm8k" / "gsm8k_test.parquet", tmp_path / "harmless.parquet")
    files, mapping = hash_files(tmp_path, ["harmless.parquet"]), load_mapping("gsm8k", tmp_path)
    given = {"name": "harmless", "licence": "MIT", "origin": "x", "side": "train", "mapping": mapping, "files": files}
    with pytest.raises(SourceError, match="source harmless is the benchmark gsm8k: nothing may be trained on it"):
        list(read_source(SourceRecipe.model_validate(given), tmp_path))
    assert len(list(read_source(SourceRecipe.model_validate({**given, "side": "heldout"}), tmp_path))) == 1319


def test_its_files_on_the_hub_are_recognized_before_they_are_fetched(tmp_path: Path) -> None:
    lines = (
        'builtin = ["general", "preference"]', "[[source]]", 'name = "mine"', 'hub = "openai/gsm8k"',
        'revision = "e53f048856ff4f594e959d75785d2c2d37b678ee"', 'files = ["main/test-00000-of-00001.parquet"]',
        'mapping = "gsm8k"', 'licence = "MIT"', 'origin = "x"', 'side = "split"',
    )  # fmt: skip
    (tmp_path / "sources.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        RecipeError, match=r"source mine takes main/test-.* which is the benchmark gsm8k: nothing may be"
    ):
        read_sources(tmp_path / "sources.toml")


def test_a_row_with_a_canary_is_refused_with_its_line_whatever_column_holds_it(tmp_path: Path) -> None:
    (canary,) = canaries()
    said = [*rows(("Q?", "1")), {"question": "R?", "answer": "2", "note": f"canary GUID gpqa:4b24:{canary}"}]
    with pytest.raises(SourceError, match=r"mine\.jsonl:2 holds the canary of the benchmark gpqa_diamond: nothing may"):
        list(read_source(source(tmp_path, "mine", "split", said), tmp_path))
    assert len(list(read_source(source(tmp_path, "mine", "heldout", said), tmp_path))) == 2


def held(folder: Path) -> ProblemSet:
    """Returns the problem set of the benchmark `mine`."""
    recipe = benchmark_problems(load_profile("smoke", 0), source(folder, "mine", "heldout", rows(*ITEMS), CANARY))
    runtime = Runtime(folders={"mine": str(folder)})
    return curate(BuildContext(Store(folder / "home"), runtime, "mine_problems"), recipe)


def test_problems_for_reinforcement_are_screened_against_benchmarks(tmp_path: Path) -> None:
    given = source(
        tmp_path, "own", "train",
        rows(
            ("What is 1+1?", "2"), ("What is 1+1+1?", "3"), (f"Please solve this. {LONG}", "29"),
            (LONG.replace("17", "18"), "30"), (f"What is 5+5? {CANARY}", "10"),
        ),
    )  # fmt: skip
    own = load_profile("smoke", 0).recipes["reasoning_problems"]
    assert isinstance(own, CurateRecipe)
    recipe = own.model_copy(update={"builtin": (), "domains": ("math",), "sources": (given,)})
    store, runtime = Store(tmp_path / "home"), Runtime(folders={"own": str(tmp_path)})
    screened = curate(BuildContext(store, runtime, "reasoning_problems"), recipe, {"mine": held(tmp_path)})
    assert screened.manifest.drops == {"contaminated": 2, "canary": 1}
    assert {problem.answer for problem in screened.problems()} == {"3", "30"}
    plain = curate(BuildContext(store, runtime, "reasoning_problems"), recipe)
    assert plain.row_count == 5
    assert plain.manifest.fingerprint != screened.manifest.fingerprint
    assert not {"contamination", "canaries"} & plain.manifest.payload["uses"].keys()
    assert screened.manifest.payload["uses"]["canaries"] == CANARY


def test_preference_pairs_are_screened_against_benchmarks(tmp_path: Path) -> None:
    pairs = [
        {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."},
        {"prompt": "Solve it.", "chosen": f"{LONG} It is 29.", "rejected": "No."},
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    mapping: Mapping[str, str] = {
        "makes": "pair", "language": "en", "kind": "helpful", "prompt": "{{ prompt }}", "chosen": "{{ chosen }}",
        "rejected": "{{ rejected }}",
    }  # fmt: skip
    given = SourceRecipe.model_validate(
        {
            "name": "pairs", "licence": "MIT", "origin": "x", "side": "train", "mapping": mapping,
            "files": hash_files(tmp_path, ["pairs.jsonl"]),
        }
    )  # fmt: skip
    recipe = CuratePreferencesRecipe(builtin=False, sources=(given,), heldout_share=0.25)
    context = BuildContext(Store(tmp_path / "home"), Runtime(folders={"pairs": str(tmp_path)}), "preference_pairs")
    screened = curate_preferences(context, recipe, {"mine": held(tmp_path)})
    assert isinstance(screened, PreferenceSet)
    assert (screened.row_count, screened.manifest.drops) == (1, {"contaminated": 1})


def home_with_benchmark(home: Path, use: str) -> Path:
    folder = home / "benchmarks"
    folder.mkdir(parents=True)
    source(folder, "mine", "heldout", rows(*ITEMS))
    digest = digest_of_problems(problem_id(question, answer, (), "math") for question, answer in ITEMS)
    about = f'title = "M"\nabout = "Two."\norigin = "x"\nlicence = "MIT"\nmapping = "question_answer"\nuse = "{use}"\n'
    (folder / "mine.toml").write_text(f'{about}problems = 2\ndigest = "{digest}"\nmax_tokens = 8\n', encoding="utf-8")
    shutil.copy(folder / "mine.jsonl", home / "train.jsonl")
    lines = (
        'builtin = ["math", "code", "stem", "logic", "general", "preference"]', "[[source]]", 'name = "train"',
        'path = "train.jsonl"', 'mapping = "question_answer"', 'licence = "MIT"', 'origin = "x"', 'side = "train"',
    )  # fmt: skip
    (home / "sources.toml").write_text("\n".join(lines), encoding="utf-8")
    return home / "sources.toml"


def test_a_benchmark_of_the_graph_is_no_training_source_unless_its_use_is_train(tmp_path: Path) -> None:
    for use in ("evaluate", "train"):
        sources = home_with_benchmark(tmp_path / use, use)
        profile = HomeSettings(home=tmp_path / use, profile="smoke", seed=0, sources=sources).load()
        if use == "train":
            kept_out = {"mine": AssetName("mine_problems")}
            for name in ("reasoning_problems", "general_prompts", "preference_pairs", "sft_corpus"):
                assert profile.bound.inputs(AssetName(name))["benchmarks"] == kept_out
            for name in ("heldout_problems", "mine_problems"):
                assert "benchmarks" not in profile.bound.inputs(AssetName(name))
        else:
            with pytest.raises(
                GraphError, match=r"source train has train\.jsonl of the benchmark mine: nothing may be"
            ):
                assert profile.bound
