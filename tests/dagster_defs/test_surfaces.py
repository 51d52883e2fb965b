"""Laws of the running user interfaces, which docs/quickstart.md starts.

`r1 ui` refuses on both addresses what the applications behind it would allow, keeps the token secret, and leaves no
process running.
"""

import json
import os
import signal
import socket
import stat
import time
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from processes import Surfaces, user_interface

pytestmark = pytest.mark.slow
LAUNCH = json.dumps({"query": 'mutation { freeConcurrencySlots(runId: "x") }'})
MAKE = json.dumps({"name": "made-by-an-attacker"})
CREATE = "/api/2.0/mlflow/experiments/create"


def ask(address: str, method: str, path: str, body: str | None = None, **headers: str) -> int:
    """Returns the status of a request with the given headers (`_` for `-`), by a client that adds only the host."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=600)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    status = connection.getresponse().status
    connection.close()
    return status


def refuse_attacks(surfaces: Surfaces) -> None:
    known = {"authorization": f"Bearer {surfaces.token}", "content_type": "application/json"}
    for address, path, body in ((surfaces.dagster, "/graphql", LAUNCH), (surfaces.mlflow, CREATE, MAKE)):
        assert ask(address, "POST", path, body, content_type="application/json") == 401
        assert ask(address, "POST", path, body, **known, host="evil.example") in (400, 403)
        assert ask(address, "POST", path, body, **known, origin="http://localhost:8888") == 403
        assert ask(address, "POST", path, body, **known, sec_fetch_site="same-site") == 403
        assert ask(address, "POST", path, body, **known | {"content_type": "text/plain"}) == 415
        assert ask(address, "POST", path, body, **known) == 200
        assert ask(address, "GET", "/") == 401
        assert ask(address, "GET", "/", authorization=known["authorization"]) == 200
    assert ask(surfaces.dagster, "GET", "/graphql?query=mutation%20%7Bx%7D", **known) == 405
    assert ask(surfaces.dagster, "GET", "/logs/..%2f..%2fmlflow.db", **known) == 400
    assert ask(surfaces.mlflow, "OPTIONS", CREATE, origin="http://localhost:8888") == 403


def refuse_other_names(surfaces: Surfaces) -> None:
    """Asserts that other names are refused by a server that listens on all addresses and prints one that others can
    reach.
    """
    bearer = f"Bearer {surfaces.token}"
    for address in (surfaces.dagster, surfaces.mlflow):
        port = address.rpartition(":")[2]
        for name in ("127.0.0.1", "localhost", socket.gethostname().lower()):
            assert ask(address, "GET", "/", authorization=bearer, host=f"{name}:{port}") == 200
        for host in (f"0.0.0.0:{port}", f"rebound.example:{port}", f"203.0.113.9:{port}", "localhost", "127.0.0.1:1"):
            forged = {"x_forwarded_host": f"localhost:{port}", "x_real_ip": "127.0.0.1"}
            assert ask(address, "GET", "/", authorization=bearer, host=host, **forged) == 403


def test_attacks_are_refused_secrets_are_kept_and_nothing_is_left_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with user_interface(home) as surfaces:
        refuse_attacks(surfaces)
        started = psutil.Process(surfaces.process.pid).children(recursive=True)
        assert not [each for each in started if surfaces.token in " ".join(each.cmdline())]
        (code,) = {part for each in started for part in each.cmdline() if part.endswith("/code")}
        assert stat.S_IMODE(Path(code).parent.stat().st_mode) == 0o700
    assert not [each for each in started if alive(each)]
    with user_interface(tmp_path / "open", "--host", "0.0.0.0") as surfaces:
        refuse_attacks(surfaces)
        refuse_other_names(surfaces)
        started = psutil.Process(surfaces.process.pid).children(recursive=True)
        os.kill(surfaces.process.pid, signal.SIGKILL)
        for _ in range(600):
            if not any(alive(each) for each in started):
                break
            time.sleep(0.1)
        assert not [each for each in started if alive(each)]


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
