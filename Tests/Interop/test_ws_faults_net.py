"""ws-cat and networks that fail: half-open connections, servers that go and come back, chaos."""

import itertools
import random
import socket
import tempfile
import threading
import time
import unittest
from contextlib import ExitStack

from authority import Authority, server_context
from broken_nets import Link, chaotic, link, middle, swallowing
from faults import MEMORY_KIB, cat, drained, fed, silent, until
from peers import PATIENCE_SECONDS, reserved, seed
from raw_peers import CLOSE, PING, PONG, TEXT, frame, raw_server


class Keeper:
    """A server that keeps each line and sends it back."""

    def __init__(self):
        self.connections = []
        self.pongs = 0

    def begins(self, raw):
        # What is left of one connection may be read when the next has brought more already.
        raw.lines = []
        self.connections.append(raw.lines)

    @property
    def lines(self):
        return [line for lines in list(self.connections) for line in list(lines)]

    @property
    def last(self):
        """The number of the last line, and 0 before the first."""
        return next((lines[-1] for lines in reversed(self.connections) if lines), 0)

    def __call__(self, raw):
        while True:
            opcode, payload = raw.frame()
            if opcode == TEXT:
                raw.lines.append(int(payload.split()[0]))
                raw.send(TEXT, payload)
            elif opcode == PING:
                raw.send(PONG, payload)
                self.pongs += 1
            elif opcode == CLOSE:
                raw.send(CLOSE, payload)
                return

    def confirms(self):
        """Waits until a pong has told the client that what it sent has arrived: the pings that
        come now are those behind it."""
        before = self.pongs
        until(lambda: self.pongs >= before + 4)


class Accounts(unittest.TestCase):
    """What became of numbered lines, for the tests of this file."""

    def settle(self, lines, stats, count):
        """Each line arrived once and in order, or it is counted."""
        self.assertEqual(lines, sorted(set(lines)), "twice, or out of order")
        unconfirmed, unsent = stats.get("unconfirmed", 0), stats.get("unsent", 0)
        self.assertEqual(stats["records_in"], count)
        self.assertEqual(stats["sent"] + unsent + stats["dropped"], count)
        # What arrived was sent, and what was sent arrived or is in doubt.
        self.assertLessEqual(len(lines), stats["sent"])
        self.assertLessEqual(stats["sent"] - len(lines), unconfirmed)


