"""A home with one artifact of every kind that a report needs: nothing trained, everything stored for real."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Completions,
    Corpus,
    EvalReport,
    PreferenceScores,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.provenance import PIPELINE_RUN
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records, write_table
from r1_pipeline.data.corpus import corpus_statistics, write_samples
from r1_pipeline.data.templates import TemplateName, reply
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import (
    SamplingRecipe,
    SamplingRecord,
    SamplingSubject,
    sample_and_store,
    select_problems,
)
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Completion, Outcome, Problem, Request, Sample, Sampling
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.training.rollout_log import RolloutLog

A = TypeVar("A", bound=Artifact)

ASK = SamplingRecipe(
    sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=99), samples=2, seed=0, problems={"math": 2, "logic": 2}
)
RUN = "this run"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
    "vocab_size": 10,
    "tie_word_embeddings": True,
}
"""The configuration of every model of the home."""


class Named(Recipe):
    name: str


class InRun(Observer):
    def __init__(self, run: str) -> None:
        self._run = run

    def began(self, *_: object) -> dict[str, str]:
        return {PIPELINE_RUN: self._run}


def write_tokenizer(folder: Path, name: str) -> None:
    """Returns a tokenizer that encodes everything in bytes; each of its files contains its name."""
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocabulary | {name: len(vocabulary)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, named=name)
    fast.chat_template = name
    fast.save_pretrained(folder)


def problem(name: str, domain: str, answer: str) -> Problem:
    return Problem(
        id=name,
        question=f"q {name}",
        answer=answer,
        tests=(),
        domain=domain,
        language="en",
        source=f"t#{name}",
        licence="CC0-1.0",
    )


HELDOUT = [problem(f"h{d}{i}", d, "A") for d in ("math", "logic") for i in range(2)]
TRAIN = [problem(f"t{i}", "logic", "A") for i in range(3)]


def row(about: Problem, answer: str = "A", outcome: Outcome = Outcome.CORRECT) -> Sample:
    return Sample(
        sample_id=about.id,
        problem_id=about.id,
        domain=about.domain,
        language="en",
        source="t",
        licence="CC0-1.0",
        question=about.question,
        response=reply("two words", f"\\boxed{{{answer}}}"),
        generator="g",
        engine="fake",
        temperature=1.0,
        top_p=1.0,
        max_tokens=99,
        seed=0,
        sample_index=0,
        outcome=outcome,
        verifier="choice@3+strict",
        tokens=7,
        language_share=1.0,
    )


class FakeRun:
    """A home whose `artifacts` have names; `add` stores one more, made in the pipeline run `run`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.artifacts: dict[str, Artifact] = {}

    def add(
        self,
        kind: type[A],
        name: str,
        make: Callable[[Draft], BuildResult],
        run: str = RUN,
        inputs: dict[str, Artifact] | None = None,
    ) -> A:
        spec = Spec(name, "fake", 1, Named(name=name), inputs or {}, {"kind": kind.kind})
        made = Store(self.home, InRun(run)).build(kind, spec, make)
        self.artifacts[name] = made
        return made

    def model(
        self,
        name: str,
        template: TemplateName,
        steps: list[dict[str, float]],
        tokenizer: str = "same",
        rollouts: Sequence[tuple[Problem, str]] = (),
    ) -> Checkpoint:
        """Stores a model with these step metrics; `rollouts` are replies to problems, each of a prompt of its own."""

        def make(draft: Draft) -> BuildResult:
            write_tokenizer(draft.path, tokenizer)
            (draft.path / "config.json").write_text(json.dumps(CONFIG))
            for index, metrics in enumerate(steps):
                draft.log(index + 1, len(steps), metrics)
            if rollouts:
                replies = [
                    Completion(
                        problem_id=about.id, sample_index=0, seed=0, text=text, token_ids=(1,), finish_reason="stop",
                        engine="trl",
                    )
                    for about, text in rollouts
                ]  # fmt: skip
                log, count = RolloutLog(draft, template), len(rollouts)
                log.rewarded("accuracy", range(count), [about for about, _ in rollouts], replies, [0.0] * count)
                log.keep(0, {"accuracy": 1.0}, [0.0] * count, None)
                log.write()
                log.publish(draft.path)
            return BuildResult({"template": template, "tokens": {"generated": 10, "trained": 30}})

        return self.add(Checkpoint, name, make)

    def evaluation(
        self,
        model: str,
        template: TemplateName,
        says: Callable[[Request], str],
        run: str = RUN,
        problems: list[Problem] | None = None,
    ) -> None:
        """Stores the replies of `model` to these held-out problems, or to the first of `HELDOUT`."""
        heldout = problems or HELDOUT
        recipe = ASK.model_copy(update={"problems": dict.fromkeys(ASK.problems, len(heldout))}) if problems else ASK
        stored = self.artifacts.get("heldout_problems")
        digest = stored.digest if stored else "p"
        with Grader({"math": ChoiceVerifier(), "logic": ChoiceVerifier()}) as grader:

            def answer(draft: Draft) -> BuildResult:
                subject = SamplingSubject(model=model, model_digest="m", problems_digest=digest)
                chosen, _ = select_problems(heldout, recipe, draft)
                said = sample_and_store(FakeEngine(says), chosen, template, recipe, subject, draft)
                return BuildResult({"rows": said.height, "tokens": {"generated": 100}})

            def score(draft: Draft) -> BuildResult:
                asked = SamplingRecord.model_validate(answers.asked())
                grade(answers.completions(), asked, grader, heldout, GradeRecipe(ks=(1,)), draft)
                return BuildResult()

            answers = self.add(Completions, f"answers/{model}", answer, run="an earlier run")
            self.add(EvalReport, f"evaluation/{model}", score, run, {"answers": answers})

    def corpus(self, rows: list[Sample]) -> Corpus:
        def make(draft: Draft) -> BuildResult:
            write_samples(draft.path, rows)
            return BuildResult(corpus_statistics(draft.path), {"wrong": 2})

        return self.add(Corpus, "sft_corpus", make)

    def problems(self, name: str, problems: list[Problem]) -> ProblemSet:
        def make(draft: Draft) -> BuildResult:
            write_records(draft.path / "problems.parquet", problems, Problem)
            return BuildResult({"rows": len(problems)})

        return self.add(ProblemSet, name, make, run="an earlier run")

    def preferences(self, scores: dict[str, tuple[float, ...]]) -> None:
        """Stores the scores of each model's replies to two requests and to one or two harmful ones."""
        about = (("helpful", "greet 1"), ("helpful", "greet 2"), ("safety", "harm 1"), ("safety", "harm 2"))
        rows = [
            {"model": model, "kind": kind, "problem_id": fact, "fact": fact, "sample_index": 0, "score": value}
            for model, values in scores.items()
            for (kind, fact), value in zip(about, values, strict=False)
        ]
        means = {
            model: {"helpful": {"mean": (a + b) / 2, "n": 2}, "safety": {"mean": sum(harm) / len(harm), "n": len(harm)}}
            for model, (a, b, *harm) in scores.items()
        }

        def make(draft: Draft) -> BuildResult:
            write_table(draft.path / "answers.parquet", pl.DataFrame(rows))
            (draft.path / "scores.json").write_text(json.dumps(means))
            return BuildResult()

        self.add(PreferenceScores, "preference_scores", make)

    def facts(self, kind: type[Artifact], name: str, statistics: dict[str, Any], content: object = None) -> None:
        def make(draft: Draft) -> BuildResult:
            (draft.path / "scores.json").write_text(json.dumps(content))
            return BuildResult(statistics)

        self.add(kind, name, make)


