"""Laws of training on several ranks: they compute what one process computes, and resume from complete checkpoints.

Real processes under torchrun that talk over gloo on CPUs, with a copy of the model each (DDP) or a shard each (FSDP2,
ZeRO-3 where DeepSpeed is installed: `make test-deepspeed`).
Samples depend on who draws them, so GRPO is compared on rollouts that are fixed beforehand.
"""

import importlib.util
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import rank_runs as ranks
import training_runs as runs
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from safetensors.torch import load_file
from torch.distributed.fsdp import StateDictType
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from transformers import TrainingArguments

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.errors import LaunchError, RecipeError, RequirementError
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.launchers import Sharding, Torchrun
from r1_pipeline.training.experts import LOAD
from r1_pipeline.training.run_trainer import micro_batch
from r1_pipeline.training.sharding import ZERO3, require_sharded, sharding_arguments

slow = pytest.mark.slow
EQUAL = 1e-4
COMPARED = ("sft", "sft_balanced", "reward_model", "grpo_on_fixed_rollouts", "objective_on_fixed_rollouts")
INSTALLED = importlib.util.find_spec("deepspeed") is not None
KEPT = (
    "ddp",
    "fsdp2",
    pytest.param("zero3", marks=pytest.mark.skipif(not INSTALLED, reason="DeepSpeed is not installed")),
)


