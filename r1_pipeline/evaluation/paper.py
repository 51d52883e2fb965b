"""The paper's numbers that the report shows with ours, and their sources.

The paper is DeepSeek-R1, Nature 645:633-638 (2025), with its supplement, arXiv 2501.12948v2. Numbers are percentages
unless stated otherwise. The paper has frontier-size models on public benchmarks, and we have tiny ones on toy problems:
compare the order of the stages and the direction of a step, never a value.
"""

from r1_pipeline.records import Domain, Record

COLUMNS = ("DeepSeek-V3-Base", "R1-Zero", "R1-Dev1", "R1-Dev2", "R1-Dev3", "R1")
"""The columns of `STAGE_TABLE`, under the paper's names."""

STAGE_SOURCE = "supplement table 3; V3-Base from table 12"
DISTILLATION_SOURCE = "supplement table 15"
RL_SOURCE = "supplement table 16"
CORPUS_SOURCE = "supplement table 5"


class StageRow(Record):
    """The scores of one benchmark through the stages."""

    benchmark: str
    domain: Domain
    """Our nearest domain."""
    scores: tuple[float | None, ...]
    """One score for each of `COLUMNS`; None if the paper has none."""
    decimals: int = 1


class StudentRow(Record):
    """The scores of one distilled student, or of a model that it is compared with."""

    model: str
    aime_2024: float
    cons_64: float
    math_500: float
    gpqa: float
    livecodebench: float


class CorpusRow(Record):
    """One domain of the paper's SFT corpus."""

    domain: Domain
    samples: int
    mean_tokens: float
    rounds: float
    """The mean number of rounds of question and reply."""


def _row(benchmark: str, domain: Domain, *scores: float | None, decimals: int = 1) -> StageRow:
    return StageRow(benchmark=benchmark, domain=domain, scores=scores, decimals=decimals)


STAGE_TABLE = (
    _row("AIME 2024", "math", None, 77.9, 59.0, 74.0, 78.1, 79.8),
    _row("MATH-500", "math", None, 95.9, 94.2, 95.9, 95.4, 97.3),
    _row("CNMO 2024", "math", None, 88.1, 58.0, 73.9, 77.3, 78.8),
    _row("LiveCodeBench", "code", None, 50.0, 57.5, 63.5, 64.6, 65.9),
    _row("Codeforces percentile", "code", None, 80.4, 84.5, 90.5, 92.1, 96.3),
    _row("Codeforces rating", "code", None, 1444, 1534, 1687, 1746, 2029, decimals=0),
    _row("SWE-bench Verified", "code", None, 43.2, 39.6, 44.6, 45.6, 49.2),
    _row("Aider-Polyglot", "code", None, 12.2, 6.7, 25.6, 44.8, 53.3),
    _row("GPQA Diamond", "stem", None, 75.8, 66.1, 70.7, 71.2, 71.5),
    _row("MMLU-Pro", "stem", 64.4, 68.9, 74.1, 83.8, 83.1, 84.0),
    _row("MMLU", "general", 87.1, 88.8, 89.1, 91.2, 91.0, 90.8),
    _row("MMLU-Redux", "general", 86.2, 85.6, 90.0, 93.0, 93.1, 92.9),
    _row("DROP", "general", 89.0, 89.1, 89.8, 91.1, 88.7, 92.2),
    _row("IF-Eval", "general", 58.6, 46.6, 71.7, 72.0, 78.1, 83.3),
    _row("SimpleQA", "general", 20.1, 30.3, 17.8, 28.2, 24.9, 30.1),
    _row("FRAMES", "general", None, 82.3, 78.5, 81.8, 81.9, 82.5),
    _row("AlpacaEval 2.0", "general", None, 24.7, 50.1, 55.8, 62.1, 87.6),
    _row("Arena-Hard", "general", None, 53.6, 77.0, 73.2, 75.6, 92.3),
    _row("CLUEWSC", "general", 82.7, 93.1, 92.8, 92.6, 91.6, 92.8),
    _row("C-Eval", "general", 90.1, 92.8, 85.7, 91.9, 86.4, 91.8),
    _row("C-SimpleQA", "general", None, 66.4, 58.8, 64.2, 66.9, 63.7),
)


def _student(model: str, *scores: float) -> StudentRow:
    aime, cons, maths, gpqa, code = scores
    return StudentRow(model=model, aime_2024=aime, cons_64=cons, math_500=maths, gpqa=gpqa, livecodebench=code)


DISTILLED = (
    _student("R1-Distill-Qwen-1.5B", 28.9, 52.7, 83.9, 33.8, 16.9),
    _student("R1-Distill-Qwen-7B", 55.5, 83.3, 92.8, 49.1, 37.6),
    _student("R1-Distill-Qwen-14B", 69.7, 80.0, 93.9, 59.1, 53.1),
    _student("R1-Distill-Qwen-32B", 72.6, 83.3, 94.3, 62.1, 57.2),
    _student("R1-Distill-Llama-8B", 50.4, 80.0, 89.1, 49.0, 39.6),
    _student("R1-Distill-Llama-70B", 70.0, 86.7, 94.5, 65.2, 57.5),
)

RL_OR_DISTILLATION = (
    _student("QwQ-32B-Preview", 50.0, 60.0, 90.6, 54.5, 41.9),
    _student("Qwen2.5-32B-Zero (RL only)", 47.0, 60.0, 91.6, 55.0, 40.2),
    _student("R1-Distill-Qwen-32B (SFT only)", 72.6, 83.3, 94.3, 62.1, 57.2),
)
"""The same base trained by reinforcement learning or by distillation, and a contemporary model."""

CORPUS = (
    CorpusRow(domain="math", samples=395_285, mean_tokens=6094.2, rounds=1.0),
    CorpusRow(domain="code", samples=211_129, mean_tokens=7435.7, rounds=1.1),
    CorpusRow(domain="stem", samples=10_124, mean_tokens=4928.8, rounds=1.0),
    CorpusRow(domain="logic", samples=10_395, mean_tokens=2739.0, rounds=1.0),
    CorpusRow(domain="general", samples=177_812, mean_tokens=1419.8, rounds=1.1),
)
CORPUS_SAMPLES = 804_745
CORPUS_MEAN_TOKENS = 5355.3
CORPUS_ROUNDS = 1.0