def says(reasoning: str, answer: str, template: TemplateName) -> Callable[[Request], str]:
    end = f" <answer>{answer}</answer>" if template == "zero" else f"\\boxed{{{answer}}}"
    return lambda _: f"<think>{reasoning}</think>{end}"


def fake_run(home: Path, rows: list[Sample] | None = None) -> FakeRun:
    """Makes base, R1-Zero, Dev3, R1 and the other artifacts of a report; `rows` replace those of the corpus."""
    run = FakeRun(home)
    run.problems("heldout_problems", HELDOUT)
    run.problems("reasoning_problems", TRAIN)
    run.problems("general_prompts", [])
    run.model("base", "zero", [{"loss": 2.0}])
    run.evaluation("base", "zero", says("two words", "B", "zero"))
    run.model("r1_zero", "zero", [{"entropy": 0.5, "kl": 0.1}, {"entropy": 0.2}, *[{"kl": 0.3}] * 3])
    run.evaluation("r1_zero", "zero", says("两个 words here", "A", "zero"), run="an earlier run")
    run.model("dev3", "chat", [{"loss": 1.0}])
    run.evaluation("dev3", "chat", says("two words", "B", "chat"))
    run.model("r1", "chat", [{"entropy": 0.4, "reward/language": 0.9}])
    run.evaluation("r1", "chat", says("two words", "A", "chat"))
    run.corpus([row(p) for p in TRAIN] if rows is None else rows)
    run.facts(
        RewardModel,
        "helpful_rm",
        {"accuracy": 0.75, "heldout_pairs": 8, "calibration": [{"predicted": 0.8, "observed": 0.75, "pairs": 8}]},
    )
    run.preferences({"dev3": (0.3, 0.5, 0.9), "r1": (0.4, 0.6, 1.0)})
    return run
