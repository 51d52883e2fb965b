"""Each formula agrees with a calculation by hand."""

import math

import pytest

from r1_pipeline.engines import Transformers, Vllm, VllmRollouts
from r1_pipeline.errors import RecipeError
from r1_pipeline.planning.formulas import (
    Devices,
    gathered_memory,
    head_memory,
    resting_memory,
    rollout_seconds,
    scoring_memory,
    sequences_at_once,
    step_seconds,
    training_memory,
    training_seconds,
)
from r1_pipeline.planning.hardware import ACCELERATORS
from r1_pipeline.planning.placement import Placement, least_devices, placement_of
from r1_pipeline.profiles.models import DEEPSEEK_V3_BASE, QWEN_7B, SMOLLM2
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import Colocated, VllmSettings
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.model_shape import dense_shape

V3 = DEEPSEEK_V3_BASE.shape
H800 = Devices(ACCELERATORS["h800"], 512, "bfloat16")
ONE = Devices(ACCELERATORS["h800"], 1, "bfloat16")
NODE = Devices(ACCELERATORS["h100"], 8, "bfloat16")
ALONE = Placement("vllm", together=1, copies=1)
SEVEN = QWEN_7B.shape


def test_pretraining_deepseek_v3_takes_the_hours_that_its_report_gives() -> None:
    """Training on 1e12 tokens takes 180,000 H800 hours (technical report, section 1), at sequences of 4,096."""
    hours = training_seconds(V3, H800, tokens=1e12, length=4096, forwards=0) * 512 / 3600
    assert hours == pytest.approx(180_000, rel=0.15)


def test_a_reference_and_an_old_policy_cost_two_forward_passes_on_top_of_three() -> None:
    alone, both = (training_seconds(V3, H800, 1e6, 1000, forwards) for forwards in (0, 2))
    assert both / alone == pytest.approx(5 / 3)


def test_one_sequence_of_a_small_model_is_bound_by_reading_it_once_a_token() -> None:
    """A token reads 2 bytes of 134,515,008 weights at 0.6 of 3.35e12 bytes/s, and waits 60 times 0.1 ms."""
    read = 2 * 134_515_008 / (3.35e12 * 0.6)
    assert step_seconds(SMOLLM2.shape, ONE, ALONE, 1, 0) == pytest.approx(read + 60e-4)


def test_a_copy_of_deepseek_v3_samples_on_32_devices_and_smollm2_on_one() -> None:
    """The 1,342 GB over 32 devices are 42 GB each, of 86; over 16 devices they would be 84."""
    assert least_devices(V3, H800.kind, 512) == 32
    assert least_devices(SMOLLM2.shape, H800.kind, 512) == 1


def test_a_rollout_ends_at_the_limit_or_with_its_longest_completion() -> None:
    short = rollout_seconds(SMOLLM2.shape, ONE, ALONE, 16, prompt=0, mean=10, limit=10_000)
    cut = rollout_seconds(SMOLLM2.shape, ONE, ALONE, 16, prompt=0, mean=10, limit=5)
    longest = 10 * (math.log(16) + 0.5772)
    assert short / cut == pytest.approx(longest / 5, rel=0.01)  # both are bound by waiting and weights


def test_sixteen_bytes_a_parameter_are_what_mixed_training_keeps_and_two_more_a_reference() -> None:
    """Weights 4, gradients 4, moments 8; a bfloat16 copy 2; a reference 2."""
    weights, optimizer, _ = training_memory(V3, H800, tokens=0, recompute=True, reference=True)
    assert (weights + optimizer) * 512 / V3.parameters == pytest.approx(4 + 4 + 8 + 2 + 2)


