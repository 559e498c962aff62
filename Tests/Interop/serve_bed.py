"""stream-serve with its publisher in our hand, and plain clients of it, each with an end."""

import base64
import gzip
import hashlib
import itertools
import json
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect, unix_connect

from peers import ENVIRONMENT, PATIENCE_SECONDS

HOSTS = itertools.count(1)
ID = re.compile(r"([0-9a-z]+)-([0-9]+)")


def until(condition, what="", seconds=PATIENCE_SECONDS, pause=0.005):
    """What the condition comes to, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(pause)


def resident(server, what="VmRSS"):
    """MiB."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def processor_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_address():
    """An address and a port for a server that comes back to it. While it is away, nobody else gets
    the port: the address is of this process and of this call."""
    host = f"127.{1 + os.getpid() % 254}.{os.getpid() // 254 % 256}.{next(HOSTS)}"
    with socket.create_server((host, 0)) as listener:
        return f"{host}:{listener.getsockname()[1]}"


def sequence(id):
    """The number that the server gave."""
    return int(id.rpartition("-")[2])


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


class Answer:
    """A response to its end."""

    def __init__(self, head, body=b""):
        self.head = head
        first, *fields = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise AssertionError(f"no status line: {first!r}")
        self.version, self.status = version, int(status)
        self.fields = {}
        for field in fields:
            name, colon, value = field.partition(":")
            if not colon:
                raise AssertionError(f"no field: {field!r}")
            name = name.lower()
            old = self.fields.get(name)
            self.fields[name] = value.strip() if old is None else f"{old}, {value.strip()}"
        self.body = body

    def get(self, name, default=None):
        return self.fields.get(name.lower(), default)

    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        """Those of the records that the body holds."""
        return [record["data"] for record in self.json()]

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:300]!r}>"


