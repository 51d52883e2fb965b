"""The controls of the toy world: each changes one thing, what follows reads what it changed, and the nodes run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, EvalReport
from r1_pipeline.errors import RecipeError
from r1_pipeline.evaluation.controls import measured
from r1_pipeline.generation.control_corpus import END
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.local import run_graph
from r1_pipeline.graph.node import AssetName, Ref
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.controls import with_controls
from r1_pipeline.training.model_stats import token_counter

TINY = with_controls(load_profile("tiny", 0))


def test_each_web_differs_in_what_its_control_takes_out_and_in_nothing_else() -> None:
    base, even, unchecked = (TINY.bound.recipe(AssetName(f"base{end}")) for end in ("", "_even_care", "_no_check"))
    assert even == changed(base, "web.mixed_care", 1.0) != base
    assert unchecked == changed(base, "web.styles", {"hasty": 0.65, "steps": 0.1 + 0.25}) != base
    careful = TINY.recipes["clean_web_text"].web  # type: ignore[union-attr]
    assert (careful.slip, careful.untidy_share, careful.zero_share) == (0.0, 0.0, 0.0)
    assert careful.mixed == {"steps": 0.0, "check": 0.0} and set(careful.styles) == {"steps", "check"}
    assert TINY.recipes["solutions"].web.styles == {"steps": 1.0}  # type: ignore[union-attr]


def test_what_follows_from_a_control_reads_the_control_and_has_the_recipes_of_the_paper() -> None:
    bound = TINY.bound
    for node in ("r1_zero", "dev1", "dev2", "dev2_no_language_reward"):
        assert bound.recipe(AssetName(f"{node}_even_care")) == bound.recipe(AssetName(node))
    assert TINY.graph.node("r1_zero_even_care").inputs == {
        "policy": Ref("base_even_care"),
        "problems": Ref("reasoning_problems"),
    }
    assert TINY.graph.node("dev1_even_care").parents == ("base_even_care", "cold_start_data_even_care")
    assert TINY.graph.node("dev2_no_language_reward_even_care").parents == ("dev1_even_care", "reasoning_problems")
    distilled = bound.inputs(AssetName("distilled_solutions", "qwen"))
    assert distilled == {"base": AssetName("student_base", "qwen"), "corpus": AssetName("solutions", "qwen")}
    assert bound.recipe(AssetName("distilled_solutions", "llama")) == bound.recipe(AssetName("distilled", "llama"))
    assert set(bound.recipes_of(TINY.graph.node("distilled_solutions"))) == {"qwen", "llama"}  # type: ignore[arg-type]


def test_a_profile_without_a_toy_web_has_no_such_controls() -> None:
    with pytest.raises(RecipeError, match="the base of small does not read it; take tiny"):
        with_controls(load_profile("small", 0))


def hurried() -> Profile:
    """`smoke` with one student, bases that have hardly learned anything, and a corpus that needs no model."""
    profile = with_controls(load_profile("smoke", 0))
    base, students, distilled = (profile.recipes[name] for name in ("base", "student_base", "distilled"))
    barely = {"steps": 2, "warmup_steps": 1}
    assert isinstance(students, dict) and isinstance(distilled, dict)
    corpus = replace(
        profile.graph.node("sft_corpus"),
        inputs={"parts": {"general": Ref("general_traces")}, "heldout": Ref("heldout_problems")},
    )
    quick = replace(profile, graph=profile.graph.replacing(corpus))
    return quick.with_recipes(
        {
            "base": base.model_copy(update=barely),  # type: ignore[union-attr]
            "student_base": {"qwen": students["qwen"].model_copy(update=barely)},
            "distilled": {"qwen": distilled["qwen"]},
            "general_traces": profile.recipes["general_traces"].model_copy(update={"rows": 40}),  # type: ignore[union-attr]
        }
    )


def test_the_nodes_run_and_their_effects_are_measured(tmp_path: Path) -> None:
    profile = hurried()
    models = ("student_base", "distilled", "distilled_clean_web_text", "distilled_solutions")
    controls = ("base", "r1_zero", "base_no_check", "r1_zero_no_check")
    made = run_graph(profile.graph, profile, tmp_path, [f"evaluation/{name}" for name in (*models, *controls)])
    count = token_counter(made["student_base/qwen"].path)
    budget = sum(_learned(made["sft_corpus"], count))
    for name in ("clean_web_text/qwen", "solutions/qwen"):
        rows = _learned(made[name], count)
        assert 0 <= budget - sum(rows) <= 2 * max(rows)
    zero, base = made["r1_zero_no_check"], made["base_no_check"]
    assert isinstance(zero, Checkpoint) and zero.manifest.inputs["policy"].digest == base.digest
    reports = {n.removeprefix("evaluation/"): each for n, each in made.items() if isinstance(each, EvalReport)}
    found = measured(profile.graph.controls, reports, {name: name.partition("/")[0] for name in reports})
    assert [(each.measure, each.pair[0], each.under[1]) for each in found] == [
        ("tokens", "r1_zero", "base_no_check"),
        ("pass@1", "r1_zero", "base_no_check"),
        ("pass@1", "distilled/qwen", "distilled_clean_web_text/qwen"),
        ("pass@1", "distilled/qwen", "distilled_solutions/qwen"),
    ]


def _learned(corpus: object, count: Callable[[str], int]) -> list[int]:
    """Tokens that are learned of each row."""
    assert isinstance(corpus, Corpus)
    return [count(sample.response) + END for sample in corpus.samples()]
