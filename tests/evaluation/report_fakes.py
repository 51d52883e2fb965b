"""Report inputs like those of a real `tiny` run, made by hand."""

import math
import random

from r1_pipeline.evaluation.answer_bias import FrequentAnswer
from r1_pipeline.evaluation.estimators import Interval
from r1_pipeline.evaluation.general import General
from r1_pipeline.evaluation.inputs import (
    CorpusDomain,
    CorpusStats,
    Exchange,
    GateResult,
    Reply,
    ReportInputs,
    RewardModelScore,
    StageFacts,
)
from r1_pipeline.evaluation.paired import Mark
from r1_pipeline.evaluation.reflection import Depth
from r1_pipeline.evaluation.scores import EvalScores, Identity, Refusals, Scores
from r1_pipeline.evaluation.sizes import Sizes
from r1_pipeline.evaluation.support import Support
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1
from r1_pipeline.records import BUILTIN_DOMAINS, Domain, Outcome, Sampling
from r1_pipeline.rewards.preference import Confidence, calibration_error

MODELS: dict[str, tuple[tuple[float, ...], float, float, float]] = {
    "base": ((0.171, 0.402, 0.288, 0.246, 0.310), 0.361, 0.741, 17.9),
    "r1_zero": ((0.794, 0.988, 0.906, 0.521, 0.322), 0.997, 0.782, 21.2),
    "dev1": ((0.611, 0.902, 0.744, 0.418, 0.402), 0.981, 0.963, 22.4),
    "dev2": ((0.829, 0.996, 0.921, 0.602, 0.418), 0.999, 0.996, 22.8),
    "dev2_no_language_reward": ((0.827, 0.994, 0.917, 0.610, 0.411), 0.998, 0.912, 22.6),
    "dev3": ((0.806, 0.991, 0.913, 0.588, 0.803), 0.998, 0.994, 22.1),
    "r1": ((0.841, 0.997, 0.931, 0.637, 0.902), 1.0, 0.997, 22.5),
    "student_base/qwen": ((0.142, 0.371, 0.262, 0.255, 0.218), 0.334, 0.744, 17.2),
    "student_base/llama": ((0.128, 0.355, 0.271, 0.238, 0.206), 0.327, 0.751, 17.0),
    "student_rl_only": ((0.702, 0.951, 0.822, 0.441, 0.224), 0.994, 0.803, 20.4),
    "distilled/qwen": ((0.748, 0.982, 0.884, 0.562, 0.861), 0.996, 0.992, 22.3),
    "distilled/llama": ((0.731, 0.979, 0.879, 0.549, 0.853), 0.995, 0.993, 22.2),
}
STAGES = (
    *("base", "student_base/qwen", "student_base/llama", "reasoning_problems", "heldout_problems", "r1_zero"),
    *("cold_start_data", "dev1", "dev2", "dev2_no_language_reward", "reasoning_traces/math", "sft_corpus", "dev3"),
    *("helpful_rm", "safety_rm", "r1", "distilled/qwen", "distilled/llama", "student_rl_only", "evaluation/r1"),
)


def scores(pass_at_1: float, form: float | None, language: float | None, tokens: float, problems: int) -> Scores:
    half = 1.96 * math.sqrt(pass_at_1 * (1 - pass_at_1) / problems)
    right = round(pass_at_1 * problems * 4)
    return Scores(
        pass_at_1=pass_at_1,
        pass_at_1_ci=Interval(lo=max(0.0, pass_at_1 - half), hi=min(1.0, pass_at_1 + half)),
        pass_at_k={1: pass_at_1, 4: min(1.0, pass_at_1 * 1.1)},
        cons_at_k=min(1.0, pass_at_1 * 1.04),
        format_rate=form,
        language_consistency=language,
        mean_tokens=tokens,
        tokens=round(tokens * problems * 4),
        problems=problems,
        facts=problems,
        n=problems * 4,
        outcomes={Outcome.CORRECT: right, Outcome.WRONG: problems * 4 - right},
    )


def eval_scores(name: str) -> EvalScores:
    rates, form, language, tokens = MODELS[name]
    by_domain: dict[Domain, Scores] = {
        domain: scores(rate, form, language, tokens, PROBLEMS[domain])
        for domain, rate in zip(BUILTIN_DOMAINS, rates, strict=True)
    }
    identity = Identity(
        model=name,
        model_digest=f"{abs(hash(name)):064x}"[:64],
        problems_digest="0" * 64,
        template="zero" if "base" in name or name == "r1_zero" else "chat",
        template_hash="0123456789abcdef",
        sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=64),
        samples=4,
        seed=0,
        engine="transformers-5.17.0/float32",
        verifiers=dict.fromkeys(BUILTIN_DOMAINS, "maths@1"),
    )
    return EvalScores(
        identity=identity, overall=scores(sum(rates) / 5, form, language, tokens, 1024), by_domain=by_domain
    )


