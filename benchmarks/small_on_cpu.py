"""Runs the part of the profile `small` that two cores finish in two hours: SmolLM2 on GSM8K.

    python benchmarks/small_on_cpu.py GSM8K_FOLDER HOME

GSM8K_FOLDER holds `gsm8k_train.parquet` and `gsm8k_test.parquet`. R1-Zero comes first and shows if this base ever
finds the form. Then follows the second half of the recipe, with GSM8K's own worked solutions in place of R1-Zero's:
SFT from the base, and RL from the result. It prints JSON: scores, hours and tokens of each model, and the reductions
from `small`. An interrupted run resumes from its last checkpoint.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.data.corpus import write_samples
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.data.templates import reply, summarize
from r1_pipeline.engines import Transformers
from r1_pipeline.generation import sampling
from r1_pipeline.generation.engine import Progress
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.rejection import RejectionRecipe, keep_samples, screen_completions
from r1_pipeline.generation.sampling import SamplingRecord, SamplingSubject
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.models import SMOLLM2
from r1_pipeline.profiles.sources import with_sources
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.launchers import Inline
from r1_pipeline.verbs import ask, curate, evaluate, finetune, pretrain, reinforce

SOURCES = """
builtin = ["general", "preference"]

[[source]]
name = "gsm8k_train"
path = "{folder}/gsm8k_train.parquet"
mapping = "gsm8k"
licence = "MIT"
origin = "https://github.com/openai/grade-school-math"
side = "train"

[[source]]
name = "gsm8k_test"
path = "{folder}/gsm8k_test.parquet"
mapping = "gsm8k"
licence = "MIT"
origin = "https://github.com/openai/grade-school-math"
side = "heldout"
"""
TOKENS = 160
RL: Mapping[str, Any] = {
    "save_steps": 1,
    "prompts_per_step": 4,
    "group_size": 8,
    "max_completion_tokens": TOKENS,
    "learning_rate": 2e-5,
    "warmup_steps": 1,
    "steps_per_generation": 1,
    "precision": "float32",
    "rollouts": Transformers(),
}
"""Changed settings of RL: 32 completions per step instead of 512, and a learning rate for few steps."""
STEPS = {"r1_zero": 3, "dev2": 15}
SFT: Mapping[str, Any] = {"epochs": 1, "batch": 16, "save_steps": 4, "max_tokens": 512, "precision": "float32"}
ROWS = 1000
"""Worked solutions to train on."""
ASKED: Mapping[str, Any] = {"problems": {"math": 128}, "samples": 1}


class Steps(Observer):
    """Reports the progress of a stage on standard error."""

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        print(name, f"{step}/{total}", json.dumps(dict(metrics)), file=sys.stderr, flush=True)


class Solutions:
    """An engine that replies with the worked solutions of a file, without its calculator annotations."""

    identity = "written"

    def __init__(self, file: Path, problems: ProblemSet, base: Checkpoint) -> None:
        rows = pl.read_parquet(file).iter_rows(named=True)
        worked = {row["question"].strip(): re.sub("<<.*?>>", "", row["answer"]).split("####") for row in rows}
        self._worked = {p.id: worked[p.question.strip()] for p in problems.problems() if p.domain == "math"}
        self._tokenizer = load_tokenizer(base.path)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        return [self._complete(request, sampling.max_tokens) for request in requests]

    def _complete(self, request: Request, limit: int) -> Completion:
        steps, answer = self._worked[request.problem_id]
        text = reply(steps.strip(), summarize("math", answer.strip()))
        ids = self._tokenizer(text)["input_ids"]
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=text,
            token_ids=tuple(ids[:limit]),
            finish_reason="stop" if len(ids) <= limit else "length",
            engine=self.identity,
        )

    def usage(self) -> Mapping[str, float]:
        return {}


def reduced(folder: Path, home: Path) -> Profile:
    """Reduces `small` to a CPU, with GSM8K as its problems."""
    home.mkdir(parents=True, exist_ok=True)
    declared = home / "gsm8k.toml"
    declared.write_text(SOURCES.format(folder=folder.resolve()), encoding="utf-8")
    profile = with_sources(load_profile("small", 0), read_sources(declared))
    runtime = profile.runtime.model_copy(
        update={"device": "cpu", "threads": 2, "launcher": Inline(), "generation_batch": 32, "micro_batch": 4}
    )
    return replace(profile.with_engine(Transformers()).with_recipes({"base": SMOLLM2}), runtime=runtime)


def worked(at: BuildContext, file: Path, base: Checkpoint, problems: ProblemSet, recipe: RejectionRecipe) -> Corpus:
    """Makes a corpus of worked solutions, graded and screened like a model's."""

    def make(draft: Draft) -> BuildResult:
        with default_grader(at.runtime) as grader:
            subject = SamplingSubject(model="gsm8k", model_digest="gsm8k", problems_digest=problems.digest)
            chosen, _ = sampling.select_problems(problems.problems(), recipe.ask, draft)
            said = sampling.sample_and_store(
                Solutions(file, problems, base), chosen, "chat", recipe.ask, subject, draft
            )
            judged = grade_completions(said, problems.problems(), grader, "chat")
        asked = SamplingRecord.model_validate_json((draft.path / "asked.json").read_text(encoding="utf-8"))
        passed, dropped = screen_completions(judged, problems.problems(), recipe.keep)
        rows, others = keep_samples(passed, problems.problems(), asked, recipe.keep.per_problem)
        write_samples(draft.path, rows)
        return BuildResult({"rows": len(rows), "dropped": len(dropped) + len(others)})

    return at.store.build(Corpus, Spec(at.name, "worked", 1, recipe, {"problems": problems}), make)


