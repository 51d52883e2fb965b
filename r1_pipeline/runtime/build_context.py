"""Build contexts and verbs: every verb first states a build, then makes it.

    @verb("training")
    def finetune(context, base, corpus, recipe) -> Build: ...

A verb's function states a `Build`: the recipe, inputs and tool versions that enter the fingerprint, and the function
that does the work. Stating it uses no model, sandbox or device, so `finetune.spec(context, …)` immediately returns what
would be made; `finetune(context, …)` makes it, in this process or in the processes of `Runtime.launcher`.
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
    """The store and runtime that a verb works with, and the name of its artifact."""

    store: Builder
    runtime: Runtime
    name: str
    """Asset key, with the partition after a slash."""
    start: Start | None = field(default_factory=StartHere)
    """Function that starts the launcher's processes; None in such a process, which computes everything itself."""


@dataclass(frozen=True)
class Build(Generic[A]):
    """A statement of one artifact: the values that enter its fingerprint, and the function that makes it."""

    kind: type[A]
    recipe: Recipe
    inputs: Mapping[str, Artifact]
    """Edge -> input artifact."""
    make: Callable[[Draft], BuildResult]
    """Function that fills the draft; called only if the artifact does not exist yet."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Identity of the engine and versions of the verifiers that are used."""


@dataclass(frozen=True)
class Verb(Generic[P, A]):
    """A kind of work that turns artifacts and a recipe into one artifact."""

    name: str
    function: Callable[Concatenate[BuildContext, P], Build[A]]
    work: Work
    """Use of a model: it trains one, only uses one, or needs none; launchers and device pools depend on it."""
    versions: Mapping[str, int]
    """Verb -> version; read when a spec is made."""
    kind: type[A]
    """Kind of artifact that it makes."""
    recipe: Any
    """Annotated type of its parameter `recipe`; None if it has no such parameter."""

    @property
    def version(self) -> int:
        """Version of the verb, bumped by hand when a change of its code changes the result's bytes."""
        return self.versions[self.name]

    def build(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> Build[A]:
        """States the build of an artifact without making it."""
        return self.function(context, *args, **kwargs)

    def spec(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> Spec:
        """Returns everything that enters the artifact's fingerprint, without making the artifact."""
        return self.spec_of(context, self.build(context, *args, **kwargs))

    def spec_of(self, context: BuildContext, build: Build[A]) -> Spec:
        """Returns the spec of a build of this verb."""
        return Spec(context.name, self.name, self.version, build.recipe, build.inputs, build.tool_versions)

    def __call__(self, context: BuildContext, *args: P.args, **kwargs: P.kwargs) -> A:
        """Makes the artifact, or opens it if it exists; raises like `Store.build`.

        Raises `NoSandboxError` if programs are graded and this machine can no longer run the home's sandbox.
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
        """Makes the artifact's files in this process, and a data card if it has rows."""
        facts = build.make(draft)
        if build.kind.rows:
            write_data_card(draft.path, build.kind, spec, facts)
        tested = self_test().model_dump(mode="json") if "verifier.code" in spec.tool_versions else None
        return replace(facts, sandbox=tested)


class Verbs:
    """Decorator of verbs, which reads versions when a verb is used."""

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