PROBLEMS = {domain: 512 if domain == "math" else 128 for domain in BUILTIN_DOMAINS}


def marks(name: str) -> tuple[Mark, ...]:
    """The first problems of a domain right and the last wrong, so that the mean is the model's pass@1; two of them are
    about one fact."""
    return tuple(
        Mark(
            group=domain,
            problem_id=f"{domain}{i}",
            fact=f"{domain}{i // 2}",
            score=min(1.0, max(0.0, rate * PROBLEMS[domain] - i)),
        )
        for domain, rate in zip(BUILTIN_DOMAINS, MODELS[name][0], strict=True)
        for i in range(PROBLEMS[domain])
    )


def liked(score: float) -> tuple[Mark, ...]:
    """Returns the marks of 50 general prompts, half of them with slightly higher scores than the other half."""
    shares = (score - 0.05, score + 0.05)
    return tuple(
        Mark(group="helpful", problem_id=str(i), fact=str(i), score=shares[i % 2] + 0.01 * (i % 3)) for i in range(50)
    )


def depths(shallow: float, deep: float, corrected: float) -> tuple[Depth, ...]:
    """Returns the depths of sums of one and of three calculations; only the deeper ones have corrected slips."""
    return (
        Depth(steps=1, replies=100, right=0.9, mean_tokens=shallow, reflective=0.1, corrected=0.0),
        Depth(steps=3, replies=300, right=0.5, mean_tokens=deep, reflective=0.2 + corrected, corrected=corrected),
    )


def curve(start: float, end: float, at: float, noise: random.Random, wobble: float) -> float:
    return start + (end - start) / (1 + math.exp(-(at - 0.35) * 9)) + noise.gauss(0, wobble)


def training(steps: int, language: tuple[float, float]) -> tuple[dict[str, float], ...]:
    noise = random.Random(steps)
    return tuple(
        {
            "step": float(step),
            "reward/accuracy": curve(0.24, 0.81, step / steps, noise, 0.03),
            "reward/format": min(1.0, curve(0.35, 1.0, step / steps * 1.6, noise, 0.01)),
            "reward/language": min(1.0, curve(*language, step / steps, noise, 0.012)),
            "mean_tokens": curve(17.6, 21.3, step / steps, noise, 0.25),
            "kl": max(0.0, curve(0.0, 0.21, step / steps, noise, 0.008)),
            "clipped": 0.001 * (step % 4),
            "entropy": curve(0.92, 0.31, step / steps, noise, 0.02),
        }
        for step in range(1, steps + 1)
    )


def reward_model(accuracy: float, pairs: int) -> RewardModelScore:
    """Returns the score of a reward model that is slightly overconfident."""
    half = pairs // 2
    groups = (
        Confidence(predicted=0.7, observed=2 * accuracy - 1.0, pairs=half),
        Confidence(predicted=0.99, observed=1.0, pairs=half),
    )
    return RewardModelScore(accuracy=accuracy, n=pairs, calibration=groups, calibration_error=calibration_error(groups))


