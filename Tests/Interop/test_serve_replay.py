"""stream-serve's history: what comes behind an id, a time or a count, and what is told of gaps."""

import json
import random
import signal
import subprocess
import time
import unittest
from urllib.parse import quote

from peers import ENVIRONMENT, PATIENCE_SECONDS
from serve_bed import Server, own_address, serve, until
from sse_peers import seed


def numbers(events):
    return [json.loads(event["data"]) for event in events]


class Since(unittest.TestCase):
    def test_forms(self):
        with serve("--channel-from .c") as server:
            server.feed(*({"c": "ab"[n % 2], "n": n} for n in range(40)))
            server.settled()
            with server.sse("/events?since=earliest") as client:
                ids = [event["id"] for event in client.events(40)]
            server.feed({"c": "end", "n": 40})
            server.settled()
            for query, fields, expected in [
                    ("since=earliest", [], range(41)), ("since=10", [], range(31, 41)),
                    ("since=1000", [], range(41)), ("since=1", [], [40]),
                    ("since=30s", [], range(41)), ("since=1h30m", [], range(41)),
                    (f"since={ids[29]}", [], range(30, 41)),
                    (f"last_event_id={ids[29]}", [], range(30, 41)),
                    ("", [f"Last-Event-ID: {ids[29]}"], range(30, 41)),
                    # What the browser says wins over what the page once asked for.
                    ("since=earliest", [f"Last-Event-ID: {ids[34]}"], range(35, 41)),
                    (f"last_event_id={ids[2]}&since=2", [f"Last-Event-ID: {ids[34]}"],
                     range(35, 41)),
                    (f"since={ids[29]}&channel=a&channel=end", [], [*range(30, 40, 2), 40]),
                    (f"since={ids[30]}&channel=a&channel=end", [], [*range(32, 40, 2), 40]),
                    ("since=4&channel=b&channel=end", [], [35, 37, 39, 40])]:
                with self.subTest(query, fields=fields), \
                        server.sse(f"/events?{query}", fields) as client:
                    self.assertIsNone(client.answer.get("stream-gap"))
                    self.assertEqual([value["n"] for value in client.data(len(expected))],
                                     list(expected))

    def test_from_now_on(self):
        with serve() as server:
            server.feed(1, 2)
            server.settled()
            for query in ["", "?since=0"]:
                with server.sse(f"/events{query}") as client:
                    server.feed(query)
                    self.assertEqual(client.data(), [query])
                server.settled()  # The next client may be another worker's.

    def test_a_time(self):
        with serve() as server:
            server.feed("old")
            server.settled()
            time.sleep(1.4)
            start = time.monotonic()
            server.feed("new")
            server.settled()

            def between():
                """How long ago a time in the middle of the two is."""
                return f"{int((time.monotonic() - start + 0.7) * 1000)}ms"

            with server.sse(f"/events?since={between()}") as client:
                self.assertEqual(client.data(), ["new"])
            with server.sse("/events?since=10m") as client:
                self.assertEqual(client.data(2), ["old", "new"])
            self.assertEqual(server.ask(f"/poll?since={between()}&wait=0").data, ["new"])

    def test_replay_and_then_live(self):
        """No seam where the past and the present meet."""
        with serve("--slow-after 1m") as server:
            clients = []
            for number in range(2000):
                server.feed(number)
                if number % 50 == 25:
                    clients.append(server.sse("/events?since=earliest"))
            for client in clients:
                self.assertEqual(client.data(2000), list(range(2000)))

    def test_counts_of_replays(self):
        with serve() as server:
            server.feed(1, 2)
            server.settled()
            with server.sse("/events?since=1") as client:
                id = client.event()["id"]
            server.sse(fields=[f"Last-Event-ID: {id}"])
            server.sse(fields=["Last-Event-ID: no-1"])
            server.reaches(1, "replays_total", result="hit", at_least=True)
            server.reaches(1, "replays_total", result="miss")


