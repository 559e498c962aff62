"""Many clients of stream-serve in one thread, each of which checks what it gets by its number.

What is published is `{"n":1,"c":"a.b",...}`: n counts from one, as the server's ids do, and c is
the channel (--channel-from .c)."""

import base64
import json
import os
import re
import select
import socket
import struct
import threading
import time
import zlib

from peers import PATIENCE_SECONDS
from serve_bed import Answer, RawWS

TRANSPORTS = ["sse", "ws", "stream", "poll"]
BLOCK = re.compile(rb"(?:event: ?([^\n]*)\n)?(?:id: ?([^\n]*)\n)?data: ?([^\n]*)\n\n"
                   rb"|retry: ?\d+\n\n|:[^\n]*\n\n")
ID = re.compile(rb'"id":"([^"]*)"')
NUMBER = re.compile(rb'"n":(\d+)')
TIME = re.compile(rb'"t":([\d.]+)')


def pattern(text):
    """A pattern of channels as a regular expression."""
    levels = [r"[^.]+" if level == "*" else re.escape(level) for level in text.split(".")]
    if text == "**":
        return re.compile(".*")
    if levels[-1] == re.escape("**"):
        return re.compile(r"\.".join(levels[:-1]) + r"(\..*)?")
    return re.compile(r"\.".join(levels))


