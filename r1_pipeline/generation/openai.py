"""The OpenAI engine samples from any server with OpenAI's protocol, over plain HTTP.

    a checkpoint of the graph   `/completions`, prompts and replies as token ids of its own tokenizer; the server must
                                serve it under its digest (`served_name`), so that other weights cannot answer
    any other model             `/chat/completions`, as text; token ids are unknown and left empty

The model that a server reports in its replies must stay the same: another one stops the run, with both names.
A request that fails for a transient reason (busy, broken, cut off, silent) is sent again after a while. Every reply is
kept in SQLite under the hash of its request, so an interrupted run does not pay twice. The API key is read from the
environment when it is sent and is in no setting, message or file.
Not covered: streaming, tools, more than one choice a request.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from r1_pipeline.data.templates import up_to
from r1_pipeline.engines import OpenAi
from r1_pipeline.errors import EngineError, UnreachableError
from r1_pipeline.generation.engine import Progress
from r1_pipeline.generation.stopping import up_to_stop
from r1_pipeline.generation.tokens import asked_prompts, end_tokens, load_tokenizer
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Completion, FinishReason, Request, Sampling
from r1_pipeline.rewards.format_check import whole_reply
from r1_pipeline.settings.engines import OpenAiSettings

if TYPE_CHECKING:
    import httpx

TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""The transient statuses: a later attempt may succeed."""
LONGEST_WAIT_S = 60.0


class _Logprobs(BaseModel):
    token_logprobs: tuple[float, ...]


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    finish_reason: FinishReason
    text: str | None = None
    message: _Message | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class Answer(BaseModel):
    """The part of a server's reply that is used and kept."""

    choices: list[_Choice] = Field(min_length=1, max_length=1)
    usage: _Usage
    model: str | None = None
    """The model that answered, as the server reports it."""


def engine_identity(spec: OpenAi) -> str:
    """Returns the identity of what the server runs, as the recipe declares it."""
    return f"openai/{spec.runs}"


def served_name(digest: str) -> str:
    """Returns the name under which a server must serve a checkpoint of the graph."""
    return f"r1-{digest[:16]}"


def served_context(settings: OpenAiSettings, model: str) -> int | None:
    """Returns the context in tokens that a server states for a model; None if it states none, as most do.

    Raises `UnreachableError` for a server that does not answer, `EngineError` for one that does not serve the model.
    """
    import httpx

    key, url = require_key(settings), settings.base_url.rstrip("/") + "/models"
    try:
        answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=30.0)
        answer.raise_for_status()
        served = {str(each["id"]): each.get("max_model_len") for each in answer.json()["data"]}
    except httpx.HTTPError as error:
        raise UnreachableError(f"{url} does not answer ({type(error).__name__}); start it, or correct it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{url} lists no models as OpenAI's protocol does ({error!r}); correct the URL") from error
    if model not in served:
        raise EngineError(f"{settings.base_url} does not serve {model!r}; it serves {', '.join(sorted(served))}")
    context = served[model]
    return int(context) if context else None


