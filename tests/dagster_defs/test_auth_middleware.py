"""Laws of the auth middleware, and the attacks that Dagster's own webserver lets through.

No request passes without the token, from another origin, or as a query by GET, and no header of a proxy is trusted.
"""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from dagster_defs.web.auth_middleware import AuthMiddleware

HOST, TOKEN = "127.0.0.1:3000", "secret"
ORIGINS = (PUBLIC, LOCAL, OTHER) = "https://r1.example.org", f"http://{HOST}", "http://192.0.2.7:3000"
COOKIE = "r1_2bb80d53"  # sha256("secret") begins so
QUERY = {"query": "mutation { launch }"}


async def answer(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.url.path}")


async def seen(request: Request) -> Response:
    return PlainTextResponse(f"{request.url} {request.client}")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(str(socket.url))
    await socket.close()


def calling(base: str, origins: tuple[str, ...] = ORIGINS) -> TestClient:
    """Returns a client that calls an application behind the middleware by this address."""
    inner = Starlette(
        routes=[
            Route("/seen", seen),
            Route("/{rest:path}", answer, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", talk),
        ]
    )
    return TestClient(AuthMiddleware(inner, origins, TOKEN), base_url=base, follow_redirects=False)  # type: ignore[arg-type]


@pytest.fixture
def client() -> TestClient:
    return calling(LOCAL, (LOCAL,))


@pytest.fixture
def known(client: TestClient) -> TestClient:
    client.cookies.set(COOKIE, TOKEN)
    return client


@pytest.fixture(params=ORIGINS)
def base(request: pytest.FixtureRequest) -> str:
    """Each origin of a middleware with several origins."""
    return str(request.param)


@pytest.fixture
def called(base: str) -> TestClient:
    client = calling(base)
    client.cookies.set(COOKIE, TOKEN)
    return client


def test_the_token_of_the_address_moves_into_a_cookie_that_scripts_and_other_sites_cannot_use(
    client: TestClient,
) -> None:
    welcome = client.get("/runs?token=secret")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/runs")
    assert welcome.headers["set-cookie"] == f"{COOKIE}=secret; HttpOnly; SameSite=Strict; Path=/"
    assert client.get("/runs").text == "GET /runs"


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "/x%0d%0aset-cookie:%20a=b", "/%E2%98%83"])
def test_the_welcome_leads_nowhere_else_and_adds_no_header(path: str, client: TestClient) -> None:
    welcome = client.get(f"http://{HOST}{path}?token=secret")
    assert welcome.headers["location"].startswith("/") and not welcome.headers["location"].startswith(("//", "/\\"))
    assert len(welcome.headers.get_list("set-cookie")) == 1
    assert welcome.headers["location"].isascii() and welcome.headers["location"].isprintable()


def test_two_user_interfaces_on_one_host_do_not_share_a_cookie() -> None:
    first, second = (AuthMiddleware(answer, (), token).cookie for token in ("a", "b"))  # type: ignore[arg-type]
    assert first != second


def test_who_knows_the_token_may_ask_and_is_not_framed(known: TestClient) -> None:
    asked = known.post("/graphql", json=QUERY)
    assert (asked.status_code, asked.headers["x-frame-options"]) == (200, "DENY")
    assert known.get("/graphql").status_code == 200  # the page, not a query
    with known.websocket_connect(f"ws://{HOST}/graphql") as socket:
        assert socket.receive_text() == f"ws://{HOST}/graphql"


def test_a_script_may_use_the_token_as_bearer(client: TestClient) -> None:
    assert client.post("/graphql", json=QUERY, headers={"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "secre", "secret2", "é"])
def test_nobody_else_may(token: str, client: TestClient) -> None:
    headers = {"authorization": f"Bearer {token}".encode()}
    assert client.post("/graphql", json=QUERY, headers=headers).status_code == 401
    assert client.get(f"/?token={token}").status_code == 401


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"host": "evil.example"}, 403),  # DNS rebinding
        ("POST", {"host": "evil.example:3000"}, 403),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://127.0.0.1:9999"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"sec-fetch-site": "same-site"}, 403),  # a page of another port of this machine
        ("PATCH", {"sec-fetch-site": "same-site"}, 403),
        ("DELETE", {"origin": "http://localhost:8888"}, 403),
        ("POST", {"content-type": "text/plain"}, 415),
        ("POST", {"content-type": "multipart/form-data"}, 415),
        ("GET", {}, 405),  # an image or a link on any page
    ],
)
def test_an_attack_with_the_cookie_in_the_browser_is_refused(
    method: str, headers: dict[str, str], status: int, known: TestClient
) -> None:
    body = {"params": QUERY} if method == "GET" else {"json": QUERY}
    assert known.request(method, "/graphql", headers=headers, **body).status_code == status  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"cookie": ""}])
def test_a_socket_from_elsewhere_is_closed(headers: dict[str, str], known: TestClient) -> None:
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):
        known.websocket_connect(f"ws://{HOST}/graphql", headers=headers).__enter__()


