"""stream-serve under load: numbers prove that nothing is lost, doubled or out of order."""

import random
import re
import statistics
import threading
import time
import unittest

from peers import PATIENCE_SECONDS
from serve_bed import processor_seconds, serve, until
from serve_crowd import TRANSPORTS, Crowd, Feed
from sse_peers import seed

CHANNELS = [f"{area}.{kind}.{number}" for area in ["eu", "us", "asia"]
            for kind in ["trade", "quote"] for number in range(5)] + ["eu", "news"]
PATTERNS = [[], ["**"], ["eu.**"], ["*.trade.*"], ["us.quote.3"], ["news"], ["*"],
            ["eu.trade.1", "asia.**"], ["*.*.4", "us.trade.*"], ["asia.quote.0", "news", "eu"]]
# Numbers of Python's own pace would be late for a client that reads in the same thread.
PATIENT = "--channel-from .c --history 1000000 --slow-after 1m"
# So many events may wait for a client without its being slow (--buffer).
BUFFER = 100


class Collector:
    """Reads all of a response in a thread, and looks at it later."""

    def __init__(self, wire):
        self.wire, self.parts, self.count = wire, [], 0
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        part = self.wire.held
        try:
            while part or (part := self.wire.socket.recv(1 << 20)):
                self.parts.append(part)
                self.count += part.count(b'{"n":')
                part = b""
        except OSError:
            pass

    def numbers(self):
        """What came, once all of it has."""
        self.thread.join(PATIENCE_SECONDS)
        text = b"".join(self.parts)
        return [int(n) for n in re.findall(rb'"n":(\d+)', text)], text


