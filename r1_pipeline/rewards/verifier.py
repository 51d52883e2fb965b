"""The `Verifier` protocol, and the `Grader` that sends each problem to its own verifier or to its domain's.

A verifier sees only the final part of a reply and explains its `Verdict` in a detail; weights and rewards belong to
`rubric`. The grader adds what all domains share: truncated replies and replies without an answer, a cache, threads, and
closing. The grader's own failures (`grader_error`) are never cached; stored verdicts are in artifacts, whose
fingerprints contain the verifiers' versions. The grader works inside TRL's process and from any thread; children are
separate interpreters (`workers`). Not covered: format, language and preference, which are rewards but not verdicts, and
the list of verifiers (`graders`).
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

from r1_pipeline.data.templates import ANSWER_OPEN, TemplateName, split_reply, summarize
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import UNSCORED, Completion, Domain, Outcome, Problem, Verdict
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.reference_answers import own_answer

_CACHE_CHARACTERS = 60_000_000
"""The capacity of the cache in characters, about 100 MB; a full cache is cleared."""
_ENTRY = 1_000
"""The overhead of a cache entry, in characters."""
_SPARE = 16
"""The number of threads for replies that need no child process, so that they do not wait for those that do."""


MODEL_JUDGES = ("judge", "reward_model")
"""Names that sign the verdict of a model, which a grader cannot repeat; `lineage.judgements` replays it."""


class Verifier(Protocol):
    """The interface of a verifier, which judges answers; `judge` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The verifier's name, short and stable."""
        ...

    @property
    def version(self) -> str:
        """The version, which changes whenever a verdict can change: rules, limits, parser stack."""
        ...

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the final part of a reply; it never raises because of a reply's text."""
        ...

    def close(self) -> None:
        """Releases resources, such as child processes."""
        ...


def verdict(verifier: Verifier, outcome: Outcome, detail: str, extracted: str | None = None) -> Verdict:
    """Returns a verdict on the `extracted` answer, with the score of its outcome, signed by its verifier."""
    score = None if outcome in UNSCORED else float(outcome is Outcome.CORRECT)
    signed = f"{verifier.name}@{verifier.version}"
    return Verdict(outcome=outcome, score=score, extracted=extracted, detail=detail, verifier=signed)


def template_of(text: str) -> TemplateName:
    """Returns the template of a reply from an unknown source: `zero` if it has answer tags, else `chat`."""
    return "zero" if ANSWER_OPEN in text else "chat"