@pytest.mark.parametrize("path", ["/report_asset_materialization/base?data_version=1", "/report_asset_check/base"])
def test_a_form_of_another_page_reports_nothing(path: str, known: TestClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert known.post(path, headers=form).status_code == 415
    assert known.post(path).status_code == 415
    assert known.post(path, json={}, headers={"origin": "null"}).status_code == 403


def test_a_page_of_another_port_may_lead_here_but_not_embed(known: TestClient) -> None:
    there = {"sec-fetch-site": "same-site"}
    assert known.get("/runs", headers=there | {"sec-fetch-mode": "navigate"}).status_code == 200
    assert known.get("/logs/x.out", headers=there | {"sec-fetch-mode": "no-cors"}).status_code == 403


@pytest.mark.parametrize("path", ["/logs/..%2f..%2fmlflow.db", "/logs/%2e%2e/%2e%2e/mlflow.db"])
def test_a_path_that_climbs_is_refused(path: str, known: TestClient) -> None:
    assert known.get(path).status_code == 400


@pytest.mark.parametrize("name", ["host", "origin", "content-type"])
def test_a_header_that_decides_is_given_once(name: str, known: TestClient) -> None:
    twice = [("cookie", f"{COOKIE}={TOKEN}"), (name, HOST), (name, HOST)]
    assert known.post("/graphql", content="{}", headers=twice).status_code == 400


def test_a_page_of_each_origin_may_call_its_own(base: str, called: TestClient) -> None:
    assert called.get("/runs").status_code == 200
    assert called.post("/graphql", json=QUERY, headers={"origin": base}).status_code == 200
    with called.websocket_connect(f"{base.replace('http', 'ws')}/graphql", headers={"origin": base}) as socket:
        assert socket.receive_text() == f"{base.replace('http', 'ws')}/graphql"


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "https://r1.example.org.evil.example",
        "https://evil.example/https://r1.example.org",
        "https://mlflow.example.org",  # the other server behind the proxy
        "https://r1.example.org:8443",  # another port
        "https://r1.example.org:443",  # browsers leave the scheme's own port out
        "http://r1.example.org",  # another scheme
        "wss://r1.example.org",
        "https://R1.example.org",
        "https://r1.example.org/",
        "r1.example.org",
        "https://127.0.0.1:3000",
        "http://127.0.0.1",
        "http://127.0.0.1:3001",
        "http://localhost:3000",
    ],
)
def test_a_page_of_another_origin_may_call_none(origin: str, base: str, called: TestClient) -> None:
    for method in ("POST", "DELETE", "GET"):
        assert called.request(method, "/logs", headers={"origin": origin}).status_code == 403
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):
        called.websocket_connect(f"{base.replace('http', 'ws')}/graphql", headers={"origin": origin}).__enter__()


def test_a_page_of_one_origin_may_not_call_another(base: str, called: TestClient) -> None:
    for other in set(ORIGINS) - {base}:
        assert called.post("/graphql", json=QUERY, headers={"origin": other}).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "r1.example.org:443",
        "r1.example.org:3000",
        "R1.example.org",
        "r1.example.org.",
        "0.0.0.0:3000",
        "r1.example.org@evil.example",
        "127.0.0.1",
        "[::1]:3000",
        "https://r1.example.org",
        "192.0.2.8:3000",
    ],
)
def test_another_name_for_the_server_is_refused(host: str, called: TestClient) -> None:
    """DNS rebinding makes the attacker's name resolve to this server, and the browser sends that name."""
    assert called.get("/runs", headers={"host": host}).status_code == 403


FORGED = {
    "x-forwarded-host": "r1.example.org",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-port": "443",
    "x-real-ip": "127.0.0.1",
    "x-original-host": "r1.example.org",
    "forwarded": "for=127.0.0.1;host=r1.example.org;proto=https",
}


def test_what_a_proxy_would_say_opens_nothing(base: str, called: TestClient) -> None:
    post = {"json": QUERY, "headers": FORGED | {"host": "evil.example"}}
    assert called.post("/graphql", **post).status_code == 403  # type: ignore[arg-type]
    assert called.post("/graphql", json=QUERY, headers=FORGED | {"origin": "http://r1.example.org"}).status_code == 403
    assert called.post("/graphql", json=QUERY, headers=FORGED | {"cookie": ""}).status_code == 401
    assert called.get("/graphql", params=QUERY, headers=FORGED).status_code == 405


def test_an_application_learns_the_scheme_from_the_origin_and_of_the_client_nothing(
    base: str, called: TestClient
) -> None:
    """MLflow lets clients of this machine run its assistant, and behind a proxy every client would seem to be one."""
    assert called.get("/seen").text == f"{base}/seen None"
    assert called.get("/seen", headers=FORGED).text == f"{base}/seen None"


def test_the_cookie_of_an_encrypted_origin_is_sent_encrypted_only(base: str) -> None:
    cookie = calling(base).get("/?token=secret").headers["set-cookie"]
    assert cookie.endswith("; Secure") == (base == PUBLIC)