class OpenAiEngine:
    """An engine that samples `model` on a server; with `tokenizer` it is a checkpoint of the graph, else any other
    model."""

    def __init__(self, spec: OpenAi, settings: OpenAiSettings, model: str, tokenizer: Path | None, cache: Path) -> None:
        self.identity = engine_identity(spec)
        self._settings, self._model = settings, model
        self._tokenizer = load_tokenizer(tokenizer) if tokenizer else None
        self._ends = end_tokens(tokenizer, self._tokenizer) if tokenizer and self._tokenizer else ()
        self._cache = _Cache(cache)
        self._key = require_key(settings)
        self._lock = threading.Lock()
        self._usage = _nothing()
        self._answering: str | None = None

    @property
    def answered_by(self) -> str | None:
        """The model that the server has reported in its replies so far; None if it reports none."""
        return self._answering

    def usage(self) -> Mapping[str, float]:
        """Returns requests, cache hits, failed attempts, tokens and US dollars since the last call."""
        with self._lock:
            usage, self._usage = self._usage, _nothing()
        return usage

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order; raises `EngineError` when a request has failed for good.

        Replies received by then are in the cache.
        """
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self._settings.concurrency)
        done: list[Completion] = []
        with (
            httpx.Client(headers=headers, timeout=self._settings.timeout_s, limits=limits) as client,
            ThreadPoolExecutor(self._settings.concurrency) as pool,
        ):
            for completion in pool.map(lambda request: self._complete(client, request, sampling), requests):
                done.append(completion)
                if progress:
                    progress(len(done), len(requests))
        return done

    def _complete(self, client: "httpx.Client", request: Request, sampling: Sampling) -> Completion:
        path, body = self._path_and_body(request, sampling)
        url = self._settings.base_url.rstrip("/") + path
        key = fingerprint({"url": url, **body})
        known = self._cache.get(key)
        self._count(requests=1, cached=int(known is not None))
        answer = known or self._send(client, url, body)
        self._require_same(answer.model)
        if known is None:
            self._cache.put(key, answer)
            self._count_cost(answer.usage)
        return self._completion(request, answer.choices[0], sampling.stop)

    def _require_same(self, model: str | None) -> None:
        """Raises `EngineError` if the server reports another model than in its earlier replies."""
        with self._lock:
            before = self._answering = self._answering or model
        if model is not None and model != before:
            raise EngineError(
                f"{self._settings.base_url} answered for {self._model!r} as {before!r}, and now as {model!r}; serve "
                f"{before!r} again, or change the seed in the recipe so that {model!r} answers everything"
            )

    def _path_and_body(self, request: Request, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        """Returns the path and the body of a request."""
        body = {"model": self._model, "seed": request.seed, **sampling.model_dump()}
        if self._tokenizer is None:
            return "/chat/completions", {**body, "messages": [{"role": "user", "content": request.prompt}]}
        prompt = asked_prompts([request], self._tokenizer)[1][0]
        if sampling.stop:
            body["include_stop_str_in_output"] = True
        if len(self._ends) > 1:  # a server knows the first by itself
            body["stop_token_ids"] = list(self._ends)
        return "/completions", {**body, "prompt": prompt, "logprobs": 0, "return_token_ids": True}

    def _send(self, client: "httpx.Client", url: str, body: Mapping[str, Any]) -> Answer:
        """Sends a request until it succeeds.

        Raises `EngineError` if the server refuses it, `UnreachableError` after the last attempt, each with the failure.
        """
        import httpx

        for attempt in range(1, self._settings.attempts + 1):
            wait = min(0.5 * 2 ** (attempt - 1), LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
            try:
                response = client.post(url, json=body)
                if response.is_success:
                    return Answer.model_validate_json(response.content)
                failure = f"status {response.status_code}: {response.text[:200]}"
                if response.status_code not in TRANSIENT:
                    raise EngineError(self._hidden(f"{url} refused a request with {failure}; correct the settings"))
                wait = max(wait, _retry_after_s(response))
            except httpx.TransportError as error:
                failure = f"{type(error).__name__}: {error}"
            except ValidationError as error:
                failure = f"an incomplete reply: {error.errors()[0]['loc']} {error.errors()[0]['msg']}"
            if attempt < self._settings.attempts:
                self._count(failed=1)
                time.sleep(wait)
        raise UnreachableError(
            self._hidden(
                f"{url} did not answer a request in {self._settings.attempts} attempts, the last with {failure}; "
                "check the server and run again; its replies so far are kept"
            )
        )

    def _completion(self, request: Request, choice: _Choice, stops: Sequence[str]) -> Completion:
        ids: tuple[int, ...] = choice.token_ids or ()
        finish, scores = choice.finish_reason, choice.logprobs.token_logprobs if choice.logprobs else None
        if self._tokenizer is None:
            text = choice.message.content if choice.message else ""
        elif choice.token_ids is None:
            raise EngineError(
                f"{self._settings.base_url} does not return token ids, which samples of a checkpoint need; "
                "serve it with vLLM"
            )
        else:
            if stopped := up_to_stop(self._tokenizer, ids, stops):
                ids, finish = tuple(stopped), "stop"
            ended = finish == "stop" and bool(ids) and ids[-1] in self._ends
            text = up_to(self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True), stops)
            text = whole_reply(asked_prompts([request], self._tokenizer)[0][0], text)
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=text,
            token_ids=ids,
            finish_reason=finish,
            engine=self.identity,
            logprobs=scores[: len(ids)] if scores else None,
        )

    def _count_cost(self, usage: _Usage) -> None:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        usd = (
            prompt * self._settings.usd_per_million_prompt_tokens
            + completion * self._settings.usd_per_million_completion_tokens
        ) / 1e6
        self._count(prompt_tokens=prompt, completion_tokens=completion, usd=usd)

    def _count(self, **more: float) -> None:
        with self._lock:
            for name, value in more.items():
                self._usage[name] += value

    def _hidden(self, message: str) -> str:
        """Returns the message without the key, in case a server has echoed it."""
        return message.replace(self._key, "…") if self._key else message


class _Cache:
    """A cache of replies by the hash of their requests, in SQLite; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as database, database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL)")

    def get(self, key: str) -> Answer | None:
        with closing(self._open()) as database:
            row = database.execute("SELECT answer FROM answers WHERE request = ?", (key,)).fetchone()
        return Answer.model_validate_json(row[0]) if row else None

    def put(self, key: str, answer: Answer) -> None:
        with closing(self._open()) as database, database:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, answer.model_dump_json()))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)


def require_key(settings: OpenAiSettings) -> str | None:
    """Returns the API key, None for a server without one; raises `EngineError` if its variable is not set."""
    if settings.key_variable is None:
        return None
    key = os.environ.get(settings.key_variable)  # noqa: TID251 - a secret must not travel through settings
    if not key:
        raise EngineError(f"the environment variable {settings.key_variable} is not set; put the API key there")
    return key


def _retry_after_s(response: "httpx.Response") -> float:
    """Returns the seconds of the header `Retry-After`, 0 without one or with a date; at most `LONGEST_WAIT_S`."""
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), LONGEST_WAIT_S) if seconds.isdecimal() else 0.0


def _nothing() -> dict[str, float]:
    return {"requests": 0, "cached": 0, "failed": 0, "prompt_tokens": 0, "completion_tokens": 0, "usd": 0.0}