class Bounds(unittest.TestCase):
    def kept(self, server):
        return server.ask("/poll?since=earliest&wait=0&max=100000").data

    def test_count(self):
        with serve("--history 10") as server:
            server.feed(*range(100))
            server.settled()
            self.assertEqual(self.kept(server), list(range(90, 100)))
            server.reaches(10, "history_events")
            self.assertEqual(server.ask("/last?n=1000").data, list(range(90, 100)))

    def test_the_default_count(self):
        with serve() as server:
            server.feed(*range(10_500))
            server.settled()
            server.reaches(10_000, "history_events")

    def test_bytes(self):
        with serve("--history-bytes 20K") as server:
            server.feed(*(f"{number:01000}" for number in range(100)))
            server.settled()
            kept = self.kept(server)
            self.assertTrue(8 <= len(kept) <= 20, len(kept))
            self.assertEqual([int(text) for text in kept], list(range(100 - len(kept), 100)))
            until(lambda: 8000 <= server.metric("history_bytes") <= 20 << 10, "its size")

    def test_one_that_is_larger_than_all(self):
        with serve("--history-bytes 2K") as server, server.sse() as client:
            server.feed("x" * 10_000, "y")
            self.assertEqual(client.data(2), ["x" * 10_000, "y"])
            # Another worker, which may be asked, need not have it yet.
            server.settled()
            self.assertEqual(self.kept(server), ["y"])

    def test_age(self):
        with serve("--history-age 2s") as server:
            server.feed(1, 2)
            server.settled()
            self.assertEqual(self.kept(server), [1, 2])
            until(lambda: self.kept(server) == [], "they are too old")
            # Without anything new, too.
            self.assertEqual(self.kept(server), [])
            server.feed(3)
            server.settled()
            self.assertEqual(self.kept(server), [3])

    def test_none(self):
        with serve("--history 0") as server, server.sse() as client:
            server.feed(*range(50))
            self.assertEqual(client.data(50), list(range(50)))
            self.assertEqual(self.kept(server), [])


class Gaps(unittest.TestCase):
    def test_expired(self):
        with serve("--history 10") as server:
            with server.sse() as client:
                server.feed(*range(1, 101))
                ids = [event["id"] for event in client.events(100)]
            server.settled()
            last = ids[49]
            expected = {"reason": "expired", "missed": 40}
            with server.sse(fields=[f"Last-Event-ID: {last}"]) as client:
                self.assertEqual(client.answer.get("stream-gap"), "expired")
                gap = client.event()
                self.assertEqual((gap["event"], json.loads(gap["data"])), ("gap", expected))
                # To go on from it is right.
                self.assertEqual(gap["id"], ids[89])
                self.assertEqual(client.data(10), list(range(91, 101)))
            with server.stream(f"/stream?since={last}") as client:
                self.assertEqual(client.answer.get("stream-gap"), "expired")
                self.assertEqual(client.record(), {"event": "gap", "id": ids[89], "data": expected})
                self.assertEqual(client.data(10), list(range(91, 101)))
            with server.stream(f"/stream?since={last}&raw") as client:
                self.assertEqual(client.record()["data"], expected)
                self.assertEqual(client.records(10), list(range(91, 101)))
            for query in ["", "&raw"]:
                with server.ws(f"/ws?last_event_id={last}{query}") as client:
                    self.assertEqual(client.message(), {"event": "gap", "id": ids[89],
                                                        "data": expected})
            answer = server.ask(f"/poll?since={last}&wait=0")
            self.assertEqual(answer.get("stream-gap"), "expired")
            self.assertEqual([record["data"] for record in answer.json()
                              if record.get("event") != "gap"], list(range(91, 101)))

    def test_the_edge(self):
        """Behind the last that is gone nothing is missed."""
        with serve("--history 10") as server:
            with server.sse() as client:
                server.feed(*range(1, 21))
                ids = [event["id"] for event in client.events(20)]
            server.settled()
            with server.sse(fields=[f"Last-Event-ID: {ids[9]}"]) as client:
                self.assertIsNone(client.answer.get("stream-gap"))
                self.assertEqual(client.data(10), list(range(11, 21)))
            with server.sse(fields=[f"Last-Event-ID: {ids[8]}"]) as client:
                self.assertEqual(client.data()[0], {"reason": "expired", "missed": 1})
            with server.sse(fields=[f"Last-Event-ID: {ids[19]}"]) as client:
                self.assertIsNone(client.answer.get("stream-gap"))
                server.feed("new")
                self.assertEqual(client.data(), ["new"])

    def test_unknown(self):
        with serve() as server:
            server.feed(1, 2)
            server.settled()
            epoch = server.ask("/last").json()[0]["id"].rpartition("-")[0]
            for id in ["no-such", f"{epoch}-1000", "lqzmxk5e-1", "7", f"{epoch}-", "-1", "ü",
                       f"{epoch}-99999999999999999999999"]:
                with self.subTest(id), server.sse(f"/events?last_event_id={quote(id)}") as client:
                    self.assertEqual(client.answer.get("stream-gap"), "unknown")
                    gap = client.event()
                    self.assertEqual((gap["event"], json.loads(gap["data"])),
                                     ("gap", {"reason": "unknown", "missed": None}))
                    self.assertEqual(client.data(2), [1, 2])

    def test_after_a_gap_a_subscription_goes_on(self):
        with serve("--history 5 --channel-from .c") as server, server.ws("/ws?channel=") as client:
            with server.sse() as other:
                server.feed(*({"c": "a", "n": n} for n in range(20)))
                ids = [event["id"] for event in other.events(20)]
            server.settled()
            client.ask({"type": "subscribe", "channel": "a", "since": ids[3]})
            gap, *records = client.records(6)
            self.assertEqual((gap["event"], gap["data"]["reason"]), ("gap", "expired"))
            self.assertEqual([record["data"]["n"] for record in records], list(range(15, 20)))


