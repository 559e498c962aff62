"""Servers and pipelines for the tests, each with an end: nothing here waits for ever."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[1] / "Corpus" / "samples"
TOOLS = Path(sys.argv[1]).resolve()
# Far longer than anything takes, on a busy machine too: a test that waits so long has failed.
PATIENCE_SECONDS = 120

ENVIRONMENT = os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}"}
# Everything here is on the loopback interface.
for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]:
    ENVIRONMENT.pop(name, None)
    os.environ.pop(name, None)


def run(command, input=b"", status=0):
    """Standard output of a pipeline in bash that has to end with this status."""
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], input=input,
                          capture_output=True, cwd=SAMPLES, env=ENVIRONMENT,
                          timeout=PATIENCE_SECONDS)
    if done.returncode != status:
        raise AssertionError(f"{command}: exit status {done.returncode}, not {status}:"
                             f" {done.stderr.decode(errors='replace')}")
    return done.stdout


def seed():
    """The seed of what a test does at random, which is printed; SEED gives it again."""
    value = int(os.environ.get("SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"SEED={value}")
    return value


def until(condition, within=PATIENCE_SECONDS):
    """Waits for what a peer's thread, or another process, will do."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come to this in time")
        time.sleep(0.005)


@contextmanager
def reserved():
    """A port where nobody listens, and which nobody else is given, until the test listens there:
    one that is just free may be another program's by then, or our own other end."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def unanswered():
    """A port where connecting does not end: the queue of its listener is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        others = [stack.enter_context(socket.socket()) for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        until(lambda: 0 < len(select.select([], others, [], 0)[1]) < len(others))
        yield port


def lines(output):
    """The values that JSON Lines hold."""
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


@contextmanager
def started(command, **streams):
    """A pipeline in bash that runs while the test does."""
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], cwd=SAMPLES,
                               env=ENVIRONMENT, **streams)
    # A read from it must not wait for ever either.
    clock = threading.Timer(PATIENCE_SECONDS, process.kill)
    clock.start()
    try:
        yield process
    finally:
        clock.cancel()
        for stream in [process.stdin, process.stdout, process.stderr]:
            if stream:
                stream.close()
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def accepting(listener, talk):
    """Calls `talk` with each connection, in a thread of its own, to the end of the block."""
    threads = []

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # The listener was closed.
            threads.append(threading.Thread(target=talk, args=[connection], daemon=True))
            threads[-1].start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in [thread, *threads]:
            each.join(PATIENCE_SECONDS)


def shut(sockets):
    """Ends what is sent and received on these sockets."""
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It is closed.


@contextmanager
def server(answer):
    """The URL of a server on the loopback interface that calls `answer` with each connection."""
    errors = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # The listener was closed.
            connection.settimeout(PATIENCE_SECONDS)
            try:
                with connection:
                    answer(connection)
            except ConnectionError:
                pass  # A client that left: what it saw is for the test to judge.
            except Exception as error:  # Raised where the test can see it.
                errors.append(error)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE_SECONDS)
    if errors:
        raise errors[0]


def activated(command):
    """An answer as systemd gives it with Accept=yes: the connection is the standard input and
    output of the command, which leaves the request unread."""
    def answer(connection):
        subprocess.run(command, stdin=connection, stdout=connection, cwd=SAMPLES,
                       env=ENVIRONMENT, timeout=PATIENCE_SECONDS, check=True)
    return answer


def read_request(connection):
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(4096)
        if not received:
            raise ConnectionError(f"the request ended early: {request!r}")
        request += received
    return request


def head(content_type="text/event-stream", status="200 OK", fields=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Connection: close", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(body, sizes):
    """The body in HTTP chunks of these sizes in turn, each to be sent by itself."""
    at = turn = 0
    while at < len(body):
        piece = body[at:at + sizes[turn % len(sizes)]]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
        at, turn = at + len(piece), turn + 1
    yield b"0\r\n\r\n"
