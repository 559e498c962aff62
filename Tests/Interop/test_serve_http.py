"""stream-serve's other paths: polls, streams, the last ones, publishing, and HTTP itself."""

import gzip
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import unittest

import httpx

from peers import ENVIRONMENT, PATIENCE_SECONDS
from serve_bed import ID, Server, sequence, serve, until


class Polls(unittest.TestCase):
    def test_a_cursor(self):
        with serve("--channel-from .c --event-from .e") as server, server.wire() as wire:
            server.feed(*({"c": "ab"[n % 2], "e": "e", "n": n} for n in range(10)))
            server.settled()
            answer = wire.ask("/poll?since=earliest&max=4&wait=0")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.get("content-type").split(";")[0], "application/json")
            records = answer.json()
            self.assertEqual([record["data"]["n"] for record in records], [0, 1, 2, 3])
            self.assertEqual(set(records[0]), {"event", "id", "data", "channel"})
            self.assertEqual(answer.get("stream-cursor"), records[-1]["id"])
            # Over the same connection.
            answer = wire.ask(f"/poll?since={records[-1]['id']}&channel=a&event=e")
            self.assertEqual([value["n"] for value in answer.data], [4, 6, 8])
            cursor = answer.get("stream-cursor")
            answer = wire.ask(f"/poll?since={cursor}&channel=a&wait=0")
            self.assertEqual((answer.status, answer.json()), (200, []))
            # Further events of others need not be looked at again.
            self.assertGreaterEqual(sequence(answer.get("stream-cursor")), 9)

    def test_by_cursors_alone_nothing_is_lost(self):
        with serve() as server, server.wire() as wire:
            got, cursor = [], wire.ask("/poll?since=earliest&wait=0").get("stream-cursor")
            done = threading.Event()

            def feed():
                for number in range(300):
                    server.feed(number)
                    time.sleep(0.001)
                done.set()

            thread = threading.Thread(target=feed)
            thread.start()
            while len(got) < 300:
                query = f"since={cursor}" if cursor else "since=earliest"
                answer = wire.ask(f"/poll?{query}&wait=60s&max=7")
                got += answer.data
                cursor = answer.get("stream-cursor")
                self.assertLessEqual(len(answer.json()), 7)
                if not answer.json():
                    break
            thread.join()
        self.assertEqual(got, list(range(300)))

    def test_it_waits(self):
        with serve() as server, server.wire() as wire:
            server.feed("old")
            server.settled()
            wire.request("/poll?wait=60s")
            server.reaches(1, "connections_active", transport="poll")
            server.feed("new")
            answer = wire.answer()
            # It waits no longer than for the first.
            self.assertEqual(answer.data, ["new"])
            start = time.monotonic()
            answer = wire.ask("/poll?wait=300ms")
            self.assertEqual(answer.json(), [])
            self.assertGreater(time.monotonic() - start, 0.25)
            # Also when nothing came, there is something to go on from.
            server.feed("later")
            server.settled()
            cursor = answer.get("stream-cursor")
            self.assertEqual(wire.ask(f"/poll?since={cursor}&wait=0").data, ["later"])

    def test_before_there_was_anything(self):
        with serve() as server, server.wire() as wire:
            answer = wire.ask("/poll?wait=0")
            self.assertEqual((answer.status, answer.json()), (200, []))
            cursor = answer.get("stream-cursor")
            self.assertTrue(cursor)
            server.feed(1)
            self.assertEqual(wire.ask(f"/poll?since={cursor}&wait=60s").data, [1])

    def test_at_once(self):
        with serve() as server, server.wire() as wire:
            for wait in ["0", "0s", "0ms"]:
                start = time.monotonic()
                self.assertEqual(wire.ask(f"/poll?wait={wait}").json(), [])
                # Without the parameter it waits for half a minute.
                self.assertLess(time.monotonic() - start, 15)

    def test_bad_queries(self):
        with serve() as server:
            for query in ["wait=x", "wait=-1s", "max=0", "max=x", "max=-1"]:
                self.assertEqual(server.ask(f"/poll?{query}").status, 400, query)

    def test_a_filtered_poll_waits_for_its_own(self):
        with serve("--channel-from .c") as server, server.wire() as wire:
            wire.request("/poll?channel=b&wait=60s")
            server.reaches(1, "connections_active", transport="poll")
            server.feed({"c": "a"}, {"c": "b"})
            self.assertEqual(wire.answer().data, [{"c": "b"}])

    def test_sse_decode_polls(self):
        with serve() as server:
            server.feed(*range(50))
            server.settled()
            done = subprocess.run(
                ["sse-decode", "-j", "-n", "50", "--backoff", "10ms..20ms", "--poll",
                 f"http://{server.host}/poll?since=earliest&max=8&wait=1s"],
                capture_output=True, env=ENVIRONMENT, timeout=20)
        values = [json.loads(line)["data"] for line in done.stdout.splitlines()]
        self.assertEqual(values, list(range(50)), done.stderr)


