"""`reidtrack serve`: where it listens, whom it asks for a token, and that it ends when asked to."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.library.conftest import add, made_up
from tracker.cli import main


@pytest.fixture
def library(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 8))
    return str(tmp_path / "lib")


def served(*args):
    """The server in a process of its own, and the address that it prints."""
    command = [sys.executable, "-m", "tracker", "serve", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def opened(address):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=60) as answer:
        return answer.status, answer.read().decode()


def test_it_serves_this_machine_and_ends_at_ctrl_c(library):
    process, address = served(library, "--port", "0")
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), process.stderr.read()
        status, text = opened(address)
        assert (status, "people</h1>" in text) == (200, True)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (out, err) == ("", "")


def test_ctrl_c_cuts_off_what_is_open_without_a_word(library):
    process, address = served(library, "--port", "0")
    try:
        with socket.create_connection(("127.0.0.1", int(re.search(r":(\d+)/", address)[1]))) as visitor:
            head = "POST /find HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
            visitor.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\ncsrf=".encode())
            opened(address)  # so the server has taken the other one too
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert (out, err) == ("", "")


def test_other_machines_are_asked_for_a_token(library):
    process, address = served(library, "--port", "0", "--host", "0.0.0.0")
    try:
        port, token = re.fullmatch(r"http://[^/]+:(\d+)/\?token=([\w-]{20,})", address).groups()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            opened(f"http://127.0.0.1:{port}/")
        assert opened(f"http://127.0.0.1:{port}/?token={token}")[0] == 200
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere"], 1, "nowhere: no library; make one with"),
        (["LIB", "--token", "short"], 2, "--token: 5 characters can be guessed; give 12 or more"),
        (["LIB", "--host", "no such host.invalid"], 2, "no address of this machine"),
        (["LIB", "--port", "TAKEN"], 2, "cannot be listened at"),
        (["LIB", "--port", "99999"], 2, "--port"),
    ],
)
def test_what_cannot_be_served_is_one_line(library, capsys, args, code, said):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        names = {"LIB": library, "TAKEN": str(other.getsockname()[1])}
        assert main(["serve", *(names.get(arg, arg) for arg in args)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