@pytest.fixture(scope="module")
def alone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs every method in this process."""
    directory = tmp_path_factory.mktemp("alone")
    for method in COMPARED:
        ranks.METHODS[method](tiny, bare_draft(directory / method), ranks.runtime_of(None))
    return directory


@pytest.fixture(scope="module", params=KEPT)
def shared(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sharding, Path]:
    """Runs every method on two ranks."""
    directory = tmp_path_factory.mktemp(request.param)
    done = ranks.launch(request.param, tiny, directory, *COMPARED, "grpo")
    assert done.returncode == 0, done.stderr
    return request.param, directory


def draft_of(directory: Path, method: str) -> Draft:
    return bare_draft(directory / method)


@slow
@pytest.mark.parametrize("method", COMPARED)
def test_two_ranks_compute_what_one_process_computes(method: str, alone: Path, shared: tuple[Sharding, Path]) -> None:
    one, two = (read_metrics(draft_of(directory, method).metrics) for directory in (alone, shared[1]))
    for name in (
        "loss",
        "grad_norm",
        *((LOAD,) if "balanced" in method else ()),
        *(("kl", "reward", "clipped") if "rollouts" in method else ()),
    ):
        values = [row[name] for row in one if name in row]
        assert len(set(values)) > 1
        assert [row[name] for row in two if name in row] == pytest.approx(values, abs=EQUAL), name


@slow
@pytest.mark.parametrize("method", COMPARED)
def test_the_whole_model_is_published_once(method: str, alone: Path, shared: tuple[Sharding, Path]) -> None:
    one, two = (draft_of(directory, method).path for directory in (alone, shared[1]))
    before, after = runs.digests(one), runs.digests(two)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} <= {"model.safetensors"}
    weights, same = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert weights.keys() == same.keys()
    for name, tensor in weights.items():
        assert tensor.dtype == same[name].dtype
        assert (tensor - same[name]).abs().max() < 1e-3, name


@slow
def test_killed_and_resumed_is_bit_identical(tiny: Path, shared: tuple[Sharding, Path], tmp_path: Path) -> None:
    keeps, whole = shared
    killed = ranks.launch(keeps, tiny, tmp_path, "grpo", "5")
    assert killed.returncode != 0
    draft = draft_of(tmp_path, "grpo")
    assert read_metrics(draft.metrics)[-1]["step"] == 5
    assert (draft.scratch / "checkpoint-4" / "seal.json").exists()
    resumed = ranks.launch(keeps, tiny, tmp_path, "grpo")
    assert resumed.returncode == 0, resumed.stderr
    assert [row["step"] for row in read_metrics(draft.metrics)] == [1, 2, 3, 4, 5, 6]
    assert runs.digests(draft.path) == runs.digests(draft_of(whole, "grpo").path)


@slow
def test_a_checkpoint_of_other_ranks_is_neither_read_nor_removed(
    tiny: Path, shared: tuple[Sharding, Path], tmp_path: Path
) -> None:
    keeps, whole = shared
    shutil.copytree(whole / "grpo", tmp_path / "grpo")
    draft = draft_of(tmp_path, "grpo")
    with pytest.raises(LaunchError, match=rf"written by {keeps} on 2 rank\(s\), this run is ddp on 1 rank\(s\)"):
        ranks.grpo(tiny, draft, ranks.runtime_of(None))
    assert (draft.scratch / "checkpoint-6" / "seal.json").exists()


ADAPTED = ("sft_lora", "reward_model_lora", "grpo_lora_on_fixed_rollouts")


@pytest.fixture(scope="module", params=["ddp", "fsdp2"])
def adapted(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sharding, Path]:
    """Every method with LoRA on two ranks."""
    directory = tmp_path_factory.mktemp(f"adapted-{request.param}")
    done = ranks.launch(request.param, tiny, directory, *ADAPTED, "grpo_lora")
    assert done.returncode == 0, done.stderr
    return request.param, directory


@slow
@runs.needs_peft
@pytest.mark.parametrize("method", ADAPTED)
def test_two_ranks_adapt_what_one_process_adapts(
    method: str, tiny: Path, adapted: tuple[Sharding, Path], tmp_path: Path
) -> None:
    one, two = bare_draft(tmp_path), draft_of(adapted[1], method)
    ranks.METHODS[method](tiny, one, ranks.runtime_of(None))
    alone, shared = read_metrics(one.metrics), read_metrics(two.metrics)
    for name in ("loss", "grad_norm", *(("kl",) if "rollouts" in method else ())):
        values = [row[name] for row in alone]
        assert len(set(values)) > 1
        assert [row[name] for row in shared] == pytest.approx(values, abs=EQUAL), name
    assert runs.digests(one.path).keys() == runs.digests(two.path).keys()
    weights, same = load_file(one.path / "model.safetensors"), load_file(two.path / "model.safetensors")
    assert weights.keys() == same.keys()
    assert max((tensor - same[name]).abs().max() for name, tensor in weights.items()) < 1e-3


@slow
@runs.needs_peft
def test_adapters_of_two_ranks_that_were_killed_are_resumed_bit_by_bit(
    tiny: Path, adapted: tuple[Sharding, Path], tmp_path: Path
) -> None:
    keeps, whole = adapted
    assert ranks.launch(keeps, tiny, tmp_path, "grpo_lora", "5").returncode != 0
    draft = draft_of(tmp_path, "grpo_lora")
    assert (draft.scratch / "checkpoint-4" / "seal.json").exists()
    resumed = ranks.launch(keeps, tiny, tmp_path, "grpo_lora")
    assert resumed.returncode == 0, resumed.stderr
    assert [row["step"] for row in read_metrics(draft.metrics)] == [1, 2, 3, 4, 5, 6]
    assert runs.digests(draft.path) == runs.digests(draft_of(whole, "grpo_lora").path)


def test_ranks_split_the_batch_and_the_recipe_stays_as_it_is() -> None:
    runtime = runs.RUNTIME.model_copy(update={"launcher": Torchrun(processes=4, sharding="ddp"), "micro_batch": 6})
    assert micro_batch(32, runtime) == 4  # a share of 8, in two passes
    with pytest.raises(RecipeError, match="4 ranks cannot share a batch of 30 equally"):
        micro_batch(30, runtime)


def test_where_deepspeed_cannot_work_zero3_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.19.8")
    with pytest.raises(RequirementError, match="on accelerators only; train with ddp on a CPU"):
        sharding_arguments(sharded("zero3"))

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(RequirementError, match="ZeRO-3 needs DeepSpeed"):
        sharding_arguments(sharded("zero3"))


def sharded(keeps: Sharding) -> Runtime:
    return runs.RUNTIME.model_copy(update={"launcher": Torchrun(processes=2, sharding=keeps), "recompute": True})


def test_a_trainer_that_would_not_shard_although_it_should_is_refused() -> None:
    one_that_copies = SimpleNamespace(is_fsdp_enabled=False)  # what transformers makes of `fsdp` on CPUs
    with pytest.raises(RequirementError, match="on accelerators only"):
        require_sharded(one_that_copies, sharded("fsdp2"))  # type: ignore[arg-type]
    require_sharded(one_that_copies, sharded("ddp"))  # type: ignore[arg-type]


def test_accelerate_reads_our_fsdp2_as_it_is_meant(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **sharding_arguments(sharded("fsdp2")))
    plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
    assert plugin.fsdp_version == 2
    assert plugin.state_dict_type is StateDictType.SHARDED_STATE_DICT
    assert plugin.reshard_after_forward is True
    assert plugin.activation_checkpointing and not arguments.gradient_checkpointing  # only one of them may
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy


def test_accelerate_reads_our_zero3_as_it_is_meant() -> None:
    config = HfDeepSpeedConfig({**ZERO3})
    assert config.is_zero3()
    assert not config.is_offload()
    assert config.is_true("zero_optimization.stage3_gather_16bit_weights_on_model_save")
    assert {config.get_value(name) for name in ("train_batch_size", "gradient_clipping", "bf16.enabled")} == {"auto"}
