"""Laws of launchers: the same verb makes the same bytes wherever it runs, is heard meanwhile, and fails as itself."""

import os
import sys
from pathlib import Path

import pytest
from launched import Heard, Home, Homes, sft

from r1_pipeline.artifacts import manifest
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.errors import LaunchError, RecipeError
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import Runtime, fingerprint
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.runtime.jobs import Call, Job, job_of
from r1_pipeline.runtime.launch import command
from r1_pipeline.runtime.rank import Launched, mask_devices, work
from r1_pipeline.settings.launchers import AnyLauncher, Inline, RayTrain, Subprocess, Torchrun
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.model_shape import shape_in
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import finetune


def test_a_subprocess_makes_the_same_bytes_and_is_heard(home: Homes, profile: Profile) -> None:
    here, there, heard = home("here"), home("there"), Heard()
    inline = finetune(here.at("dev1", Inline()), here.base, here.corpus, sft(profile))
    launched = finetune(there.at("dev1", Subprocess(), heard), there.base, there.corpus, sft(profile))
    assert launched.manifest.fingerprint == inline.manifest.fingerprint
    assert launched.digest == inline.digest
    assert launched.statistics == inline.statistics
    assert heard.steps == [1, 2, 3, 4, 5, 6]
    assert heard.losses == [row["loss"] for row in launched.metrics()]


def test_adapters_are_merged_in_a_subprocess_and_named_in_the_manifest(home: Homes, profile: Profile) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    here, there, lora = home("here"), home("there"), Lora(rank=4, alpha=8.0, modules=("o_proj",))
    recipe = sft(profile, lora=lora, expert_bias_rate=0.0)
    inline = finetune(here.at("dev1", Inline()), here.base, here.corpus, recipe)
    launched = finetune(there.at("dev1", Subprocess()), there.base, there.corpus, recipe)
    assert launched.digest == inline.digest
    (layers,) = (layer for layer in shape_in(inline.path).linears if layer.name == "o_proj")
    assert launched.statistics["lora"] == {
        **{"rank": 4, "alpha": 8.0, "dropout": 0.0, "modules": ["o_proj"]},
        "trainable_parameters": 4 * (layers.inputs + layers.outputs) * layers.count,
    }
    assert launched.statistics["parameters"] == shape_in(here.base.path).parameters


def test_an_error_in_a_subprocess_is_raised_as_the_error_that_it_was(home: Homes, profile: Profile) -> None:
    there = home("there")
    with pytest.raises(RecipeError, match="raise max_tokens or shorten the rows") as caught:
        finetune(there.at("dev1", Subprocess()), there.base, there.corpus, sft(profile, max_tokens=3))
    assert "in train_sft" in str(caught.value.__cause__)


def job(launcher: AnyLauncher, ranks: int) -> Job:
    runtime = Runtime(launcher=launcher)
    return Job(
        work="training",
        verb="r1_pipeline.verbs.tuning:finetune",
        arguments={},
        ranks=ranks,
        name="dev1",
        fingerprint="f" * 64,
        runtime=runtime,
        home="/home",
        path="/draft",
        scratch="/scratch",
    )


def test_the_commands_are_those_that_one_would_type() -> None:
    rank = ["-m", "a.rank", "/scratch/job/job.json"]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    node = Torchrun(processes=8, sharding="fsdp2")
    assert command(job(node, 8), "a.rank") == [*torchrun, "--nnodes=1", "--nproc-per-node=8", "--standalone", *rank]
    assert command(job(node, 1), "a.rank") == [sys.executable, *rank]  # a stage that does not train
    cluster = Torchrun(processes=8, nodes=2, sharding="fsdp2", rendezvous="head:29400", starter=("srun", "--nodes=2"))
    meet = ["--rdzv-backend=c10d", "--rdzv-endpoint=head:29400", f"--rdzv-id={'f' * 16}"]
    assert command(job(cluster, 16), "a.rank") == [
        "srun", "--nodes=2", *torchrun, "--nnodes=2", "--nproc-per-node=8", *meet, *rank,
    ]  # fmt: skip
    ray = RayTrain(workers=2, sharding="ddp", address="auto")
    assert command(job(ray, 2), "a.rank")[1:] == ["-m", "r1_pipeline.runtime.ray_train", "a.rank", rank[-1]]


