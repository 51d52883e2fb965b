"""R1-Zero of the profile `laptop` runs as the profile says, here with a random model of a few thousand parameters."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from r1_pipeline.artifacts.kinds import Checkpoint, Completions, ProblemSet
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.data.templates import CHAT_TEMPLATE
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.local import run_graph
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.verbs import ReinforceRecipe

pytest.importorskip("peft", reason="peft is not installed")
SHORT: Mapping[str, object] = {
    "grpo.steps": 2, "grpo.prompts_per_step": 2, "grpo.group_size": 2, "grpo.max_completion_tokens": 8,
}  # fmt: skip


class Steps(Observer):
    """Notes which stages are trained."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self.seen.append((name, step))


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Returns the profile with a random Qwen2 that reads bytes, and with two steps of reinforcement."""
    directory = tmp_path_factory.mktemp("qwen2")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(["<end>", *letters])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(letters) + 1, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, eos_token_id=0, pad_token_id=0, bos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(directory)
    laptop = load_profile(f"laptop:{directory}", 0)
    zero, evaluation = laptop.recipes["r1_zero"], laptop.recipes["evaluation"]
    for field, value in SHORT.items():
        zero = changed(zero, field, value)
    evaluation = changed(changed(evaluation, "ask.problems", {"math": 2}), "ask.sampling.max_tokens", 8)
    lax: dict[str, float] = dict.fromkeys(("gain_over_base", "format_rate"), -1.0)
    gates = GateLimits(**{**laptop.gates.model_dump(), **lax})
    base = laptop.recipes["base"]
    assert isinstance(base, ImportRecipe)
    students = {"llama": base, "qwen": base}  # the gates of a problem set read the tokenizer of every base
    recipes = {"student_base": students, "r1_zero": zero, "evaluation": evaluation}
    return replace(laptop.with_recipes(recipes), gates=gates)


def test_r1_zero_runs_in_its_form_with_adapters_and_stops_and_once(profile: Profile, tmp_path: Path) -> None:
    steps = Steps()
    made = run_graph(profile.graph, profile, tmp_path, ["evaluation/r1_zero"], steps)
    zero, problems, answers = made["r1_zero"], made["reasoning_problems"], made["answers/r1_zero"]
    assert isinstance(zero, Checkpoint)
    assert isinstance(problems, ProblemSet)
    assert isinstance(answers, Completions)
    assert [each for each in steps.seen if each[0] == "r1_zero"] == [("r1_zero", 1), ("r1_zero", 2)]
    assert zero.template == "own_brief"
    assert zero.statistics["lora"]["rank"] == 32
    assert set(answers.asked()["sampling"]["stop"]) == {"</answer>"}
    assert set(problems.by_domain) == {"math"}
    assert set(problems.left_out) == {"code", "stem", "logic"}
    recipe = profile.recipes["r1_zero"]
    assert isinstance(recipe, ReinforceRecipe)
    assert zero.tokens["generated"] <= 2 * 4 * recipe.grpo.max_completion_tokens
    again = Steps()
    run_graph(profile.graph, profile, tmp_path, ["evaluation/r1_zero"], again)
    assert again.seen == []
