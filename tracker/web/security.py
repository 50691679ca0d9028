"""Who may ask what: a token, the right host name, forms of our own, bounded bodies, and headers that lock pages down.

- A page on another site can make a visitor's browser send requests here. What changes something therefore needs a
  secret that only our own pages hold, and must not come from another origin.
- A name of another site that resolves to this machine (DNS rebinding) would make that site's pages ours. While no
  token is needed, only this machine's own names are answered.
- The pages run no inline script, load nothing from elsewhere, and cannot be framed.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Sequence
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracker.web.pages import page
from tracker.web.site import site_of

LOCAL = ("localhost", "127.0.0.1", "::1")
COOKIE = "reidtrack"
MAX_BODY = 64_000_000  # bytes of a request
PATIENCE_S, SLOWEST = 30.0, 20_000  # a body may take so long, and a second more for so many bytes
MAX_RANGES = 4  # parts of a file in one request; players ask for one
SAFE = ("GET", "HEAD")
OPEN = ("/login", "/static/")  # what may be seen without the token
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
        " connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def session(token: str) -> str:
    """What a visitor's browser keeps once it has shown the token."""
    return hmac.new(token.encode(), b"reidtrack session", hashlib.sha256).hexdigest()


def give_session(response: Response, token: str) -> Response:
    """The same response, with the cookie that lets its receiver in."""
    response.set_cookie(COOKIE, session(token), max_age=7 * 86400, httponly=True, samesite="strict")
    return response


async def check_form(request: Request) -> None:
    """See that what changes something comes from a page of ours: the secret is in a header or in the form.

    Raises:
        HTTPException: 403, it does not.
    """
    if request.method in SAFE or request.url.path == "/login":
        return
    given = request.headers.get("x-csrf-token")
    if given is None and "form" in request.headers.get("content-type", ""):
        given = str((await request.form()).get("csrf", ""))
    if not hmac.compare_digest((given or "").encode(), site_of(request).csrf.encode()):
        raise HTTPException(403, "This form is of an earlier start of the server; go back, load the page again.")


class Guard:
    """What every request passes first.

    Args:
        app: what answers those that pass.
        token: that visitors have to show; None where they need none.
        hosts: names that are answered; none means all.
        max_body: bytes.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Sequence[str] = (), max_body: int = MAX_BODY) -> None:
        self.app, self.token, self.hosts, self.max_body = app, token, hosts, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on; websockets are not spoken."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            return await refusal(scope, receive, guarded)
        return await self.app(scope, _bounded(receive, self.max_body), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self.hosts and _host(headers.get("host", "")) not in self.hosts:
            return _refused(421, "This server does not answer to that name; use the address that it printed.")
        if scope["method"] not in SAFE and not _own_origin(headers):
            return _refused(403, "That came from another site, and is not done.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body:
            return _refused(413, "That is too much to send at once.")
        if headers.get("range", "").count(",") >= MAX_RANGES:
            return _refused(416, "Ask for fewer parts at once.")
        if self.token is None or scope["path"].startswith(OPEN) or self._is_known(headers):
            return None
        return self._asked_for_token(scope, self.token)

    def _is_known(self, headers: Headers) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        cookies.load(headers.get("cookie", ""))
        given = cookies[COOKIE].value if COOKIE in cookies else ""
        return hmac.compare_digest(given.encode(), session(self.token or "").encode())

    def _asked_for_token(self, scope: Scope, token: str) -> Response:
        """Let in who shows the token in the address, and take it out of there; ask everybody else for it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token", "")
        if scope["method"] == "GET" and hmac.compare_digest(given.encode(), token.encode()):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            target = quote("/" + scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
            return give_session(RedirectResponse(target, 303), token)
        wrong = "That token is not this server's." if given else ""
        return HTMLResponse(page("login.html.j2", wrong=wrong), 401)


def _bounded(receive: Receive, most: int) -> Receive:
    """The same, as long as the body is no longer than it may be, whatever its length was said to be, and not slower."""
    received, whole, began = 0, False, 0.0

    async def bounded() -> Message:
        nonlocal received, whole, began
        if whole:
            return await receive()  # waits for the visitor to leave
        began = began or time.monotonic()  # from when it is looked at, however long that took
        try:
            left = began + PATIENCE_S + received / SLOWEST - time.monotonic()
            message = await asyncio.wait_for(receive(), max(left, 0))
        except TimeoutError:
            raise HTTPException(408, "That came too slowly; send it again over a better line.") from None
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if received > most:
            raise HTTPException(413, "That is too much to send at once.")
        return message

    return bounded


def _host(text: str) -> str:
    """A Host header without its port.

    >>> _host("localhost:8000"), _host("[::1]:8000"), _host("::1")
    ('localhost', '::1', '::1')
    """
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.lower() if text.count(":") > 1 else text.partition(":")[0].lower()


def _own_origin(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _refused(status: int, why: str) -> Response:
    return HTMLResponse(page("error.html.j2", title=f"Error {status}", message=why, bare=True), status)