class Feed:
    """What was published: the channel of each number, in order, and a thread that publishes."""

    def __init__(self, server, chance=None, channels=("c",), size=0):
        self.server, self.chance, self.channels = server, chance, channels
        self.log = []
        self.filler = b"x" * size
        self.thread = self.problem = None
        self.done = False

    def lines(self, count, stamp=False):
        pieces, pick = [], self.chance.choice if self.chance else lambda from_: from_[0]
        for n in range(len(self.log) + 1, len(self.log) + count + 1):
            channel = pick(self.channels)
            self.log.append(channel)
            pieces.append(b'{"n":%d,"c":"%s"%s,"x":"%s"}\n' % (
                n, channel.encode(), b',"t":%.6f' % time.monotonic() if stamp else b"",
                self.filler))
        return b"".join(pieces)

    def write(self, count, stamp=False):
        data = memoryview(self.lines(count, stamp))
        while data:
            data = data[os.write(self.server.process.stdin.fileno(), data):]

    def run(self, rate, seconds=None, step=0.005, stamp=False):
        """In a thread, some each `step`; `done` or the time ends it."""
        def publish():
            try:
                start, begun = time.monotonic(), len(self.log)
                while not self.done:
                    now = time.monotonic() - start
                    if seconds is not None and now >= seconds:
                        break
                    due = int(now * rate) + begun - len(self.log)
                    if due > 0:
                        self.write(due, stamp)
                    time.sleep(step)
            except (OSError, ValueError) as error:  # ValueError: the test closed it.
                self.problem = error
        self.thread = threading.Thread(target=publish, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.done = True
        self.thread.join(PATIENCE_SECONDS)
        if self.thread.is_alive():
            raise AssertionError("standard input is not taken")
        if self.problem:
            raise self.problem

    def expected(self, patterns):
        """The numbers of what these patterns take, in order."""
        taking = [pattern(each) for each in patterns]
        if not taking:
            return range(1, len(self.log) + 1)
        verdicts = {channel: any(each.fullmatch(channel) for each in taking)
                    for channel in set(self.log)}
        return [n for n, channel in enumerate(self.log, 1) if verdicts[channel]]


class Member:
    """One client, over as many connections as it takes."""

    def __init__(self, crowd, transport, patterns=(), compress=False, since=None, query="",
                 receive_buffer=None, wait=5):
        self.crowd, self.transport, self.patterns = crowd, transport, list(patterns)
        self.compress, self.since, self.query, self.wait = compress, since, query, wait
        self.receive_buffer = receive_buffer
        self.seen, self.last, self.gaps, self.delays = [], None, [], []
        self.connections = self.bytes = 0
        self.socket = self.problem = None
        self.open()

    def __repr__(self):
        return (f"<{self.transport} {self.patterns}{' compressed' * self.compress}"
                f" {self.query} {self.connections} connections, last {self.last},"
                f" {len(self.seen)} seen, {self.gaps[:3]}>")

    # Connections

    def target(self):
        parts = [f"channel={each}" for each in self.patterns]
        if self.query:
            parts.append(self.query)
        if self.last and self.transport == "poll":
            parts.append(f"since={self.last}")
        elif self.last and self.transport != "sse":
            parts.append(f"last_event_id={self.last}")
        elif self.since is not None and not self.last:
            parts.append(f"since={self.since}")
        if self.transport == "poll":
            parts.append(f"wait={self.wait}s&max=1000")
        path = {"sse": "/events", "ws": "/ws", "stream": "/stream", "poll": "/poll"}
        return f"{path[self.transport]}?{'&'.join(parts)}"

    def request(self):
        fields = [f"GET {self.target()} HTTP/1.1", f"Host: {self.crowd.server.host}"]
        if self.transport == "ws":
            fields += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                       f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
            if self.compress:
                fields.append("Sec-WebSocket-Extensions: permessage-deflate")
        elif self.compress:
            fields.append("Accept-Encoding: gzip")
        if self.transport == "sse" and self.last:
            fields.append(f"Last-Event-ID: {self.last}")
        return "\r\n".join([*fields, "", ""]).encode()

    def open(self):
        self.held = self.text = b""
        self.head = self.inflater = None
        self.left = None  # Bytes of a chunk or a body.
        self.over = self.ended = False
        self.connections += 1
        self.socket = socket.socket()
        if self.receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.crowd.source:
            self.socket.bind((self.crowd.source, 0))
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(self.crowd.server.address)
        self.socket.sendall(self.request())
        self.socket.setblocking(False)
        self.crowd.add(self)

    def leave(self, way="close"):
        if self.socket is None:
            return
        if way == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.crowd.drop(self)
        if way == "half":
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.crowd.halves.append(self.socket)
        else:
            self.socket.close()
        self.socket = None
        self.over = True

    def again(self, way="close"):
        self.leave(way)
        self.open()

    # What comes

    def ready(self):
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self.bytes += len(data)
        try:
            if data:
                self.take(data)
        except Exception as error:  # Shown by Crowd.turn.
            self.problem = error
        if not data:
            self.leave()

    def take(self, data):
        if self.head is None:
            self.held += data
            head, mark, data = self.held.partition(b"\r\n\r\n")
            if not mark:
                return
            self.held = b""
            self.head = Answer(head)
            wanted = 101 if self.transport == "ws" else 200
            if self.transport == "poll" and b"the stream is at its end" in data:
                return self.leave()
            if self.head.status != wanted:
                raise AssertionError(f"{self}: {self.head} {data!r}")
            if self.transport == "ws":
                if self.head.get("sec-websocket-extensions"):
                    self.inflater = zlib.decompressobj(-15)
            elif self.head.get("content-encoding") == "gzip":
                self.inflater = zlib.decompressobj(31)
            self.left = int(self.head.get("content-length") or 0)
            if not data and not (self.transport == "poll" and not self.left):
                return
        getattr(self, f"take_{self.transport}")(data)

    def take_sse(self, data):
        self.text += self.inflater.decompress(data) if self.inflater else data
        at = 0
        for block in BLOCK.finditer(self.text):
            if block.start() != at:
                raise AssertionError(f"no block: {self.text[at:at + 300]!r}")
            at = block.end()
            if block[3] is not None:
                self.event(block[1], block[2], block[3], block[0])
        self.text = self.text[at:]

    def take_stream(self, data):
        if self.inflater:
            self.text += self.inflater.decompress(data)
            return self.take_lines()
        self.held += data
        at, held = 0, self.held
        while True:
            end = held.find(b"\r\n", at)
            if end < 0:
                break
            size = int(held[at:end].split(b";")[0], 16)
            if len(held) < end + 4 + size:
                break
            piece = held[end + 2:end + 2 + size]
            if held[end + 2 + size:end + 4 + size] != b"\r\n":
                raise AssertionError(f"a chunk without an end: {held[at:at + 100]!r}")
            at = end + 4 + size
            self.text += piece
        self.held = held[at:]
        self.take_lines()

    def take_lines(self):
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            self.record(line)

    def take_ws(self, data):
        self.held += data
        held, at = self.held, 0
        while len(held) >= at + 2:
            first, size = held[at], held[at + 1]
            start = at + 2
            if size == 126:
                if len(held) < at + 4:
                    break
                [size] = struct.unpack_from(">H", held, at + 2)
                start = at + 4
            elif size == 127:
                if len(held) < at + 10:
                    break
                [size] = struct.unpack_from(">Q", held, at + 2)
                start = at + 10
            if len(held) < start + size:
                break
            payload = held[start:start + size]
            at = start + size
            if first & 0x40:
                payload = self.inflater.decompress(payload + b"\0\0\xff\xff")
            if first & 0xBF == 0x81:
                self.record(payload)
            elif first == 0x89:
                self.say(10, payload)
            elif first == 0x88:
                self.code = int.from_bytes(payload[:2], "big")
            elif first != 0x8A:
                raise AssertionError(f"a frame: {first:x} {payload[:100]!r}")
        self.held = held[at:]

    def say(self, opcode, payload=b""):
        try:
            self.socket.send(RawWS.frame(opcode, payload))
        except (BlockingIOError, ConnectionError):
            pass

    def take_poll(self, data):
        self.held += data
        if len(self.held) < self.left:
            return
        body, self.held = self.held[:self.left], self.held[self.left:]
        if self.held:
            raise AssertionError(f"more than a response: {self.held!r}")
        if self.inflater:
            body = self.inflater.decompress(body)
        for record in json.loads(body):
            if record.get("event") == "end":
                self.ended = True
                return
            name = record.get("event")
            self.event(name and name.encode(), record.get("id", "").encode(),
                       json.dumps(record["data"], separators=(",", ":")).encode(), record)
        self.last = self.head.get("stream-cursor") or self.last
        self.head = self.inflater = None
        self.socket.setblocking(True)
        try:
            self.socket.sendall(self.request())
        except ConnectionError:
            return self.leave()  # Not kept for so long.
        self.socket.setblocking(False)

    def record(self, line):
        if b'"type":' in line:
            return
        event = re.search(rb'"event":"([^"]*)"', line)
        id = ID.search(line)
        self.event(event and event[1], id and id[1], line, line)

    def event(self, name, id, data, whole):
        if name == b"end":
            self.ended = True
            return
        if name == b"gap":
            self.gaps.append(whole)
            return
        number = NUMBER.search(data)
        if number is None or id is None:
            raise AssertionError(f"no event of ours: {whole!r}")
        n = int(number[1])
        if int(id.rpartition(b"-")[2]) != n:
            raise AssertionError(f"another's id: {whole!r}")
        if self.seen and n <= self.seen[-1]:
            raise AssertionError(f"{self}: {n} behind {self.seen[-1]}: doubled or out of order")
        self.seen.append(n)
        self.last = id.decode()
        if self.crowd.timed:
            at = TIME.search(data)
            if at:
                self.delays.append(time.monotonic() - float(at[1]))


class Crowd:
    """The members, and the turns in which they read."""

    def __init__(self, server, source=None, timed=False):
        self.server, self.source, self.timed = server, source, timed
        self.poll = select.epoll()
        self.by_number, self.members, self.halves = {}, [], []

    def join(self, transport, *patterns, **rest):
        member = Member(self, transport, patterns, **rest)
        self.members.append(member)
        return member

    def add(self, member):
        self.by_number[member.socket.fileno()] = member
        self.poll.register(member.socket, select.EPOLLIN)

    def drop(self, member):
        if self.by_number.pop(member.socket.fileno(), None):
            self.poll.unregister(member.socket)

    def deaf(self, member):
        """It is never read from now on."""
        self.drop(member)

    def turn(self, seconds=0.02):
        for number, _ in self.poll.poll(seconds):
            member = self.by_number.get(number)
            if member:
                member.ready()
                if member.problem:
                    raise member.problem
        while len(self.halves) > 200:
            self.halves.pop(0).close()

    def until(self, condition, what="", seconds=3 * PATIENCE_SECONDS):
        if not self.turn_until(condition, seconds):
            what = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {what}")

    def turn_until(self, condition, seconds):
        """Whether it came to this within the time."""
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline:
            self.turn()
        return value

    def opened(self):
        """Waits until all members have their response."""
        self.until(lambda: all(each.head or each.transport == "poll" for each in self.members),
                   "all heads")

    def settle(self, feed, members=None, seconds=PATIENCE_SECONDS):
        """Waits until each has the last of what it is to get."""
        waiting = {}
        for member in self.members if members is None else members:
            expected = feed.expected(member.patterns)
            if expected:
                waiting[member] = expected[-1]

        def done():
            for member in [each for each, last in waiting.items()
                           if each.seen and each.seen[-1] >= last]:
                del waiting[member]
            return not waiting

        # As long as more events come it is the reading that takes time.
        came = None
        while not done():
            if came == (came := sum(len(each.seen) for each in waiting)):
                what = f"{len(waiting)} have not the last: {list(waiting)[:5]}"
                raise AssertionError(f"nothing more came for {seconds} s: {what}")
            self.turn_until(done, seconds)

    def check(self, feed, members=None, whole=False):
        """That each has a run without a hole, with no gap told; whole: from the first on."""
        for member in self.members if members is None else members:
            expected = feed.expected(member.patterns)
            if member.gaps:
                raise AssertionError(f"{member}: a gap: {member.gaps[:3]}")
            if not member.seen:
                if whole and len(expected):
                    raise AssertionError(f"{member}: got nothing of {len(expected)}")
                continue
            start = 0 if whole else expected.index(member.seen[0])
            run = expected[start:start + len(member.seen)]
            if member.seen != list(run):
                at = next(i for i, (a, b) in enumerate(zip(member.seen, run)) if a != b)
                raise AssertionError(f"{member}: {member.seen[max(0, at - 3):at + 3]} and not"
                                     f" {list(run[max(0, at - 3):at + 3])}")

    def close(self):
        for member in self.members:
            member.leave()
        for each in self.halves:
            each.close()
        self.poll.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
