"""stream-serve under clients that want too much, while others go on receiving."""

import gzip
import json
import random
import socket
import threading
import time
import unittest
import zlib
from pathlib import Path
from urllib.parse import quote

from peers import PATIENCE_SECONDS
from serve_bed import RawWS, processor_seconds, resident, serve, until
from sse_peers import seed


class Witness:
    """A client that has to get everything while something else happens."""

    def __init__(self, server):
        self.server = server
        self.client = server.sse()
        self.fed = 0

    def check(self):
        spent = processor_seconds(self.server)
        self.server.feed(self.fed)
        if self.client.data() != [self.fed]:
            raise AssertionError("another client missed an event")
        self.fed += 1
        # What the server did meanwhile is what the client waited for.
        spent = processor_seconds(self.server) - spent
        if spent > 2:
            raise AssertionError(f"another client waited for {spent} s of the server's work")


class Connections(unittest.TestCase):
    def test_in_all(self):
        with serve("--max-connections 10") as server:
            clients = [server.sse() for _ in range(9)]
            witness = Witness(server)
            for _ in range(5):
                with server.wire() as wire:
                    wire.request("/events")
                    answer = wire.answer()
                    self.assertEqual(answer.status, 503)
                    self.assertRegex(answer.get("retry-after"), r"^[1-9]\d*$")
                    self.assertTrue(answer.json()["error"])
                    self.assertTrue(wire.ended())
                witness.check()
            clients.pop().close()

            def fits():
                with server.wire() as wire:
                    wire.request("/healthz")
                    return wire.answer().status == 200

            until(fits, "there is room again")
            server.reaches(5, "refused_total", reason="full", at_least=True)

    def test_of_an_address(self):
        with serve("--max-per-address 5") as server:
            witness = Witness(server)
            clients = [server.ws() for _ in range(4)]
            for _ in range(5):
                with server.wire() as wire:
                    wire.request("/events")
                    answer = wire.answer()
                    self.assertEqual(answer.status, 429)
                    self.assertRegex(answer.get("retry-after"), r"^[1-9]\d*$")
                witness.check()
            # Another address is not meant.
            with socket.create_connection(server.address, source_address=("127.0.0.2", 0)) as other:
                other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                other.settimeout(PATIENCE_SECONDS)
                self.assertTrue(other.recv(100).startswith(b"HTTP/1.1 200"))
            clients.pop().close()
            until(lambda: server_free(server), "there is room again")
            server.reaches(5, "refused_total", reason="address", at_least=True)

    def test_idle_ones_count(self):
        with serve("--max-connections 5") as server:
            wires = [server.wire() for _ in range(5)]
            for wire in wires:
                self.assertEqual(wire.ask("/healthz").status, 200)
            with server.wire() as wire:
                wire.request("/healthz")
                self.assertEqual(wire.answer().status, 503)

    def test_many(self):
        """Connections that come and go leave nothing behind."""
        with serve("--max-connections 50") as server:
            witness = Witness(server)
            for turn in range(300):
                kind = turn % 5
                wire = server.wire()
                if kind == 1:
                    wire.send("GET /eve")
                elif kind == 2:
                    wire.request("/events")
                elif kind == 3:
                    wire.request("/poll?wait=30s")
                elif kind == 4:
                    RawWS(server).close()
                wire.close()
                if turn % 30 == 0:
                    witness.check()
            until(lambda: server.metric("connections_active") <= 2, "they are gone")
            descriptors = lambda: len(list(open_files(server)))
            until(lambda: descriptors() < 40, "descriptors are closed")
            witness.check()


def server_free(server):
    with server.wire() as wire:
        wire.request("/healthz", fields=["Connection: close"])
        return wire.answer().status == 200


def open_files(server):
    return Path(f"/proc/{server.process.pid}/fd").iterdir()


