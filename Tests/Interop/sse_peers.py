"""HTTP servers that follow a script, on raw sockets, and an sse-decode that reads from them."""

import json
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import zlib
from contextlib import contextmanager
from pathlib import Path

from faults import Cat, silent
# test_serve_*.py take `seed` from here.
from peers import ENVIRONMENT, PATIENCE_SECONDS, seed  # noqa: F401
from raw_peers import Raw, raw_server

for name in ["no_proxy", "NO_PROXY", "STREAMUTILS_PASSWORD", "NOTIFY_SOCKET", "WATCHDOG_USEC",
             "WATCHDOG_PID", "JOURNAL_STREAM"]:
    ENVIRONMENT.pop(name, None)

STREAM = "text/event-stream"
# Silence that is a stall, where a test is about one: longer than a busy machine lets a peer wait.
IDLE = ["--idle-timeout", "700ms"]
# Waits between attempts that no test has to sit out.
SOON = ["--no-progress", "--backoff", "1ms..20ms"]


class Request:
    """What a client asked for: header fields in their order, with their names as they came."""

    def __init__(self, head, connection):
        line, *fields = head.decode("utf-8", "surrogateescape").split("\r\n")
        self.method, self.target, self.version = line.split(" ")
        self.fields = [tuple(field.split(": ", 1)) for field in fields]
        self.body = b""
        self.connection = connection
        self.at = time.monotonic()

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name):
        """The value of a field that comes once, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} came {len(values)} times")
        return values[0] if values else None

    @property
    def id(self):
        return self.one("Last-Event-ID")

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def __repr__(self):
        return f"{self.method} {self.target} {self.fields} {self.body!r}"


class Client(Raw):
    """A server's side of one connection, to be answered piece by piece."""

    # An answer that says where it ends may set this: then another request may follow.
    stays = False

    def ask(self, number):
        """The next request; None when the client hung up instead."""
        while b"\r\n\r\n" not in self.received:
            if not self.fill():
                return None
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        request = Request(head, number)
        if request.one("Expect"):
            self.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self.take(int(request.one("Content-Length") or 0))
        return request

    def say(self, data):
        self.socket.sendall(data)

    def head(self, status="200 OK", type=STREAM, *fields):
        lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {type}"] if type is not None else []),
                 *fields, *([] if self.stays else ["Connection: close"])]
        self.say("\r\n".join([*lines, "", ""]).encode())

    def pieces(self, parts, pause=0.0):
        """Each part by itself, with a pause behind it."""
        for part in parts:
            self.say(part)
            if pause:
                time.sleep(pause)

    def chunk(self, data):
        self.say(b"%x\r\n%s\r\n" % (len(data), data))

    def last_chunk(self):
        self.say(b"0\r\n\r\n")

    def hold(self):
        """Neither says nor reads anything more."""
        silent(self)


class Web:
    """Where a server listens, and what it was asked."""

    def __init__(self):
        self.url, self.port, self.requests = None, None, []
        self.lock = threading.Lock()

    @property
    def count(self):
        return len(self.requests)

    @property
    def ids(self):
        return [request.id for request in self.requests]


@contextmanager
def web(answers, **options):
    """A server that answers the requests in turn: with one of the answers of a list, which are
    functions of the client and the request, or with one function for all of them."""
    seen = Web()

    def choose(request):
        with seen.lock:
            seen.requests.append(request)
            turn = len(seen.requests) - 1
        if callable(answers):
            return answers
        if turn < len(answers):
            return answers[turn]
        return unexpected

    def unexpected(client, request):
        none(client, request)
        raise AssertionError(f"a request too many: {request}")

    def talk(raw):
        client = Client(raw.socket)
        with seen.lock:
            talk.connections += 1
            number = talk.connections
        while request := client.ask(number):
            client.stays = False
            choose(request)(client, request)
            if not client.stays:
                return

    talk.connections = 0
    with raw_server(talk, opens=False, **options) as peers:
        seen.port = peers.port
        seen.url = peers.url.replace("ws", "http", 1)
        yield seen


# Answers.

def stream(*parts, pause=0.0, fields=(), type=STREAM, status="200 OK"):
    """A stream that ends where the connection does, in order."""
    def answer(client, request):
        client.head(status, type, *fields)
        client.pieces(parts, pause)
    return answer


def chunks(*parts, ends=True, pause=0.0, fields=(), type=STREAM):
    """A stream in chunks; without its last chunk, when it does not end."""
    def answer(client, request):
        client.head("200 OK", type, "Transfer-Encoding: chunked", *fields)
        for part in parts:
            client.chunk(part)
            time.sleep(pause)
        if ends:
            client.last_chunk()
    return answer