class Wire:
    """A connection, byte by byte."""

    def __init__(self, server, receive_buffer=None, seconds=PATIENCE_SECONDS):
        self.server = server
        if isinstance(server.address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.held = b""
        self.over = False
        self.socket.connect(server.address)
        server.opened.append(self)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def more(self):
        """False at the end."""
        if not self.over:
            received = self.socket.recv(1 << 18)
            self.held += received
            self.over = not received
        return not self.over

    def read(self, count):
        while len(self.held) < count:
            if not self.more():
                raise AssertionError(f"it ended early, with {self.held[-300:]!r}")
        taken, self.held = self.held[:count], self.held[count:]
        return taken

    def read_to(self, mark):
        while mark not in self.held:
            if not self.more():
                raise AssertionError(f"it ended early, with {self.held[-300:]!r}")
        taken, _, self.held = self.held.partition(mark)
        return taken

    def rest(self):
        """All there is to the end; a reset is one, too."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            self.over = True
        taken, self.held = self.held, b""
        return taken

    def ended(self, seconds=PATIENCE_SECONDS):
        """That the peer closes within the time; what comes before is left out."""
        deadline = time.monotonic() + seconds
        try:
            while self.more():
                self.held = b""
                self.socket.settimeout(max(0.01, deadline - time.monotonic()))
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(PATIENCE_SECONDS)
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # HTTP

    def request(self, target, method="GET", body=None, fields=(), version="1.1"):
        named = {field.split(":")[0].lower() for field in fields}
        lines = [f"{method} {target} HTTP/{version}"]
        if "host" not in named:
            lines.append(f"Host: {self.server.host}")
        if body is not None and not named & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, *fields, "", ""]).encode("latin-1") + (body or b""))

    def head(self):
        return Answer(self.read_to(b"\r\n\r\n"))

    def answer(self, method="GET"):
        answer = self.head()
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if "chunked" in answer.get("transfer-encoding", ""):
            answer.body = b"".join(self.chunks())
        elif answer.get("content-length") is not None:
            answer.body = self.read(int(answer.get("content-length")))
        else:
            answer.body = self.rest()
        if answer.get("content-encoding") == "gzip":
            answer.body = gzip.decompress(answer.body)
        return answer

    def chunks(self):
        while True:
            size = int(self.read_to(b"\r\n").split(b";")[0], 16)
            chunk = self.read(size)
            if self.read(2) != b"\r\n":
                raise AssertionError("a chunk without its end")
            if not size:
                return
            yield chunk

    def ask(self, target, method="GET", body=None, fields=(), **rest):
        self.request(target, method, body, fields, **rest)
        return self.answer(method)


class Lines:
    """What a response brings, line by line as it comes."""

    def __init__(self, server, target, fields=(), **wire):
        self.wire = Wire(server, **wire)
        self.wire.request(target, fields=fields)
        self.answer = self.wire.head()
        self.held = b""
        self.inflater = zlib.decompressobj(31) if self.answer.get("content-encoding") else None
        self.body = (self.wire.chunks() if "chunked" in self.answer.get("transfer-encoding", "")
                     else self.plain())

    def plain(self):
        while self.wire.held or self.wire.more():
            taken, self.wire.held = self.wire.held, b""
            yield taken

    def line(self):
        """The next one, without its end; none when there is no more."""
        while b"\n" not in self.held:
            piece = next(self.body, None)
            if piece is None:
                self.close()
                return None
            self.held += self.inflater.decompress(piece) if self.inflater else piece
        line, _, self.held = self.held.partition(b"\n")
        return line.decode()

    def quiet(self, seconds):
        """That nothing comes for so long."""
        self.wire.socket.settimeout(seconds)
        try:
            self.held += next(self.body, b"")
            return not self.held
        except TimeoutError:
            self.body = self.plain() if "event-stream" in self.answer.get("content-type", "") \
                else self.wire.chunks()
            return True
        finally:
            self.wire.socket.settimeout(PATIENCE_SECONDS)

    def close(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SSE(Lines):
    """A client of /events: blocks as dictionaries of what their lines said, all of it text."""

    def __init__(self, server, target="/events", fields=(), **wire):
        super().__init__(server, target, fields, **wire)
        if self.answer.status != 200:
            raise AssertionError(f"{target}: {self.answer} {self.wire.rest()!r}")

    def block(self):
        block = {}
        while True:
            line = self.line()
            if line is None:
                return None  # An unfinished block is none.
            if not line:
                return block
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name not in {"", "event", "id", "data", "retry"}:
                raise AssertionError(f"no field of an event: {line!r}")
            if name in block and name == "data":
                value = f"{block[name]}\n{value}"
            elif name in block and name:
                raise AssertionError(f"{name} twice: {block}, {line!r}")
            block[name or "comment"] = value

    def event(self):
        """The next block with data; none at the end."""
        while True:
            block = self.block()
            if block is None or "data" in block:
                return block

    def events(self, count):
        return [self.event() for _ in range(count)]

    def data(self, count=1):
        """The data of as many events, as JSON where it is that."""
        return [value(event["data"]) if event else None for event in self.events(count)]

    def others(self):
        """All events to the end."""
        return list(iter(self.event, None))


class Stream(Lines):
    """A client of /stream."""

    def record(self):
        line = self.line()
        return None if line is None else json.loads(line)

    def records(self, count):
        return [self.record() for _ in range(count)]

    def data(self, count=1):
        return [record["data"] for record in self.records(count)]

    def others(self):
        return list(iter(self.record, None))


class WS:
    """A client of /ws with python's websockets."""

    def __init__(self, server, target="/ws", **options):
        options = {"ping_interval": None, "open_timeout": PATIENCE_SECONDS, "max_size": 1 << 26,
                   "close_timeout": 2} | options
        if isinstance(server.address, str):
            self.connection = unix_connect(server.address, f"ws://localhost{target}", **options)
        else:
            self.connection = connect(f"ws://{server.host}{target}", proxy=None, **options)
        self.waiting = []
        self.code = self.reason = None
        server.opened.append(self)

    def text(self):
        """The next message; none when the peer has closed."""
        try:
            return self.connection.recv(PATIENCE_SECONDS)
        except ConnectionClosed:
            self.code = self.connection.close_code
            self.reason = self.connection.close_reason
            return None

    def message(self):
        text = self.text()
        return None if text is None else json.loads(text)

    def record(self):
        """The next event; answers to requests are none."""
        if self.waiting:
            return self.waiting.pop(0)
        message = self.message()
        if message is not None and "type" in message:
            raise AssertionError(f"no event: {message}")
        return message

    def records(self, count):
        return [self.record() for _ in range(count)]

    def data(self, count=1):
        return [record["data"] for record in self.records(count)]

    def others(self):
        return list(iter(self.record, None))

    def send(self, message):
        self.connection.send(message if isinstance(message, (str, bytes)) else
                             json.dumps(message))

    def ask(self, message):
        """The answer; events before it are kept."""
        self.send(message)
        while True:
            answer = self.message()
            if answer is None or "type" in answer:
                return answer
            self.waiting.append(answer)

    def quiet(self, seconds):
        try:
            self.waiting.append(json.loads(self.connection.recv(seconds)))
            return False
        except TimeoutError:
            return True

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawWS(Wire):
    """A WebSocket whose frames are in our hand."""

    def __init__(self, server, target="/ws", fields=(), after=b"", **wire):
        super().__init__(server, **wire)
        self.code = self.reason = None
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {target} HTTP/1.1", f"Host: {server.host}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        self.send("\r\n".join([*lines, *fields, "", ""]).encode() + after)
        self.opening = self.head()
        if self.opening.status != 101:
            raise AssertionError(f"{target}: {self.opening}")
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        if self.opening.get("sec-websocket-accept") != base64.b64encode(accept).decode():
            raise AssertionError(f"a wrong Sec-WebSocket-Accept: {self.opening}")

    @staticmethod
    def frame(opcode, payload=b"", final=True, masked=True, reserved=0):
        payload = payload.encode() if isinstance(payload, str) else payload
        head = bytes([final << 7 | reserved << 4 | opcode])
        bit = masked << 7
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 1 << 16:
            head += struct.pack(">BH", bit | 126, len(payload))
        else:
            head += struct.pack(">BQ", bit | 127, len(payload))
        if not masked:
            return head + payload
        mask = os.urandom(4)
        key = (mask * (len(payload) // 4 + 1))[:len(payload)]
        return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")) \
            .to_bytes(len(payload), "big")

    def say(self, opcode, payload=b"", **rest):
        self.send(self.frame(opcode, payload, **rest))

    def hear(self):
        """The next frame: its opcode and payload; none at the end."""
        while len(self.held) < 2:
            if not self.more():
                return None
        first, second = self.read(2)
        if second & 0x80 or first & 0x70:
            raise AssertionError(f"a frame that is masked or has reserved bits: {first:x}")
        size = second & 0x7F
        if size == 126:
            [size] = struct.unpack(">H", self.read(2))
        elif size == 127:
            [size] = struct.unpack(">Q", self.read(8))
        if not first & 0x80:
            raise AssertionError("a fragment")
        return first & 0xF, self.read(size)

    def message(self):
        """The next text; none when the peer has closed, with `code` and `reason`."""
        while True:
            frame = self.hear()
            if frame is None:
                return None
            opcode, payload = frame
            if opcode == 1:
                return json.loads(payload)
            if opcode == 8:
                self.code = int.from_bytes(payload[:2], "big") if payload else 1005
                self.reason = payload[2:].decode()
                return None

    def closing(self):
        """The code of the close that comes, past whatever comes before."""
        try:
            while self.message() is not None:
                pass
        except ConnectionResetError:
            pass
        return self.code


class Server:
    """stream-serve as a process. `input` is "pipe", or what subprocess takes for stdin; `passed` is
    a socket for `--listen fd:`."""

    def __init__(self, options="", input="pipe", listen="127.0.0.1:0", variables={},
                 starts=True, read_output=True, passed=None):
        self.folder = tempfile.TemporaryDirectory(prefix="serve-")
        self.path = Path(self.folder.name)
        self.options = shlex.split(options)
        self.port_file = self.path / "port"
        self.opened = []
        self.fed, self.newest = 0, None
        command = ["stream-serve", "--listen", listen, "--port-file", str(self.port_file),
                   *self.options]
        if passed:
            command = ["bash", "-c", f"exec 3<&{passed.fileno()};"
                       ' LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "bash", *command]
        self.process = subprocess.Popen(
            command, pass_fds=[passed.fileno()] if passed else (),
            stdin=subprocess.PIPE if input == "pipe" else input,
            stdout=subprocess.PIPE if read_output else subprocess.DEVNULL,
            stderr=subprocess.PIPE, cwd=self.path, env=ENVIRONMENT | variables)
        # What a test forgot must not go on for ever.
        self.clock = threading.Timer(10 * PATIENCE_SECONDS, self.process.kill)
        self.clock.daemon = True
        self.clock.start()
        self.output, self.errors = [], []
        self.readers = [threading.Thread(target=self.gather, args=pair, daemon=True)
                        for pair in [(self.process.stdout, self.output),
                                     (self.process.stderr, self.errors)] if pair[0]]
        for reader in self.readers:
            reader.start()
        self.port = None
        self.address = self.host = None
        self.listen = listen.rpartition(":")[0]
        if listen.startswith("unix:"):
            self.address, self.host = str(self.path / listen[5:]), "localhost"
        if starts:
            self.started()

    @staticmethod
    def gather(stream, into):
        for line in stream:
            into.append(line)

    def started(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.options}: it ended with {self.process.returncode}:"
                                     f" {self.said()}")
            if isinstance(self.address, str):
                return self.listens()
            return self.port_file.exists() and self.port_file.read_text().endswith("\n")

        try:
            until(ready, "a port")
        except BaseException:
            self.stop()
            raise
        if not self.address:
            self.port = int(self.port_file.read_text())
            self.address = (self.listen, self.port)
            self.host = f"{self.listen}:{self.port}"

    def listens(self):
        """Whether its Unix socket takes connections: the file is there a moment before that."""
        process = Path(f"/proc/{self.process.pid}")
        listening = "00010000"
        try:
            inodes = {row[6] for line in (process / "net/unix").read_text().splitlines()
                      if len(row := line.split()) == 8 and row[3] == listening}
            own = {os.readlink(file) for file in (process / "fd").iterdir()}
        except OSError:
            return False  # It has just ended, or closed one.
        return any(f"socket:[{inode}]" in own for inode in inodes)

    # The publisher

    def feed(self, *values):
        """Lines, all in one write."""
        self.raw(*(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
                   for value in values))

    def raw(self, *lines):
        lines = [line.encode() if isinstance(line, str) else line for line in lines]
        self.process.stdin.write(b"".join(line + b"\n" for line in lines))
        self.process.stdin.flush()
        self.fed += len(lines)
        self.newest = lines[-1]

    def settled(self):
        """Waits until what was fed is in, and each worker has it."""
        until(lambda: self.metric("events_in_total") >= self.fed, f"{self.fed} events in")
        self.idle()
        newest = json.loads(self.newest)
        if "-r" in self.options:
            newest = newest["data"]
        if "0" not in self.options:
            until(lambda: self.ask("/last").data == [newest], "the newest")

    def idle(self):
        """Waits until all of its threads wait at the same time: what one had for another is taken,
        and what there is to send is sent, as far as clients take it."""
        def turns():
            """How often each thread began to wait; none while one does not."""
            waits = {}
            try:
                for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
                    text = (thread / "status").read_text()
                    if text.split("State:")[1].split()[0] != "S":
                        return None
                    waits[thread.name] = re.findall(r"ctxt_switches:\s*(\d+)", text)
            except OSError:
                return None  # One has just ended.
            return waits

        # None has run between the two looks, so all have waited between them.
        until(lambda: (first := turns()) and first == turns(), "its threads wait")

    def waits(self):
        """Waits until it takes no more of its input, though there is some. The events in so far."""
        def taken():
            if select.select([], [self.process.stdin], [], 0)[1]:
                return None  # There is room in the pipe.
            before = self.metric("events_in_total")
            self.idle()
            return before if self.metric("events_in_total") == before else None

        return until(taken, "it takes no more")

    def end(self):
        self.process.stdin.close()

    def finish(self):
        """Its exit status when the input ends and all clients leave."""
        self.end()
        for each in self.opened:
            if isinstance(each, Wire):
                each.close()
        return self.status()

    # The process

    def said(self):
        return b"".join(self.errors).decode(errors="replace")

    def published(self, count):
        """As many lines of standard output."""
        until(lambda: len(self.output) >= count,
              f"{count} lines of output, not {self.output[-5:]}")
        return [json.loads(line) for line in self.output]

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def status(self, seconds=PATIENCE_SECONDS):
        """Its exit status, when all it wrote is here."""
        status = self.process.wait(seconds)
        for reader in self.readers:
            reader.join(PATIENCE_SECONDS)
        return status

    def stop(self):
        for each in self.opened:
            if isinstance(each, Wire):
                each.close()
        if self.process.poll() is None:
            self.process.kill()
        self.clock.cancel()
        self.process.wait()
        for reader in self.readers:
            reader.join(PATIENCE_SECONDS)
        for stream in [self.process.stdin, self.process.stdout, self.process.stderr]:
            try:
                stream and stream.close()
            except BrokenPipeError:
                pass
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind and self.errors:
            print(f"stream-serve said: {self.said()[-2000:]}")
        self.stop()

    # Its clients

    def ask(self, target, method="GET", body=None, fields=()):
        with Wire(self) as wire:
            return wire.ask(target, method, body, [*fields, "Connection: close"])

    def post(self, target, body, fields=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.ask(target, "POST", body, fields)

    def sse(self, target="/events", fields=(), **rest):
        return SSE(self, target, fields, **rest)

    def stream(self, target="/stream", fields=(), **rest):
        return Stream(self, target, fields, **rest)

    def ws(self, target="/ws", **options):
        return WS(self, target, **options)

    def raw_ws(self, target="/ws", fields=(), **rest):
        return RawWS(self, target, fields, **rest)

    def wire(self, **rest):
        return Wire(self, **rest)

    def metrics(self):
        """Each sample by its name and labels, without the prefix."""
        samples = {}

        def answered():
            answer = self.ask("/metrics")
            return answer if answer.status == 200 else None

        for line in until(answered, "metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name.removeprefix("streamutils_")] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum of the samples of this name that have these labels."""
        total = 0
        for sample, value in self.metrics().items():
            bare, _, rest = sample.partition("{")
            if bare == name and all(f'{key}="{label}"' in rest for key, label in labels.items()):
                total += value
        return total

    def reaches(self, count, name, at_least=False, **labels):
        """Counters are gathered now and then, so that this waits for them."""
        seen = []

        def reached():
            seen[:] = [self.metric(name, **labels)]
            return seen[0] == count or at_least and seen[0] > count

        try:
            until(reached)
        except AssertionError:
            raise AssertionError(f"{name} {labels}: {seen[0]}, not {count}") from None


def serve(options="", **rest):
    return Server(options, **rest)


def refused(options, seconds=PATIENCE_SECONDS, input=b""):
    """The exit status and standard error of one that is not to start."""
    done = subprocess.run(["stream-serve", *shlex.split(options)], input=input,
                          capture_output=True, env=ENVIRONMENT, timeout=seconds)
    return done.returncode, done.stderr.decode(errors="replace")
