"""stream-serve under load: numbers prove that nothing is lost, doubled or out of order."""

import random
import re
import threading
import time
import unittest

from peers import PATIENCE_SECONDS
from serve_bed import serve, until
from serve_crowd import TRANSPORTS, Crowd, Feed
from sse_peers import seed

CHANNELS = [f"{area}.{kind}.{number}" for area in ["eu", "us", "asia"]
            for kind in ["trade", "quote"] for number in range(5)] + ["eu", "news"]
PATTERNS = [[], ["**"], ["eu.**"], ["*.trade.*"], ["us.quote.3"], ["news"], ["*"],
            ["eu.trade.1", "asia.**"], ["*.*.4", "us.trade.*"], ["asia.quote.0", "news", "eu"]]
# Numbers of Python's own pace would be late for a client that reads in the same thread.
PATIENT = "--channel-from .c --history 1000000 --slow-after 20s"


class Collector:
    """Reads all of a response in a thread, and looks at it later."""

    def __init__(self, wire):
        self.wire, self.parts, self.size = wire, [], 0
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        if self.wire.held:
            self.parts.append(self.wire.held)
        try:
            while part := self.wire.socket.recv(1 << 20):
                self.parts.append(part)
        except OSError:
            pass

    def numbers(self):
        """What came, once all of it has."""
        self.thread.join(PATIENCE_SECONDS)
        text = b"".join(self.parts)
        return [int(n) for n in re.findall(rb'"n":(\d+)', text)], text


class Rates(unittest.TestCase):
    def test_40000_a_second(self):
        """On one channel to one client, with the options as they are."""
        for transport in ["sse", "ws", "stream"]:
            with self.subTest(transport), serve("--channel-from .c") as server:
                feed = Feed(server, size=60)
                if transport == "ws":
                    wire = server.raw_ws("/ws?channel=c")
                else:
                    wire = server.wire()
                    wire.request(f"/{'events' if transport == 'sse' else transport}?channel=c")
                    wire.head()
                collector = Collector(wire)
                start = time.monotonic()
                feed.run(40_000, seconds=2.5, step=0.001).thread.join()
                self.assertIsNone(feed.problem)
                took = time.monotonic() - start
                self.assertGreater(len(feed.log) / took, 36_000)
                server.end()
                got, text = collector.numbers()
                self.assertEqual(got, list(range(1, len(feed.log) + 1)))
                self.assertNotIn(b"gap", text)
                self.assertEqual(server.status(), 0)

    def test_10000_at_once(self):
        """To one client of each transport, with the options as they are, compressed or not."""
        for compress in [False, True]:
            with self.subTest(compress=compress), serve("--channel-from .c") as server, \
                    Crowd(server) as crowd:
                feed = Feed(server, size=100)
                for transport in TRANSPORTS:
                    crowd.join(transport, "c", compress=compress)
                crowd.opened()
                feed.write(1)
                crowd.settle(feed)
                threading.Thread(target=feed.write, args=[10_000]).start()
                until(lambda: len(feed.log) == 10_001)
                crowd.settle(feed)
                crowd.check(feed, whole=True)

    def test_10000_at_once_alone(self):
        """The client of each transport has the server for itself."""
        for transport in TRANSPORTS:
            with self.subTest(transport), serve("--channel-from .c") as server, \
                    Crowd(server) as crowd:
                feed = Feed(server)
                crowd.join(transport, "c", since="earliest")
                feed.write(10_000)
                crowd.settle(feed)
                crowd.check(feed, whole=True)

    def test_bursts_and_stops(self):
        """What came last is there at once, though nothing comes behind it."""
        with serve(PATIENT) as server, Crowd(server) as crowd:
            chance = random.Random(seed())
            feed = Feed(server, chance, CHANNELS)
            for transport in TRANSPORTS:
                for compress in [False, True]:
                    crowd.join(transport, compress=compress, since="earliest")
                    crowd.join(transport, "**", compress=compress, since="earliest")
            for burst in [1, 2, 5000, 1, 64, 700, 3, 20_000, 1, 1]:
                feed.write(burst)
                start = time.monotonic()
                crowd.settle(feed)
                if burst < 100:
                    self.assertLess(time.monotonic() - start, 0.5, burst)
                deadline = time.monotonic() + chance.choice([0, 0.002, 0.01, 0.1])
                while time.monotonic() < deadline:
                    crowd.turn(0.001)
            crowd.check(feed, whole=True)