class Grader:
    """Grades completions with the verifier of each problem; as a context manager it closes its verifiers."""

    def __init__(
        self,
        verifiers: Mapping[Domain, Verifier],
        runtime: Runtime | None = None,
        rule: Rule = "strict",
        named: Mapping[str, Callable[[Runtime, Rule], Verifier]] | None = None,
    ) -> None:
        """Takes the verifiers by domain, and constructors of verifiers that problems name themselves (`named`)."""
        self.rule: Rule = rule
        """The extraction rule of its verifiers; `generation.grade_completions` opens graders with it on a cluster."""
        self.runtime = runtime or Runtime()
        """The runtime whose `threads` judge in parallel; `generation.grade_completions` uses its cluster if any."""
        self._verifiers = dict(verifiers)
        self._openers = dict(named or {})
        self._named: dict[str, Verifier] = {}
        self._cache: dict[tuple[Problem, str], Verdict] = {}
        self._cached = 0
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all verifiers, and with them their child processes."""
        for verifier in (*self._verifiers.values(), *self._named.values()):
            verifier.close()

    @property
    def identity(self) -> dict[str, str]:
        """The `name@version` of each domain's verifier; part of every fingerprint that depends on verdicts."""
        return {domain: f"{verifier.name}@{verifier.version}" for domain, verifier in self._verifiers.items()}

    def identity_of(self, name: str) -> str:
        """Returns `name@version` of the verifier with this name; `UnknownNameError` if there is none."""
        verifier = self.named(name)
        return f"{verifier.name}@{verifier.version}"

    def verifier(self, domain: Domain) -> Verifier:
        """Returns the verifier of a domain; raises `UnknownNameError` if there is none."""
        if domain not in self._verifiers:
            raise UnknownNameError("domain of this grader", domain, self._verifiers)
        return self._verifiers[domain]

    def verifier_of(self, problem: Problem) -> Verifier:
        """Returns the verifier that a problem names, or its domain's; raises `UnknownNameError` if there is none."""
        return self.verifier(problem.domain) if problem.verifier is None else self.named(problem.verifier)

    def named(self, name: str) -> Verifier:
        """Returns the verifier of this name, opened on first use; raises `UnknownNameError` if there is none."""
        if name not in self._openers:
            raise UnknownNameError("verifier", name, self._openers)
        with self._lock:
            if name not in self._named:
                self._named[name] = self._openers[name](self.runtime, self.rule)
            return self._named[name]

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Returns the verdict, possibly cached, on the final part of a reply; raises as `verifier_of` does."""
        judged = self._cache.get((problem, final))
        if judged is None:
            judged = self.verifier_of(problem).judge(problem, final)
            if judged.outcome is not Outcome.GRADER_ERROR:
                self._remember(problem, final, judged)
        return judged

    def _remember(self, problem: Problem, final: str, judged: Verdict) -> None:
        tests = sum(len(test.given) + len(test.expected) for test in problem.tests)
        weight = _ENTRY + tests + 2 * len(final)
        with self._lock:
            if self._cached + weight > _CACHE_CHARACTERS:
                self._cache.clear()
                self._cached = 0
            self._cache[problem, final] = judged
            self._cached += weight

    def grade(self, problem: Problem, completion: Completion, template: TemplateName) -> Verdict:
        """Judges a whole completion; one that was cut off is `truncated`, even if it contains an answer."""
        verifier = self.verifier_of(problem)
        if completion.finish_reason == "length":
            return self._without_reference(problem) or verdict(
                verifier, Outcome.TRUNCATED, f"cut off after {len(completion.token_ids)} tokens"
            )
        return self.judge_reply(problem, completion.text, template)

    def judge_reply(self, problem: Problem, text: str, template: TemplateName) -> Verdict:
        """Judges the whole text of a finished reply; without a final part it is `malformed`."""
        final = split_reply(template, text).final
        if not final:
            verifier = self.verifier_of(problem)
            malformed = verdict(verifier, Outcome.MALFORMED, "no final answer, or several that differ")
            return self._without_reference(problem) or malformed
        return self.judge(problem, final)

    def _without_reference(self, problem: Problem) -> Verdict | None:
        """Returns the verdict on any reply to a problem without a reference or tests; else None."""
        if problem.answer is not None or problem.tests:
            return None
        found = self.judge(problem, "")
        return found if found.outcome is Outcome.UNREFERENCED else None

    def grade_all(self, pairs: Iterable[tuple[Problem, Completion]], template: TemplateName) -> list[Verdict]:
        """Judges each pair as `grade` does and returns the verdicts in order; equal pairs are judged only once.

        `runtime.threads` children judge in parallel, and further threads serve replies that need no child.
        """
        rows = list(pairs)
        keys = [(problem, completion.text, completion.finish_reason) for problem, completion in rows]
        first = dict(zip(keys, rows, strict=True))
        with ThreadPoolExecutor(self.runtime.threads + _SPARE) as threads:
            verdicts = threads.map(lambda row: self.grade(row[0], row[1], template), first.values())
            judged = dict(zip(first, verdicts, strict=True))
        return [judged[key] for key in keys]


def reference_verdict(grader: Grader, problem: Problem) -> Verdict:
    """Judges a problem's own reference answer (for code: program); curation drops a problem if it is not `correct`."""
    if problem.answer is None:
        return verdict(grader.verifier_of(problem), Outcome.UNGRADABLE, "the problem carries no reference")
    return grader.judge(problem, summarize(problem.domain, own_answer(problem)))
