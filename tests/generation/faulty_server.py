"""A real HTTP server that replies like OpenAI's, or fails in a way that a test chooses."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["busy", "broken", "silent", "cut", "half", "refused"]
STATUS = {"busy": 429, "broken": 500, "refused": 401}


@dataclass
class Script:
    """The script of the server's behaviour, and the record of what it received."""

    faults: list[Fault] = field(default_factory=list)
    """The faults of the first requests, one each; later requests succeed."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    without_ids: bool = False
    """The server ignores `return_token_ids` if true."""
    linger_s: float = 0.0
    """The seconds that a reply takes."""
    busiest: int = 0
    """The largest number of simultaneous requests so far."""
    under_way: int = 0
    replies: Callable[[str], str] = lambda prompt: prompt.split()[-1]
    """The reply to a message, by default its last word."""
    models: dict[str, int | None] = field(default_factory=dict)
    """The models that the server lists, with the context that it states."""
    reports: Callable[[int], str] | None = None
    """The model that the n-th reply reports, from 1; None: none."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def said(body: dict[str, Any], script: Script) -> dict[str, Any]:
    """Returns the body of the script's reply to a message; to tokens, the last of them and the end of sequence (2)."""
    if "messages" in body:
        choice: dict[str, Any] = {"message": {"content": script.replies(body["messages"][0]["content"])}}
    else:
        ids = [body["prompt"][-1], 2]
        choice = {"text": "?", "logprobs": {"token_logprobs": [-0.5, -0.25]}}
        if not script.without_ids:
            choice["token_ids"] = ids
    return {
        **({"model": script.reports(len(script.asked))} if script.reports else {}),
        "choices": [{"finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """Yields the base URL of the server, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            listed = [{"id": name, "max_model_len": context} for name, context in script.models.items()]
            self._answer(None, json.dumps({"data": listed}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with script.lock:
                script.asked.append(body)
                script.keys.append(self.headers.get("Authorization"))
                fault = script.faults.pop(0) if script.faults else None
                script.under_way += 1
                script.busiest = max(script.busiest, script.under_way)
            time.sleep(script.linger_s)
            with script.lock:
                script.under_way -= 1
            self._answer(fault, json.dumps(said(body, script)).encode())

        def _answer(self, fault: Fault | None, whole: bytes) -> None:
            if fault == "silent":
                time.sleep(4.0)
                self.close_connection = True
                return
            status = STATUS.get(fault or "", 200)
            payload = whole if status == 200 else f"no, {self.headers.get('Authorization')}".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            if fault == "busy":
                self.send_header("Retry-After", "1")
            self.end_headers()
            if fault == "cut":
                self.wfile.write(payload[: len(payload) // 2])
                self.close_connection = True
            elif fault == "half":
                self.wfile.write(payload[: len(payload) // 2].ljust(len(payload)))
            else:
                self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
