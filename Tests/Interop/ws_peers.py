"""WebSocket peers in a thread, each with an end, and what they saw."""

import asyncio
import base64
import json
import os
import queue
import random
import subprocess
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import aiohttp.web
import websockets
from websockets.asyncio.server import serve, unix_serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from peers import ENVIRONMENT, PATIENCE_SECONDS

for name in ["no_proxy", "NO_PROXY", "STREAMUTILS_PASSWORD"]:
    ENVIRONMENT.pop(name, None)

# Every kind of message that a line-oriented tool may lose or change.
MESSAGES = ["", "a", '{"a": 1}', "two\nlines\r\n", "grün €\U0001f600\u2028\x00\x7f\"\\", b"",
            b"\x00\xff\r\n", bytes(range(256)), "x" * 125, "x" * 126, b"y" * 65535, b"y" * 65536,
            "Zeile " * 50_000, random.Random(0).randbytes(300_000), ""]


def records(messages):
    """The lines of ws-cat -r for these messages."""
    def record(message):
        if isinstance(message, str):
            return {"type": "text", "data": message}
        return {"type": "binary", "data": base64.b64encode(message).decode()}
    return b"".join(json.dumps(record(message)).encode() + b"\n" for message in messages)


def messages(output):
    """The messages that the lines of ws-cat -r are."""
    read = []
    for line in output.split(b"\n")[:-1]:
        record = json.loads(line)
        is_text = record["type"] == "text"
        read.append(record["data"] if is_text else base64.b64decode(record["data"], validate=True))
    return read


def outcome(command, input=b"", **environment):
    """A command in bash that ended, with its status and both outputs."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], input=input,
                          capture_output=True, env=ENVIRONMENT | environment,
                          timeout=PATIENCE_SECONDS)


class Seen:
    """What a server saw, to be looked at from the test's thread."""

    def __init__(self):
        self.url = None
        self.port = None
        self.requests = []        # of each opening handshake, also of those it refused
        self.connections = []     # websockets' own, so that a test can ask what was agreed
        self.messages = []        # of all connections, kept by the handlers below
        self.errors = []
        self._closes = queue.Queue()

    def close(self):
        """The code and the reason that ended the next connection."""
        return self._closes.get(timeout=PATIENCE_SECONDS)

    def closed(self, code, reason):
        self._closes.put((code, reason))


@contextmanager
def in_thread(peer):
    """What an asynchronous context manager yields, which runs in a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE_SECONDS)

    try:
        value = wait(peer.__aenter__())
        try:
            yield value
        finally:
            wait(peer.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_SECONDS)
        if not loop.is_running():
            loop.close()
    if value.errors:
        raise value.errors[0]


async def echo(connection, seen):
    async for message in connection:
        seen.messages.append(message)
        await connection.send(message)


async def keep(connection, seen):
    """Says nothing."""
    async for message in connection:
        seen.messages.append(message)


def saying(*messages, code=1000, reason=""):
    """An answer: these messages, then this close."""
    async def answer(connection, seen):
        for message in messages:
            await connection.send(message)
        await connection.close(code, reason)
    return answer


def websockets_server(answer=echo, refuse=None, unix=None, **options):
    """A server of the websockets package. `refuse` may answer a request with (status, fields)."""
    return in_thread(_websockets_server(answer, refuse, unix, options))


@asynccontextmanager
async def _websockets_server(answer, refuse, unix, options):
    seen = Seen()

    async def talk(connection):
        seen.connections.append(connection)
        try:
            await answer(connection, seen)
            await connection.wait_closed()
        except websockets.ConnectionClosed:
            pass
        except Exception as error:  # Raised where the test can see it.
            seen.errors.append(error)
        finally:
            seen.closed(connection.close_code, connection.close_reason)

    def request(connection, request):
        seen.requests.append(request)
        refusal = refuse(request) if refuse else None
        if not refusal:
            return None
        response = connection.respond(refusal[0], "No.\n")
        for name, value in refusal[1]:
            response.headers[name] = value
        return response

    options = {"max_size": 1 << 26, "ping_interval": None, "close_timeout": 5} | options
    if unix:
        server = unix_serve(talk, unix, process_request=request, **options)
    else:
        server = serve(talk, "127.0.0.1", 0, process_request=request, **options)
    async with server as listening:
        if not unix:
            seen.port = listening.sockets[0].getsockname()[1]
            scheme = "wss" if options.get("ssl") else "ws"
            seen.url = f"{scheme}://127.0.0.1:{seen.port}/"
        yield seen


def deflate(**parameters):
    """Options of a server with these parameters of permessage-deflate."""
    return {"compression": None, "extensions": [ServerPerMessageDeflateFactory(**parameters)]}


def aiohttp_server(**options):
    """A server of the aiohttp package that echoes."""
    return in_thread(_aiohttp_server(options))


@asynccontextmanager
async def _aiohttp_server(options):
    seen = Seen()

    async def talk(request):
        seen.requests.append(request)
        connection = aiohttp.web.WebSocketResponse(max_msg_size=1 << 26, **options)
        await connection.prepare(request)
        seen.connections.append(connection)
        async for message in connection:
            if message.type == aiohttp.WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        seen.closed(connection.close_code, "")
        return connection

    application = aiohttp.web.Application()
    application.router.add_get("/", talk)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    seen.port = runner.addresses[0][1]
    seen.url = f"ws://127.0.0.1:{seen.port}/"
    try:
        yield seen
    finally:
        await runner.cleanup()


class Listening:
    """A ws-cat that listens: its process and its URL."""

    def __init__(self, process, port):
        self.process, self.port, self.url = process, port, f"ws://127.0.0.1:{port}/"

    def status(self):
        return self.process.wait(timeout=PATIENCE_SECONDS)


@contextmanager
def listening(options, echoes=False):
    """A ws-cat --listen on a free port; with `echoes` its standard output is its input."""
    with TemporaryDirectory() as directory:
        file = Path(directory, "port")
        command = ["ws-cat", *options.split(), "--listen", "127.0.0.1:0", "--port-file", str(file)]
        reading, writing = os.pipe() if echoes else (subprocess.PIPE, subprocess.PIPE)
        process = subprocess.Popen(command, stdin=reading, stdout=writing, env=ENVIRONMENT)
        if echoes:
            os.close(reading)
            os.close(writing)
        clock = threading.Timer(PATIENCE_SECONDS, process.kill)
        clock.start()
        try:
            yield Listening(process, port_in(file, process))
        finally:
            clock.cancel()
            for stream in [process.stdin, process.stdout]:
                if stream and not stream.closed:
                    stream.close()
            process.kill()
            process.wait()


def port_in(file, process):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # The file may be there before the number is.
        if file.exists() and file.read_text().endswith("\n"):
            return int(file.read_text())
        time.sleep(0.005)
    raise AssertionError("ws-cat --listen: no port")