class Streams(unittest.TestCase):
    def test_records(self):
        with serve("--channel-from .c --event-from .e") as server, server.stream() as client:
            self.assertEqual(client.answer.get("content-type"), "application/x-ndjson")
            self.assertEqual(client.answer.get("transfer-encoding"), "chunked")
            server.raw('{"c":"x","e":"up","n":1.0}')
            line = client.line()
            self.assertIn('{"c":"x","e":"up","n":1.0}', line)
            record = json.loads(line)
            self.assertEqual(list(record), ["event", "id", "data", "channel"])
            self.assertTrue(ID.fullmatch(record["id"]))

    def test_queries(self):
        with serve("--channel-from .c") as server:
            server.feed(*({"c": "ab"[n % 2], "n": n} for n in range(6)))
            server.settled()
            with server.stream("/stream?since=earliest&channel=a") as client:
                records = client.records(3)
                self.assertEqual([record["data"]["n"] for record in records], [0, 2, 4])
            with server.stream(f"/stream?last_event_id={records[1]['id']}") as client:
                self.assertEqual([value["n"] for value in client.data(3)], [3, 4, 5])
            with server.stream("/stream?raw&since=2") as client:
                self.assertEqual(json.loads(client.line())["n"], 4)

    def test_raw(self):
        with serve() as server, server.stream("/stream?raw") as client:
            server.raw('{"n": 1.0}', "12345678901234567890", "[1]")
            self.assertEqual([client.line() for _ in range(3)],
                             ['{"n": 1.0}', "12345678901234567890", "[1]"])

    def test_gzip(self):
        """Each event comes at once; clients that join later share what is compressed."""
        with serve("-d") as server:
            clients = []
            for target in ["/stream", "/stream?raw"]:
                for number in range(6):
                    client = server.stream(target, fields=["Accept-Encoding: gzip"])
                    self.assertEqual(client.answer.get("content-encoding"), "gzip")
                    self.assertIn("Accept-Encoding", client.answer.get("vary"))
                    self.assertIsNone(client.answer.get("transfer-encoding"))
                    clients.append((client, target))
                    server.feed({"n": number, "text": "as before " * 20})
                    for client, target in clients:
                        line = json.loads(client.line())
                        data = line if target.endswith("raw") else line["data"]
                        self.assertEqual(data["n"], number)
                    server.settled()  # The next client may be another worker's.
            server.end()
            for client, _ in clients:
                self.assertEqual(json.loads(client.line())["event"], "end")
                self.assertIsNone(client.line())
                self.assertTrue(client.inflater.eof, "a trailer that is right")
        with serve("--compress=off") as server, \
                server.stream(fields=["Accept-Encoding: gzip"]) as client:
            self.assertIsNone(client.answer.get("content-encoding"))
            self.assertEqual(client.answer.get("transfer-encoding"), "chunked")

    def test_curl_inflates_it(self):
        with serve() as server:
            curl = subprocess.Popen(["curl", "-sN", "--compressed", f"http://{server.host}/stream"],
                                    stdout=subprocess.PIPE)
            server.reaches(1, "connections_active", transport="stream")
            for number in range(3):
                server.feed(number)
                self.assertEqual(json.loads(curl.stdout.readline())["data"], number)
            server.end()
            self.assertEqual(json.loads(curl.stdout.readline())["event"], "end")
            self.assertEqual((curl.stdout.read(), curl.wait(PATIENCE_SECONDS)), (b"", 0))
            curl.stdout.close()

    def test_its_end(self):
        with serve() as server, server.stream() as client:
            server.feed(1)
            server.end()
            records = client.others()
            self.assertEqual(records[0]["data"], 1)
            self.assertEqual([(record.get("event"), record["data"]) for record in records[1:]],
                             [("end", {"reason": "eof"})])
            # To the last chunk.
            self.assertIsNone(next(client.body, None))

    def test_an_old_client(self):
        with serve() as server, server.wire() as wire:
            wire.request("/stream", version="1.0")
            answer = wire.head()
            self.assertEqual(answer.status, 200)
            self.assertIsNone(answer.get("transfer-encoding"))
            server.feed(1)
            self.assertEqual(json.loads(wire.read_to(b"\n"))["data"], 1)

    def test_curl(self):
        with serve() as server:
            server.feed(*range(50))
            server.settled()
            process = subprocess.Popen(["curl", "-sN", "--compressed",
                                        f"http://{server.host}/stream?since=earliest&raw"],
                                       stdout=subprocess.PIPE)
            server.reaches(1, "connections_active", transport="stream")
            server.feed(*range(50, 100))
            server.end()
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
            self.assertEqual(process.returncode, 0)
        *lines, end = output.split(b"\n")[:-1]
        self.assertEqual(lines, [b"%d" % n for n in range(100)])
        self.assertIn(b'"eof"', end)