def cut(*parts, reset=False, pause=0.0, type=STREAM):
    """A stream that is cut off: by a reset, or before the length that it said."""
    def answer(client, request):
        client.head("200 OK", type, "Content-Length: 1000000000")
        client.pieces(parts, pause)
        if reset:
            time.sleep(0.02)
            client.reset()
    return answer


def held(*parts, type=STREAM, fields=()):
    """A stream that stays open and says nothing more."""
    def answer(client, request):
        client.head("200 OK", type, *fields)
        client.pieces(parts)
        client.hold()
    return answer


def reply(status, body=b"", *fields, type=None, stays=False):
    """A whole answer with its length."""
    def answer(client, request):
        client.stays = stays
        client.head(status, type, f"Content-Length: {len(body)}", *fields)
        client.say(body)
    return answer


def redirect(status, location):
    fields = [] if location is None else [f"Location: {location}"]
    return reply(f"{status} Elsewhere", b"", *fields)


def silence(client, request):
    """No answer at all."""
    client.hold()


def hangs_up(client, request):
    """Closes instead of answering."""


def resets(client, request):
    client.reset()


none = reply("204 No Content")


def event(data, id=None, type=None):
    """The bytes of an event."""
    lines = [f"id: {id}"] if id is not None else []
    lines += [f"event: {type}"] if type is not None else []
    lines += [f"data: {line}" for line in str(data).split("\n")]
    return "\n".join([*lines, "", ""]).encode()


def record(data, id=None, type="message", **more):
    """The record that an event becomes."""
    return {"event": type} | ({} if id is None else {"id": str(id)}) | {"data": str(data)} | more


def zipped(*parts, ends=True):
    """Each part as gzip can be inflated so far."""
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    return [*packed, packer.flush()] if ends else packed


# The tool.

class Done:
    """An sse-decode that ended."""

    def __init__(self, done):
        self.status, self.output, self.errors = done.returncode, done.stdout, done.stderr

    @property
    def records(self):
        if self.output and not self.output.endswith(b"\n"):
            raise AssertionError(f"half a line: {self.output[-100:]!r}")
        return [json.loads(line) for line in self.output.split(b"\n")[:-1]]

    @property
    def stats(self):
        return [json.loads(line) for line in self.errors.split(b"\n")
                if line.startswith(b'{"tool"')][-1]


def decode(*arguments, status=0, input=b"", options=SOON, **environment):
    """An sse-decode with these arguments that has to end with this status."""
    arguments = [*map(str, arguments)]
    if options is SOON and not any(each.startswith("http") for each in arguments):
        options = SOON[:1]  # Nothing is tried again without a URL.
    command = ["sse-decode", *options, *arguments]
    done = Done(subprocess.run(command, input=input, capture_output=True,
                               env=ENVIRONMENT | environment, timeout=PATIENCE_SECONDS))
    if done.status != status:
        raise AssertionError(f"{command}: exit status {done.status}, not {status}: "
                             f"{done.errors.decode(errors='replace')}")
    return done


def each_of(seen, paths, *options, **more):
    """The records of the URL of each path, and the path: a process reads many of them."""
    paths = list(paths)
    for at in range(0, len(paths), 25):
        urls = {f"{seen.url}{path}": path for path in paths[at:at + 25]}
        records = {url: [] for url in urls}
        for each in decode("--tag-source", *options, *urls, **more).records:
            records[each.pop("source")].append(each)
        for url, path in urls.items():
            yield records[url], path


class Running(Cat):
    """An sse-decode that runs."""

    def record(self):
        """The next line; waits for it."""
        return json.loads(self.output.readline())

    def records(self):
        """All the lines that are left, to the end."""
        return [json.loads(line) for line in self.output.read().split(b"\n")[:-1]]


@contextmanager
def decoding(*arguments, options=SOON, stdout=subprocess.PIPE, patience=PATIENCE_SECONDS,
             **environment):
    """An sse-decode that runs while the test does."""
    command = ["sse-decode", *options, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout,
                               stderr=subprocess.PIPE, env=ENVIRONMENT | environment)
    clock = threading.Timer(patience, process.kill)
    clock.start()
    try:
        yield Running(process)
    finally:
        clock.cancel()
        process.kill()
        process.wait()
        for each in [process.stdout, process.stderr]:
            if each and not each.closed:
                each.close()


class Files(unittest.TestCase):
    """Tests with a folder of their own."""

    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path
