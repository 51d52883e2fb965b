"""Every example does what it says, from a folder of its own, without touching the package.

Registries are the process's, so each example is loaded in an interpreter of its own.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST = 40
"""Lines of an example, at most."""

PROLOGUE = """
import sys
from pathlib import Path
from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.store import Store
from r1_pipeline.graph.local import run_graph
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.plan import planned_hours
home, file = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(home=home, profile="smoke", seed=0, tracking_uri="unused", recipe=file)
profile = settings.load()
bound, graph = profile.bound, profile.graph
assets = code_location(settings).resolve_asset_graph()
"""

LAWS = {
    "student": """
assert bound.partitions_of("distilled") == ("qwen", "llama", "mini")
assert {"distilled/mini", "evaluation/distilled/mini", "answers/student_base/mini"} <= set(bound.names)
assert planned_hours(profile)["distilled/mini"] > 0
key = next(key for key in assets.get_all_asset_keys() if key.path == ["distilled"])
assert list(assets.get(key).partitions_def.get_partition_keys()) == ["qwen", "llama", "mini"]
""",
    "benchmark": """
assert "word_sums/r1" in graph.nodes and "word_sums_answers/distilled" in graph.nodes
assert bound.inputs(AssetName("sft_corpus"))["benchmarks"] == {"word_sums": AssetName("word_sums_problems")}
assert planned_hours(profile)["word_sums_answers/r1"] > 0
job = next(job for job in code_location(settings).resolve_all_job_defs() if job.name == "evaluations")
assert any(key.path == ["word_sums", "r1"] for key in job.asset_layer.executable_asset_keys)
assert any(key.path == ["word_sums", "report"] or key.path == ["report"] for key in assets.get_all_asset_keys())
made = run_graph(graph, profile, home, ["word_sums_problems"])
assert made["word_sums_problems"].statistics["rows"] == 4
""",
    "verifier": """
made = run_graph(graph, profile, home, ["heldout_problems"])
problems = [p for p in made["heldout_problems"].problems() if p.domain == "reversal"]
assert {p.answer for p in problems} == {"nretnal", "wodniw"}
uses = made["heldout_problems"].manifest.payload["uses"]
assert uses["verifier.reversal"] == "letters@1"
assert made["heldout_problems"].manifest.provenance.recipe_files.keys() == {"verifier.py"}
""",
    "reward_part": """
recipe = bound.recipe(AssetName("r1_zero"))
assert recipe.rubric.weights["brevity"] == 0.1
made = run_graph(graph, profile, home, ["r1_zero"])
assert all(0 <= row["reward/brevity"] <= 1 for row in made["r1_zero"].metrics() if "reward/brevity" in row)
assert any("reward/brevity" in row for row in made["r1_zero"].metrics())
assert made["r1_zero"].manifest.payload["recipe"]["rubric"]["others"] == [["brevity", 0.1]]
""",
    "prompt_form": """
from r1_pipeline.data.templates import render, split_reply
assert bound.recipe(AssetName("r1_zero")).template == "notes"
assert split_reply("notes", "<think>2 and 3</think> so 5").final == "5"
assert split_reply("notes", "5").final is None
assert render("notes", "2 + 3?").startswith("Task: 2 + 3?")
""",
    "ablation": """
zero, without = (bound.recipe(AssetName(name)) for name in ("r1_zero", "r1_zero_no_format"))
assert (zero.rubric.format, without.rubric.format) == (0.1, 0.0)
assert "evaluation/r1_zero_no_format" in graph.nodes
assert any(key.path == ["r1_zero_no_format"] for key in assets.get_all_asset_keys())
""",
    "foothold": """
