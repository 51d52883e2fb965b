"""Laws of the token: kept in a file of its owner alone, given by a page that no other page can use or imitate."""

import base64
import hashlib
import re
import stat
from pathlib import Path

import pytest
from browsers import chromium
from playwright.sync_api import expect
from processes import user_interface
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dagster_defs.web import sign_in
from dagster_defs.web.auth_middleware import AuthMiddleware
from dagster_defs.web.token_file import FILE, kept_token
from r1_pipeline.errors import RequirementError

LOCAL, PUBLIC, TOKEN = "http://127.0.0.1:3000", "https://r1.example.org", "secret"
PERSON = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
SCRIPT = {"origin": LOCAL, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}


async def answer(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.url.path}")


@pytest.fixture
def client() -> TestClient:
    inner = Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST", "PUT"])])
    return TestClient(AuthMiddleware(inner, (LOCAL, PUBLIC), TOKEN), base_url=LOCAL, follow_redirects=False)  # type: ignore[arg-type]


def test_a_person_without_the_token_is_asked_for_it(client: TestClient) -> None:
    page = client.get("/runs?status=FAILURE", headers=PERSON)
    assert page.status_code == 401
    assert page.headers["content-type"].startswith("text/html")
    assert '<input id="token" type="password"' in page.text
    assert client.post(sign_in.PATH, json={"token": TOKEN}, headers=SCRIPT).status_code == 204
    assert client.get("/runs?status=FAILURE", headers=PERSON).text == "GET /runs"


def test_the_page_holds_nothing_of_the_request_and_runs_only_its_own_script(client: TestClient) -> None:
    """A path, a query or a header with a script in it is not shown, and a script without the hash would not run."""
    page = client.get("/<script>alert(1)</script>?x=<script>", headers=PERSON | {"referer": "<script>"})
    assert page.text == sign_in.PAGE
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    for rule in ("default-src 'none'", "form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert TOKEN not in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),  # a sandboxed frame
        ({"origin": "http://127.0.0.1:9999"}, 403),  # another server of this machine
        ({"origin": PUBLIC}, 403),  # the other origin of this server
        ({"host": "evil.example"}, 403),  # DNS rebinding
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),  # what a form of another page can send
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data"}, 415),
    ],
)
def test_the_right_token_from_another_page_gives_no_cookie(
    headers: dict[str, str], status: int, client: TestClient
) -> None:
    """An attacker could otherwise bind a browser to a token of theirs."""
    sent = client.post(sign_in.PATH, content='{"token": "secret"}', headers=SCRIPT | JSON | headers)
    assert sent.status_code == status
    assert "set-cookie" not in sent.headers


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"secret",
        b'"secret"',
        b'["secret"]',
        b'{"token": ["secret"]}',
        b'{"token": "secre"}',
        b'{"token": "secret "}',
        b'{"token": "\\ud800"}',
        b"\xff\xfe",
        b"{",
        b"[" * 900,
        b'{"token": "secret", "more": "' + b"x" * sign_in.LONGEST + b'"}',
    ],
)
def test_another_body_gives_no_cookie(body: bytes, client: TestClient) -> None:
    sent = client.post(sign_in.PATH, content=body, headers=SCRIPT | JSON)
    assert sent.status_code == 401
    assert "set-cookie" not in sent.headers


def test_the_token_opens_nothing_elsewhere_than_on_its_path_and_by_its_method(client: TestClient) -> None:
    for method, path in (("POST", "/graphql"), ("PUT", sign_in.PATH), ("GET", sign_in.PATH), ("POST", "/r1-token/")):
        sent = client.request(method, path, content='{"token": "secret"}', headers=SCRIPT | JSON)
        assert sent.status_code == 401
        assert "set-cookie" not in sent.headers


def test_the_cookie_is_that_of_the_printed_address(client: TestClient) -> None:
    posted = client.post(sign_in.PATH, json={"token": TOKEN}, headers=SCRIPT).headers["set-cookie"]
    assert posted == client.get("/?token=secret").headers["set-cookie"]
    there = {"host": "r1.example.org", "origin": PUBLIC}
    assert client.post(sign_in.PATH, json={"token": TOKEN}, headers=there).headers["set-cookie"].endswith("; Secure")


def test_the_page_is_for_persons_only(client: TestClient) -> None:
    """A program, a write and a request of another page get one line or a refusal, as before."""
    assert client.get("/", headers={"accept": "*/*"}).text.startswith("missing or wrong token")
    assert client.post("/graphql", json={}, headers=PERSON).text.startswith("missing or wrong token")
    assert client.get("/", headers=PERSON | {"host": "evil.example"}).status_code == 403
    embedded = PERSON | {"sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site"}
    assert client.get("/", headers=embedded).status_code == 403


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/runs?token=secret&status=FAILURE&x=a%20b", "/runs?status=FAILURE&x=a%20b"),
        ("/assets/r1?view=lineage&token=secret", "/assets/r1?view=lineage"),
        ("/?%74oken=secret", "/"),
        ("/?token=secret&token=other&x", "/?x"),
        ("//evil.example/?token=secret&a=//evil.example", "/evil.example/?a=//evil.example"),
        ("/?token=secret&x=%0d%0aset-cookie:a", "/?x=%0d%0aset-cookie:a"),
    ],
)
def test_an_address_keeps_its_query_and_loses_the_token(asked: str, location: str, client: TestClient) -> None:
    welcome = client.get(f"{LOCAL}{asked}")
    assert (welcome.status_code, welcome.headers["location"]) == (303, location)


def test_the_token_is_kept_over_restarts_and_replaced_on_request(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", token)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert kept_token(tmp_path) == token
    assert kept_token(tmp_path, renew=True) != token
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_token_that_others_may_know_is_refused(tmp_path: Path) -> None:
    kept_token(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(RequirementError, match="--rotate-token"):
        kept_token(tmp_path)
    assert kept_token(tmp_path, renew=True) == kept_token(tmp_path)
    (tmp_path / FILE).write_text("short\n", encoding="ascii")
    with pytest.raises(RequirementError, match="holds no token"):
        kept_token(tmp_path)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to("elsewhere")
    with pytest.raises(RequirementError, match="cannot be read"):
        kept_token(tmp_path)
    assert str((tmp_path / FILE).readlink()) == "elsewhere"


@pytest.mark.slow
def test_a_person_pastes_the_token_and_a_bookmark_outlives_a_restart(tmp_path: Path) -> None:
    """The bookmark is a page of MLflow, whose address is a fragment that no server sees."""
    with chromium() as browser:
        page = browser.new_page()
        with user_interface(tmp_path / "home") as first:
            page.goto(f"{first.mlflow}/?x=1#/models")
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Open").click()
            expect(page.get_by_role("alert")).to_contain_text("not the token")
            page.get_by_label("Token").fill(first.token)
            page.get_by_role("button", name="Open").click()
            expect(page.locator("#root")).to_be_attached()
            assert page.url == f"{first.mlflow}/?x=1#/models"
        with user_interface(tmp_path / "home") as second:
            assert second.token == first.token
            page.goto(f"{second.dagster}/runs")
            expect(page.get_by_text("Runs").first).to_be_visible()
        with user_interface(tmp_path / "home", "--rotate-token") as third:
            assert third.token != first.token
            page.goto(f"{third.dagster}/runs")
            expect(page.get_by_label("Token")).to_be_visible()
