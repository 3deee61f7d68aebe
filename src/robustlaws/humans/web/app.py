"""The web application: its pages and forms, over a store.

The code behind a participant's requests has no label, prediction or variant of any image. Only the organiser's page
and the export have the key of the images.
"""

import hmac
import mimetypes
import sqlite3
import traceback
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from robustlaws.humans.web import access_codes, forms, pages, progress
from robustlaws.humans.web.rate_limits import Attempts, SessionLimit
from robustlaws.humans.web.request_guard import Protection, Refusal, refuse, wants_json
from robustlaws.humans.web.store import SESSION_SECONDS, Conflict

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


def app(*, store, overview, finished, log):
    """Return the ASGI application.

    Parameters
    ----------
    store : store.Store
    overview : function of nothing
        Gives what the organiser's page shows: rows, totals, simulated.
    finished : function of nothing
        Is called when a participant has answered the last image; must not take long.
    log : logging.Logger
        Of refusals.
    """
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages_of = _Pages(store, overview, finished)
    for method, path, endpoint in (
        ("GET", "/", pages_of.entrance),
        ("POST", "/enter", pages_of.enter),
        ("POST", "/leave", pages_of.leave),
        ("GET", "/work", pages_of.work),
        ("POST", "/consent", pages_of.consent),
        ("POST", "/answers", pages_of.answers),
        ("POST", "/undo", pages_of.undo),
        ("POST", "/continue", pages_of.go_on),
        ("GET", "/images/{name}", pages_of.image),
        ("GET", "/static/{name}", _static()),
        ("GET", "/organiser", pages_of.organiser),
    ):
        api.add_api_route(path, endpoint, methods=[method], response_model=None)

    def refused(request, error):
        return refuse(request.scope, error)

    def unknown(request, error):
        text = "there is no such page" if error.status_code == 404 else "that cannot be done here"
        return refuse(request.scope, Refusal(error.status_code, text, error.headers))

    def unrecorded(request, error):
        log.error("the database: %s", error)
        return refuse(request.scope, Refusal(503, "that could not be recorded; try again in a moment"))

    def broken(request, error):  # the error's own text may hold what came in
        log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return refuse(request.scope, Refusal(500, "your last action may not be recorded; open the page again"))

    for kind, handler in (
        (Refusal, refused), (HTTPException, unknown), (sqlite3.Error, unrecorded), (Exception, broken)
    ):  # fmt: skip
        api.add_exception_handler(kind, handler)
    return Protection(api, log)