class Heads(unittest.TestCase):
    def test_size(self):
        with serve("--max-head 2K") as server:
            witness = Witness(server)
            with server.wire() as wire:
                self.assertEqual(wire.ask("/healthz", fields=["X: " + "x" * 1500]).status, 200)
            for fields in [["X: " + "x" * 3000], ["X: y"] * 1000]:
                with server.wire() as wire:
                    wire.request("/healthz", fields=fields)
                    answer = wire.answer()
                    self.assertEqual(answer.status, 431)
                    self.assertTrue(answer.json()["error"])
                    self.assertTrue(wire.ended())
                witness.check()
            with server.wire() as wire:
                wire.request("/healthz?" + "x" * 3000)
                self.assertIn(wire.answer().status, [414, 431])
            # It does not wait for an end that never comes.
            with server.wire() as wire:
                wire.send("GET / HTTP/1.1\r\nX: " + "x" * 4000)
                self.assertIn(wire.answer().status, [414, 431])
            server.reaches(3, "refused_total", reason="head", at_least=True)

    def test_time(self):
        """A head that comes byte by byte (slowloris)."""
        with serve("--head-timeout 1s") as server:
            witness = Witness(server)
            wires = [server.wire() for _ in range(10)]
            text = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 10_000
            alive, at = list(wires), 0
            while server.metric("refused_total", reason="timeout") < 10:
                self.assertLess(at, len(text), "they go on")
                for wire in list(alive):
                    try:
                        wire.send(text[at:at + 1])
                    except OSError:
                        alive.remove(wire)
                at += 1
                witness.check()
                time.sleep(0.02)
            for wire in wires:
                try:
                    self.assertEqual(wire.answer().status, 408)
                except ConnectionResetError:
                    pass  # What was sent after it.
                self.assertTrue(wire.ended())
            server.reaches(10, "refused_total", reason="timeout", at_least=True)

    def test_time_without_any_byte(self):
        with serve("--head-timeout 300ms") as server:
            start = time.monotonic()
            self.assertTrue(server.wire().ended())
            self.assertGreater(time.monotonic() - start, 0.2)
            server.reaches(1, "refused_total", reason="timeout", at_least=True)

    def test_time_is_for_each_head(self):
        with serve("--head-timeout 800ms") as server, server.wire() as wire:
            start = time.monotonic()
            while time.monotonic() - start < 1.2:
                self.assertEqual(wire.ask("/healthz").status, 200)
                time.sleep(0.1)
            wire.send("GET /heal")
            try:
                self.assertEqual(wire.answer().status, 408)
            except (ConnectionResetError, AssertionError):
                pass
            self.assertTrue(wire.ended())

    def test_streams_have_no_time(self):
        with serve("--head-timeout 500ms --body-timeout 500ms") as server, server.sse() as sse, \
                server.ws() as ws, server.stream() as stream, server.wire() as poll:
            poll.request("/poll?wait=10s")
            time.sleep(1)
            server.feed(1)
            for client in [sse, ws, stream]:
                self.assertEqual(client.data(), [1])
            self.assertEqual(poll.answer().data, [1])