class Last(unittest.TestCase):
    def test_the_newest(self):
        with serve("--channel-from .c --event-from .e") as server, server.wire() as wire:
            self.assertEqual(wire.ask("/last").json(), [])
            server.feed(*({"c": "ab"[n % 2], "e": "xyz"[n % 3], "n": n} for n in range(1200)))
            server.settled()

            def numbers(query):
                answer = wire.ask(f"/last?{query}")
                self.assertEqual(answer.status, 200)
                return [value["n"] for value in answer.data]

            self.assertEqual(numbers(""), [1199])
            self.assertEqual(numbers("channel=a"), [1198])
            self.assertEqual(numbers("n=3"), [1197, 1198, 1199])
            self.assertEqual(numbers("n=2&channel=a&event=x"), [1188, 1194])
            self.assertEqual(numbers("channel=a&channel=b&n=2"), [1198, 1199])
            self.assertEqual(numbers("channel=c"), [])
            self.assertEqual(numbers("n=1000"), list(range(200, 1200)))
            for query in ["n=1001", "n=0", "n=x", "n=-1"]:
                answer = wire.ask(f"/last?{query}")
                if query == "n=1001" and answer.status == 200:
                    self.assertEqual(len(answer.json()), 1000)
                elif query != "n=0":
                    self.assertEqual(answer.status, 400, query)