class OwnIds(unittest.TestCase):
    def test_resume(self):
        with serve("--id-from .id") as server:
            ids = ["10", "a b", "ü/😀", "x" * 500, "5", "&since=1", "0"]
            server.feed(*({"id": id, "n": n} for n, id in enumerate(ids)))
            server.settled()
            for at, id in enumerate(ids[:-1]):
                rest = list(range(at + 1, len(ids)))
                for target, fields in [(f"/events?since={quote(id, safe='')}", []),
                                       (f"/events?last_event_id={quote(id, safe='')}", [])]:
                    with self.subTest(target), server.sse(target) as client:
                        self.assertIsNone(client.answer.get("stream-gap"))
                        self.assertEqual([value["n"] for value in client.data(len(rest))], rest)
                # As a browser sends it.
                with server.wire() as wire:
                    wire.send("GET /stream?raw HTTP/1.1\r\nHost: x\r\n"
                              f"Last-Event-ID: {id}\r\n\r\n".encode())
                    wire.head()
                    self.assertEqual(json.loads(next(wire.chunks()).split(b"\n")[0])["n"], rest[0])

    def test_an_id_wins_over_a_count(self):
        with serve("--id-from .n") as server:
            server.feed(*({"n": n} for n in range(100, 200)))
            server.settled()
            with server.sse("/events?since=150") as client:
                self.assertEqual(client.data()[0], {"n": 151})
            with server.sse("/events?since=3") as client:
                self.assertEqual(client.data()[0], {"n": 197})
            # But this is an id, whatever it looks like.
            with server.sse("/events?last_event_id=3") as client:
                self.assertEqual(client.event()["event"], "gap")

    def test_those_that_are_gone(self):
        with serve("--id-from .n --history 10") as server:
            server.feed(*({"n": n} for n in range(100)))
            server.settled()
            with server.sse("/events?last_event_id=50") as client:
                gap = client.event()
                self.assertIn(json.loads(gap["data"])["reason"], ["unknown", "expired"])
                self.assertEqual([value["n"] for value in client.data(10)], list(range(90, 100)))

    def test_events_without_one_have_ours(self):
        with serve("--id-from .id") as server, server.sse() as client:
            server.feed({"id": "x"}, {"n": 2}, {"id": "y"})
            ids = [event["id"] for event in client.events(3)]
            self.assertEqual((ids[0], ids[2]), ("x", "y"))
            self.assertRegex(ids[1], r"^[0-9a-z]+-2$")
            server.settled()
            with server.sse(fields=[f"Last-Event-ID: {ids[1]}"]) as other:
                self.assertEqual(other.data(), [{"id": "y"}])