class Bodies(unittest.TestCase):
    def test_size(self):
        with serve("--publish --max-body 1K") as server:
            witness = Witness(server)
            self.assertEqual(server.post("/publish", b'"%s"' % (b"x" * 1022)).status, 200)
            with server.wire() as wire:
                # Before a byte of it came.
                wire.request("/publish", "POST", fields=["Content-Length: 1025"])
                answer = wire.answer()
                self.assertEqual(answer.status, 413)
                self.assertTrue(answer.json()["error"])
            with server.wire() as wire:
                wire.request("/publish", "POST", fields=["Content-Length: 5000000",
                                                         "Expect: 100-continue"])
                self.assertEqual(wire.answer().status, 413)
            with server.wire() as wire:
                wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
                for _ in range(5):
                    wire.send(b"100\r\n" + b"x" * 256 + b"\r\n")
                self.assertEqual(wire.answer().status, 413)
                self.assertTrue(wire.ended())
            with server.wire() as wire:
                wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
                wire.send(b"fffffffffffffffff\r\n")
                self.assertIn(wire.answer().status, [400, 413])
            with server.wire() as wire:
                # Chunk extensions and trailers are bounded, too.
                wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
                try:
                    for _ in range(100):
                        wire.send(b"1;" + b"x" * 10_000)
                except OSError:
                    pass
                self.assertTrue(wire.ended())
            witness.check()
            server.reaches(3, "refused_total", reason="body", at_least=True)

    def test_time(self):
        with serve("--publish --body-timeout 1s") as server:
            witness = Witness(server)
            with server.wire() as wire:
                start = time.monotonic()
                wire.request("/publish", "POST", fields=["Content-Length: 1000"])
                for _ in range(3):
                    wire.send(b"[")
                    time.sleep(0.05)
                    witness.check()
                self.assertEqual(wire.answer().status, 408)
                self.assertTrue(wire.ended())
                self.assertGreater(time.monotonic() - start, 0.8)
            server.reaches(1, "refused_total", reason="timeout")

    def test_inflated(self):
        with serve("--publish --max-inflated 100K") as server:
            witness = Witness(server)
            value = b'"%s"' % (b"x" * 90_000)
            self.assertEqual(server.post("/publish", gzip.compress(value)).status, 200)
            for body, fields in [(gzip.compress(b"[" + b"0," * 25_000_000 + b"0]"), []),
                                 (gzip.compress(b'"%s"' % (b"x" * 110_000)),
                                  ["Content-Encoding: gzip"]),
                                 (gzip.compress(value + b"\n") * 3,
                                  ["Content-Type: application/x-ndjson"])]:
                spent = processor_seconds(server)
                answer = server.post("/publish", body, fields)
                self.assertEqual(answer.status, 413)
                self.assertLess(processor_seconds(server) - spent, 1)
                witness.check()
            self.assertEqual(len(server.output), 1)

    def test_depth(self):
        with serve("--publish --max-body 3M") as server:
            witness = Witness(server)
            for body in [b"[" * 1_000_000, b'{"a":' * 200_000, b"[" * 900_000 + b"]" * 900_000]:
                self.assertEqual(server.post("/publish", body).status, 400)
                witness.check()