def changed(recipe: Any, values: Mapping[str, Any]) -> dict[str, str]:
    """Returns each changed field as `before -> after`."""
    return {name: f"{getattr(recipe, name)} -> {value}" for name, value in values.items()}


def main(folder: Path, home: Path) -> None:
    """Runs the stages that are missing in `home` and prints the table."""
    profile = reduced(folder, home)
    recipes, store = profile.recipes, Store(home.resolve(), Steps())
    full = recipes["evaluation"]
    sampling = full.ask.sampling.model_copy(update={"max_tokens": TOKENS})
    asked = full.ask.model_copy(update={**ASKED, "sampling": sampling})
    evaluation = full.model_copy(update={"ask": asked, "grade": full.grade.model_copy(update={"ks": (1,)})})
    rows: dict[str, Any] = {}

    def at(name: str) -> BuildContext:
        return BuildContext(store, profile.runtime, name)

    def rl(name: str) -> Any:
        grpo = recipes[name].grpo.model_copy(update={**RL, "steps": STEPS[name]})
        return recipes[name].model_copy(update={"grpo": grpo})

    def examined(model: Checkpoint) -> Checkpoint:
        answers = ask(at(f"answers/{model.name}"), model, heldout, asked)
        scores = evaluate(at(f"evaluation/{model.name}"), answers, heldout, evaluation).scores()["overall"]
        made, seconds = model.manifest.provenance, answers.manifest.provenance.seconds
        rows[model.name] = {
            "template": model.statistics["template"],
            **{key: scores[key] for key in ("pass_at_1", "pass_at_1_ci", "format_rate", "outcomes", "mean_tokens")},
            "evaluation_tokens_per_s": answers.statistics["tokens"]["generated"] / seconds,
            "hours": made.seconds / 3600,
            "tokens": model.statistics["tokens"],
            "steps": [
                {k: step[k] for k in ("step", "reward", "loss", "seconds") if k in step} for step in model.metrics()
            ],
        }
        return model

    base = pretrain(at("base"), recipes["base"])
    problems = curate(at("reasoning_problems"), recipes["reasoning_problems"])
    heldout = curate(at("heldout_problems"), recipes["heldout_problems"])
    examined(base)
    reinforced = reinforce(at("r1_zero"), base, problems, rl("r1_zero"))
    rows["r1_zero"] = {"steps": reinforced.metrics()}
    traces = recipes["reasoning_traces"]["math"]
    once = traces.ask.model_copy(update={"problems": {"math": ROWS}, "samples": 1})
    taken = traces.model_copy(update={"ask": once})
    corpus = worked(at("worked_solutions"), folder / "gsm8k_train.parquet", base, problems, taken)
    dev1 = examined(finetune(at("dev1"), base, corpus, recipes["dev1"].model_copy(update=SFT)))
    examined(reinforce(at("dev2"), dev1, problems, rl("dev2")))
    facts = {
        "models": rows,
        "problems": {side.name: side.statistics["by_domain"] for side in (problems, heldout)},
        "corpus": corpus.statistics,
        "reduced": {
            **{name: changed(recipes[name].grpo, {**RL, "steps": STEPS[name]}) for name in STEPS},
            "dev1": changed(recipes["dev1"], SFT),
            "evaluation": changed(full.ask, {**ASKED, "sampling": sampling}),
        },
    }
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
