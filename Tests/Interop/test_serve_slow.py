"""stream-serve with clients that do not read: each policy, and that what is told adds up."""

import json
import socket
import threading
import time
import unittest

from peers import PATIENCE_SECONDS
from serve_bed import resident, serve, until

# As little as the kernel lets wait on either side.
SMALL = "--send-buffer 4K --heartbeat 1h --ping 1h --compress=off"
RECEIVE = 4096
PADDING = "x" * 1000


def values(first, last):
    return [{"n": n, "k": n % 10, "text": PADDING} for n in range(first, last)]


def feeding(server, events):
    """The thread in which they are written, for as long as that takes."""
    def feed():
        try:
            server.feed(*events)
        except (OSError, ValueError):
            pass  # The test is over.

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return thread


class Slow:
    """A client of one of the transports that first takes its time."""

    def __init__(self, server, transport, query=""):
        self.transport = transport
        target = {"sse": "/events", "ws": "/ws", "stream": "/stream"}[transport] + query
        make = {"sse": server.sse, "ws": server.raw_ws, "stream": server.stream}[transport]
        self.client = make(target, receive_buffer=RECEIVE)

    @property
    def socket(self):
        return (self.client if self.transport == "ws" else self.client.wire).socket

    def next(self):
        """An event as (None, data), a gap as (reason, missed); none at the end."""
        if self.transport == "sse":
            event = self.client.event()
            if event is None:
                return None
            name, data = event.get("event"), json.loads(event["data"])
        else:
            record = self.client.message() if self.transport == "ws" else self.client.record()
            if record is None:
                return None
            name, data = record.get("event"), record["data"]
        return (data["reason"], data["missed"]) if name == "gap" else (None, data)

    def to(self, number):
        """What there is up to the event of this number."""
        return self.reading(number, [])

    def reading(self, number, got):
        """The same, to be looked at meanwhile. From now on it takes as much as comes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        while True:
            got.append(self.next())
            if got[-1] is None:
                raise AssertionError(f"it ended before {number}: {got[-3:]}")
            if got[-1][0] is None and got[-1][1]["n"] == number:
                return got


class Others:
    """A client that reads all the while."""

    def __init__(self, server, total):
        self.server, self.client = server, server.sse()
        self.got = []
        self.thread = threading.Thread(target=self.read, args=[total], daemon=True)
        self.thread.start()

    def read(self, total):
        try:
            while len(self.got) < total and (event := self.client.event()):
                data = json.loads(event["data"])
                self.got.append(data.get("n", data))
        except OSError:
            pass  # The test is over.

    def feed(self, first, last):
        """Writes these events, a few at a time: what this client does not have yet always fits into
        its socket, however late it reads, so that it is never slow."""
        for at in range(first, last, 20):
            self.server.feed(*values(at, min(at + 20, last)))
            until(lambda: len(self.got) >= min(at + 20, last), "another has it", pause=0.0005)
        self.server.settled()

    def done(self):
        self.thread.join(PATIENCE_SECONDS)
        return self.got


class Policies(unittest.TestCase):
    TRANSPORTS = ["sse", "ws", "stream"]

    def slowed(self, policy, transport, more=""):
        """What a client got that did not read while 1000 events came, up to one behind them."""
        options = f"{SMALL} --buffer 20 --slow-after 100ms --slow={policy} {more}"
        reason = "conflated" if policy == "conflate" else "slow"
        with serve(options) as server:
            other = Others(server, 1001)
            slow = Slow(server, transport)
            other.feed(0, 500)
            time.sleep(0.15)  # Now it is slow.
            other.feed(500, 1000)
            got = []
            thread = threading.Thread(target=slow.reading, args=[1000, got], daemon=True)
            thread.start()
            # It has caught up: the next event is not one of those that it misses.
            until(lambda: sum(each[0] is None for each in list(got) if each)
                  + server.metric("dropped_total", reason=reason) >= 1000, "it has caught up")
            server.feed(*values(1000, 1001))
            thread.join(PATIENCE_SECONDS)
            self.assertEqual(got[-1][1].get("n"), 1000, got[-3:])
            # The others have not noticed.
            self.assertEqual(other.done(), list(range(1001)))
            missed = sum(each[1] for each in got if each[0])
            received = [each[1]["n"] for each in got if each[0] is None]
            self.assertEqual(len(received) + missed, 1001)
            self.assertGreater(missed, 500)
            server.reaches(missed, "dropped_total", reason=reason)
            self.assertEqual({each[0] for each in got if each[0]}, {reason})
        return got, received

    def check_places(self, got):
        """Each gap is where the missing ones would have been."""
        expected = 0
        for reason, what in got:
            if reason:
                self.assertGreater(what, 0)
                expected += what
            else:
                self.assertEqual(what["n"], expected)
                expected += 1

    def test_drop_oldest(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport):
                got, received = self.slowed("drop-oldest", transport)
                self.check_places(got)
                # The newest that may wait are here.
                self.assertEqual(received[-20:], list(range(981, 1001)))

    def test_drop_newest(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport):
                got, received = self.slowed("drop-newest", transport)
                self.check_places(got)
                self.assertNotIn(999, received)
                self.assertEqual(received[:20], list(range(20)))

    def test_conflate(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport):
                got, received = self.slowed("conflate", transport, "--key-from .k")
                # Of each key the newest, and in order.
                newest = {n % 10: n for n in received if n < 1000}
                self.assertEqual(sorted(newest.values()), list(range(990, 1000)))
                self.assertEqual(received, sorted(received))

    def test_conflate_holds_up_nobody(self):
        """A client that is slow so soon that its place is still in what is shared."""
        options = f"{SMALL} --buffer 20 --slow-after 10ms --slow=conflate --key-from .k"
        with serve(f"{options} --workers 1") as server:
            clients = [Slow(server, transport) for transport in self.TRANSPORTS * 2]
            for at in range(0, 1500, 10):
                thread = feeding(server, values(at, at + 10))
                thread.join(PATIENCE_SECONDS)
                self.assertFalse(thread.is_alive(), "a worker stands still")
                time.sleep(0.002)
            with server.wire() as wire:
                self.assertEqual(wire.ask("/healthz").status, 200)
            threading.Timer(0.2, lambda: feeding(server, values(1500, 1501))).start()
            for slow in clients:
                got = slow.to(1500)
                self.assertEqual(sum(what if reason else 1 for reason, what in got), 1501)

    def test_conflate_keeps_what_has_no_key(self):
        options = f"{SMALL} --buffer 20 --slow-after 100ms --slow=conflate --key-from .k"
        with serve(options) as server:
            slow = Slow(server, "sse")
            # Without a key an event is superseded by none.
            server.feed(*values(0, 500))
            server.feed({"n": -1, "text": "keep me"})
            server.settled()
            time.sleep(0.15)
            server.feed(*values(500, 1000))
            server.settled()
            got = slow.to(999)
            self.assertTrue(any(each[0] is None and each[1]["n"] == -1 for each in got))

    def test_disconnect(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport), serve(
                    f"{SMALL} --buffer 20 --slow-after 100ms --slow=disconnect") as server:
                other = Others(server, 1000)
                slow = Slow(server, transport)
                other.feed(0, 500)
                time.sleep(0.15)
                other.feed(500, 1000)
                server.reaches(1, "closed_total", reason="slow")
                received, last = [], None
                try:
                    while (each := slow.next()) is not None:
                        self.assertIsNone(each[0])
                        received.append(each[1]["n"])
                except (ConnectionResetError, AssertionError):
                    pass  # Cut off in the middle: it would not read.
                self.assertEqual(received, list(range(len(received))))
                self.assertLess(len(received), 500)
                if transport == "ws":
                    self.assertEqual(slow.client.code, 1013)
                self.assertEqual(other.done(), list(range(1000)))
                until(lambda: server.metric("connections_active") <= 2, "it is closed")

    def test_disconnected_it_resumes(self):
        with serve(f"{SMALL} --buffer 20 --slow-after 100ms --slow=disconnect") as server:
            clients = [server.sse(receive_buffer=RECEIVE)]
            server.feed(*values(0, 1000))
            server.reaches(1, "closed_total", reason="slow")
            numbers, last = [], None
            while numbers[-1:] != [999]:
                self.assertLess(len(clients), 50)
                try:
                    while numbers[-1:] != [999] and (event := clients[-1].event()):
                        numbers.append(json.loads(event["data"])["n"])
                        last = event["id"]
                except ConnectionResetError:
                    pass
                clients.append(server.sse("/events?since=earliest",
                                          [f"Last-Event-ID: {last}"] if last else []))
        self.assertEqual(numbers, list(range(1000)))

    def test_block(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport), serve(f"{SMALL} --buffer 20 --slow=block") as server:
                other = Others(server, 4000)
                slow = Slow(server, transport)
                thread = feeding(server, values(0, 4000))
                # The publisher waits, and memory holds little.
                self.assertLess(server.waits(), 2000)
                self.assertTrue(thread.is_alive())
                got = slow.to(3999)
                thread.join(PATIENCE_SECONDS)
                self.assertEqual([each[1]["n"] for each in got], list(range(4000)))
                self.assertEqual(other.done(), list(range(4000)))
                server.reaches(0, "dropped_total")

    def test_block_ends_with_the_client(self):
        with serve(f"{SMALL} --buffer 20 --slow=block") as server:
            other = Others(server, 4000)
            slow = Slow(server, "ws")
            thread = feeding(server, values(0, 4000))
            server.waits()
            self.assertTrue(thread.is_alive())
            # Health is asked for by others, and they do not wait.
            self.assertEqual(server.ask("/healthz").status, 200)
            slow.client.close()
            thread.join(PATIENCE_SECONDS)
            self.assertEqual(other.done(), list(range(4000)))

    def test_block_ends_with_the_send_timeout(self):
        with serve(f"{SMALL} --buffer 20 --slow=block --send-timeout 1s") as server:
            other = Others(server, 2000)
            Slow(server, "sse")
            start = time.monotonic()
            server.feed(*values(0, 2000))
            self.assertEqual(other.done(), list(range(2000)))
            self.assertGreater(time.monotonic() - start, 0.7)
            server.reaches(1, "closed_total", reason="send_timeout")


class Times(unittest.TestCase):
    def test_a_pause_that_is_short_enough(self):
        for policy in ["drop-oldest", "drop-newest", "disconnect", "conflate --key-from .k"]:
            with self.subTest(policy), serve(
                    f"{SMALL} --buffer 10 --slow-after 1m --slow={policy}") as server:
                slow = Slow(server, "ws")
                server.feed(*values(0, 2000))
                server.settled()
                got = slow.to(1999)
                self.assertEqual([each[1]["n"] for each in got], list(range(2000)))

    def test_a_replay_is_not_slow(self):
        """One that reads as fast as its line allows has all of the history, however long it is."""
        for policy in ["drop-oldest", "disconnect"]:
            with self.subTest(policy), serve(
                    f"{SMALL} --buffer 20 --slow-after 500ms --slow={policy}") as server:
                server.feed(*values(0, 1500))
                server.settled()
                slow = Slow(server, "sse", "?since=earliest")
                got = []
                while got[-1:] != [(None, 1499)]:
                    reason, what = slow.next() or ("disconnected", None)
                    got.append((reason, what if reason else what["n"]))
                    self.assertIsNone(reason, got[-3:])
                    if len(got) % 30 == 0:
                        time.sleep(0.02)
                self.assertEqual(len(got), 1500)

    def test_few_that_wait_are_not_slow(self):
        """As long as no more than --buffer wait, nothing is dropped, however long it takes."""
        with serve(f"{SMALL} --buffer 500 --slow-after 50ms --slow=drop-oldest") as server:
            slow = Slow(server, "sse")
            server.feed(*values(0, 300))
            server.settled()
            time.sleep(0.15)
            got = slow.to(299)
            self.assertEqual([each[1]["n"] for each in got], list(range(300)))

    def test_the_history_is_the_end_of_catching_up(self):
        with serve(f"{SMALL} --buffer 10 --slow-after 1m --history 50") as server:
            slow = Slow(server, "stream")
            for at in range(0, 2000, 100):
                server.feed(*values(at, at + 100))
                time.sleep(0.005)
            server.settled()
            got = slow.to(1999)
            expected = 0
            for reason, what in got:
                if reason:
                    self.assertIn(reason, ["slow", "expired"])
                    expected += what
                else:
                    self.assertEqual(what["n"], expected)
                    expected += 1
            self.assertEqual(expected, 2000)

    def test_send_timeout(self):
        for transport in ["sse", "ws", "stream"]:
            with self.subTest(transport), serve(
                    f"{SMALL} --buffer 10000 --slow-after 1h --send-timeout 400ms") as server:
                other = Others(server, 1000)
                slow = Slow(server, transport)
                start = time.monotonic()
                other.feed(0, 1000)
                server.reaches(1, "closed_total", reason="send_timeout")
                self.assertGreater(time.monotonic() - start, 0.3)
                self.assertEqual(other.done(), list(range(1000)))
                self.assertTrue(slow.client.wire.ended() if transport != "ws"
                                else slow.client.ended())

    def test_a_client_that_reads_a_little(self):
        """The send timeout is for one that takes nothing at all."""
        with serve(f"{SMALL} --buffer 10000 --slow-after 1h --send-timeout 1s") as server:
            client = server.sse(receive_buffer=RECEIVE)
            server.feed(*values(0, 200))
            end = time.monotonic() + 2
            while time.monotonic() < end:
                client.wire.more()
                time.sleep(0.1)
            server.reaches(0, "closed_total", reason="send_timeout")
            self.assertEqual([value["n"] for value in client.data(200)], list(range(200)))

    def test_the_default_is_to_drop_the_oldest(self):
        with serve(f"{SMALL} --buffer 20 --slow-after 50ms") as server:
            slow = Slow(server, "sse")
            server.feed(*values(0, 500))
            server.settled()
            time.sleep(0.1)
            server.feed(*values(500, 1000))
            server.settled()
            got = slow.to(999)
            self.assertTrue(any(each[0] == "slow" for each in got))

    def test_many_at_once(self):
        """Each of them has its own account, and memory is bounded."""
        with serve(f"{SMALL} --buffer 20 --slow-after 50ms --history-bytes 4M") as server:
            clients = [Slow(server, ["sse", "ws", "stream"][n % 3]) for n in range(30)]
            for at in range(0, 20_000, 500):
                server.feed(*values(at, at + 500))
            server.settled()
            self.assertLess(resident(server), 146)
            server.feed(*values(20_000, 20_001))
            for client in clients:
                got = client.to(20_000)
                self.assertEqual(sum(what if reason else 1 for reason, what in got), 20_001)

    def test_filters_count_their_own(self):
        """What a client did not ask for it did not miss."""
        with serve(f"{SMALL} --buffer 20 --slow-after 100ms --channel-from .c") as server:
            slow = Slow(server, "ws")
            slow.client.say(1, '{"type":"subscribe","channel":"a"}')
            self.assertEqual(slow.client.message()["type"], "ok")
            both = [{"c": "ab"[n % 2], "n": n, "text": PADDING} for n in range(2000)]
            server.feed(*both[:1000])
            server.settled()
            time.sleep(0.15)
            server.feed(*both[1000:])
            server.settled()
            got = slow.to(1998)
            self.assertEqual(sum(what if reason else 1 for reason, what in got), 1000)
            self.assertTrue(any(reason for reason, _ in got))


