"""Checks around the web application: size, origin and form of requests, security headers, a log of refusals.

Requests that are too large, of another site or of another form are refused; each refusal is logged without secrets.
The application notes in `state` the visitor (`who`) and whether it is `simulated`, once known.
"""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse

from robustlaws.humans.web import pages

LARGEST = 16_000  # bytes of a body
_BODY_SECONDS = 20.0
_FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Other sites learn nothing. With no-referrer a browser would not mark our own forms as ours either.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Paths that a log may contain: any other could hold a code or token.
_KNOWN = {"", "enter", "consent", "answers", "undo", "continue", "leave", "work", "images", "static", "organiser"}
_TITLES = {
    401: "Please come in again", 404: "There is no such page", 409: "That does not fit", 410: "The time is up",
    429: "Too many attempts", 500: "Something went wrong", 503: "Not recorded",
}  # fmt: skip


class Refusal(Exception):
    """A request that is not carried out: the status, one line for whoever sent it, and a page that says it."""

    def __init__(self, status, text, headers=None, page=None):
        super().__init__(text)
        self.status, self.text, self.headers, self.page = status, text, headers, page


def wants_json(headers):
    """Return whether a script asks, not a browser for a page."""
    return "application/json" in headers.get("accept", "")


def refuse(scope, refusal):
    """Return the response of a refusal, and note why for the log."""
    state = scope.setdefault("state", {})
    state["why"] = refusal.text
    if wants_json(Headers(scope=scope)):
        return JSONResponse({"error": refusal.text}, refusal.status, refusal.headers)
    title = _TITLES.get(refusal.status, "Not possible")
    text = refusal.text[:1].upper() + refusal.text[1:] + "."
    page = refusal.page or pages.problem(title=title, text=text, simulated=state.get("simulated", False))
    return HTMLResponse(page, refusal.status, refusal.headers)


class Protection:
    """An ASGI application before another; the body of a form is in `state["body"]`."""

    def __init__(self, app, log):
        self.app, self.log = app, log

    async def __call__(self, scope, receive, send):
        """Carry out one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                if message["status"] >= 400:
                    self._note(scope, message["status"])
            await send(message)

        try:
            body = await _checked_body(scope, receive)
        except Refusal as refusal:
            await refuse(scope, refusal)(scope, receive, guarded)
            return
        scope.setdefault("state", {})["body"] = body
        await self.app(scope, receive, guarded)

    def _note(self, scope, status):
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else "?"
        path = f"/{first}" if first in _KNOWN else "an unknown path"
        state = scope.get("state", {})
        who = state.get("who")
        if who is None:  # only of strangers: a participant's name is never kept beside an address
            who = f"{(scope.get('client') or ('unknown',))[0]}, nobody"
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS") else "?"
        self.log.warning("%d %s %s from %s: %s", status, method, path, who, state.get("why", "no such page or method"))


async def _checked_body(scope, receive):
    """Return the body of a request that may come in."""
    if scope["method"] != "POST":
        return b""
    headers = Headers(scope=scope)
    if _number(headers.get("content-length", "0")) > LARGEST:
        raise _too_large()
    if headers.get("content-type", "").split(";")[0].strip().lower() != _FORM:
        raise Refusal(415, f"only a form ({_FORM}) is taken here")
    if not _own(headers):
        raise Refusal(403, "this form was sent by another site")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await _body(receive)
    except TimeoutError:
        raise Refusal(408, "the form did not arrive in time; send it again", {"connection": "close"}) from None


async def _body(receive):
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the form did not arrive whole")
        body += message.get("body", b"")
        if len(body) > LARGEST:  # whatever length it said, or none
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(body)


def _number(text):
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else LARGEST + 1


def _too_large():
    return Refusal(413, f"a form of more than {LARGEST} bytes is not taken", {"connection": "close"})


def _own(headers):
    """Return whether a form comes from a page of this server, as far as the browser says."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # of encrypted connections; no page can forge it, and no proxy makes it wrong
        return site in ("same-origin", "none")
    return origin is None or origin.split("://", 1)[-1] == headers.get("host")