class Uploads(unittest.TestCase):
    """What is not complete is bounded for all clients together, and given back."""
    PART = b'"' + b"x" * 900_000

    def body(self, server):
        wire = server.wire()
        wire.request("/publish", "POST", fields=["Content-Length: 900002"])
        wire.send(self.PART)
        return wire

    def chunks(self, server):
        wire = server.wire()
        wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
        wire.send(b"%x\r\n" % 900_002 + self.PART)
        return wire

    def head(self, server):
        wire = server.wire()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 900_000)
        return wire

    def test_bodies(self):
        for begin, rest in [(self.body, b'"'), (self.chunks, b'"\r\n0\r\n\r\n')]:
            with self.subTest(begin.__name__), serve("--publish --max-uploads 4M") as server:
                witness = Witness(server)
                for _ in range(3):
                    wires = [begin(server) for _ in range(4)]
                    server.reaches(3_600_000, "upload_bytes", at_least=True)
                    with begin(server) as wire:
                        answer = wire.answer()
                        self.assertEqual(answer.status, 503)
                        self.assertEqual(answer.get("retry-after"), "1")
                        self.assertTrue(wire.ended())
                    # What is small and comes at once is never refused.
                    witness.check()
                    self.assertEqual(server.post("/publish", b"1").status, 200)
                    # Those who were there get on, and others have their place then.
                    for wire in wires[:2]:
                        wire.send(rest)
                        self.assertEqual(wire.answer().status, 200)
                    for wire in wires:
                        wire.close()
                    server.reaches(0, "upload_bytes")
                server.reaches(3, "refused_total", reason="uploads")

    def test_the_longest_body(self):
        """It has room where nothing else is on its way, in whatever form it comes."""
        with serve("--publish --max-body 3M --max-uploads 4M") as server:
            body = b'"%s"' % (b"x" * (3 * 1024 * 1024 - 2))
            self.assertEqual(server.post("/publish", body).status, 200)
            with server.wire() as wire:
                wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
                for start in range(0, len(body), 1000):
                    wire.send(b"%x\r\n%s\r\n" % (len(body[start:start + 1000]),
                                                body[start:start + 1000]))
                wire.send(b"0\r\n\r\n")
                self.assertEqual(wire.answer().status, 200)
        # The limit for all is by itself no less than that for one.
        with serve("--publish --max-body 70M --max-message 80M") as server:
            self.assertEqual(server.post("/publish", b'"%s"' % (b"x" * (69 << 20))).status, 200)

    def test_heads(self):
        with serve("--publish --max-uploads 4M --max-head 1M --head-timeout 1m") as server:
            witness = Witness(server)
            wires = [self.head(server) for _ in range(4)]
            server.reaches(3_600_000, "upload_bytes", at_least=True)
            with self.head(server) as wire:
                self.assertEqual(wire.answer().status, 503)
            witness.check()
            for wire in wires:
                wire.send(b"\r\n\r\n")
                self.assertEqual(wire.answer().status, 200)
                wire.close()

    def test_messages(self):
        with serve("--max-uploads 4M --max-message 1M") as server:
            witness = Witness(server)
            frame = RawWS.frame(1, '"%s"' % ("x" * 900_000))
            first = RawWS.frame(1, "x" * 450_000, final=False)
            second = RawWS.frame(0, "x" * 450_000, final=False)
            for _ in range(3):
                clients = [server.raw_ws("/ws?channel=") for _ in range(4)]
                for client in clients[:2]:
                    client.send(frame[:-1])
                for client in clients[2:]:
                    client.send(first + second)
                server.reaches(3_600_000, "upload_bytes", at_least=True)
                for part in [frame[:-1], first + second]:
                    with server.raw_ws("/ws?channel=") as client:
                        client.send(part)
                        self.assertEqual(client.closing(), 1013)
                witness.check()
                clients[0].send(frame[-1:])
                self.assertEqual(clients[0].message()["type"], "error")
                for client in clients:
                    client.close()
                server.reaches(0, "upload_bytes")
            server.reaches(6, "refused_total", reason="uploads")


