"""Laws of the user interfaces behind a reverse proxy, configured as in docs/operating.md.

A remote user works with both interfaces, and no page of another origin can, whatever it sends. The tests use the real
`r1 ui`, a real nginx with TLS and a login, and a real browser (Debian's packages `nginx`, `openssl`, `chromium`).
"""

import getpass
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from browsers import chromium, show_mlflow
from playwright.sync_api import BrowserContext, Page, WebSocket, expect
from processes import Surfaces, free_port, user_interface
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.slow
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
OPENSSL = shutil.which("openssl")
DOCS = Path(__file__).parents[2] / "docs" / "operating.md"
DAGSTER, MLFLOW, EVIL = "r1.example.org", "mlflow.example.org", "evil.example.org"
PERSON, PASSWORD = "person", "sesame"
AROUND = """\
daemon off;
pid {folder}/nginx.pid;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/r1.conf;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {evil};
        default_type text/html;
        return 200 "a page of somebody else";
    }}
}}
"""
COUNT = json.dumps({"query": "{ runsOrError { ... on Runs { count } } }"})
ASSISTANT = "/ajax-api/3.0/mlflow/assistant/skills/install"
CREATE = "/api/2.0/mlflow/experiments/create"


class Proxied(NamedTuple):
    """A user interface behind a proxy, and the port that stands for port 443 of both names."""

    surfaces: Surfaces
    port: int

    @property
    def names_lead_here(self) -> str:
        """Returns the browser flags that resolve both names to the proxy and the attackers' page, without a port in the
        name.
        """
        return f"--host-resolver-rules=MAP *.example.org:443 127.0.0.1:{self.port}"


