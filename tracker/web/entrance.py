"""Coming in with the token, and how far some work is."""

import asyncio
import hmac
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from tracker.web.pages import is_part, render
from tracker.web.security import give_session
from tracker.web.site import site_of

router = APIRouter()
PAUSE_S = 0.5  # after a wrong token; guessing takes for ever anyway


@router.post("/login")
async def login(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """Let in who gives the token."""
    wanted = site_of(request).token
    if wanted is None or hmac.compare_digest(token.strip().encode(), wanted.encode()):
        response = RedirectResponse("/", 303)
        return give_session(response, wanted) if wanted else response
    await asyncio.sleep(PAUSE_S)
    return render(request, "login.html.j2", 401, wrong="That token is not this server's.")


@router.get("/jobs/{name}")
def job(request: Request, name: str) -> Response:
    """How far some work is; htmx asks again and again, and goes on to the result when it is there."""
    found = site_of(request).jobs.get(name)
    if found is None:
        raise HTTPException(404, "That work is not known any more; it is done, or the server was started anew.")
    if found.state == "done" and found.leads_to:
        target = f"{found.leads_to}?told={name}" if found.notes else found.leads_to
        return Response(headers={"HX-Redirect": target}) if is_part(request) else RedirectResponse(target, 303)
    return render(request, "job.html.j2", job=found)