class Rates(unittest.TestCase):
    def test_40000_a_second(self):
        """On one channel to one client, with the options as they are. The seconds are those of the
        processor, which others may use, too. Never do more wait than a client may leave waiting,
        for it is Python that reads."""
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
                before = processor_seconds(server)
                while len(feed.log) < 40_000:
                    until(lambda: len(feed.log) - collector.count <= BUFFER // 2, "it reads",
                          pause=0.0002)
                    feed.write(BUFFER // 2)
                until(lambda: collector.count >= len(feed.log), "it has read all")
                self.assertLess(processor_seconds(server) - before, len(feed.log) / 40_000)
                server.end()
                got, text = collector.numbers()
                self.assertEqual(got, list(range(1, len(feed.log) + 1)))
                self.assertNotIn(b"gap", text)
                self.assertEqual(server.status(), 0)

    def test_10000_at_once(self):
        """To one client of each transport, compressed or not: the history and the buffer are as
        they are. In one second all of them may not have read it on a busy machine."""
        for compress in [False, True]:
            with self.subTest(compress=compress), \
                    serve("--channel-from .c --slow-after 1m") as server, Crowd(server) as crowd:
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
            with self.subTest(transport), \
                    serve("--channel-from .c --slow-after 1m") as server, Crowd(server) as crowd:
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
            times = []
            for burst in [1, 2, 5000, 1, 64, 700, 3, 20_000, 1, 1, 2, 7, 1, 1, 30]:
                feed.write(burst)
                start = time.monotonic()
                crowd.settle(feed)
                if burst < 100:
                    times.append(time.monotonic() - start)
                deadline = time.monotonic() + chance.choice([0, 0.002, 0.01, 0.1])
                while time.monotonic() < deadline:
                    crowd.turn(0.001)
            crowd.check(feed, whole=True)
            # What would wait for the server's clock would be late by half a second in the mean. One
            # may be late for other reasons.
            self.assertLess(statistics.median(times), 0.25, times)


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
                for _ in range(150):
                    feed.write(15)
                    if len(crowd.members) < 100:
                        crowd.join(chance.choice(TRANSPORTS), *chance.choice(PATTERNS),
                                   compress=chance.random() < 0.4)
                    crowd.turn(0.005)
                feed.write(200)
                crowd.settle(feed, first)
                crowd.settle(feed, [each for each in crowd.members if each.seen])
                crowd.check(feed, first, whole=True)
                crowd.check(feed)
                self.assertGreater(sum(bool(each.seen) for each in crowd.members), 80)

    def test_connects_and_disconnects(self):
        """3000 beside a steady stream to steady clients: 500 in a second of the processor."""
        chance = random.Random(seed())
        with serve(f"{PATIENT} --max-per-address 100000") as server, Crowd(server) as crowd, \
                Crowd(server, source="127.0.0.2") as passing:
            feed = Feed(server, chance, ["c"])
            steady = [crowd.join(transport, since="earliest", compress=compress)
                      for transport in TRANSPORTS for compress in [False, True]
                      for _ in range(2)]
            before, count = processor_seconds(server), 3000
            for first in range(0, count, 10):
                feed.write(10)
                for _ in range(10):
                    passing.join(chance.choice(TRANSPORTS), compress=chance.random() < 0.3)
                while len(passing.members) > 100:
                    passing.members.pop(chance.randrange(50)).leave(
                        chance.choice(["close", "reset", "half"]))
                passing.turn(0)
                crowd.turn(0.001)
            crowd.settle(feed)
            self.assertLess(processor_seconds(server) - before, count / 500)
            crowd.check(feed, whole=True)
            passing.check(feed)
            for member in steady:
                self.assertEqual(member.connections, 1)
            passing.close()
            until(lambda: server.metric("connections_active") <= len(steady) + 1,
                  "only the steady ones")

    def test_compressed_and_plain_that_come_and_go(self):
        """Those who share a compressed stream are right wherever they join it."""
        chance = random.Random(seed())
        for level in [1, 6]:
            with self.subTest(level), serve(f"{PATIENT} --compress-level {level}") as server, \
                    Crowd(server) as crowd:
                feed = Feed(server, chance, ["a", "b"], size=150)
                gone = []
                for _ in range(300):
                    feed.write(25)
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

    def churn(self, workers, turns, options="", events=20, at_once=20):
        chance = random.Random(seed())
        with serve(f"{PATIENT} --max-per-address 100000 --retry 1ms --workers {workers} {options}"
                   ) as server, Crowd(server) as crowd:
            feed = Feed(server, chance, CHANNELS, size=40)
            for number in range(40):
                crowd.join(TRANSPORTS[number % 4], *chance.choice(PATTERNS[:5]),
                           compress=chance.random() < 0.4, since="earliest")
            for _ in range(turns):
                for _ in range(0, events, at_once):
                    feed.write(at_once)
                    crowd.turn(0.0005)
                for member in chance.sample(crowd.members, chance.randrange(6)):
                    member.again(chance.choice(["close", "reset", "half"]))
                crowd.turn(0.001)
            for member in crowd.members:
                if member.over:
                    member.again()
            crowd.settle(feed)
            crowd.check(feed, whole=True)
            self.assertEqual(server.metric("replays_total", result="miss"), 0)

    def test_one_worker(self):
        self.churn(1, 120)

    def test_two_workers(self):
        self.churn(2, 120)

    def test_four_workers(self):
        self.churn(4, 180)

    def test_with_no_flush_interval(self):
        self.churn(2, 90, "--flush-interval 0")

    def test_events_one_by_one(self):
        """Several flushes do not end together with what the publisher wrote."""
        self.churn(2, 120, events=15, at_once=1)

    def test_between_two_flushes(self):
        """A client joins the compressed stream while a piece of it is begun: it has a part of the
        piece from the history, and the rest must not be taken for it, too."""
        zipped = ["Accept-Encoding: gzip"]
        with serve("--workers 1 --flush-interval 300ms") as server:
            others = server.sse("/events", zipped)
            server.feed(1)
            self.assertEqual(others.data(), [1])
            server.feed(2)
            server.reaches(2, "events_in_total")
            server.idle()
            late = server.sse("/events?since=earliest", zipped)
            self.assertEqual(late.data(2), [1, 2])
            server.feed(3)
            self.assertEqual(late.data(), [3])
            server.feed(4, 5)
            self.assertEqual(late.data(), [4])
            self.assertEqual(others.data(3), [2, 3, 4])

    def test_with_small_buffers(self):
        self.churn(3, 120, "--send-buffer 4K --flush-interval 20ms")

    def test_a_server_that_has_ids_of_its_own(self):
        """Numbers of the publisher are ids: the last of them is found in the history."""
        chance = random.Random(seed())
        with serve(f"{PATIENT} --id-from .n --workers 4") as server, Crowd(server) as crowd:
            feed = Feed(server, chance, CHANNELS)
            for number in range(24):
                crowd.join(TRANSPORTS[number % 4], since="earliest")
            for _ in range(200):
                feed.write(20)
                for member in chance.sample(crowd.members, chance.randrange(3)):
                    member.again(chance.choice(["close", "reset"]))
                crowd.turn(0.001)
            crowd.settle(feed)
            crowd.check(feed, whole=True)
