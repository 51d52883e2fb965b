"""The page on which a person pastes the token of `r1 ui`, shown where a browser opens a page without it.

The page is one constant text: nothing of the request stands in it. Its script sends the token as JSON, which no form
and no page of another origin can send, and then opens the address that was asked for, with its query and its fragment.
The token is never part of an address. The page loads nothing, runs no other script, and cannot be framed.
"""

import base64
import hashlib
import json

PATH = "/r1-token"
"""Path to which the page posts the token."""
LONGEST = 1000
"""Bytes of a longest body that is read from a client without the token."""
STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; color: #1f2430; }
input, button { font: inherit; padding: .4rem .6rem; }
input { width: 100%; box-sizing: border-box; margin: .3rem 0 .8rem; }
p[role=alert] { color: #b3261e; min-height: 1.5em; }
"""
SCRIPT = f"""\
document.forms[0].addEventListener("submit", async (event) => {{
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  const answer = await fetch("{PATH}", {{
    method: "POST", headers: {{"content-type": "application/json"}}, body: JSON.stringify({{token}}),
  }});
  if (!answer.ok) {{
    document.querySelector("[role=alert]").textContent =
      answer.status === 401 ? "This is not the token of this home." : await answer.text();
    return;
  }}
  const there = location.href;
  history.replaceState(null, "", "{PATH}");  // otherwise an address with a fragment would not be loaded again
  location.replace(there);
}});
"""
PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>r1 ui: token</title>
<style>{STYLE}</style>
<h1>Token</h1>
<p><code>r1 ui</code> asks for the token of its home, which is in the addresses that it printed and in the file
<code>ui-token</code> of the home.</p>
<form method="post" action="{PATH}">
<label for="token">Token</label>
<input id="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button>
</form>
<p role="alert"></p>
<script>{SCRIPT}</script>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = [
    (
        b"content-security-policy",
        f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'".encode(),
    ),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
"""Headers of the page."""


def posted_token(body: bytes) -> str:
    """Returns the token in the body of a request; empty for a body that is not the page's."""
    try:
        value = json.loads(body)
    except ValueError:
        return ""
    token = value.get("token") if isinstance(value, dict) else None
    return token if isinstance(token, str) else ""