def quick(test, server, options, count):
    """Neither descriptors nor memory are lost with so many connections."""
    with cat(f"-t --reconnect --backoff 1ms..1ms {options}", server.url) as tool:
        until(lambda: server.count >= count // 4)
        before = tool.peak_kib()
        until(lambda: server.count >= count)
        most = max(tool.descriptors() for _ in range(20))
        test.assertLess(most, 20)
        test.assertLess(tool.peak_kib() - before, 700)
        test.assertLess(before, 2 * MEMORY_KIB)


class HalfOpen(Accounts):
    """The peer is gone and nobody says so."""

    def test_a_proxy_that_swallows(self):
        keeper = Keeper()
        with raw_server(keeper) as server, middle(server.port, swallowing) as proxy:
            for input in [b"", b"2\n"]:
                with cat("--ping 100ms --pong-timeout 1s", proxy.url) as tool:
                    tool.input.write(b"1\n")
                    self.assertEqual(tool.output.readline(), b"1\n")
                    keeper.confirms()
                    self.assertIsNone(tool.process.poll())
                    proxy.swallowed = proxy.count
                    tool.input.write(input)
                    # Without the pings it would stay as long as its input is open.
                    self.assertEqual(tool.status(), 69, tool.errors)
                    self.assertIn(b"no pong", tool.errors)
                    self.assertEqual(tool.stats().get("unconfirmed", 0), len(input) // 2)

    def test_a_new_connection_instead(self):
        keeper = Keeper()
        with raw_server(keeper) as server, middle(server.port, swallowing) as proxy:
            with cat("--ping 100ms --pong-timeout 1s --reconnect --backoff 1ms..5ms",
                     proxy.url) as tool:
                tool.input.write(b"1\n")
                self.assertEqual(tool.output.readline(), b"1\n")
                keeper.confirms()
                proxy.swallowed = 1
                tool.input.write(b"2\n")
                until(lambda: proxy.count == 2)
                tool.input.write(b"3\n")
                self.assertEqual(tool.output.readline(), b"3\n")
                tool.end_input()
                self.assertEqual(tool.status(), 1, tool.errors)
        self.assertEqual(keeper.lines, [1, 3])
        self.assertEqual(tool.stats()["unconfirmed"], 1)
        self.assertIn(b"1 sent message was not confirmed", tool.errors)

    def broken(self, how, lines=None):
        """A link fails like this while these lines come, or none do."""
        with ExitStack() as stack:
            try:
                cable = stack.enter_context(link())
                listener = cable.listener()
            except OSError as error:
                self.skipTest(f"no network namespaces: {error}")
            server = stack.enter_context(raw_server(Keeper(), listener=listener))
            tool = stack.enter_context(cat("--ping 300ms --pong-timeout 500ms", server.url,
                                           before=cable.inside(cable.near)))
            tool.input.write(b"0\n")
            self.assertEqual(tool.output.readline(), b"0\n")
            how(cable)
            if lines:
                fed(tool, lines)
            # But for the missing pong it would stay as long as there are lines.
            self.assertEqual(tool.status(), 69, tool.errors)
            self.assertIn(b"no pong", tool.errors)

    @staticmethod
    def slowly():
        """A line now and then, without an end."""
        for number in itertools.count(1):
            yield b"%d\n" % number
            time.sleep(0.05)

    def test_a_cable_that_is_pulled(self):
        self.broken(Link.cut)

    def test_a_cable_that_is_pulled_while_lines_come(self):
        """Each line makes the queue of the socket longer, which is no sign of life."""
        self.broken(Link.cut, self.slowly())

    def test_a_peer_that_cannot_answer(self):
        self.broken(Link.deafen, self.slowly())


class Reconnects(Accounts):
    """Servers that go and come back."""

    def test_refused_for_a_while(self):
        keeper = Keeper()
        count = 3000
        ended = [threading.Event(), threading.Event()]

        def lines():
            """A third of them for each server."""
            for number in range(count):
                if number % 1000 == 0 and number:
                    ended[number // 1000 - 1].wait(PATIENCE_SECONDS)
                yield b"%d\n" % number

        with reserved() as port, \
                cat("--reconnect --backoff 20ms..100ms --rate 2000/s", f"ws://127.0.0.1:{port}/"
                    ) as tool:
            received = []
            reader = threading.Thread(
                target=lambda: received.extend(tool.output.read().split()), daemon=True)
            reader.start()
            fed(tool, lines())
            time.sleep(0.3)
            for number in range(2):
                before = len(keeper.lines)
                with raw_server(keeper, port=port):
                    until(lambda: len(keeper.lines) > before + 600)
                ended[number].set()
                time.sleep(0.3)
            with raw_server(keeper, port=port):
                status = tool.status()
            reader.join()
        stats = tool.stats()
        self.assertEqual(status, 1 if "not confirmed" in str(tool.errors) else 0, tool.errors)
        self.assertEqual(keeper.lines[0], 0, "lines from before the first connection are sent")
        self.assertEqual(keeper.lines[-1], count - 1)
        self.settle(keeper.lines, stats, count)
        self.assertEqual(stats["connections"], 3)
        numbers = [int(line) for line in received]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_what_a_broken_socket_did_not_take(self):
        """Standard output is blocked, so that nothing is received, when the connection breaks: what
        is read from then on goes out on the next one."""
        broken = threading.Event()
        keeper = Keeper()
        count = 500

        def answer(raw):
            if server.count > 1:
                keeper.begins(raw)
                return keeper(raw)
            raw.socket.settimeout(0.3)
            try:
                while True:
                    raw.send(TEXT, b"1" * 60_000)
            except TimeoutError:
                raw.reset()
                broken.set()

        with raw_server(answer) as server, \
                cat("--reconnect --backoff 1ms..5ms --buffer 50", server.url) as tool:
            self.assertTrue(broken.wait(PATIENCE_SECONDS))
            fed(tool, [b"%d\n" % number for number in range(count)])
            tool.rests()
            drained(tool)
            self.assertEqual(tool.status(), 0, tool.errors)
        self.settle(keeper.lines, tool.stats(), count)
        self.assertEqual(keeper.lines, list(range(count)))

    def test_overflow_behind_a_broken_socket(self):
        """As before, but messages wait when the connection breaks, and more come than there is
        room for."""
        def answer(raw):
            if server.count > 1:
                keeper.begins(raw)
                return keeper(raw)
            raw.socket.settimeout(0.3)
            try:
                while True:
                    raw.send(TEXT, b"1" * 60_000)
            except TimeoutError:
                tool.rests()
                raw.reset()
                broken.set()

        def lines():
            for number in range(1600):
                if number == 800:
                    broken.wait(PATIENCE_SECONDS)
                yield b"%d %s\n" % (number, b"x" * 8000)

        for policy in ["block", "drop-oldest", "drop-newest"]:
            keeper, broken = Keeper(), threading.Event()
            with self.subTest(policy), raw_server(answer) as server, \
                    cat(f"-t --reconnect --backoff 1ms..5ms --buffer 5 --overflow={policy}",
                        server.url) as tool:
                fed(tool, lines())
                self.assertTrue(broken.wait(PATIENCE_SECONDS))
                tool.rests()
                drained(tool)
                self.assertIn(tool.status(), [0, 1], tool.errors)
                self.settle(keeper.lines, tool.stats(), 1600)

    def test_lines_that_are_dropped(self):
        """The counters say what --overflow did while there was nobody."""
        for policy, first in [("drop-oldest", 2990), ("drop-newest", 0)]:
            keeper = Keeper()
            with self.subTest(policy), reserved() as port, cat(
                    f"--reconnect --backoff 50ms..100ms --buffer 10 --overflow={policy}",
                    f"ws://127.0.0.1:{port}/") as tool:
                fed(tool, [b"%d\n" % number for number in range(3000)]).join()
                until(lambda: tool.unread() == 0)
                with raw_server(keeper, port=port):
                    self.assertEqual(tool.status(), 1, tool.errors)
                self.assertEqual(keeper.lines, list(range(first, first + 10)))
                self.assertEqual(tool.stats()["dropped"], 2990)
                self.settle(keeper.lines, tool.stats(), 3000)

    def test_many(self):
        def closes(raw):
            raw.send(TEXT, b"1")
            raw.close()

        def breaks(raw):
            raw.reset()

        for answer in [closes, breaks]:
            with self.subTest(answer.__name__), raw_server(answer) as server:
                quick(self, server, "", 300)
        with raw_server(lambda raw: None, opens=False) as server:
            quick(self, server, "", 300)


class Authorised(Accounts):
    """Tests with a server that proves who it is."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name, "authority")
        cls.context = server_context(*cls.authority.issue("here", "IP:127.0.0.1"))


class Chaos(Authorised):
    """Nothing is lost that is not counted, whatever the network does."""

    def test_numbered_lines(self):
        count = 3000
        start = seed()
        problems = []

        def lines(keeper, pad):
            """Not far ahead of what arrives, for what is on its way is what a break may lose."""
            for number in range(count):
                patience = time.monotonic() + 0.02
                while number - keeper.last > 50 and time.monotonic() < patience:
                    time.sleep(0.001)
                yield b"%d%s\n" % (number, pad)

        def one(seed):
            keeper = Keeper()
            # Some 200 lines and their answers are the life of a connection.
            pad, context = random.Random(seed).choice([b"", b" " * 200]), None
            lifetime, options = 200 * (20 + 2 * len(pad)), ""
            if (seed - start) % 2:
                context, lifetime = self.context, lifetime + 200 * 60 + 2000
                options = f"--cacert {self.authority.certificate}"
            with raw_server(keeper, tls=context) as server, \
                    middle(server.port, chaotic(seed, lifetime)) as proxy, \
                    cat(f"--reconnect --backoff 1ms..5ms --rate 2500/s --ping 50ms"
                        f" --close-timeout 500ms {options}",
                        server.url.replace(str(server.port), str(proxy.port))) as tool:
                fed(tool, lines(keeper, pad))
                received = [int(line) for line in tool.output.read().split()]
                try:
                    # 69 when the last connection broke in its close.
                    self.assertIn(tool.status(), [0, 1, 69], tool.errors)
                    self.settle(keeper.lines, tool.stats(), count)
                    self.assertGreater(proxy.count, 3)
                    self.assertGreater(len(keeper.lines), count // 2)
                    self.assertEqual(received, sorted(set(received)))
                    self.assertLessEqual(set(received), set(keeper.lines))
                except Exception as problem:
                    problems.append(f"seed {seed}: {problem}")

        threads = [threading.Thread(target=one, args=[start + each]) for each in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [], f"seeds from {start}")


class Secure(Authorised):
    """Faults below TLS, or in it."""

    def ends(self, answer, statuses, options=""):
        with raw_server(answer, tls=self.context) as server, \
                cat(f"-t --close-timeout 100s --cacert {self.authority.certificate} {options}",
                    server.url) as tool:
            output = tool.output.read()
            self.assertIn(tool.status(), statuses, tool.errors)
            self.assertLess(tool.elapsed, 50)
            self.tool = tool
        return output

    def test_ends(self):
        def close_notify(raw):
            raw.send(TEXT, b"one")
            raw.socket.unwrap()

        def no_close_notify(raw):
            raw.send(TEXT, b"one")

        def reset(raw):
            raw.send(TEXT, b"one")
            time.sleep(0.1)
            raw.reset()

        def garbage(raw):
            raw.send(TEXT, b"one")
            time.sleep(0.1)
            with socket.socket(fileno=raw.socket.detach()) as plain:
                plain.sendall(b"this is no record" * 100)
                time.sleep(0.2)

        for answer in [close_notify, no_close_notify, reset, garbage]:
            with self.subTest(answer.__name__):
                self.assertEqual(self.ends(answer, [69]), b"one\n")

    def test_a_close(self):
        def answer(raw):
            raw.socket.sendall(frame(TEXT, b"one") * 10_000 + frame(CLOSE, b"\x03\xe8"))
            raw.next(CLOSE)

        self.assertEqual(self.ends(answer, [0]), b"one\n" * 10_000)

    def test_a_peer_that_stops_reading(self):
        lines = [b"%0200d\n" % number * 100 for number in range(10_000)]
        options = f"-t --cacert {self.authority.certificate} --ping 300ms --pong-timeout"
        with raw_server(silent, tls=self.context) as server, \
                cat(f"{options} 1000s", server.url) as tool, \
                cat(f"{options} 400ms", server.url) as other:
            fed(tool, lines)
            fed(other, lines)
            until(lambda: tool.unread() > 0)
            tool.rests()
            before = tool.peak_kib()
            time.sleep(0.2)
            self.assertLess(tool.peak_kib() - before, 700)
            self.assertEqual(other.status(), 69, other.errors)
            self.assertIn(b"no pong", other.errors)

    def test_many(self):
        """Neither descriptors nor memory are lost with so many connections."""
        with raw_server(lambda raw: raw.send(TEXT, b"1"), tls=self.context) as server:
            quick(self, server, f"--cacert {self.authority.certificate}", 150)