zero, graded, annealed, warmed = (
    bound.recipe(AssetName(name)) for name in ("r1_zero", "r1_zero_graded", "r1_zero_annealed", "r1_zero_warmed")
)
assert graded.rubric.weights["graded_format"] == 0.2 and "graded_format" not in zero.rubric.weights
assert annealed.rubric.annealed[0].end == max(1, zero.grpo.steps // 2) and warmed == zero
assert bound.inputs(AssetName("r1_zero_warmed"))["policy"] == AssetName("form_warm_up")
assert planned_hours(profile)["form_warm_up"] > 0
assert {"evaluation/form_warm_up", "evaluation/r1_zero_annealed"} <= set(bound.names)
made = run_graph(graph, profile, home, ["evaluation/form_warm_up", "r1_zero_annealed"])
assert made["form_warm_up"].template == "zero" and made["form_warm_up"].manifest.stage == "warm_up"
weights = [row["weight/graded_format"] for row in made["r1_zero_annealed"].metrics()]
assert weights == [0.2, 0.0] and zero.grpo.steps == 2, (weights, zero.grpo.steps)
assert made["evaluation/form_warm_up"].scores()["identity"]["template"] == "zero"
""",
    "difficulty": """
zero, chosen, resampled = (bound.recipe(AssetName(f"r1_zero{tail}")) for tail in ("", "_chosen", "_resampled"))
assert (chosen.schedule.difficulty.lowest, chosen.schedule.difficulty.highest) == (0.1, 0.9)
assert zero.schedule.difficulty is None and (zero.schedule.resample, resampled.schedule.resample) == (0, 2)
assert planned_hours(profile)["r1_zero_chosen_difficulty_answers"] > 0
made = run_graph(graph, profile, home, ["r1_zero_chosen", "r1_zero_resampled"])
rates = made["r1_zero_chosen_difficulty"].pass_rates()
asked = made["r1_zero_chosen"].rollouts().collect()["problem_id"].unique()
assert all(0.1 <= rates[each].rate <= 0.9 for each in asked) and len(asked) > 0
assert made["r1_zero_chosen"].manifest.drops["too_easy"] > 0
key = next(key for key in assets.get_all_asset_keys() if key.path == ["r1_zero_chosen"])
assert ["r1_zero_chosen_difficulty"] in [parent.path for parent in assets.get(key).parent_keys]
""",
    "controls": """
names = {f"{node}_even_care" for node in ("base", "cold_start_data", "dev2", "dev2_no_language_reward")}
names |= {"base_no_check", "r1_zero_no_check", "clean_web_text/qwen", "solutions/llama"}
assert names | {"evaluation/dev2_even_care", "evaluation/distilled_solutions/qwen"} <= set(bound.names)
assert planned_hours(profile)["distilled_clean_web_text/qwen"] == planned_hours(profile)["distilled/qwen"] > 0
assert any(key.path == ["solutions"] for key in assets.get_all_asset_keys())
assert len(graph.controls) == 6
""",
    "objective": """
dev2, gspo, topr = (bound.recipe(AssetName(name)).grpo for name in ("dev2", "dev2_gspo", "dev2_topr"))
assert (dev2.objective.importance, gspo.objective.importance) == ("token", "sequence")
assert gspo.model_copy(update={"objective": dev2.objective}) == dev2
assert {"evaluation/dev2_gspo", "evaluation/dev2_topr"} <= set(bound.names)
made = run_graph(graph, profile, home, ["dev2_topr"])["dev2_topr"]
assert made.manifest.payload["recipe"]["grpo"]["objective"]["surrogate"] == "tapered"
assert made.manifest.payload["uses"]["surrogate"] == "tapered@1"
assert made.manifest.provenance.recipe_files.keys() == {"objective.py"}
assert [row["step"] for row in made.metrics()] == [1, 2] and all("clipped" not in row for row in made.metrics())
""",
    "general": """
traces = bound.inputs(AssetName("general_traces"))
assert traces["answers"] == AssetName("general_traces_answers")
assert traces["reward_models"] == {kind: AssetName(f"general_{kind}_rm") for kind in ("helpful", "safety")}
assert "dev3" not in graph.node("general_helpful_rm").parents
assert planned_hours(profile)["general_traces_answers"] > 0
for name in ("general_traces", "general_traces_answers", "general_helpful_rm", "general_safety_rm"):
    assert any(key.path == [name] for key in assets.get_all_asset_keys())
""",
    "engine": """
made = run_graph(graph, profile, home, ["answers/base"])
answers = made["answers/base"]
assert answers.manifest.payload["uses"]["engine"].endswith("/greedy")
assert answers.completions()["engine"].str.ends_with("/greedy").all()
texts = answers.completions().group_by("problem_id").agg(different=__import__("polars").col("text").n_unique())
assert texts["different"].max() == 1  # greedy: both samples of a problem are alike
""",
}


def test_every_example_has_a_law_and_is_short() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == set(LAWS)
    assert all(len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= LONGEST for name in names)


@pytest.mark.parametrize("name", LAWS)
def test_an_example_does_what_it_says(name: str, tmp_path: Path) -> None:
    for file in EXAMPLES.glob(f"{name}.*"):
        shutil.copy(file, tmp_path)
    program = PROLOGUE + LAWS[name]
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "home"), str(tmp_path / f"{name}.py")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