class Crowds(unittest.TestCase):
    def test_mixed_clients_on_many_channels(self):
        """100 of them, with filters; half of them from the first event on."""
        for workers in [1, 2, 4]:
            chance = random.Random(seed())
            with self.subTest(workers=workers), \
                    serve(f"{PATIENT} --workers {workers}") as server, Crowd(server) as crowd:
                feed = Feed(server, chance, CHANNELS, size=50)
                feed.write(100)
                first = [crowd.join(chance.choice(TRANSPORTS), *chance.choice(PATTERNS),
                                    compress=chance.random() < 0.4, since="earliest")
                         for _ in range(50)]
                feed.run(1500, seconds=1.5)
                while feed.thread.is_alive():
                    if len(crowd.members) < 100:
                        crowd.join(chance.choice(TRANSPORTS), *chance.choice(PATTERNS),
                                   compress=chance.random() < 0.4)
                    crowd.turn(0.005)
                feed.stop()
                feed.write(200)
                crowd.settle(feed, first)
                crowd.settle(feed, [each for each in crowd.members if each.seen])
                crowd.check(feed, first, whole=True)
                crowd.check(feed)
                self.assertGreater(sum(bool(each.seen) for each in crowd.members), 80)

    def test_connects_and_disconnects(self):
        """1000 a second beside a steady stream to steady clients."""
        chance = random.Random(seed())
        with serve(f"{PATIENT} --max-per-address 100000") as server, Crowd(server) as crowd, \
                Crowd(server, source="127.0.0.2") as passing:
            feed = Feed(server, chance, ["c"])
            steady = [crowd.join(transport, since="earliest", compress=compress)
                      for transport in TRANSPORTS for compress in [False, True]
                      for _ in range(2)]
            feed.run(1000)
            start, count = time.monotonic(), 0
            while time.monotonic() - start < 3:
                due = int((time.monotonic() - start) * 1000) - count
                for _ in range(min(due, 50)):
                    passing.join(chance.choice(TRANSPORTS), compress=chance.random() < 0.3)
                    count += 1
                while len(passing.members) > 100:
                    passing.members.pop(chance.randrange(50)).leave(
                        chance.choice(["close", "reset", "half"]))
                passing.turn(0)
                crowd.turn(0.001)
            rate = count / (time.monotonic() - start)
            feed.stop()
            crowd.settle(feed)
            crowd.check(feed, whole=True)
            passing.check(feed)
            for member in steady:
                self.assertEqual(member.connections, 1)
            self.assertGreater(rate, 500)
            passing.close()
            until(lambda: server.metric("connections") <= len(steady) + 1, "only the steady ones")

    def test_compressed_and_plain_that_come_and_go(self):
        """Those who share a compressed stream are right wherever they join it."""
        chance = random.Random(seed())
        for level in [1, 6]:
            with self.subTest(level), serve(f"{PATIENT} --compress-level {level}") as server, \
                    Crowd(server) as crowd:
                feed = Feed(server, chance, ["a", "b"], size=150)
                feed.run(3000, seconds=2.5)
                gone = []
                while feed.thread.is_alive():
                    if len(crowd.members) < 60 and chance.random() < 0.7:
                        rest = {"compress": chance.random() < 0.7}
                        way = chance.random()
                        if way < 0.3:
                            rest["since"] = "earliest"
                        elif way < 0.6:
                            rest["since"] = chance.choice([0, 1, 7, 100, 3000])
                        crowd.join(chance.choice(["sse", "sse", "ws", "ws", "stream"]),
                                   *chance.choice([[], ["a"], ["b"]]), **rest)
                    elif crowd.members and chance.random() < 0.6:
                        gone.append(crowd.members.pop(chance.randrange(len(crowd.members))))
                        gone[-1].leave(chance.choice(["close", "reset"]))
                    for _ in range(chance.randrange(3)):
                        crowd.turn(0.005)
                feed.stop()
                feed.write(50)
                crowd.settle(feed)
                crowd.check(feed)
                crowd.check(feed, gone)
                server.end()
                crowd.until(lambda: all(each.over for each in crowd.members), "the end")
                for member in crowd.members:
                    self.assertTrue(member.ended, member)
                    if member.inflater and member.transport == "sse":
                        self.assertTrue(member.inflater.eof, f"{member}: no trailer")
                        self.assertEqual(member.inflater.unused_data, b"")