def test_recomputation_keeps_the_input_of_each_layer_and_the_inside_of_one() -> None:
    """SmolLM2, a token: 30 inputs of 576; inside 6 * 576 + 2 * 9 * 128 + 4 * 1536; a tile of 32,768 of its logits."""
    shape = SMOLLM2.shape
    inside = 2 * (6 * 576 + 2 * 9 * 128 + 4 * 1536)
    assert training_memory(shape, ONE, 1, True, False)[2] == 2 * 30 * 576 + inside + 2 * 32_768
    assert training_memory(shape, ONE, 1, False, False)[2] == 30 * inside + 2 * 32_768


def test_tables_over_the_vocabulary_are_tiles_whole_logits_or_one_score() -> None:
    """SmolLM2 has 49,152 tokens. Of 5,000 tokens TRL reads 4,096 at a time, by 32,768; in 16 bits on a GPU, and with
    eight tables in 32 bits on a CPU. Whole logits are three tables of 5,000 by 49,152 in 32 bits."""
    shape = SMOLLM2.shape
    assert head_memory(shape, 5000, "tiles", 2, on_cpu=False) == 2 * 4096 * 32_768
    assert head_memory(shape, 5000, "tiles", 2, on_cpu=True) == 8 * 4 * 4096 * 32_768
    assert head_memory(shape, 5000, "logits", 2, on_cpu=True) == 3 * 4 * 5000 * 49_152
    assert head_memory(shape, 5000, "score", 2, on_cpu=True) == 0


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_activations_are_what_autograd_keeps(kind: str) -> None:
    """A layer of width 48, with six heads of 8 on six of keys and a block of 160, keeps for each token 6 * 48, 4 * 48
    and 4 * 160 numbers, and the two scales of its norms and six of its softmax."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    def kept(layers: int, tokens: int = 32) -> int:
        sizes = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 160, "num_attention_heads": 6}
        config = AutoConfig.for_model(
            kind, **sizes, num_key_value_heads=6, num_hidden_layers=layers, max_position_embeddings=64
        )
        model = AutoModelForCausalLM.from_config(config).base_model
        weights = {weight.data_ptr() for weight in model.parameters()}
        held: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                held[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = model(torch.zeros(1, tokens, dtype=torch.long), use_cache=False).last_hidden_state
        assert output.requires_grad
        return sum(tensor.untyped_storage().nbytes() for tensor in held.values()) // tokens

    shape = dense_shape(
        width=48, layers=1, heads=6, key_value_heads=6, head_dim=8, intermediate=160, vocabulary=64, tied=True,
        bias=kind == "qwen2",
    )  # fmt: skip
    cpu = Devices(ACCELERATORS["cpu-core"], 1, "float32")
    planned = training_memory(shape, cpu, 1, False, False, head="score")[2]
    assert planned == 4 * (6 * 48 + 4 * 48 + 4 * 160)
    assert kept(3) - kept(2) == planned + 4 * (2 + 6)


def test_lora_keeps_gradients_and_moments_of_its_adapters_alone() -> None:
    """SmolLM2 has 30 layers. A frozen weight takes 4 bytes and its copy 2, a number of the adapters 4, 4 and 8; the
    reference takes none, and further devices spare none."""
    shape = SMOLLM2.shape
    adapters = Lora(rank=2, alpha=1.0).trainable(shape.linears)
    assert adapters == 30 * 2 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    for devices in (ONE, H800):
        weights, optimizer, _ = training_memory(shape, devices, 0, True, True, adapters)
        assert weights == 134_515_008 * (4 + 2) + adapters * 8
        assert optimizer == adapters * 8


def test_lora_spares_the_gradients_of_the_weights() -> None:
    """A token of SmolLM2 without context: 6 FLOPs a weight become 4, and each of 1,000 numbers of adapters takes 6."""
    whole, adapted = (training_seconds(SMOLLM2.shape, ONE, 1e6, 0, 0, adapters) for adapters in (None, 1000))
    assert adapted / whole == pytest.approx((4 * 134_515_008 + 6 * 1000) / (6 * 134_515_008))


def test_an_accelerator_without_fp8_refuses_to_train_in_it() -> None:
    with pytest.raises(RecipeError, match="has no float8"):
        training_seconds(V3, Devices(ACCELERATORS["a100"], 8, "float8"), 1, 1, 0)


def test_shards_that_are_gathered_for_every_token_take_as_long_as_the_link_needs() -> None:
    """Shards of 15.2 GB in 16 bits at 0.6 of 450e9 bytes/s: 56 ms a token."""
    ranks = Runtime(device="cuda", launcher=Torchrun(processes=8, sharding="fsdp2"))
    place = placement_of(Transformers(), SEVEN, ranks, 8, NODE.kind, rollouts=True)
    assert (place.together, place.copies, place.owns) == (1, 8, False)
    whole = Placement("transformers", 1, 8, owns=False)
    more = step_seconds(SEVEN, NODE, place, 32, 500) - step_seconds(SEVEN, NODE, whole, 32, 500)
    assert more == pytest.approx(2 * 7_615_616_512 / (0.6 * 450e9)) == pytest.approx(0.0564, abs=1e-4)


def test_where_a_model_samples_follows_from_its_engine_and_the_runtime() -> None:
    spread = Cluster(address="local", workers=8, cpus=1, gpus=1)
    many = Runtime(device="cuda", cluster=spread, vllm=VllmSettings(devices=2), rollouts=Colocated(devices=4))

    def placed(engine: Transformers | Vllm | VllmRollouts, runtime: Runtime, rollouts: bool) -> tuple[int, int, int]:
        place = placement_of(engine, SEVEN, runtime, 8, NODE.kind, rollouts)
        return place.together, place.copies, place.size

    assert placed(Vllm(), many, False) == (2, 4, 2)
    assert placed(Vllm(), Runtime(device="cuda"), False) == (1, 1, 2)
    assert placed(VllmRollouts(), many, True) == (4, 2, 2)
    assert placed(Transformers(), Runtime(device="cuda"), False) == (1, 1, 4)
    assert placed(Transformers(dtype="bfloat16"), many, False) == (1, 8, 2)


def test_a_copy_samples_as_many_texts_as_its_cache_holds() -> None:
    """Half of 85.9 GB, less 15.23 GB of weights, leaves 27.7 GB: 483 texts of 1,000 tokens of 57,344 bytes."""
    place = Placement("vllm", 1, 8, share=0.5, seats=1024)
    assert SEVEN.kv_bytes == 57_344
    assert sequences_at_once(SEVEN, NODE, place, 1000) == pytest.approx(483.3, abs=0.5)
    assert sequences_at_once(SEVEN, NODE, Placement("vllm", 1, 8, share=0.5, seats=256), 1000) == 256


def test_memory_between_steps_is_weights_moments_and_reference() -> None:
    """Weights and moments are 4 + 8 bytes a parameter, and 2 for a reference in 16 bits, over 8 devices."""
    assert resting_memory(SEVEN, NODE, reference=True) == 14 * 7_615_616_512 / 8


def test_a_reward_model_takes_its_weights_and_the_inside_of_one_layer() -> None:
    """Numbers have 16 bits; a token: the input of 3,584, 4 * 3584 + 2 * 28 * 256 + 3 * 18944 inside."""
    inside = 3584 + 4 * 3584 + 2 * 28 * 256 + 3 * 18_944
    assert scoring_memory(SEVEN, 2, 1000) == 2 * (7_615_616_512 + 1000 * inside)


def test_sharded_training_gathers_a_layer_with_its_gradients_and_the_next() -> None:
    """A layer of Qwen2.5-7B: 233,057,792 numbers; one of DeepSeek-V3: 257 experts of 3 * 7168 * 2048, 11.5 billion."""
    attention = 3584 * 3584 * 2 + 2 * 3584 * 512 + 3584 + 2 * 512
    assert SEVEN.largest_layer == attention + 3 * 3584 * 18_944 + 2 * 3584 == 233_057_792
    assert V3.largest_layer == pytest.approx(11.5e9, rel=0.01)
    assert gathered_memory(SEVEN) == 6 * 233_057_792