class Messages(unittest.TestCase):
    def test_size(self):
        with serve("--max-message 1K") as server:
            witness = Witness(server)
            with server.ws() as client:
                self.assertEqual(client.ask('{"type":"ping"%s}' % (" " * 1000))["type"], "pong")
                client.send("x" * 1024)  # A message like any other, if no good one.
                self.assertEqual(client.message()["type"], "error")
                client.send("x" * 1025)
                while client.message() is not None:
                    pass
                self.assertEqual(client.code, 1009)
            with server.raw_ws() as client:
                # The length alone says it.
                client.send(b"\x81\xfe\x10\x00")
                self.assertEqual(client.closing(), 1009)
            with server.raw_ws() as client:
                try:
                    for turn in range(100):
                        client.say(0 if turn else 1, "x" * 100, final=False)
                except OSError:
                    pass
                self.assertEqual(client.closing(), 1009)
            witness.check()

    def test_inflated(self):
        with serve("--max-message 64K") as server:
            witness = Witness(server)
            deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
            bomb = deflater.compress(b"x" * 50_000_000) + deflater.flush(zlib.Z_SYNC_FLUSH)
            with server.raw_ws(fields=["Sec-WebSocket-Extensions: permessage-deflate"]) as client:
                self.assertIn("permessage-deflate", client.opening.get("sec-websocket-extensions"))
                # As much of it as is allowed on the wire.
                client.say(1, bomb[:60_000], reserved=4)
                self.assertEqual(client.closing(), 1009)
            witness.check()

    def test_subscriptions(self):
        with serve("--max-subscriptions 5 --channel-from .c") as server, \
                server.ws("/ws?channel=") as client:
            witness = Witness(server)
            for number in range(5):
                self.assertEqual(client.ask({"type": "subscribe", "channel": f"c{number}"})["type"],
                                 "ok")
            for channel in ["c5", ["c6", "c7"], [f"d{n}" for n in range(1000)]]:
                answer = client.ask({"type": "subscribe", "channel": channel, "ref": 1})
                self.assertEqual((answer["type"], answer["ref"]), ("error", 1))
            # Those that there are go on, and one that is there already is not too many.
            self.assertEqual(client.ask({"type": "subscribe", "channel": "c0"})["type"], "ok")
            client.ask({"type": "unsubscribe", "channel": "c1"})
            answer = client.ask({"type": "subscribe", "channel": "c5"})
            self.assertEqual(sorted(answer["channels"]), ["c0", "c2", "c3", "c4", "c5"])
            witness.check()
            server.feed({"c": "c1"}, {"c": "c5"})
            self.assertEqual(client.data(), [{"c": "c5"}])
            for path in ["/events", "/poll", "/stream", "/last"]:
                query = "&".join(f"channel=c{n}" for n in range(6))
                self.assertEqual(server.ask(f"{path}?{query}").status, 400, path)

    def test_all_or_nothing(self):
        with serve("--max-subscriptions 3") as server, server.ws("/ws?channel=") as client:
            client.ask({"type": "subscribe", "channel": ["a", "b"]})
            self.assertEqual(client.ask({"type": "subscribe", "channel": ["c", "d"]})["type"],
                             "error")
            answer = client.ask({"type": "subscribe", "channel": "b"})
            self.assertEqual(sorted(answer["channels"]), ["a", "b"])

    def test_a_flood_of_questions(self):
        """One that asks and does not read the answers."""
        with serve("--send-buffer 4K --send-timeout 1s") as server:
            witness = Witness(server)
            client = server.raw_ws(receive_buffer=4096)
            client.socket.settimeout(0.2)
            frame = RawWS.frame(1, json.dumps({"type": "ping", "ref": "x" * 1000}))
            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    client.send(frame * 50)
                except OSError:
                    break  # It is not read any more, or closed.
                witness.check()
            self.assertLess(resident(server), 97)
            for _ in range(5):
                witness.check()

    def test_a_flood_of_patterns(self):
        """Patterns and names that take long to compare."""
        name = ".".join(["a"] * 60)
        with serve("--channel-from .c") as server:
            witness = Witness(server)
            client = server.ws("/ws?channel=")
            pattern = ".".join(["**", "a"] * 25 + ["b"])
            client.send({"type": "subscribe", "channel": pattern})
            self.assertIn(client.message()["type"], ["ok", "error"])
            spent = processor_seconds(server)
            server.feed(*({"c": name} for _ in range(100)))
            for _ in range(100):
                witness.client.event()
            witness.check()
            self.assertLess(processor_seconds(server) - spent, 2)


