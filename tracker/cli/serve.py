"""``reidtrack serve``: the page of a library."""

import socket
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

SHORTEST = 12  # characters of a token that somebody chose


@click.command()
@click.argument("library")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; any but this machine's own asks visitors for a token.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token", metavar="TEXT", help="What visitors have to show. [default: made where one is needed]")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option("--embedder", help="The library's embedder, where it is no longer where its runs found it.")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
def serve(library: str, host: str, port: int, token: str | None, opens: bool, embedder: str | None, device: str) -> int:
    """Show LIBRARY, made by `reidtrack index`, in a browser; Ctrl-C ends it.

    \b
    reidtrack serve weeks --open
    reidtrack serve weeks --host 0.0.0.0 --port 8080

    It shows everybody, finds a person by a picture, a click or words, plays sightings at their exact frame, compares,
    and takes corrections. Only this machine can reach it unless --host says otherwise, and then visitors need the
    token in the address that is printed. What is sent is not encrypted: across a network, put it behind a tunnel or a
    TLS proxy. Without a token, everybody who has an account on this machine can see the library.
    """
    from tracker.web.app import create_app
    from tracker.web.security import is_loopback, new_token

    if token is not None and len(token) < SHORTEST:
        raise BadInputError(f"--token: {len(token)} characters can be guessed; give {SHORTEST} or more")
    if token is None and not is_loopback(host):
        token = new_token()
    listening = _listening(host, port)
    with listening:
        app = create_app(library, token, device, embedder)
        listening.listen()  # who comes from now on is answered as soon as all is up
        address = _address(host, listening.getsockname()[1], token)
        click.echo(address)
        if opens:
            click.launch(address)
        _run(app, listening)
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """A bound socket, so that it is known before anything is loaded whether the port is free, and which it is."""
    try:
        (family, kind, number, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise BadInputError(f"--host {host}: no address of this machine; give 127.0.0.1, or 0.0.0.0 for all") from None
    listening = socket.socket(family, kind, number)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise BadInputError(
            f"--host {host} --port {port}: cannot be listened at ({error.strerror}); choose another --port, 0 for any"
        ) from None
    return listening


def _address(host: str, port: int, token: str | None) -> str:
    """What to type into a browser.

    >>> _address("::1", 80, None), _address("0.0.0.0", 80, "secret").endswith(":80/?token=secret")
    ('http://[::1]:80/', True)
    """
    from urllib.parse import quote

    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={quote(token)}" if token else "")


def _run(app: "FastAPI", listening: socket.socket) -> None:
    """Serve until Ctrl-C; streams that are open then are cut off."""
    import contextlib
    import logging

    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cut off from now on is meant to be
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3
    )
    with contextlib.suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listening])
