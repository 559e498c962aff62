"""sse-decode and a server that does all that networks and servers do to a stream, at random."""

import bisect
import random
import socket
import threading
import time
import unittest
from contextlib import ExitStack

from peers import PATIENCE_SECONDS, reserved, seed, shut
from sse_peers import Client, decoding, zipped

# For each client.
EVENTS = 40_000
CLIENTS = 10
# For all of it, on a slow machine.
LIMIT_SECONDS = 300
WAYS = ["refuse", "reset head", "half head", "busy", "busy now", "elsewhere", "silence"]
ENDS = ["close", "reset", "stall"]


class Tape:
    """All the events as one text, and where each of them ends."""

    def __init__(self, chance):
        self.ends, parts, size = [], [], 0
        for number in range(1, EVENTS + 1):
            end = chance.choice([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
            text = b"id: %d%sdata: %d%s" % (number, end, number, end)
            if chance.random() < 0.01:
                text = b": a comment" + end + text
            if chance.random() < 0.001:
                text += b"data: %s%s" % (b"x" * chance.randrange(5000), end)
            parts.append(text + end)
            size += len(parts[-1])
            self.ends.append(size)
        self.text = b"".join(parts)

    def start(self, id):
        """Where the event behind this id begins."""
        return self.ends[id - 1] if id else 0

    def behind(self, at):
        """The last id that is whole before this place."""
        return bisect.bisect_right(self.ends, at)


class Chaos:
    """The server. Each client has a series of its own of what happens to it."""

    def __init__(self, seed, port):
        self.tape = Tape(random.Random(seed))
        self.chances = [random.Random(f"{seed}.{client}") for client in range(CLIENTS)]
        self.chance = random.Random(f"{seed}.listener")
        self.done, self.errors, self.sockets, self.threads = False, [], [], []
        self.counts, self.lock = {}, threading.Lock()
        self.port = port
        self.listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.done = True
        self.thread.join(PATIENCE_SECONDS)
        shut(list(self.sockets))
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
        if self.errors:
            raise self.errors[0]

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def listen(self):
        """Accepts, and now and then is gone for a moment, with all its connections."""
        while not self.done:
            self.listener.settimeout(0.02)
            until = time.monotonic() + 0.5 + self.chance.random()
            while time.monotonic() < until and not self.done:
                try:
                    connection, _ = self.listener.accept()
                except TimeoutError:
                    continue
                self.threads.append(threading.Thread(target=self.talk, args=[connection],
                                                     daemon=True))
                self.threads[-1].start()
            self.listener.close()
            if self.done:
                return
            self.count("restarts")
            if self.chance.random() < 0.5:
                shut(list(self.sockets))
            time.sleep(self.chance.random() * 0.05)
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=100)

    def talk(self, connection):
        client = Client(connection)
        try:
            with connection:
                self.sockets.append(connection)
                if self.chance.random() < 0.03:
                    return self.count("closed")
                request = client.ask(0)
                if request:
                    self.answer(client, request)
        except OSError:
            pass  # It was cut off, or restarted: that is what this is about.
        except Exception as error:  # Raised where the test can see it.
            self.errors.append(error)
        finally:
            self.sockets.remove(connection)

    def answer(self, client, request):
        number = int(dict(request.query)["client"])
        chance = self.chances[number]
        way = chance.choice([*WAYS, *["stream"] * 11])
        self.count(way)
        if way == "reset head":
            client.reset()
        elif way == "half head":
            client.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev")
        elif way == "busy":
            client.head("503 Busy", "text/plain", "Content-Length: 5")
            client.say(b"busy\n")
        elif way == "busy now":
            client.head(chance.choice(["503 Busy", "429 Slow", "502 Bad"]), None, "Retry-After: 0",
                        "Content-Length: 0")
        elif way == "elsewhere":
            place = chance.choice(["", f"http://localhost:{self.port}"])
            client.head(chance.choice(["301 A", "302 B", "303 C", "307 D", "308 E"]), None,
                        f"Location: {place}/other?client={number}", "Content-Length: 0")
        elif way == "silence":
            if chance.random() < 0.3:
                client.hold()
        elif way == "stream":
            self.stream(client, int(request.id or 0), chance)

    def stream(self, client, id, chance):
        """Some of the events behind `id`, in one of the ways of HTTP, to one of its ends."""
        tape = self.tape
        at = tape.start(id)
        is_last = len(tape.text) - at < 20_000 and chance.random() < 0.5
        size = len(tape.text) - at if is_last else chance.choice([8, 100, 5000, 100_000, 200_000])
        body = tape.text[at:at + chance.randrange(1, size + 1) if not is_last else None]
        if chance.random() < 0.3:
            body = b"retry: 1\n\n" + body
        if chance.random() < 0.2:
            body = b"\xef\xbb\xbf" + body
        if is_last:
            body += b"data: END\n\n"
        step = chance.choice([1, 7, 100, 1000, 10_000, 100_000])
        step = max(step, len(body) // 100)
        parts = [body[at:at + step] for at in range(0, len(body), step)]
        fields = []
        if chance.random() < 0.3:
            parts = zipped(*parts, ends=chance.random() < 0.7)
            fields.append("Content-Encoding: gzip")
            if not is_last and chance.random() < 0.3:
                packed = b"".join(parts)
                parts = [packed[:chance.randrange(len(packed) + 1)]]
        framing = chance.choice(["close", "chunked", "length"])
        if framing == "chunked":
            parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part]
            if chance.random() < 0.5:
                parts.append(b"0\r\n\r\n")
            fields.append("Transfer-Encoding: chunked")
        elif framing == "length":
            more = chance.choice([0, 0, 1000])
            fields.append(f"Content-Length: {sum(map(len, parts)) + more}")
        client.head("200 OK", "text/event-stream", *fields)
        client.pieces(parts, chance.choice([0, 0, 0.0005]))
        end = chance.choice(ENDS[:1] * 5 + ENDS[1:2] * 3 + ENDS[2:])
        self.count(end)
        if end == "reset":
            client.reset()
        elif end == "stall":
            client.hold()


class ChaosTest(unittest.TestCase):
    """Every client ends with every event, once, in order."""

    def test_chaos(self):
        value = seed()
        with reserved() as port, Chaos(value, port) as chaos, ExitStack() as stack:
            tools = []
            for client in range(CLIENTS):
                tools.append(stack.enter_context(decoding(
                    "-q", "--stats", "--until", "END", "--idle-timeout", "300ms",
                    f"http://127.0.0.1:{chaos.port}/stream?client={client}",
                    options=["--no-progress", "--backoff", "1ms..5ms"],
                    patience=LIMIT_SECONDS)))
            outputs = [None] * CLIENTS

            def read(client):
                outputs[client] = tools[client].output.read()

            readers = [threading.Thread(target=read, args=[client], daemon=True)
                       for client in range(CLIENTS)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join(LIMIT_SECONDS + 5)
            statuses = [tool.status() for tool in tools]
            for client, tool in enumerate(tools):
                with self.subTest(client, seed=value):
                    self.assertEqual(statuses[client], 0, tool.errors)
                    self.compare(outputs[client], chaos.tape)
                    self.assertGreater(tool.stats()["reconnections"], 5)
        # Each of them happened.
        self.assertEqual(set(chaos.counts), {*WAYS, *ENDS, "stream", "closed", "restarts"})

    def compare(self, output, tape):
        lines = output.split(b"\n")
        self.assertEqual(lines.pop(), b"")
        for number, line in enumerate(lines, 1):
            wanted = b'{"event":"message","id":"%d","data":"%d' % (number, number)
            if not line.startswith(wanted) or line[len(wanted):len(wanted) + 1] not in b'"\\':
                self.fail(f"line {number} is {line[:100]}, behind {lines[number - 2][:100]}")
        self.assertEqual(len(lines), EVENTS)