class Together(unittest.TestCase):
    def test_with_many_clients_nothing_stands_still(self):
        with serve("--publish --workers 2 --head-timeout 5s --max-head 4K") as server:
            witness = Witness(server)
            stop = threading.Event()
            errors = []

            def annoy(kind):
                while not stop.is_set():
                    try:
                        with server.wire() as wire:
                            if kind == 0:
                                wire.send(b"GET / HTTP/1.1\r\n" + b"x" * 8000)
                                wire.rest()
                            elif kind == 1:
                                wire.request("/publish", "POST", b"[" * 5000)
                                wire.answer()
                            elif kind == 2:
                                wire.request("/events?since=earliest")
                                wire.head()
                            elif kind == 3:
                                with RawWS(server) as client:
                                    client.send(b"\xff" * 100)
                                    client.ended()
                            else:
                                wire.ask("/metrics")
                    except OSError:
                        pass
                    except Exception as error:
                        errors.append((kind, error))
                        return

            threads = [threading.Thread(target=annoy, args=[kind], daemon=True)
                       for kind in range(5)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                witness.check()
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            self.assertEqual(errors, [])
            self.assertEqual(server.ask("/healthz").status, 200)


class Nonsense(unittest.TestCase):
    """Whatever is sent, the server lives, and what others receive is well formed."""

    TEXTS = ["", "a", "a.b", "a\nb", "a\rid: 1", "a\0b", "ü" * 10, "*", "**", "a.*.b", "a..b", ".",
             "x" * 3000, "30s", "earliest", "-5s", "10", "1h", "\u2028", "data: x\n\n"]
    OTHERS = ["0", "-1", "1.5", "1e400", "-0", "123456789012345678901234567890", "true", "null",
              "[]", "{}", '["a"]', '["a",1]', '[["a"]]', '"\\ud800"', '{"a":1,"a":2}', '"\\u0000"',
              "[" * 200 + "]" * 200]
    OPTIONS = "--publish --echo --publish-rate 1000000/s --publish-rate-total 1000000/s"
    FIELDS = ["Upgrade: websocket", "Connection: Upgrade", "Content-Length: 5",
              "Sec-WebSocket-Version: 13", "Transfer-Encoding: chunked",
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Last-Event-ID: \xff",
              "Accept-Encoding: gzip", "Origin: null", "Expect: 100-continue",
              "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"]
    PATHS = ["/events", "/ws", "/poll", "/stream", "/last", "/publish"]
    QUERIES = ["channel", "event", "since", "wait", "max", "n", "raw", "records", "heartbeat",
               "last_event_id"]
    MEMBERS = ["type", "channel", "event", "data", "ref", "since", "n", "id", "records"]
    TYPES = {"subscribe": ["channel", "since", "ref"], "unsubscribe": ["channel", "ref"],
             "publish": ["channel", "event", "data", "ref"], "ping": ["ref"],
             "history": ["channel", "since", "n", "ref"], "ok": ["ref"]}

    def setUp(self):
        self.choice = random.Random(seed())

    def json(self):
        if self.choice.random() < 0.6:
            return json.dumps(self.choice.choice(self.TEXTS),
                              ensure_ascii=self.choice.random() < 0.5)
        return self.choice.choice(self.OTHERS)

    def object(self, members):
        names = [name for name in members if self.choice.random() < 0.5]
        self.choice.shuffle(names)
        return "{%s}" % ",".join(f'"{name}":{self.json()}' for name in names)

    def spoiled(self, data):
        """With a few bytes changed, left out or put in."""
        data = bytearray(data)
        for _ in range(self.choice.randrange(4)):
            at = self.choice.randrange(len(data) + 1)
            count = self.choice.randrange(3)
            data[at:at + count] = self.choice.randbytes(self.choice.randrange(3))
        return bytes(data)

    def test_messages(self):
        with serve(self.OPTIONS) as server:
            witness = server.sse("/events?channel=witness")
            everything, socket = server.sse(), server.raw_ws()
            for turn in range(600):
                if self.choice.random() < 0.8:
                    kind = self.choice.choice(list(self.TYPES))
                    text = self.object(self.TYPES[kind])
                    text = f'{{"type":"{kind}"' + (f",{text[1:]}" if text != "{}" else "}")
                else:
                    text = self.object(self.MEMBERS)
                data = text.encode("utf-8", "surrogatepass")
                if self.choice.random() < 0.3:
                    data = self.spoiled(data)
                socket.say(1, data)
                while (message := socket.message()) is not None and "type" not in message:
                    pass
                if message is None:
                    self.assertEqual(socket.code, 1007, data)
                    socket.close()
                    socket = server.raw_ws()
            server.post("/publish?channel=witness", "end")
            self.assertEqual(witness.data(), ["end"])
            while everything.event()["data"].strip('"') != "end":
                pass

    def test_bodies(self):
        with serve(self.OPTIONS) as server:
            everything, wire = server.sse(), server.wire()
            for turn in range(400):
                records = [self.object(["channel", "event", "data"])
                           for _ in range(self.choice.randrange(1, 4))]
                lines = self.choice.random() < 0.5
                body = ("\n".join(records) if lines else f"[{','.join(records)}]").encode(
                    "utf-8", "surrogatepass")
                if self.choice.random() < 0.4:
                    body = self.spoiled(body)
                fields = ["Content-Type: application/x-ndjson"] if lines else []
                if self.choice.random() < 0.3:
                    body = gzip.compress(body)
                    if self.choice.random() < 0.3:
                        body = self.spoiled(body)
                query = self.choice.choice(["?records", "", "?records&channel=a&event=b"])
                answer = wire.ask(f"/publish{query}", "POST", body, fields)
                self.assertIn(answer.status, [200, 400, 413, 415], body)
                if answer.get("connection") == "close":
                    wire.close()
                    wire = server.wire()
            server.post("/publish", "end")
            while everything.event()["data"].strip('"') != "end":
                pass
            server.finish()
            for line in server.output:
                json.loads(line)

    def test_heads(self):
        with serve("--publish --head-timeout 1s --body-timeout 1s") as server:
            witness = Witness(server)
            for turn in range(300):
                query = "&".join(f"{self.choice.choice(self.QUERIES)}"
                                 f"={quote(self.choice.choice(self.TEXTS))}"
                                 for _ in range(self.choice.randrange(4)))
                head = (f"{self.choice.choice(['GET', 'POST', 'HEAD', 'OPTIONS'])}"
                        f" {self.choice.choice(self.PATHS)}?{query}"
                        f" HTTP/1.{self.choice.randrange(2)}\r\nHost: x\r\n")
                for field in self.FIELDS:
                    if self.choice.random() < 0.4:
                        head += field + "\r\n"
                data = f"{head}\r\n".encode("latin-1")
                if self.choice.random() < 0.6:
                    data = self.spoiled(data)
                data += self.choice.randbytes(self.choice.randrange(20))
                with server.wire() as wire:
                    try:
                        wire.send(data)
                        if self.choice.random() < 0.3:
                            wire.socket.settimeout(0.02)
                            wire.more()
                    except OSError:
                        pass
                if turn % 50 == 0:
                    witness.check()
            witness.check()
            # None of them is left.
            until(lambda: server.metric("connections_active") <= 2, "they are gone")

    def test_frames(self):
        with serve("--publish --echo") as server:
            witness = server.sse("/events?channel=witness")
            for turn in range(200):
                with server.raw_ws(fields=self.choice.choice(
                        [[], ["Sec-WebSocket-Extensions: permessage-deflate"]])) as client:
                    frames = b"".join(
                        RawWS.frame(self.choice.choice([0, 1, 1, 1, 2, 8, 9, 10, 3]),
                                    self.choice.choice([b"", b'{"type":"ping"}', b"\x03\xe8x",
                                                        self.choice.randbytes(20)]),
                                    final=self.choice.random() < 0.8,
                                    masked=self.choice.random() < 0.95,
                                    reserved=self.choice.choice([0, 0, 0, 4, 4, 1]))
                        for _ in range(self.choice.randrange(1, 6)))
                    client.send(self.spoiled(frames))
                    if self.choice.random() < 0.2:
                        client.socket.settimeout(0.02)
                        try:
                            client.more()
                        except OSError:
                            pass
            server.post("/publish?channel=witness", "end")
            self.assertEqual(witness.data(), ["end"])