def shown(replaced: dict[str, str]) -> str:
    """Returns the configuration in the documentation with the paths and ports of this machine."""
    (configuration,) = re.findall(r"^```nginx[^\n]*\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.S | re.M)
    for there, here in replaced.items():
        assert there in configuration
        configuration = configuration.replace(there, here)
    return str(configuration)


def certify(folder: Path) -> None:
    """Creates a key and a self-signed certificate."""
    assert OPENSSL is not None
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={DAGSTER}")
    places = ("-keyout", str(folder / "r1.key"), "-out", str(folder / "r1.pem"))
    subprocess.run([OPENSSL, *made, *places], check=True, capture_output=True)


@contextmanager
def proxy(folder: Path, port: int, dagster: int, mlflow: int) -> Iterator[None]:
    """Runs nginx with the configuration of the documentation during the block."""
    assert NGINX is not None
    folder.mkdir()
    certify(folder)
    (folder / "r1.htpasswd").write_text(f"{PERSON}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    places = {"listen 443": f"listen 127.0.0.1:{port}", "/etc/nginx": str(folder)}
    places |= {"127.0.0.1:3000": f"127.0.0.1:{dagster}", "127.0.0.1:5000": f"127.0.0.1:{mlflow}"}
    (folder / "r1.conf").write_text(shown(places), encoding="utf-8")
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user, port=port, evil=EVIL), encoding="utf-8")
    server = subprocess.Popen([NGINX, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")])
    try:
        while True:
            assert server.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    if NGINX is None or OPENSSL is None:
        pytest.skip("no proxy; apt-get install nginx openssl")
    port, dagster, mlflow = (free_port() for _ in range(3))
    origins = ("--dagster-origin", f"https://{DAGSTER}", "--mlflow-origin", f"https://{MLFLOW}")
    ports = ("--dagster-port", str(dagster), "--mlflow-port", str(mlflow))
    with proxy(tmp_path / "proxy", port, dagster, mlflow), user_interface(tmp_path / "home", *ports, *origins) as ui:
        yield Proxied(ui, port)


@pytest.fixture
def browser(proxied: Proxied) -> Iterator[BrowserContext]:
    person = {"username": PERSON, "password": PASSWORD}
    with chromium(proxied.names_lead_here, ignore_https_errors=True, http_credentials=person) as context:
        yield context


def test_a_person_elsewhere_starts_a_run_follows_it_and_finds_it_in_mlflow(
    proxied: Proxied, browser: BrowserContext
) -> None:
    surfaces = proxied.surfaces
    assert (surfaces.dagster, surfaces.mlflow) == (f"https://{DAGSTER}", f"https://{MLFLOW}")
    page, mlflow = browser.new_page(), browser.new_page()
    heard = listen(page)
    for where, address in ((page, surfaces.dagster), (mlflow, surfaces.mlflow)):
        where.goto(f"{address}/?token={surfaces.token}")
        assert where.url.startswith(address) and "token" not in where.url
    start(page, surfaces)
    assert any('"type":"data"' in frame.replace(" ", "") for frame in heard)
    find(mlflow, surfaces)
    refuse_pages(mlflow, browser)


def listen(page: Page) -> list[str]:
    """Returns the messages that arrive from now on over the sockets of Dagster's page."""
    heard: list[str] = []

    def opened(socket: WebSocket) -> None:
        assert socket.url == f"wss://{DAGSTER}/graphql"
        socket.on("framereceived", lambda frame: heard.append(str(frame)))

    page.on("websocket", opened)
    return heard


def start(page: Page, surfaces: Surfaces) -> None:
    page.goto(f"{surfaces.dagster}/assets/base")
    page.get_by_role("button", name="Materialize").click()
    page.get_by_text("View", exact=True).dispatch_event("click")  # the note that has it goes by itself
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()


RUNS = """async () => {
    const ask = async (what, body) => (await fetch(`ajax-api/2.0/mlflow/${what}/search`, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)})).json()
    const {experiments} = await ask('experiments', {max_results: 9})
    const {runs} = await ask('runs', {experiment_ids: experiments.map((each) => each.experiment_id)})
    return runs.map((run) => [run.info.run_name, run.info.run_id])
}"""


def find(mlflow: Page, surfaces: Surfaces) -> None:
    """Follows the path of links from Dagster to MLflow, since a stage may lack its own link if MLflow was slow."""
    names = dict(mlflow.evaluate(RUNS))
    show_mlflow(mlflow, f"{surfaces.dagster}/mlflow/runs/{names['base']}", heading="base")
    assert mlflow.url.startswith(f"{surfaces.mlflow}/#/")
    expect(mlflow.get_by_text("Finished")).to_be_visible()


POST = """async (address) => {
    await fetch(address, {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"query": "{version}"}'})
}"""
SOCKET = """(address) => new Promise((tell) => {
    const socket = new WebSocket(address, 'graphql-ws')
    socket.onopen = () => tell('open')
    socket.onerror = () => tell('refused')
})"""


def refuse_pages(mlflow: Page, browser: BrowserContext) -> None:
    """Asserts that pages of the same site, MLflow's and another site's, are refused despite the browser's cookies."""
    stranger = browser.new_page()
    stranger.goto(f"https://{EVIL}/")
    for page in (stranger, mlflow):
        with page.expect_response(f"https://{DAGSTER}/graphql") as answer:
            page.evaluate(POST, f"https://{DAGSTER}/graphql")
        assert answer.value.status == 403
        assert "r1_" in answer.value.request.all_headers()["cookie"]
        assert page.evaluate(SOCKET, f"wss://{DAGSTER}/graphql") == "refused"


def ask(proxied: Proxied, host: str, method: str, path: str, **headers: str) -> int:
    """Returns the status of a request by a user with login and token, with more headers (`_` for `-`)."""
    known = {"host": host, "cookie": cookie(proxied), "content-type": "application/json"}
    given = known | {name.replace("_", "-"): value for name, value in headers.items()}
    address, body = f"https://127.0.0.1:{proxied.port}{path}", COUNT if method == "POST" else None
    return httpx.request(
        method, address, content=body, headers=given, auth=(PERSON, PASSWORD), verify=False, timeout=600
    ).status_code


def cookie(proxied: Proxied) -> str:
    """Returns the cookie that replaces the token."""
    address = f"https://127.0.0.1:{proxied.port}/?token={proxied.surfaces.token}"
    welcome = httpx.get(address, headers={"host": DAGSTER}, auth=(PERSON, PASSWORD), verify=False, timeout=600)
    assert (welcome.status_code, welcome.headers["set-cookie"].endswith("; Secure")) == (303, True)
    return str(welcome.headers["set-cookie"].partition(";")[0])


FORGED = {"x_forwarded_host": DAGSTER, "x_forwarded_proto": "https", "x_forwarded_for": "127.0.0.1"}
ELSEWHERE = (
    "null",
    f"https://{DAGSTER}:8443",
    f"http://{DAGSTER}",
    f"https://{EVIL}",
    "http://127.0.0.1:3000",
)


def test_attacks_through_the_proxy_are_refused(proxied: Proxied) -> None:
    for host, path in ((DAGSTER, "/graphql"), (MLFLOW, CREATE)):
        own, other = f"https://{host}", f"https://{MLFLOW if host == DAGSTER else DAGSTER}"
        assert ask(proxied, host, "POST", path, origin=own) in (200, 400)  # 400: MLflow misses a name
        assert ask(proxied, host, "GET", "/", **FORGED) == 200
        for origin in (*ELSEWHERE, other):
            assert ask(proxied, host, "POST", path, origin=origin, **FORGED) == 403
        assert ask(proxied, f"{host}:8443", "POST", path, **FORGED) == 403
        assert ask(proxied, "nowhere.example.org", "POST", path, **FORGED) == 421  # the proxy knows no such server
        assert ask(proxied, host, "POST", path, sec_fetch_site="same-site") == 403
        assert ask(proxied, host, "POST", path, content_type="text/plain") == 415
        assert ask(proxied, host, "POST", path, cookie="") == 401
    assert ask(proxied, DAGSTER, "GET", "/graphql?query=%7Bversion%7D") == 405
    assert ask(proxied, MLFLOW, "POST", ASSISTANT, **FORGED) == 403  # open to clients of this machine
    address = f"https://127.0.0.1:{proxied.port}/"
    assert httpx.get(address, headers={"host": DAGSTER, "cookie": cookie(proxied)}, verify=False).status_code == 401


def subscribe(proxied: Proxied, **headers: str) -> ClientConnection:
    """Opens a socket to Dagster through the proxy as a user with login and token."""
    login = httpx.BasicAuth(PERSON, PASSWORD)._auth_header
    given = {"Authorization": login, "Cookie": cookie(proxied)} | headers
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    through = socket.create_connection(("127.0.0.1", proxied.port))
    return connect(
        f"wss://{DAGSTER}/graphql", sock=through, ssl=trusting, additional_headers=given, subprotocols=["graphql-ws"]
    )


def test_a_socket_through_the_proxy_is_opened_for_pages_of_dagster_alone(proxied: Proxied) -> None:
    with subscribe(proxied, Origin=f"https://{DAGSTER}") as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=600))["type"] == "connection_ack"
    forged = {"X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "https"}
    for origin in (*ELSEWHERE, f"https://{MLFLOW}"):
        with pytest.raises(InvalidStatus, match="403"):
            subscribe(proxied, Origin=origin, **forged)
    with pytest.raises(InvalidStatus, match="403"):
        subscribe(proxied, Origin=f"https://{DAGSTER}", Cookie="")