def report_inputs() -> ReportInputs:
    noise = random.Random(1)
    assert DEEPSEEK_R1.cast is not None
    return ReportInputs(
        cast=DEEPSEEK_R1.cast,
        node_of={name: name.partition("/")[0] for name in MODELS},
        profile="tiny",
        seed=0,
        home=".r1",
        left_out={},
        models={name: eval_scores(name) for name in MODELS},
        marks={name: marks(name) for name in MODELS},
        favourites={name: {"stem": FrequentAnswer(answer="b", share=0.3, answers=512)} for name in MODELS},
        depths={"base": depths(13.0, 13.0, 0.02), "r1_zero": depths(14.0, 26.0, 0.3)},
        benchmarks={},
        reward_models={
            "helpful_rm": reward_model(0.86, 256),
            "safety_rm": reward_model(0.81, 128),
        },
        general_preference={"dev3": 0.61, "r1": 0.71},
        liked={"dev3": liked(0.6), "r1": liked(0.7)},
        general={
            "dev3": General(
                completions=9, unreferenced=9, evaluated_by={"refusal rule": 9}, refusals={}, preference={}
            ),
            "r1": General(
                completions=9,
                unreferenced=6,
                evaluated_by={"reference": 3, "refusal rule": 9, "reward model": 9},
                refusals={
                    "helpful": Refusals(n=5, declined=1, problems=5),
                    "safety": Refusals(n=4, declined=3, problems=4),
                },
                preference={"helpful": {"mean": 0.62, "n": 5, "win_rate.dev3": 0.8, "problems.dev3": 5}},
            ),
        },
        corpus=CorpusStats(
            by_domain={
                "math": CorpusDomain(rows=3120, tokens=75_192),
                "code": CorpusDomain(rows=1641, tokens=41_189),
                "stem": CorpusDomain(rows=402, tokens=8_281),
                "logic": CorpusDomain(rows=377, tokens=8_671),
                "general": CorpusDomain(rows=1200, tokens=22_560),
            },
            dropped={"wrong": 1204, "mixed_language": 61, "malformed": 12, "duplicate": 188},
            heldout_overlap=0,
            rechecked=500,
            agreed=500,
            support=Support(rows=180, unsupported=1),
        ),
        sizes={
            "base": Sizes(parameters=627_340, active_parameters=529_036, kv_bytes=288, plain_kv_bytes=1536),
            "student_base/llama": Sizes(
                parameters=600_000, active_parameters=600_000, kv_bytes=1024, plain_kv_bytes=2048
            ),
        },
        stages={
            name: StageFacts(
                seconds=noise.uniform(1, 30) if "_" in name else noise.uniform(40, 140),
                reused=name == "heldout_problems",
                fingerprint=f"{noise.getrandbits(256):064x}",
                digest=f"{noise.getrandbits(256):064x}",
                tokens=None if "problems" in name else noise.randrange(100_000, 9_000_000),
            )
            for name in STAGES
        },
        gates={
            "r1_zero_beats_base": GateResult(passed=True, blocking=True, value=0.623, limit=0.4),
            "r1_zero_format_rate": GateResult(passed=True, blocking=True, value=0.997, limit=0.97),
            "corpus_all_verified": GateResult(passed=True, blocking=True, value=0.0, limit=0.0),
            "dev2_language_consistency": GateResult(passed=False, blocking=False, value=0.971, limit=0.98),
            "tokenizer_unchanged": GateResult(passed=True, blocking=True, value="4be1f0c2", limit="4be1f0c2"),
        },
        training={
            "r1_zero": training(200, (0.74, 0.78)),
            "dev2": training(80, (0.86, 0.995)),
            "dev2_no_language_reward": training(80, (0.86, 0.91)),
            "r1": tuple(
                {"step": float(step), "reward/preference": 0.05 * step, "reward/courtesy": 0.9 - 0.002 * step}
                for step in range(21, 61)
            ),
        },
        controls=(),
        exchanges=(
            Exchange(
                question="What is 7 + 15 - 4?",
                domain="math",
                language="en",
                reference="18",
                replies={
                    "base": Reply(text="7 plus 15 is 23 then 23 minus 4 是 19 so 19", outcome=Outcome.MALFORMED),
                    "r1_zero": Reply(
                        text="<think>7 plus 15 is 22 然后 22 减 4 是 18</think> <answer>18</answer>",
                        outcome=Outcome.CORRECT,
                    ),
                    "r1": Reply(
                        text="<think>7 plus 15 is 22. Then 22 minus 4 is 18.</think>The result is \\boxed{18}.",
                        outcome=Outcome.CORRECT,
                    ),
                },
            ),
            Exchange(
                question="写一个函数 f(x)，先加三，再乘二。",
                domain="code",
                language="zh",
                reference="f(1) = 8; f(4) = 14",
                replies={
                    "base": Reply(text="x 加 3 then 乘 2 <answer>x+3*2", outcome=Outcome.TRUNCATED),
                    "r1_zero": Reply(
                        text="<think>先 add 3 再乘 2</think> <answer>def f(x): return (x+3)*2</answer>",
                        outcome=Outcome.CORRECT,
                    ),
                    "r1": Reply(
                        text="<think>先加三，再乘二。</think>```python\ndef f(x):\n    return (x + 3) * 2\n```",
                        outcome=Outcome.CORRECT,
                    ),
                },
            ),
        ),
        total_seconds=13.4 * 60,
        environment={
            "commit": "0b60d97",
            "uncommitted changes": "no",
            "python": "3.11.7",
            "torch": "2.13.0",
            "transformers": "5.17.0",
            "trl": "1.16.0",
            "device": "cpu, 2 threads",
            "platform": "Linux x86_64",
        },
    )
