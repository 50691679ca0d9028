"""The application: the pages of one library, behind the guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from reid.errors import ReidTrackError
from tracker.web import casefile, compare, corrections, entrance, find, identity, media, player, recordings, wall
from tracker.web.pages import failed, status_of
from tracker.web.security import LOCAL, Guard, check_form
from tracker.web.site import Site

ROUTERS = [
    module.router
    for module in (wall, identity, find, player, media, compare, corrections, recordings, casefile, entrance)
]


def create_app(library: str, token: str | None = None, device: str = "auto", embedder: str | None = None) -> FastAPI:
    """The pages of a library.

    Args:
        library: path or URL.
        token: that visitors have to show, in the address or on the entrance page. None lets everybody in who can reach
            the server, and answers to this machine's own names only.
        device: for models: auto, cpu or cuda:N.
        embedder: file or name of the library's embedder, where it is no longer where its runs found it.

    Raises:
        DataError: the library is absent, damaged, or of another version.
    """
    site = Site(library, token, device, embedder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        site.close()

    app = FastAPI(
        title="reidtrack",
        docs_url=None,  # they would load their scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        dependencies=[Depends(check_form)],
    )
    app.state.site = site
    app.add_middleware(Guard, token=token, hosts=() if token else LOCAL)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    _tell_errors(app)
    return app


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(ReidTrackError)
    def ours(request: Request, error: ReidTrackError) -> Response:
        return failed(request, status_of(error), str(error))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return failed(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def senseless(request: Request, error: RequestValidationError) -> Response:
        return failed(request, 404 if request.method == "GET" else 400, "There is nothing at this address.")
