"""Laws of addresses: origins have the form that browsers send, and only this machine's own names are accepted."""

import socket
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dagster_defs.settings import Settings
from dagster_defs.web.addresses import Address, public_origin
from dagster_defs.web.ui import check_origins, server_commands
from dagster_defs.web.webserver import redirect_to_mlflow
from r1_pipeline.errors import R1Error

DAGSTER, MLFLOW = "https://r1.example.org", "https://mlflow.example.org"


class Interface(NamedTuple):
    family: int
    address: str


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two networks, named `node7`."""
    v4, v6 = socket.AF_INET, socket.AF_INET6
    interfaces = {
        "lo": [Interface(v4, "127.0.0.1"), Interface(v6, "::1"), Interface(psutil.AF_LINK, "00:00:00:00:00:00")],
        "eth0": [Interface(v4, "192.0.2.7"), Interface(v6, "2001:DB8::7"), Interface(v6, "fe80::7%eth0")],
        "eth1": [Interface(v4, "198.51.100.7")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    monkeypatch.setattr(socket, "gethostname", lambda: "Node7")


def settings(tracking: str = "sqlite:///x") -> Settings:
    return Settings(Path("home"), "smoke", 0, tracking_uri=tracking)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://r1.example.org", DAGSTER),
        ("https://R1.Example.ORG:443/", DAGSTER),
        ("http://r1.example.org:80", "http://r1.example.org"),
        ("https://r1.example.org:8443", "https://r1.example.org:8443"),
        ("http://[2001:DB8::7]:3000", "http://[2001:db8::7]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_public_origin_is_written_as_browsers_write_it(written: str, origin: str) -> None:
    assert public_origin(written) == origin


@pytest.mark.parametrize(
    "written",
    [
        "r1.example.org",
        "//r1.example.org",
        "ftp://r1.example.org",
        "https://",
        "null",
        "*",
        "https://*",
        "https://*.org",
        "https://r1.example.org/ui",
        "https://r1.example.org?",
        "https://r1.example.org#x",
        "https://u:p@r1.example.org",
        "https://a,https://b",
        "https://a b",
        "https://[::1",
        "https://r1.example.org:x",
    ],
)
def test_what_is_no_origin_is_refused(written: str) -> None:
    with pytest.raises(R1Error, match="is not an origin"):
        public_origin(written)


@pytest.mark.parametrize(
    ("host", "port", "origins"),
    [
        ("127.0.0.1", 3000, ["http://127.0.0.1:3000", "http://localhost:3000"]),
        ("::1", 3000, ["http://[::1]:3000", "http://localhost:3000"]),
        ("localhost", 3000, ["http://localhost:3000"]),
        ("127.0.0.1", 80, ["http://127.0.0.1", "http://localhost"]),
        ("192.0.2.7", 3000, ["http://192.0.2.7:3000"]),
        ("node7.example.org", 3000, ["http://node7.example.org:3000"]),
        (
            "0.0.0.0",
            3000,
            [
                "http://192.0.2.7:3000",
                "http://198.51.100.7:3000",
                "http://127.0.0.1:3000",
                "http://node7:3000",
                "http://localhost:3000",
            ],
        ),
        ("::", 3000, ["http://[2001:db8::7]:3000", "http://[::1]:3000", "http://node7:3000", "http://localhost:3000"]),
    ],
)
def test_a_server_is_called_by_what_it_listens_on(machine: None, host: str, port: int, origins: list[str]) -> None:
    assert list(Address(host, port).origins) == origins
    assert list(Address(host, port, DAGSTER).origins) == [DAGSTER, *origins]


def test_no_name_server_is_asked(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that an attacker binds to this machine's address is not among its own names."""

    def asked(*_: object) -> None:
        raise AssertionError("a name server can say anything")

    for name in ("getfqdn", "gethostbyaddr", "gethostbyname", "getaddrinfo", "getnameinfo"):
        monkeypatch.setattr(socket, name, asked)
    assert "http://node7:3000" in Address("0.0.0.0", 3000).origins


@pytest.mark.parametrize(
    ("host", "is_exposed"),
    [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.0.2.7", True),
        ("node7", True),
    ],
)
def test_more_than_this_machine_reaches_all_but_the_loopback_address(host: str, is_exposed: bool) -> None:
    assert Address(host, 3000).is_exposed is is_exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_server_answers_once_it_listens(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError as reason:
            pytest.skip(f"this machine has no {host}: {reason}")
        address = Address(host, server.getsockname()[1])
        assert not address.answers()
        server.listen()
        assert address.answers()


@pytest.mark.parametrize(
    ("dagster", "mlflow", "tracking"),
    [
        (DAGSTER, None, "sqlite:///x"),
        (None, MLFLOW, "sqlite:///x"),
        (DAGSTER, DAGSTER, "sqlite:///x"),
        (DAGSTER, MLFLOW, "https://tracking.example.org"),
        (None, MLFLOW, "https://tracking.example.org"),
    ],
)
def test_links_that_would_lead_nowhere_are_refused(dagster: str | None, mlflow: str | None, tracking: str) -> None:
    with pytest.raises(R1Error, match="--mlflow-origin"):
        check_origins(settings(tracking), Address("::1", 1, dagster), Address("::1", 2, mlflow))


@pytest.mark.parametrize(
    ("dagster", "mlflow", "tracking"),
    [
        (None, None, "sqlite:///x"),
        (DAGSTER, MLFLOW, "sqlite:///x"),
        (None, None, "https://tracking.example.org"),
        (DAGSTER, None, "https://tracking.example.org"),
    ],
)
def test_links_that_lead_somewhere_are_not(dagster: str | None, mlflow: str | None, tracking: str) -> None:
    check_origins(settings(tracking), Address("::1", 1, dagster), Address("::1", 2, mlflow))


def pages(tracking: str = "sqlite:///x") -> dict[str, str]:
    """Returns the address of MLflow's pages for each origin of Dagster's, as in the command of Dagster's server."""
    dagster, mlflow = Address("0.0.0.0", 3000, DAGSTER), Address("0.0.0.0", 5000, MLFLOW)
    started = server_commands(settings(tracking), dagster, mlflow, Path("code"), Path("workspace"))
    origins, ends = started["Dagster web"][3], started["Dagster web"][-1]
    return dict(zip(origins.split(","), ends.split(","), strict=True))


@pytest.mark.parametrize(
    ("dagster", "mlflow"),
    [
        (DAGSTER, MLFLOW),
        ("http://192.0.2.7:3000", "http://192.0.2.7:5000"),
        ("http://localhost:3000", "http://localhost:5000"),
        ("http://node7:3000", "http://node7:5000"),
    ],
)
def test_a_link_to_mlflow_stays_on_the_name_that_the_browser_has_a_cookie_for(
    machine: None, dagster: str, mlflow: str
) -> None:
    app = Starlette()
    redirect_to_mlflow(pages(), app)
    leads = TestClient(app, base_url=dagster, follow_redirects=False).get("/mlflow/runs/0a1b")
    assert leads.headers["location"] == f"{mlflow}/#/runs/0a1b"


def test_a_link_to_a_tracking_server_leads_there_from_everywhere(machine: None) -> None:
    assert set(pages("https://tracking.example.org/").values()) == {"https://tracking.example.org"}