class Resuming(unittest.TestCase):
    def test_at_any_moment(self):
        choice = random.Random(seed())
        total = 600
        with serve("--workers 2 --channel-from .c") as server:
            cursors = {"sse": None, "stream": None, "ws": None, "poll": None}
            got = {name: [] for name in cursors}
            fed = 0
            while fed < total or any(len(each) < total for each in got.values()):
                count = min(choice.randrange(12), total - fed)
                if count:
                    server.feed(*({"c": choice.choice("ab"), "n": fed + n} for n in range(count)))
                    fed += count
                for name in cursors:
                    left = fed - len(got[name])
                    take = choice.randint(0, min(left, 20))
                    if not take or choice.random() < 0.3:
                        continue
                    since = quote(cursors[name] or "earliest")
                    if name == "poll":
                        records = server.ask(f"/poll?since={since}&max={take}&wait=5s").json()
                    elif name == "sse":
                        fields = [f"Last-Event-ID: {cursors[name]}"] if cursors[name] else []
                        if choice.random() < 0.5:
                            fields.append("Accept-Encoding: gzip")
                        with server.sse("/events?since=earliest", fields) as client:
                            records = [{"id": event["id"], "data": json.loads(event["data"])}
                                       for event in client.events(take)]
                    elif name == "stream":
                        with server.stream(f"/stream?since={since}") as client:
                            records = client.records(take)
                    else:
                        with server.raw_ws(f"/ws?since={since}") as client:
                            records = [client.message() for _ in range(take)]
                    got[name] += [record["data"]["n"] for record in records]
                    cursors[name] = records[-1]["id"]
        for name, each in got.items():
            self.assertEqual(each, list(range(total)), name)

    def test_across_a_kill_with_own_ids(self):
        address = own_address()
        with Server("--id-from .n", listen=address) as server:
            with server.sse() as client:
                server.feed(*({"n": n} for n in range(50)))
                last = client.events(30)[-1]["id"]
            server.signal(signal.SIGKILL)
            server.status()
        with Server("--id-from .n", listen=address) as server:
            server.feed(*({"n": n} for n in range(60)))
            server.settled()
            with server.sse(fields=[f"Last-Event-ID: {last}"]) as client:
                self.assertEqual([value["n"] for value in client.data(30)], list(range(30, 60)))

    def test_across_a_kill_without(self):
        with serve() as server, server.sse() as client:
            server.feed(1)
            last = client.event()["id"]
            server.signal(signal.SIGKILL)
        with serve() as server:
            server.feed("again")
            server.settled()
            with server.sse(fields=[f"Last-Event-ID: {last}"]) as client:
                self.assertEqual(client.answer.get("stream-gap"), "unknown")
                self.assertEqual(client.data()[0]["missed"], None)
                self.assertEqual(client.data(), ["again"])
                self.assertNotEqual(client.answer.get("stream-cursor"), last)

    def test_sse_decode_follows_across_kills(self):
        address = own_address()
        # Without --count, which counts the gaps, too.
        client = subprocess.Popen(
            ["sse-decode", "-d", "-q", "--dedup", "--backoff", "20ms..50ms",
             f"http://{address}/events?since=earliest"], stdout=subprocess.PIPE, env=ENVIRONMENT)
        try:
            for generation in range(3):
                with Server("--id-from .n --retry 30ms", listen=address) as server:
                    # The publisher starts at the beginning each time.
                    server.feed(*({"n": n} for n in range(30 * (generation + 1))))
                    for number in range(30 * generation, 30 * (generation + 1)):
                        # A gap is told when the client is here before the publisher.
                        while "n" not in (got := json.loads(client.stdout.readline())):
                            self.assertEqual(got["reason"], "unknown")
                        self.assertEqual(got["n"], number)
                    server.signal(signal.SIGKILL)
                    server.status()
            client.terminate()
            self.assertEqual(client.stdout.read(), b"")
            self.assertEqual(client.wait(PATIENCE_SECONDS), 0)
        finally:
            client.kill()
            client.wait()
            client.stdout.close()

    def test_sse_decode(self):
        with serve("--id-from .n --channel-from .c") as server:
            server.feed(*({"c": "ab"[n % 2], "n": n} for n in range(100)))
            server.settled()
            for transport, query in [("events", "since=earliest"), ("events", "since=50"),
                                     ("stream", "since=earliest&raw")]:
                done = subprocess.run(["sse-decode", "-d", "-n", "25",
                                       f"http://{server.host}/{transport}?{query}&channel=b"],
                                      capture_output=True, env=ENVIRONMENT, timeout=20)
                self.assertEqual(done.returncode, 0, done.stderr)
                values = [json.loads(line)["n"] for line in done.stdout.splitlines()]
                first = 51 if query == "since=50" else 1
                self.assertEqual(values, list(range(first, 100, 2))[:25])

    def test_ws_cat(self):
        with serve() as server:
            server.feed(*range(100))
            server.settled()
            done = subprocess.run(["ws-cat", "-d", "-n", "100", "--no-close",
                                   f"ws://{server.host}/ws?since=earliest&raw"],
                                  input=b"", capture_output=True, env=ENVIRONMENT, timeout=20)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.split(), [b"%d" % n for n in range(100)])
            done = subprocess.run(["ws-cat", "-d", "-n", "3", f"ws://{server.host}/ws?channel="],
                                  input=b'{"type":"subscribe","channel":"**","since":2,"ref":1}\n',
                                  capture_output=True, env=ENVIRONMENT, timeout=20)
            first, *records = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual((first["type"], [record["data"] for record in records]),
                             ("ok", [98, 99]))