class Publishing(unittest.TestCase):
    def test_refused_unless_asked_for(self):
        with serve() as server:
            answer = server.post("/publish", 1)
            self.assertEqual(answer.status, 403)
            self.assertTrue(answer.json()["error"])

    def test_values(self):
        with serve("--publish") as server:
            answer = server.post("/publish?channel=c&event=e", {"a": [1]})
            self.assertEqual(answer.status, 200)
            accepted = answer.json()
            self.assertEqual((accepted["accepted"], len(accepted["ids"])), (1, 1))
            self.assertRegex(accepted["ids"][0], r"^[0-9a-z]+-p\d+$")
            answer = server.post("/publish", [1, "two", {"three": 3}, [4]])
            self.assertEqual((answer.json()["accepted"], len(set(answer.json()["ids"]))), (4, 4))
            for value in ["text", 5, None, True, ""]:
                self.assertEqual(server.post("/publish", value).json()["accepted"], 1)
            records = server.published(10)
        self.assertEqual([record["data"] for record in records],
                         [{"a": [1]}, 1, "two", {"three": 3}, [4], "text", 5, None, True, ""])
        self.assertEqual((records[0]["channel"], records[0]["event"]), ("c", "e"))
        self.assertEqual(set(records[1]), {"client", "data"})

    def test_lines(self):
        body = b'{"n":1.0}\r\n\n"two"\n12345678901234567890'
        with serve("--publish") as server:
            count = 0
            for kind in ["application/x-ndjson", "application/jsonl", "application/json-lines",
                         "Application/X-NDJSON; charset=utf-8"]:
                answer = server.post("/publish", body, [f"Content-Type: {kind}"])
                self.assertEqual(answer.json()["accepted"], 3, answer)
                count += 3
            server.published(count)
            self.assertIn(b'"data":{"n":1.0}', server.output[0].replace(b": ", b":"))
            self.assertIn(b"12345678901234567890", server.output[2])

    def test_gzip(self):
        body = gzip.compress(b"[1,2]")
        lines = gzip.compress(b"3\n") + gzip.compress(b"4\n")
        with serve("--publish") as server:
            for sent, fields in [(body, ["Content-Encoding: gzip"]), (body, []),
                                 (lines, ["Content-Type: application/x-ndjson"]),
                                 (lines, ["Content-Type: application/jsonl",
                                          "Content-Encoding: gzip"])]:
                answer = server.post("/publish", sent, fields)
                self.assertEqual((answer.status, answer.json().get("accepted")), (200, 2), fields)
            self.assertEqual([record["data"] for record in server.published(8)],
                             [1, 2, 1, 2, 3, 4, 3, 4])
            for sent in [body[:-5], body[:-9], body[:-1] + b"x", body[:12] + b"x" + body[13:]]:
                self.assertEqual(server.post("/publish", sent).status, 400)
            self.assertIn(server.post("/publish", b"1", ["Content-Encoding: br"]).status, [415])
            # What it says it is, it must be.
            self.assertEqual(server.post("/publish", b"1", ["Content-Encoding: gzip"]).status, 400)

    def test_records(self):
        with serve("--publish") as server:
            answer = server.post("/publish?records", [{"channel": "a", "event": "e", "data": 1},
                                                      {"data": "x"}])
            self.assertEqual(answer.json()["accepted"], 2)
            answer = server.post("/publish?records&channel=d",
                                 b'{"data":2}\n{"channel":"f","data":3}',
                                 ["Content-Type: application/jsonl"])
            self.assertEqual(answer.status, 200)
            records = server.published(4)
            for body in [{"channel": "a"}, {"data": 1, "other": 2}, 7, [{"data": 1}, 7],
                         {"channel": 7, "data": 1}, {"event": 7, "data": 1},
                         {"channel": "a..b", "data": 1}, {"channel": "a.*", "data": 1}]:
                self.assertEqual(server.post("/publish?records", body).status, 400, body)
        self.assertEqual([record.get("channel") for record in records], ["a", None, "d", "f"])
        self.assertEqual(records[0]["event"], "e")

    def test_injections(self):
        for options in ["--publish", "--publish --echo"]:
            with self.subTest(options), serve(options) as server, server.sse() as client:
                for event in ["a\nid: 7", "a\rb"]:
                    bad = {"event": event, "data": 1}
                    for body in [bad, [{"data": 1}, bad]]:
                        self.assertEqual(server.post("/publish?records", body).status, 400, body)
                server.feed("good")
                self.assertEqual(client.data(), ["good"])

    def test_all_or_nothing(self):
        with serve("--publish --echo") as server:
            for body, fields, line in [(b'1\n{"a":\n4\n', ["Content-Type: application/jsonl"], 2),
                                       (b"[1,\n2,\n3", [], None), (b"{", [], None), (b"", [], None),
                                       (b"\n \n", [], None), (b"nope", [], None),
                                       (b'"\xff"', [], None), (b"[" * 100_000, [], None),
                                       (b'1\nx', ["Content-Type: application/x-ndjson"], 2)]:
                with self.subTest(body[:20]):
                    answer = server.post("/publish", body, fields)
                    self.assertEqual(answer.status, 400)
                    self.assertTrue(answer.json()["error"])
                    if line:
                        self.assertEqual(answer.json()["line"], line)
            server.post("/publish", "good")
            self.assertEqual([record["data"] for record in server.published(1)], ["good"])
            server.idle()  # Each worker has it.
            self.assertEqual(server.ask("/last?n=10").data, ["good"])
            server.reaches(1, "published_total")
            server.reaches(9, "publish_errors_total", at_least=True)

    def test_one_value_is_one(self):
        with serve("--publish") as server:
            self.assertEqual(server.post("/publish", b"1 2").status, 400)

    def test_bodies(self):
        with serve("--publish") as server, server.wire() as wire:
            # Chunked, in pieces.
            wire.request("/publish", "POST", fields=["Transfer-Encoding: chunked"])
            for piece in [b"2\r\n[1\r\n", b"3;ext=1\r\n,2]", b"\r\n0\r\n", b"Trailer: x\r\n",
                          b"\r\n"]:
                wire.send(piece)
                time.sleep(0.005)
            self.assertEqual(wire.answer().json()["accepted"], 2)
            # Asked first.
            wire.request("/publish", "POST", fields=["Expect: 100-continue", "Content-Length: 1"])
            self.assertEqual(wire.head().status, 100)
            wire.send("5")
            self.assertEqual(wire.answer().json()["accepted"], 1)
            wire.request("/publish", "POST")
            self.assertIn(wire.answer().status, [400, 411])
        with serve("--publish") as server:
            for fields in [["Content-Length: x"], ["Content-Length: -1"],
                           ["Content-Length: 1", "Content-Length: 2"],
                           ["Content-Length: 5", "Transfer-Encoding: chunked"],
                           ["Transfer-Encoding: gzip"], [f"Content-Length: {10 ** 23}"]]:
                with self.subTest(fields), server.wire() as wire:
                    wire.request("/publish", "POST", fields=fields)
                    wire.send(b"1\r\n1\r\n0\r\n\r\n")
                    answer = wire.answer()
                    self.assertIn(answer.status, [400, 411, 413, 501])
                    # Where its end is nobody knows.
                    self.assertTrue(wire.ended())

    def test_curl(self):
        with serve("--publish --echo") as server, server.sse("/events?channel=c") as client:
            done = subprocess.run(["curl", "-s", "-d", '{"hello":"world"}',
                                   f"http://{server.host}/publish?channel=c"],
                                  capture_output=True, timeout=20)
            self.assertEqual(json.loads(done.stdout)["accepted"], 1)
            self.assertEqual(client.data(), [{"hello": "world"}])