class Resumes(unittest.TestCase):
    """Clients that lose their connection again and again, and go on behind what they have."""

    def churn(self, workers, seconds, options="", clients=40, rate=3000, step=0.005):
        chance = random.Random(seed())
        with serve(f"{PATIENT} --max-per-address 100000 --retry 1ms --workers {workers} {options}"
                   ) as server, Crowd(server) as crowd:
            feed = Feed(server, chance, CHANNELS, size=40)
            for number in range(clients):
                crowd.join(TRANSPORTS[number % 4], *chance.choice(PATTERNS[:5]),
                           compress=chance.random() < 0.4, since="earliest")
            feed.run(rate, step=step)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                for member in chance.sample(crowd.members, chance.randrange(6)):
                    member.again(chance.choice(["close", "reset", "half"]))
                crowd.turn(0.001)
            feed.stop()
            for member in crowd.members:
                if member.over:
                    member.again()
            crowd.settle(feed)
            crowd.check(feed, whole=True)
            connections = sum(each.connections for each in crowd.members)
            self.assertGreater(connections, 100 * seconds)
            self.assertEqual(server.metric("replays_total", result="miss"), 0)

    def test_one_worker(self):
        self.churn(1, 2)

    def test_two_workers(self):
        self.churn(2, 2)

    def test_four_workers(self):
        self.churn(4, 3)

    def test_with_no_flush_interval(self):
        self.churn(2, 1.5, "--flush-interval 0")

    def test_events_one_by_one(self):
        """Several flushes do not end together with what the publisher wrote."""
        self.churn(2, 2, rate=1500, step=0.0005)

    def test_between_two_flushes(self):
        """A client joins the compressed stream while a piece of it is begun: it has a part of the
        piece from the history, and the rest must not be taken for it, too."""
        zipped = ["Accept-Encoding: gzip"]
        with serve("--workers 1 --flush-interval 300ms") as server:
            others = server.sse("/events", zipped)
            server.feed(1)
            self.assertEqual(others.data(), [1])
            server.feed(2)
            time.sleep(0.05)
            late = server.sse("/events?since=earliest", zipped)
            self.assertEqual(late.data(2), [1, 2])
            server.feed(3)
            time.sleep(0.4)
            server.feed(4, 5)
            self.assertEqual(late.data(2), [3, 4])
            self.assertEqual(others.data(3), [2, 3, 4])

    def test_with_small_buffers(self):
        self.churn(3, 2, "--send-buffer 4K --flush-interval 20ms")

    def test_a_server_that_has_ids_of_its_own(self):
        """Numbers of the publisher are ids: the last of them is found in the history."""
        chance = random.Random(seed())
        with serve(f"{PATIENT} --id-from .n --workers 4") as server, Crowd(server) as crowd:
            feed = Feed(server, chance, CHANNELS)
            for number in range(24):
                crowd.join(TRANSPORTS[number % 4], since="earliest")
            feed.run(2000)
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                for member in chance.sample(crowd.members, chance.randrange(3)):
                    member.again(chance.choice(["close", "reset"]))
                crowd.turn(0.001)
            feed.stop()
            crowd.settle(feed)
            crowd.check(feed, whole=True)
