"""Where a verb works, and the two halves of every verb.

    @verb("training")
    def finetune(context, base, corpus, recipe) -> Build: ...

A verb's function states a `Build`: the recipe, inputs and tool versions that enter the fingerprint, and the maker that
does the work. Stating it touches no model, no sandbox and no device, so `finetune.spec(context, …)` answers "what would
be made?" at once; `finetune(context, …)` has it made, in this process or by the processes that `Runtime.launcher`
names.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, get_type_hints

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.lineage.cards import write_data_card
from r1_pipeline.recipe import Recipe, Runtime, fingerprint
from r1_pipeline.rewards.reference_checks import require_programs
from r1_pipeline.rewards.sandbox.self_test import self_test
from r1_pipeline.runtime.jobs import Call, Work, job_of
from r1_pipeline.runtime.launch import Start, StartHere, launch
from r1_pipeline.settings.launchers import Inline

A = TypeVar("A", bound=Artifact)
P = ParamSpec("P")


class Builder(Protocol):
    """The part of a store that a build context needs."""

    home: Path

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], BuildResult]) -> A: ...


@dataclass(frozen=True)
class BuildContext:
    """Where a verb works, and under which name its artifact will stand."""

    store: Builder
    runtime: Runtime
    name: str
    """Asset key, partition after a slash."""
    start: Start | None = field(default_factory=StartHere)
    """How the launcher's processes are started; None in such a process, which makes everything itself."""


@dataclass(frozen=True)
class Build(Generic[A]):
    """One artifact to be made: what enters its fingerprint, and how it is made."""

    kind: type[A]
    recipe: Recipe
    inputs: Mapping[str, Artifact]
    """Edge name -> artifact."""
    make: Callable[[Draft], BuildResult]
    """Fills the draft; called only where the artifact does not exist yet."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Engine identity and verifier versions, where used."""


@dataclass(frozen=True)
class Verb(Generic[P, A]):
    """A kind of work: artifacts and a recipe in, one artifact out."""

    name: str
    function: Callable[Concatenate[BuildContext, P], Build[A]]
    work: Work
    """What it does: trains a model, only uses one, or needs none. Launchers and device pools go by it."""
    versions: Mapping[str, int]
    """By verb; read when a spec is made."""
    kind: type[A]
    """What it makes."""
    recipe: Any
    """Type of its parameter `recipe`, as annotated; None where it has no such parameter."""

    @property
    def version(self) -> int:
        """Bumped by hand when the verb's code changes its bytes."""
        return self.versions[self.name]

    def build(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> Build[A]:
        """States what would be made, and makes nothing."""
        return self.function(context, *args, **kwargs)

    def spec(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> Spec:
        """What would enter the fingerprint of the artifact; makes nothing."""
        return self.spec_of(context, self.build(context, *args, **kwargs))

    def spec_of(self, context: BuildContext, build: Build[A]) -> Spec:
        """The spec of a build of this verb."""
        return Spec(context.name, self.name, self.version, build.recipe, build.inputs, build.tool_versions)

    def __call__(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> A:
        """Makes the artifact, or opens it where it exists; raises like `Store.build`.

        Raises `NoSandboxError` where programs count and this machine can no longer run those of the home.
        """
        build = self.build(context, *args, **kwargs)
        spec = self.spec_of(context, build)
        if "verifier.code" in spec.tool_versions:
            require_programs(context.store.home)

        def here(draft: Draft) -> BuildResult:
            return self.fill(build, spec, draft)

        def elsewhere(start: Start) -> Callable[[Draft], BuildResult]:
            given = dict(inspect.signature(self.function).bind(context, *args, **kwargs).arguments)
            del given[next(iter(given))]
            call, fp = Call(self.function, given, self.work), fingerprint(spec.payload())
            return lambda draft: launch(
                job_of(call, fp, context.store.home, context.runtime, draft), start, draft.observer
            )

        launched = context.start if self.work != "data" and not isinstance(context.runtime.launcher, Inline) else None
        return context.store.build(build.kind, spec, elsewhere(launched) if launched else here)

    def fill(self, build: Build[A], spec: Spec, draft: Draft) -> BuildResult:
        """Makes the artifact's files in this process, and its data card where it has rows."""
        facts = build.make(draft)
        if build.kind.rows:
            write_data_card(draft.path, build.kind, spec, facts)
        tested = self_test().model_dump(mode="json") if "verifier.code" in spec.tool_versions else None
        return replace(facts, sandbox=tested)


class Verbs:
    """The decorator of verbs; versions are read when a verb is used."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        self._versions = versions

    def __call__(self, work: Work) -> Callable[[Callable[Concatenate[BuildContext, P], Build[A]]], Verb[P, A]]:
        def decorate(function: Callable[Concatenate[BuildContext, P], Build[A]]) -> Verb[P, A]:
            hints = get_type_hints(function)
            kind = hints["return"].__args__[0]
            made = Verb(function.__name__, function, work, self._versions, kind, hints.get("recipe"))
            object.__setattr__(made, "__doc__", function.__doc__)
            return made

        return decorate