def test_a_launcher_enters_no_fingerprint(home: Homes, profile: Profile) -> None:
    there = home("there")
    one, many = (
        finetune.spec(there.at("dev1", launcher), there.base, there.corpus, sft(profile))
        for launcher in (Inline(), Torchrun(processes=4, sharding="fsdp2"))
    )
    assert fingerprint(one.payload()) == fingerprint(many.payload())


def test_a_job_states_in_a_rank_what_its_launcher_stated(home: Homes, profile: Profile, tmp_path: Path) -> None:
    """Arguments pass through JSON, and the store is another; the spec is the same, input by input."""
    there, recipe = home("there"), sft(profile)
    at = there.at("dev1", Subprocess())
    stated = finetune.spec(at, there.base, there.corpus, recipe)
    written = written_job(at, there, recipe, tmp_path)
    verb, arguments = Job.model_validate_json(written.model_dump_json()).resolved()
    in_rank = BuildContext(Launched(Path(written.home)), written.runtime, written.name, start=None)
    assert verb is finetune
    assert verb.spec(in_rank, **arguments).payload() == stated.payload()


def test_a_rank_that_would_make_something_else_stops_before_any_work(
    home: Homes, profile: Profile, tmp_path: Path
) -> None:
    there = home("there")
    job = written_job(there.at("dev1", Subprocess()), there, sft(profile), tmp_path)
    job = job.model_copy(update={"fingerprint": "f" * 64})
    job.folder.mkdir(parents=True)
    with pytest.raises(LaunchError, match=r"would make dev1 [0-9a-f]{12}, its launcher wants ffffffffffff; install"):
        work(job, 0, Observer())
    assert not list(Path(job.path).iterdir())
    with pytest.raises(LaunchError, match="its launcher wants ffffffffffff"):
        job.outcome(1)


def test_a_rank_builds_nothing_but_its_draft(home: Homes, profile: Profile) -> None:
    there = home("there")
    at = BuildContext(Launched(Path("/nowhere")), profile.runtime, "dev1", start=None)
    with pytest.raises(LaunchError, match="asked to build dev1"):
        finetune(at, there.base, there.corpus, sft(profile))


def written_job(at: BuildContext, there: Home, recipe: SftRecipe, folder: Path) -> Job:
    """The job that the launcher would write to have dev1 made."""
    (folder / "draft").mkdir()
    draft = Draft("dev1", folder / "draft", folder / "scratch", Observer())
    given = {"base": there.base, "corpus": there.corpus, "recipe": recipe}
    spec = finetune.spec(at, **given)
    return job_of(Call(finetune.function, given, finetune.work), fingerprint(spec.payload()), folder, at.runtime, draft)


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("2,3", "2"), ("GPU-5f,GPU-6a", "GPU-5f")])
def test_a_subprocess_that_trains_sees_the_first_gpu_alone(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    mask_devices(Torchrun(processes=2, sharding="ddp"), "training")
    mask_devices(Subprocess(), "inference")
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    mask_devices(Subprocess(), "training")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == after


def test_ranks_read_no_byte_of_their_inputs_to_verify_them_again(
    home: Homes, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = home("there")
    job = written_job(there.at("dev1", Subprocess()), there, sft(profile), tmp_path)
    read = []
    monkeypatch.setattr(manifest, "sha256_of", read.append)
    _, arguments = Job.model_validate_json(job.model_dump_json()).resolved()
    assert arguments["base"].digest == there.base.digest
    assert read == []
