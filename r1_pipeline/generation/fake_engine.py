"""The fake engine has no model and replies with what a function returns, for tests."""

from collections.abc import Callable, Mapping, Sequence

from r1_pipeline.data.templates import up_to
from r1_pipeline.generation.engine import Progress
from r1_pipeline.records import Completion, Request, Sampling


class FakeEngine:
    """An engine that replies to each request with `replies(request)`: one token for each character, up to a stop
    string or `max_tokens`."""

    identity = "fake"

    def __init__(self, replies: Callable[[Request], str]) -> None:
        self._replies = replies

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order."""
        completions = [self._complete(request, sampling) for request in requests]
        if progress:
            progress(len(completions), len(completions))
        return completions

    def usage(self) -> Mapping[str, float]:
        """Returns nothing: the fake engine charges nothing."""
        return {}

    def _complete(self, request: Request, sampling: Sampling) -> Completion:
        whole = up_to(self._replies(request), sampling.stop)
        text = whole[: sampling.max_tokens]
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=text,
            token_ids=tuple(map(ord, text)),
            finish_reason="stop" if text == whole else "length",
            engine=self.identity,
        )
