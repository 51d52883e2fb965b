"""Where a verb works, and how its call can be made elsewhere.

A verb asks its workshop to build one artifact. The workshop has it made here, or by the processes that
`Runtime.launcher` names: they make the same call (`runtime.rank`), so that no verb is written twice.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.store import Facts, Spec
from r1_pipeline.launchers import Inline
from r1_pipeline.lineage.cards import write_data_card
from r1_pipeline.recipe import Recipe, Runtime, fingerprint
from r1_pipeline.rewards.sandbox.self_test import self_test
from r1_pipeline.runtime.jobs import Call, Work, job_of
from r1_pipeline.runtime.launch import Start, StartHere, launch

A = TypeVar("A", bound=Artifact)
P = ParamSpec("P")


class Builder(Protocol):
    """The part of a store that a workshop needs."""

    home: Path

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], Facts]) -> A: ...


@dataclass(frozen=True)
class Workshop:
    """Where a verb works, and under which name its artifact will stand."""

    store: Builder
    runtime: Runtime
    name: str
    """Asset key, partition after a slash."""
    start: Start | None = field(default_factory=StartHere)
    """How the launcher's processes are started; None in such a process, which makes everything itself."""
    call: Call | None = None
    """What the verb was called with."""

    def build(
        self,
        kind: type[A],
        recipe: Recipe,
        inputs: Mapping[str, Artifact],
        make: Callable[[Draft], Facts],
        uses: Mapping[str, str] | None = None,
    ) -> A:
        """Reuse or make the artifact that the verb yields from `recipe` and `inputs`."""
        assert self.call is not None, "a function that builds must be marked as a verb"
        spec = Spec(self.name, self.call.verb.__name__, self.call.version, recipe, inputs, uses or {})

        def here(draft: Draft) -> Facts:
            facts = make(draft)
            if kind.rows:
                write_data_card(draft.path, kind, spec, facts)
            tested = self_test().model_dump(mode="json") if "verifier.code" in spec.uses else None
            return replace(facts, sandbox=tested)

        return self.store.build(kind, spec, self._elsewhere(spec) or here)

    def _elsewhere(self, spec: Spec) -> Callable[[Draft], Facts] | None:
        """Has the call made by the launcher's processes; None where this process is to make it."""
        start, call = self.start, self.call
        if start is None or call is None or call.work == "data" or isinstance(self.runtime.launcher, Inline):
            return None
        print_ = fingerprint(spec.payload())
        return lambda draft: launch(job_of(call, print_, self.store.home, self.runtime, draft), start, draft.observer)


class Verbs:
    """The decorator of verbs: what one was called with is kept in its workshop.

    `@verb("training")` says what the verb does, and so where launchers run it; versions are read when it is called.
    """

    def __init__(self, versions: Mapping[str, int]) -> None:
        self._versions = versions

    def __call__(
        self, work: Work
    ) -> Callable[[Callable[Concatenate[Workshop, P], A]], Callable[Concatenate[Workshop, P], A]]:
        def decorate(verb: Callable[Concatenate[Workshop, P], A]) -> Callable[Concatenate[Workshop, P], A]:
            parameters = inspect.signature(verb)

            @wraps(verb)
            def called(at: Workshop, /, *args: P.args, **kwargs: P.kwargs) -> A:
                given = dict(parameters.bind(at, *args, **kwargs).arguments)
                del given[next(iter(parameters.parameters))]
                return verb(replace(at, call=Call(called, given, work, self._versions[verb.__name__])), *args, **kwargs)

            return called

        return decorate