class _Pages:
    """The requests; each runs in a thread of its own."""

    def __init__(self, store, overview, finished):
        self.store, self.overview, self.finished = store, overview, finished
        self.bundle = store.bundle
        self.attempts, self.requests = Attempts(), SessionLimit()
        longest = max(batch.stop - batch.start for batch in self.bundle.batches)
        self.images = SessionLimit(600 + 6 * longest)  # the page of a batch asks for all of its images at once
        # cookies know no ports: another study on this machine has another name
        self.cookie = f"session-{self.bundle.digest[:8]}"

    # Coming in and going

    def entrance(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if visitor is not None:
            return RedirectResponse("/organiser" if visitor.participant is None else "/work", 303)
        return HTMLResponse(pages.enter(study=self.bundle.presentation.study))

    def enter(self, request: Request) -> Response:
        fields = forms.fields(request.state.body, "code")
        address = request.client.host if request.client else "unknown"
        if wait := self.attempts.wait(address):
            raise self._not_in(429, f"too many wrong codes; try again in {wait} s", {"Retry-After": str(wait)})
        token = self.store.enter(fields["code"])
        if token is None:
            if access_codes.read(fields["code"]) is not None:  # a text that is none guesses nothing
                self.attempts.wrong(address)
            raise self._not_in(403, "this code is not known; check each letter, or ask who gave it to you")
        if self.cookie in request.cookies:
            self.store.leave(request.cookies[self.cookie])
        visitor = self.store.session(token)
        where = "/organiser" if visitor.participant is None else "/work"
        response = JSONResponse({"entered": True}) if wants_json(request.headers) else RedirectResponse(where, 303)
        response.set_cookie(
            self.cookie, token, max_age=int(SESSION_SECONDS), httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    def _not_in(self, status, text, headers=None):
        page = pages.enter(study=self.bundle.presentation.study, problem=text[:1].upper() + text[1:] + ".")
        return Refusal(status, text, headers, page)

    def leave(self, request: Request) -> Response:
        self._form(request, anybody=True)
        self.store.leave(request.cookies[self.cookie])
        response = JSONResponse({"left": True}) if wants_json(request.headers) else RedirectResponse("/", 303)
        response.delete_cookie(self.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return response

    def _visitor(self, request, limit=None):
        """Return the session of a request, or None; Refusal if its participant sends more than `limit` takes."""
        token = request.cookies.get(self.cookie)
        visitor = self.store.session(token) if token else None
        if visitor is not None:
            request.state.who, request.state.simulated = visitor.name, visitor.kind == "simulated"
            if wait := (limit or self.requests).wait(str(visitor.participant)):
                raise Refusal(429, f"too many requests; try again in {wait} s", {"Retry-After": str(wait)})
        return visitor

    def _form(self, request, *known, anybody=False):
        """Return (session, fields) of a form that a participant, or `anybody` who came in, sent from their page."""
        visitor = self._visitor(request)
        if visitor is None:
            raise Refusal(401, "your session has ended; enter your code again")
        if visitor.participant is None and not anybody:
            raise Refusal(403, "the organiser takes no part; leave, and enter a participant's code")
        fields = forms.fields(request.state.body, "csrf", *known)
        if not hmac.compare_digest(fields["csrf"].encode(), access_codes.csrf(request.cookies[self.cookie]).encode()):
            raise Refusal(403, "this form is not of your session; open the page again")
        return visitor, fields

    # A participant's work

    def work(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if visitor is None or visitor.participant is None:
            return RedirectResponse("/" if visitor is None else "/organiser", 303)
        before = self.store.place(visitor.participant)
        where, shown = self.store.current(visitor.participant)
        if (before.state, where.state) == (progress.WORK, progress.FINISHED):  # the time for the last image was up
            self.finished()
        common = self._common(request, visitor)
        if where.state == progress.CONSENT:
            return HTMLResponse(self._consent(common))
        common["progress"] = self._progress(where)
        common["undo"] = self.store.undoable(visitor.participant, where) is not None
        if where.state == progress.REST:
            return HTMLResponse(pages.rest(**common))
        if where.state == progress.FINISHED:
            return HTMLResponse(pages.finished(**common))
        pictures = [self._picture(image) for image in shown]
        if self.bundle.single:
            return HTMLResponse(pages.single(picture=pictures[0], **common))
        return HTMLResponse(pages.batch(pictures=pictures, **common))

    def _common(self, request, visitor):
        return {
            "presentation": self.bundle.presentation,
            "csrf": access_codes.csrf(request.cookies[self.cookie]),
            "name": visitor.name,
            "simulated": visitor.kind == "simulated",
        }

    def _consent(self, common, problem=""):
        counts = {"images": len(self.bundle.ids), "batches": len(self.bundle.batches)}
        return pages.consent(problem=problem, **counts, **common)

    def _progress(self, where):
        batches, batch = self.bundle.batches, self.bundle.batches[where.batch]
        return pages.Progress(
            part=batch.part,
            parts=batches[-1].part,
            batch=batch.number,
            batches=sum(each.part == batch.part for each in batches),
            answered_in_batch=min(where.answered, batch.stop) - batch.start,
            images_in_batch=batch.stop - batch.start,
            answered=where.answered,
            images=len(self.bundle.ids),
        )

    def _picture(self, image):
        def left(seconds, since):
            return None if seconds is None else round(max(0.0, seconds - since), 2)

        return pages.Picture(
            image.id, image.token, image.position, image.chosen, image.confidence,
            left(self.bundle.answer_seconds, image.since),
            left(self.bundle.image_seconds, image.seen),
        )  # fmt: skip

    def consent(self, request: Request) -> Response:
        visitor, fields = self._form(request, "agree")
        if fields["agree"] != "yes":
            text = "without your consent the study does not begin"
            page = self._consent(self._common(request, visitor), problem=text[:1].upper() + text[1:] + ".")
            raise Refusal(400, text, page=page)
        self.store.consent(visitor.participant)
        return self._done(request, self.store.place(visitor.participant))

    def answers(self, request: Request) -> Response:
        visitor, fields = self._form(request, "image", "token", "class", "confidence", "elapsed")
        chosen, confidence, elapsed = forms.answer(fields, len(self.bundle.presentation.classes))
        try:
            recorded = self.store.answer(
                visitor.participant, image=fields["image"], token=fields["token"], chosen=chosen, confidence=confidence,
                elapsed=elapsed,
            )  # fmt: skip
        except Conflict as conflict:
            raise Refusal(409, str(conflict)) from None
        if recorded.new and recorded.place.state == progress.FINISHED:
            self.finished()
        return self._done(request, recorded.place, fields["image"], 1, recorded.late)

    def undo(self, request: Request) -> Response:
        visitor, _ = self._form(request)
        try:
            image = self.store.undo(visitor.participant)
        except Conflict as conflict:
            raise Refusal(409, str(conflict)) from None
        return self._done(request, self.store.place(visitor.participant), image)

    def go_on(self, request: Request) -> Response:
        visitor, _ = self._form(request)
        self.store.go_on(visitor.participant)
        return self._done(request, self.store.place(visitor.participant))

    def _done(self, request, where, image=None, further=0, late=False):
        """Return the response after a form was carried out; on the page of a batch near the image."""
        complete = where.state in (progress.REST, progress.FINISHED)
        if wants_json(request.headers):
            counts = {"answered": where.answered, "images": len(self.bundle.ids)}
            lateness = {"late": True} if late else {}
            return JSONResponse({"recorded": True, **counts, "batch_complete": complete, **lateness})
        place = ""
        if image is not None and not self.bundle.single and where.state == progress.WORK:
            batch = self.bundle.batches[where.batch]
            last = batch.stop - batch.start
            place = f"#image-{min(self.bundle.ids.index(image) - batch.start + 1 + further, last)}"
        return RedirectResponse(f"/work{place}", 303)

    def image(self, request: Request, name: str) -> Response:
        visitor = self._visitor(request, self.images)
        if visitor is None:
            raise Refusal(401, "your session has ended; enter your code again")
        if visitor.participant is None or not self.store.fetch(visitor.participant, name):
            raise Refusal(404, "this image is not before you")
        return Response(self.bundle.png[name], media_type="image/png")

    # The organiser

    def organiser(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if visitor is None:
            return RedirectResponse("/", 303)
        if visitor.participant is not None:
            raise Refusal(403, "this page is for the organiser")
        rows, totals, simulated = self.overview()
        csrf = access_codes.csrf(request.cookies[self.cookie])
        study = self.bundle.presentation.study
        return HTMLResponse(pages.organiser(study=study, csrf=csrf, rows=rows, totals=totals, simulated=simulated))


def _static():
    """Return the endpoint of the files that pages use: those that were there at the start, by their names."""
    files = {}
    for file in resources.files("robustlaws.humans.web").joinpath("static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        media = _TYPES.get(suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        files[file.name] = (file.read_bytes(), media)

    def static(name: str) -> Response:
        if name not in files:
            raise Refusal(404, "there is no such file")
        content, media = files[name]
        return Response(content, media_type=media)

    return static
