"""Laws of launchers: the same verb makes the same bytes wherever it runs, is heard meanwhile, and fails as itself."""

import sys
from pathlib import Path
from typing import Any

import pytest
from launched import Heard, Homes, sft

from r1_pipeline.artifacts.store import Spec
from r1_pipeline.errors import RecipeError
from r1_pipeline.launchers import AnyLauncher, Inline, RayTrain, Subprocess, Torchrun
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import Runtime, fingerprint
from r1_pipeline.runtime.jobs import Job
from r1_pipeline.runtime.launch import command
from r1_pipeline.runtime.workshop import Workshop
from r1_pipeline.stages import finetune


def test_a_subprocess_makes_the_same_bytes_and_is_heard(home: Homes, profile: Profile) -> None:
    here, there, heard = home("here"), home("there"), Heard()
    inline = finetune(here.at("dev1", Inline()), here.base, here.corpus, sft(profile))
    launched = finetune(there.at("dev1", Subprocess(), heard), there.base, there.corpus, sft(profile))
    assert launched.manifest.fingerprint == inline.manifest.fingerprint
    assert launched.digest == inline.digest
    assert launched.statistics == inline.statistics
    assert heard.steps == [1, 2, 3, 4, 5, 6]
    assert heard.losses == [row["loss"] for row in launched.metrics()]


def test_an_error_in_a_subprocess_is_raised_as_the_error_that_it_was(home: Homes, profile: Profile) -> None:
    there = home("there")
    with pytest.raises(RecipeError, match="max_tokens is 3; raise it") as caught:
        finetune(there.at("dev1", Subprocess()), there.base, there.corpus, sft(profile, max_tokens=3))
    assert "in tokenized" in str(caught.value.__cause__)


def job(launcher: AnyLauncher, ranks: int) -> Job:
    runtime = Runtime(launcher=launcher)
    return Job(
        verb="r1_pipeline.stages:finetune",
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
    made = {}

    class Asked(Exception): ...

    class Asking:
        home = Path("/nowhere")

        def build(self, kind: Any, spec: Spec, make: Any) -> Any:
            made[spec.name] = fingerprint(spec.payload())
            raise Asked

    for name, launcher in (("one", Inline()), ("many", Torchrun(processes=4, sharding="fsdp2"))):
        at = Workshop(Asking(), profile.runtime.model_copy(update={"launcher": launcher}), name)
        with pytest.raises(Asked):
            finetune(at, there.base, there.corpus, sft(profile))
    assert made["one"] == made["many"]
