"""A scripted HTTP server on bare sockets, and sse-decode as its client."""

import gzip
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager

from peers import ENVIRONMENT, PATIENCE_SECONDS, accepting, shut, started

QUICK = "--backoff 1ms..20ms"


class Request:
    def __init__(self, head, body):
        first, *rest = head.decode("utf-8").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.fields = [tuple(line.split(": ", 1)) for line in rest if line]
        self.body = body

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        return next(iter(self.all(name)), None)


class Connection:
    """What a script says to a client."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b""

    def request(self):
        """The next request, or None at the end of the connection."""
        while b"\r\n\r\n" not in self.rest:
            received = self.stream.recv(65536)
            if not received:
                return None
            self.rest += received
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        request = Request(head, b"")
        size = int(request.get("Content-Length") or 0)
        while len(self.rest) < size:
            received = self.stream.recv(65536)
            if not received:
                return None
            self.rest += received
        request.body, self.rest = self.rest[:size], self.rest[size:]
        return request

    def send(self, data):
        self.stream.sendall(data.encode() if isinstance(data, str) else data)

    def head(self, status="200 OK", type="text/event-stream", *fields):
        lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {type}"] if type else []),
                 "Connection: close", *fields, "", ""]
        self.send("\r\n".join(lines))

    def events(self, *numbers):
        self.send("".join(f"id: {number}\ndata: {number}\n\n" for number in numbers))

    def answer(self, body, status="200 OK", type="application/json", *fields):
        body = body.encode() if isinstance(body, str) else body
        self.head(status, type, f"Content-Length: {len(body)}", *fields)
        self.send(body)

    def gone(self):
        """Waits until the client is gone."""
        try:
            while self.stream.recv(65536):
                pass
        except OSError:
            pass  # It was reset.

    def reset(self):
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()


class Server:
    def __init__(self, port):
        self.requests = []
        self.times = []
        self.port = port
        self.url = f"http://127.0.0.1:{port}/stream"
        self.errors = []


@contextmanager
def serving(*scripts, port=0, listener=None):
    """A server that answers the first connection with the first script, and each that comes behind
    the last script with that one. A script is called with the connection and the request."""
    listener = listener or socket.create_server(("127.0.0.1", port), backlog=100)
    server = Server(listener.getsockname()[1])
    lock = threading.Lock()
    sockets = []

    def talk(stream):
        stream.settimeout(PATIENCE_SECONDS)
        sockets.append(stream)
        try:
            with stream:
                connection = Connection(stream)
                request = connection.request()
                if request is None:
                    return
                with lock:
                    number = len(server.requests)
                    server.requests.append(request)
                    server.times.append(time.monotonic())
                scripts[min(number, len(scripts) - 1)](connection, request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # A client that left: what it saw is for the test to judge.
        except OSError as error:
            if stream.fileno() >= 0:
                server.errors.append(error)
        except Exception as error:  # Raised where the test can see it.
            server.errors.append(error)

    with accepting(listener, talk):
        try:
            yield server
        finally:
            shut(sockets)
    if server.errors:
        raise server.errors[0]


def outcome(arguments, input=None, **environment):
    """sse-decode with these arguments, to its end."""
    return subprocess.run(["bash", "-c", f"exec sse-decode {arguments}"],
                          input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          capture_output=True, env=ENVIRONMENT | environment,
                          timeout=PATIENCE_SECONDS)


def follower(arguments, variables=""):
    """sse-decode that runs while the test does."""
    return started(f"exec env {variables} sse-decode {arguments}", stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def events(*numbers):
    """A stream with these events, and then the end."""
    def script(connection, request):
        connection.head()
        connection.events(*numbers)
    return script


def ending(connection, request):
    """204: there is no more."""
    connection.answer("", "204 No Content", "")


def status(line, *fields, body="", type="text/plain"):
    def script(connection, request):
        connection.answer(body, line, type, *fields)
    return script


def zipped(text):
    return gzip.compress(text.encode())