class Pages(unittest.TestCase):
    def test_viewer(self):
        with serve() as server:
            answer = server.ask("/")
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.get("content-type"), r"^text/html; *charset=utf-8$")
        self.assertIn(b"<!doctype html", answer.body[:200].lower())
        # One file: nothing comes from elsewhere.
        self.assertIsNone(re.search(rb'(src|href)="(https?:)?//', answer.body))
        self.assertIsNone(re.search(rb"<script[^>]+src=", answer.body))

    def test_health(self):
        with serve("--eof=stay") as server:
            answer = server.ask("/healthz")
            self.assertEqual((answer.status, answer.body.strip()), (200, b"ok"))
            until(lambda: server.ask("/readyz").status == 200)
            self.assertEqual(server.ask("/readyz").body.strip(), b"ready")

    def test_ready_when_the_input_is_open(self):
        with serve("--eof=stay") as one:
            fifo = one.path / "fifo"
            subprocess.run(["mkfifo", fifo], check=True)
            with Server(f"--eof=stay {fifo}", input=subprocess.DEVNULL) as server:
                self.assertEqual(server.ask("/healthz").status, 200)
                with open(fifo, "w") as writer, server.sse() as client:
                    until(lambda: server.ask("/readyz").status == 200)
                    print(1, file=writer, flush=True)
                    self.assertEqual(client.data(), [1])

    def test_metrics(self):
        with serve() as server, server.sse() as sse, server.ws() as ws, server.stream() as stream:
            server.feed(*range(10))
            for client in [sse, ws, stream]:
                self.assertEqual(client.data(10), list(range(10)))
            answer = server.ask("/metrics")
            self.assertTrue(answer.get("content-type").startswith("text/plain"))
            text = answer.body.decode()
            # Each family has its kind, once and before its samples.
            kinds = re.findall(r"^# TYPE (\S+) (counter|gauge|summary|histogram)$", text, re.M)
            self.assertEqual(len(kinds), len({name for name, _ in kinds}))
            for line in text.splitlines():
                self.assertRegex(
                    line, r'^(# (TYPE|HELP) .+|[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? \S+)$')
            for name in re.findall(r"^([a-z_]+)", text, re.M):
                self.assertIn(re.sub("_(sum|count|bucket)$", "", name)
                              if name not in dict(kinds) else name, dict(kinds))
            metrics = server.metrics()
            for name in ["connections_active", "connections_total", "events_in_total",
                         "events_out_total", "input_bytes_total", "bytes_out_total",
                         "dropped_total", "closed_total", "refused_total", "replays_total",
                         "published_total",
                         "publish_errors_total", "lag_seconds_bucket", "lag_seconds_sum",
                         "lag_seconds_count", "loop_seconds_bucket", "loop_seconds_sum",
                         "history_events", "history_bytes", "elapsed_seconds", "feeds",
                         "upload_bytes"]:
                self.assertTrue(any(sample.partition("{")[0] == name for sample in metrics), name)
            for transport in ["sse", "ws", "stream"]:
                server.reaches(1, "connections_active", transport=transport)
                server.reaches(10, "events_out_total", transport=transport)
                self.assertGreater(server.metric("bytes_out_total", transport=transport), 100)
            counts = [server.metric("lag_seconds_bucket", le=bound) for bound in ["0.0001", "+Inf"]]
            self.assertLessEqual(counts[0], counts[1])
            self.assertEqual(counts[1], server.metric("lag_seconds_count"))
            server.reaches(10, "events_in_total")
            server.reaches(10, "history_events")
            self.assertGreater(server.metric("history_bytes"), 10)
            self.assertTrue(0 <= server.metric("elapsed_seconds") < 60)

    def test_stats(self):
        with serve() as server:
            self.assertEqual(server.ask("/stats").status, 404)
        with serve("--admin") as server:
            answer = server.ask("/stats")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.get("content-type").split(";")[0], "application/json")
            self.assertIsInstance(answer.json(), dict)

    def test_other_paths_and_methods(self):
        with serve("--publish") as server:
            wire = server.wire()
            for target in ["/nothing", "/events/", "/EVENTS", "/ws/x", "//", "/favicon.ico"]:
                answer = wire.ask(target)
                self.assertEqual(answer.status, 404, target)
                self.assertEqual(answer.get("content-type").split(";")[0], "application/json")
                self.assertTrue(answer.json()["error"])
            for target, method, allowed in [
                    ("/events", "POST", "GET"), ("/poll", "DELETE", "GET"), ("/", "PUT", "GET"),
                    ("/publish", "GET", "POST"), ("/metrics", "POST", "GET"),
                    ("/healthz", "PATCH", "GET"), ("/stream", "BREW", "GET"),
                    ("/last", "POST", "GET"), ("/ws", "POST", "GET")]:
                answer = server.ask(target, method,
                                    b"" if method in ["POST", "PUT", "PATCH"] else None)
                self.assertEqual(answer.status, 405, target)
                allow = answer.get("allow").replace(" ", "").split(",")
                self.assertIn(allowed, allow, target)
                self.assertNotIn(method, allow)
                self.assertTrue(answer.json()["error"])

    def test_head(self):
        with serve() as server, server.wire() as wire:
            server.feed(1)
            server.settled()
            for target in ["/", "/healthz", "/metrics", "/last", "/nothing"]:
                answer, full = wire.ask(target, "HEAD"), wire.ask(target)
                self.assertEqual(answer.status, full.status, target)
                if target != "/metrics":
                    self.assertEqual(answer.get("content-length"), str(len(full.body)), target)
                self.assertEqual(answer.get("content-type"), full.get("content-type"))
            answer = wire.ask("/poll?wait=0", "HEAD")
            self.assertEqual(answer.status, 200)
        with serve() as server:
            for target, kind in [("/events", "text/event-stream"),
                                 ("/stream", "application/x-ndjson")]:
                with server.wire() as wire:
                    wire.request(target, "HEAD")
                    answer = wire.answer("HEAD")
                    self.assertEqual((answer.status, answer.get("content-type")), (200, kind))
                    # No body, though events come.
                    server.feed(1)
                    server.settled()
                    wire.request("/healthz", fields=["Connection: close"])
                    self.assertNotIn(b"data", wire.rest())

    def test_prefix(self):
        with serve("--prefix /feeds/one") as server, server.sse("/feeds/one/events") as client, \
                server.ws("/feeds/one/ws") as socket:
            server.feed(1)
            self.assertEqual((client.data(), socket.data()), ([1], [1]))
            for target in ["/feeds/one/", "/feeds/one/healthz", "/feeds/one/metrics",
                           "/feeds/one/last", "/feeds/one/poll?wait=0"]:
                self.assertEqual(server.ask(target).status, 200, target)
            for target in ["/events", "/feeds/onevents", "/feeds/oneevents", "/feeds"]:
                self.assertEqual(server.ask(target).status, 404, target)
            self.assertIn(server.ask("/feeds/one").status, [200, 301, 302, 307, 308])


