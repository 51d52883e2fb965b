"""Writes real public problems, demonstrations and pairs to files, and builds a profile of `smoke`'s size with them.

The profile has no built-in problems. A model of this size cannot solve real ones, so its base is first trained on some
training problems with their answers; sampling, grading and rejection are real. There is no public file for logic;
its rows are syllogisms of reasoning-gym, written to a file like the others.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import reasoning_gym

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe, problem_sides
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.data.screening.rows import STANDARD_SCREENING
from r1_pipeline.data.templates import render, solution, summarize
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.rejection import RejectionRecipe
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.sources import with_sources
from r1_pipeline.records import Problem
from r1_pipeline.rewards.reference_answers import own_answer
from r1_pipeline.training.import_pretrained import ImportRecipe, LocalModel, digest_of
from r1_pipeline.training.model_shape import shape_of
from r1_pipeline.training.pretrain import PretrainRecipe, train_base
from r1_pipeline.training.sft import Row, SftRecipe, train_sft
from r1_pipeline.verbs import ReinforceRecipe

CONTEXT = 1024
"""The number of positions of every model."""
REPLY = 320
"""The maximum number of tokens of a reply."""
LONGEST = 420
"""The maximum number of characters of a row, all its columns together."""
EPOCHS = 40
"""The number of passes over the training problems in pretraining."""

PROMPTS = """
makes = "problem"
domain = "general"
language = "en"
question = "{{ prompt }}"
kind = "{{ kind }}"
"""
LOGIC = """
makes = "problem"
domain = "logic"
language = "en"
question = "{{ question }}"
answer = "{{ answer }}"
"""
FIRST = '{{ chosen.partition("Human: ")[2].partition("\\n\\nAssistant:")[0] }}'
FILES: Mapping[str, tuple[str, str]] = {
    "gsm8k_train": ("gsm8k", "train"),
    "gsm8k_test": ("gsm8k", "heldout"),
    "mbpp_train": ("mbpp", "train"),
    "mbpp_test": ("mbpp", "heldout"),
    "mmlu_stem": ("mmlu_columns", "split"),
    "syllogisms": ("logic.toml", "split"),
    "alpaca": ("alpaca_demonstrations_en", "split"),
    "prompts": ("prompts.toml", "split"),
    "dpo": ("dpo_en", "split"),
    "hh_harmless": ("hh_harmless", "split"),
}
"""The mapping of each source, and the side of its rows."""


def short(frame: pl.DataFrame, rows: int, skip: int = 0) -> list[dict[str, Any]]:
    """Returns the first rows that are not too long."""
    fits = (row for row in frame.to_dicts() if len(json.dumps(row)) < LONGEST)
    return [row for _, row in zip(range(skip + rows), fits, strict=False)][skip:]


def write_files(data: Path, folder: Path) -> Path:
    """Writes every source as JSON lines, and the sources file; returns the latter."""
    mbpp = pl.read_parquet(data / "code/mbpp.parquet").with_columns(challenge_test_list=pl.lit([]))
    harmless = pl.read_parquet(data / "preference/hh_harmless_base_test.parquet")
    asked = harmless["chosen"].str.extract(r"Human: ([^\n]+)")
    helpful = pl.read_ndjson(data / "instruct/ifeval_input_data.jsonl.gz").filter(
        pl.col("prompt").str.len_chars() < 200
    )
    rows = {
        "gsm8k_train": short(pl.read_parquet(data / "gsm8k/gsm8k_train.parquet"), 8),
        "gsm8k_test": short(pl.read_parquet(data / "gsm8k/gsm8k_test.parquet"), 6),
        "mbpp_train": short(mbpp, 5),
        "mbpp_test": short(mbpp, 3, skip=5),
        "mmlu_stem": short(pl.read_parquet(data / "stem/mmlu_stem_dev_val.parquet"), 16),
        "syllogisms": [
            {"question": row["question"], "answer": row["answer"]}
            for row in reasoning_gym.create_dataset("syllogism", size=16, seed=0)
        ],
        "alpaca": short(pl.read_parquet(data / "zh/alpaca_en_demo.parquet"), 24),
        "prompts": [{"prompt": text, "kind": "safety"} for text in asked.unique(maintain_order=True)[:12]]
        + [{"prompt": text, "kind": "helpful"} for text in helpful["prompt"][:12]],
        "dpo": [
            row
            for row in pl.read_parquet(data / "preference/llamafactory_dpo_en_demo.parquet").to_dicts()
            if len(json.dumps(row)) < 4 * LONGEST
        ][:20],
        "hh_harmless": short(harmless, 20),
    }
    (folder / "logic.toml").write_text(LOGIC, encoding="utf-8")
    (folder / "prompts.toml").write_text(PROMPTS, encoding="utf-8")
    entries = ["builtin = []\n"]
    for name, (mapping, side) in FILES.items():
        lines = [json.dumps(row, ensure_ascii=False) for row in rows[name]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        entries.append(
            f'[[source]]\nname = "{name}"\npath = "{name}.jsonl"\nmapping = "{mapping}"\nlicence = "MIT"\n'
            f'origin = "SOURCES.md of the public data"\nside = "{side}"\n'
        )
    file = folder / "sources.toml"
    file.write_text("\n".join(entries), encoding="utf-8")
    return file


def real_profile(sources: Path, folder: Path, seed: int = 0) -> Profile:
    """Returns `smoke` with room for real rows, the sources of the file and a base trained on the training problems."""
    smoke = with_sources(load_profile("smoke", seed), read_sources(sources))
    roomy = smoke.with_recipes({name: _with_room(recipe) for name, recipe in smoke.recipes.items()})
    merged = changed(roomy.recipes["sft_corpus"], "screening", STANDARD_SCREENING)
    directory = _shown(roomy, folder)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    source = LocalModel(digest=digest_of(directory))
    base = ImportRecipe(source=source, shape=shape_of(config), layers=None, architecture="deepseek_v3", dtype="float32")
    limits = roomy.gates.model_copy(update={"licences": (*roomy.gates.licences, "MIT")})
    runtime = roomy.runtime.model_copy(update={"models": {source.digest: str(directory)}, "micro_batch": 32})
    return replace(roomy.with_recipes({"base": base, "sft_corpus": merged}), runtime=runtime, gates=limits)


def _with_room(recipe: Any) -> Any:
    """Returns the recipe with longer contexts and replies."""
    if isinstance(recipe, Mapping):
        return {name: _with_room(one) for name, one in recipe.items()}
    match recipe:
        case PretrainRecipe():
            return recipe.model_copy(update={"context": CONTEXT})
        case ReinforceRecipe():
            return changed(recipe, "grpo.max_completion_tokens", REPLY)
        case EvaluateRecipe():
            more = changed(recipe, "ask.problems", {**recipe.ask.problems, "general": 20})
            return changed(more, "ask.sampling.max_tokens", REPLY)
        case RejectionRecipe():
            longer = changed(recipe, "ask.sampling.max_tokens", REPLY)
            return changed(changed(longer, "keep.rules.max_tokens", REPLY), "keep.rules.min_language_share", 0.0)
        case CurateRecipe() | CuratePreferencesRecipe():
            return recipe
        case _ if "max_tokens" in type(recipe).model_fields:
            return recipe.model_copy(update={"max_tokens": CONTEXT})
        case _:
            return recipe


def _shown(profile: Profile, folder: Path) -> Path:
    """Returns a base trained a little on the toy web and then on every training problem with its answer, in both
    templates.

    It is made once in a folder.
    """
    base, problems = profile.recipes["base"], profile.recipes["reasoning_problems"]
    assert isinstance(base, PretrainRecipe)
    assert isinstance(problems, CurateRecipe)
    toy, seen = bare_draft(folder / "toy"), bare_draft(folder / "seen")
    if (seen.path / "config.json").exists():
        return seen.path
    train_base(base.model_copy(update={"steps": 10, "warmup_steps": 2}), profile.runtime, toy)
    rows = [row for problem in problem_sides(problems, profile.runtime.folders).train for row in _rows(problem)]
    recipe = SftRecipe(
        epochs=EPOCHS,
        batch=16,
        learning_rate=5e-3,
        final_learning_rate=5e-4,
        warmup_steps=5,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=CONTEXT,
        save_steps=10_000,
        seed=0,
    )
    train_sft(toy.path, [rows], recipe, profile.runtime, seen)
    return seen.path


def _rows(problem: Problem) -> Iterable[Row]:
    """Returns a short solution in the form of R1-Zero, and in that of later models."""
    answer = own_answer(problem)
    yield Row(render("zero", problem.question), solution("zero", "I know it", answer), problem.source)
    yield Row(
        render("chat", problem.question),
        solution("chat", "I know it", summarize(problem.domain, answer)),
        problem.source,
    )