class Keeping(unittest.TestCase):
    def test_one_connection_for_many(self):
        with serve("--publish") as server, server.wire() as wire:
            for number in range(50):
                self.assertEqual(wire.ask("/healthz").body.strip(), b"ok")
                self.assertEqual(wire.ask("/nothing").status, 404)
                self.assertEqual(wire.ask("/publish", "POST", b"%d" % number).status, 200)
            # And then it becomes a stream.
            wire.request("/events")
            self.assertEqual(wire.head().get("content-type"), "text/event-stream")

    def test_closing(self):
        with serve() as server:
            for fields, version, closes in [(["Connection: close"], "1.1", True), ([], "1.0", True),
                                            (["Connection: Keep-Alive"], "1.0", False),
                                            ([], "1.1", False)]:
                with self.subTest(fields, version=version), server.wire() as wire:
                    answer = wire.ask("/healthz", fields=fields, version=version)
                    self.assertEqual(answer.status, 200)
                    if closes:
                        self.assertNotEqual(answer.get("connection", "close").lower(), "keep-alive")
                        self.assertTrue(wire.ended())
                    else:
                        self.assertEqual(wire.ask("/healthz").status, 200)

    def test_pipelining(self):
        with serve("--publish") as server, server.wire() as wire:
            requests = []
            for number in range(40):
                requests.append(f"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                                f"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
                                f"{number:2}")
            wire.send("".join(requests))
            ids = []
            for _ in range(40):
                self.assertEqual(wire.answer().body.strip(), b"ok")
                ids += wire.answer().json()["ids"]
            self.assertEqual(len(set(ids)), 40)
            self.assertEqual([record["data"] for record in server.published(40)], list(range(40)))

    def test_pipelining_behind_a_wait(self):
        with serve() as server, server.wire() as wire:
            wire.send("GET /poll?wait=60s HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            server.reaches(1, "connections_active", transport="poll")
            server.feed(1)
            self.assertEqual(wire.answer().data, [1])
            self.assertEqual(wire.answer().body.strip(), b"ok")

    def test_heads_in_pieces(self):
        with serve() as server, server.wire() as wire:
            for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 50 + b"\r\n\r\n":
                wire.send(bytes([byte]))
                time.sleep(0.0005)
            self.assertEqual(wire.answer().status, 200)

    def test_heads_that_are_none(self):
        with serve() as server:
            for text in ["GET\r\n\r\n", "GET /healthz\r\n\r\n", "GET /healthz HTTP/2.0\r\n\r\n",
                         "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
                         "GET / HTTP/1.1\r\nno field\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n",
                         "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET  /healthz HTTP/1.1\r\n\r\n",
                         "GET /healthz HTTP/1.1\r\n\r\n",
                         "GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n"]:
                with self.subTest(text), server.wire() as wire:
                    wire.send(text.encode("latin-1"))
                    answer = wire.answer()
                    self.assertIn(answer.status, [400, 404, 414, 505])
                    self.assertTrue(wire.ended())
            self.assertEqual(server.ask("/healthz").status, 200)

    def test_absolute_targets_and_blank_lines_before(self):
        with serve() as server, server.wire() as wire:
            wire.send(f"\r\nGET http://{server.host}/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(wire.answer().status, 200)

    def test_other_clients(self):
        with serve("--publish") as server:
            with httpx.Client(base_url=f"http://{server.host}",
                              timeout=PATIENCE_SECONDS) as client:
                for number in range(5):
                    self.assertEqual(client.post("/publish", json=[number]).json()["accepted"], 1)
                self.assertEqual(client.get("/healthz").text.strip(), "ok")
            connection = http.client.HTTPConnection(server.host, timeout=PATIENCE_SECONDS)
            for _ in range(3):
                connection.request("GET", "/last?n=5")
                self.assertEqual(json.loads(connection.getresponse().read()), [])
            connection.close()


class Origins(unittest.TestCase):
    def test_pages_of_others(self):
        with serve("--publish") as server:
            own, other = f"Origin: http://{server.host}", "Origin: https://evil.example"
            for fields, status in [([], 200), ([own], 200), ([other], 403),
                                   (["Origin: null"], 403)]:
                self.assertEqual(server.post("/publish", 1, fields).status, status, fields)
            for fields in [[], [own], [other]]:
                answer = server.ask("/last", fields=fields)
                self.assertEqual(answer.status, 200)
                if fields != [own]:
                    self.assertIsNone(answer.get("access-control-allow-origin"))
            with self.assertRaisesRegex(AssertionError, "<403"):
                server.raw_ws(fields=[other])
            server.raw_ws(fields=[own]).close()
            with server.sse(fields=[other]) as client:
                self.assertIsNone(client.answer.get("access-control-allow-origin"))
            server.reaches(3, "refused_total", reason="origin", at_least=True)

    def test_those_that_may(self):
        origins = ["https://one.example", "http://two.example:8000"]
        options = " ".join(f"--origin {origin}" for origin in origins)
        with serve(f"--publish {options}") as server:
            for origin in origins:
                field = f"Origin: {origin}"
                for target in ["/last", "/poll?wait=0", "/healthz", "/nothing"]:
                    answer = server.ask(target, fields=[field])
                    self.assertEqual(answer.get("access-control-allow-origin"), origin, target)
                    self.assertIn("origin", (answer.get("vary") or "").lower())
                self.assertIn("stream-cursor", server.ask("/poll?wait=0", fields=[field]).get(
                    "access-control-expose-headers", "").lower())
                with server.sse(fields=[field]) as client:
                    self.assertEqual(client.answer.get("access-control-allow-origin"), origin)
                self.assertEqual(server.post("/publish", 1, [field]).status, 200)
                server.raw_ws(fields=[field]).close()
                answer = server.ask("/publish", "OPTIONS", fields=[
                    field, "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: content-type"])
                self.assertEqual((answer.status, answer.body), (204, b""))
                self.assertEqual(answer.get("access-control-allow-origin"), origin)
                self.assertIn("POST", answer.get("access-control-allow-methods"))
                self.assertIn("content-type", answer.get("access-control-allow-headers").lower())
            for field in ["Origin: https://one.example.evil", "Origin: http://one.example",
                          "Origin: https://one.example:8000", "Origin: https://two.example:8000"]:
                self.assertEqual(server.post("/publish", 1, [field]).status, 403, field)
                self.assertIsNone(server.ask("/last", fields=[field])
                                  .get("access-control-allow-origin"))
                answer = server.ask("/publish", "OPTIONS", fields=[
                    field, "Access-Control-Request-Method: POST"])
                self.assertIsNone(answer.get("access-control-allow-origin"))

    def test_all_of_them(self):
        with serve("--publish --origin '*'") as server:
            field = "Origin: https://any.example"
            self.assertIn(server.ask("/last", fields=[field]).get("access-control-allow-origin"),
                          ["*", "https://any.example"])
            self.assertEqual(server.post("/publish", 1, [field]).status, 200)
            server.raw_ws(fields=[field]).close()

    def test_options(self):
        with serve() as server, server.wire() as wire:
            answer = wire.ask("/events", "OPTIONS")
            self.assertEqual(answer.status, 204)
            self.assertEqual(wire.ask("/healthz").status, 200)


class Listening(unittest.TestCase):
    def test_unix(self):
        with Server(listen="unix:feed.socket") as server, server.sse() as client, \
                server.ws() as socket:
            server.feed(1)
            self.assertEqual((client.data(), socket.data()), ([1], [1]))
            done = subprocess.run(["curl", "-s", "--unix-socket", server.address,
                                   "http://localhost/healthz"], capture_output=True, timeout=20)
            self.assertEqual(done.stdout.strip(), b"ok")
            path = server.address
            self.assertEqual(server.finish(), 0)
            # It tidies up.
            self.assertNotIn("feed.socket", [each.name for each in server.path.iterdir()], path)

    def test_several(self):
        with serve("--listen '[::1]:0' --listen unix:s") as server, server.sse() as client:
            server.address = str(server.path / "s")
            with server.sse() as other:
                server.feed(1)
                self.assertEqual((client.data(), other.data()), ([1], [1]))

    def test_port_file(self):
        with serve() as server:
            self.assertRegex(server.port_file.read_text(), r"^[1-9][0-9]*\n$")

    def test_a_socket_that_is_handed_over(self):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            ["bash", "-c", f"exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec"
             " stream-serve --listen fd:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=ENVIRONMENT, pass_fds=[listener.fileno()])
        listener.close()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port,
                                                    timeout=PATIENCE_SECONDS)
            connection.request("GET", "/healthz")
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            process.stdin.close()
            self.assertEqual(process.wait(PATIENCE_SECONDS), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
