"""stream-serve's events over SSE: the head, what a block says, who gets which."""

import gzip
import json
import subprocess
import threading
import time
import unittest
from urllib.parse import quote

from peers import ENVIRONMENT, PATIENCE_SECONDS, lines, run
from serve_bed import ID, sequence, serve, until


class Heads(unittest.TestCase):
    def test_fields(self):
        with serve() as server, server.sse() as client:
            answer = client.answer
        self.assertEqual(answer.version, "HTTP/1.1")
        for name, value in [("content-type", "text/event-stream"),
                            ("cache-control", "no-cache, no-transform"),
                            ("x-accel-buffering", "no"), ("connection", "close"),
                            ("content-length", None), ("transfer-encoding", None),
                            ("content-encoding", None), ("stream-gap", None),
                            ("stream-poll", "poll")]:
            self.assertEqual(answer.get(name), value, name)

    def test_the_first_block_is_a_jittered_retry(self):
        with serve("--retry 10s") as server:
            times = []
            for _ in range(12):
                with server.sse() as client:
                    block = client.block()
                self.assertEqual(list(block), ["retry"])
                times.append(int(block["retry"]))
        self.assertTrue(all(5000 <= each <= 15000 for each in times), times)
        self.assertGreater(len(set(times)), 3, times)

    def test_the_default_retry(self):
        with serve() as server, server.sse() as client:
            self.assertTrue(1500 <= int(client.block()["retry"]) <= 4500)

    def test_an_old_client(self):
        with serve() as server, server.wire() as wire:
            wire.request("/events", version="1.0")
            answer = wire.head()
            self.assertEqual(answer.status, 200)
            self.assertIsNone(answer.get("transfer-encoding"))
            server.feed(1)
            wire.read_to(b"data: 1\n\n")


class Events(unittest.TestCase):
    def test_ids(self):
        now = time.time() * 1000
        with serve("--channel-from .c") as server, server.sse() as client:
            server.feed({"c": "a"}, {"c": "b"}, {"c": "a"}, {"d": 1})
            ids = [event["id"] for event in client.events(4)]
        [epoch] = {ID.fullmatch(id)[1] for id in ids}
        self.assertLess(abs(int(epoch, 36) - now), 10000)
        # One sequence over all channels.
        self.assertEqual([ID.fullmatch(id)[2] for id in ids], ["1", "2", "3", "4"])

    def test_data_lines_pass_verbatim(self):
        values = [b'{"b":1.0,"a":12345678901234567890,"a":-0,"e":1e1000}', b"null", b"0", b'""',
                  b'"text"', b'"\\u0069\\ud800 \\n"', "\"ü\u2028\x85😀\"".encode(), b"[ 1,\t2 ]",
                  b'{"k":"\xf0\x9f\x98\x80"}', b"[" * 500 + b"]" * 500]
        with serve() as server, server.sse() as client:
            server.raw(*values)
            got = [event["data"] for event in client.events(len(values))]
        self.assertEqual(got, [value.decode() for value in values])

    def test_bytes_are_those_of_sse_encode(self):
        # But for the ids.
        text = b'{"a":1}\n"x"\n[]\n\n  7  \n"a\\nb"\n'
        with serve() as server, server.sse() as client:
            server.process.stdin.write(text)
            server.process.stdin.close()
            got = client.wire.rest()
        blocks = [b"\n".join(line for line in block.split(b"\n") if not line.startswith(b"id:"))
                  for block in got.split(b"\n\n")
                  if b"data:" in block and b"event: end" not in block]
        expected = [block for block in run("sse-encode -d", text).split(b"\n\n") if block]
        self.assertEqual(blocks, expected)

    def test_lines(self):
        # A byte order mark, CRLF, blank lines and a last line without an end.
        with serve("--eof=stay") as server, server.sse() as client:
            server.process.stdin.write(b"\xef\xbb\xbf1\r\n\n \r\n2\n3")
            server.end()
            self.assertEqual(client.data(3), [1, 2, 3])

    def test_text(self):
        texts = ["plain", '{"a":1}', " two  spaces ", "ü😀\u2028", "\ttab", "data: x", ": none"]
        with serve("-t") as server, server.sse() as client, server.stream() as stream:
            server.raw(*texts)
            self.assertEqual([event["data"] for event in client.events(len(texts))], texts)
            self.assertEqual(stream.data(len(texts)), texts)

    def test_records(self):
        with serve("-r") as server, server.sse() as client:
            server.raw('{"data":"text"}', '{"event":"price","id":"x-1","data":{"p":1.50}}',
                       '{"data":"one\\ntwo\\rthree\\r\\nfour\\n"}', '{"id":7,"data":""}',
                       '{"event":"message","data":[1]}', '{"data":"ü","channel":"a.b"}')
            first, second, third, fourth, fifth, sixth = client.events(6)
        self.assertEqual(first["data"], "text")
        self.assertNotIn("event", first)
        self.assertTrue(ID.fullmatch(first["id"]))
        self.assertEqual(second, {"event": "price", "id": "x-1", "data": '{"p":1.50}'})
        self.assertEqual(third["data"], "one\ntwo\nthree\nfour\n")
        self.assertEqual((fourth["id"], fourth["data"]), ("7", ""))
        self.assertIn(fifth.get("event", "message"), ["message"])
        self.assertEqual(fifth["data"], "[1]")
        # The channel is no part of an event on the wire.
        self.assertEqual(set(sixth), {"id", "data"})

    def test_records_go_through_as_sse_decode_reads_them(self):
        records = [{"event": "a", "id": "1", "data": "x\ny"}, {"event": "message", "id": "2",
                   "data": ""}, {"event": "b", "id": "3", "data": "😀"}]
        with serve("-r") as server:
            process = subprocess.Popen(["sse-decode", "-r", "-n3", f"http://{server.host}/events"],
                                       stdout=subprocess.PIPE, env=ENVIRONMENT)
            until(lambda: server.metric("connections_active", transport="sse"))
            server.feed(*records)
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        got = [{name: record[name] for name in ["event", "id", "data"]}
               for record in lines(output)]
        self.assertEqual(got, records)

    def test_a_retry_and_a_comment_of_a_record(self):
        with serve("-r") as server, server.sse() as client:
            client.block()
            server.feed({"data": "x", "retry": 1234, "comment": "note"})
            lines = list(iter(client.line, ""))
        self.assertIn("retry: 1234", lines)
        self.assertIn(": note", lines)

    def test_names(self):
        with serve("--event tick") as server, server.sse() as client:
            server.feed(1)
            self.assertEqual(client.event()["event"], "tick")
        options = "--event other --event-from .kind --id-from /id --channel-from .c.name"
        with serve(options) as server, server.sse() as client, \
                server.sse("/events?channel=red") as red:
            server.feed({"kind": "up", "id": 5, "c": {"name": "red"}},
                        {"id": "s", "c": {"name": "blue"}})
            one, two = client.events(2)
            self.assertEqual((one["event"], one["id"]), ("up", "5"))
            self.assertEqual((two["event"], two["id"]), ("other", "s"))
            server.feed({"id": 9, "c": {"name": "red"}})
            self.assertEqual([event["id"] for event in red.events(2)], ["5", "9"])

    def test_records_say_the_channel(self):
        with serve("--channel-from .c --channel lobby --event e") as server, \
                server.sse("/events?records") as client:
            server.raw('{"c":"a.b","n":1.0}', '{"n":2}')
            one, two = client.events(2)
        self.assertIn('"data":{"c":"a.b","n":1.0}', one["data"].replace(": ", ":"))
        record = json.loads(one["data"])
        self.assertEqual(record, {"event": "e", "id": one["id"], "data": {"c": "a.b", "n": 1.0},
                                  "channel": "a.b"})
        # The one for events that name none.
        self.assertEqual(json.loads(two["data"])["channel"], "lobby")

    def test_lone_surrogates(self):
        """What JSON can say and text cannot: data passes as it is, in a record it is no text."""
        for line in [r'"\ud800"', r'"x\udc00"', r'{"a":"\ud83dx"}']:
            with self.subTest(line), serve() as server, server.sse() as client, \
                    server.ws("/ws?raw") as raw, server.ws() as record:
                server.raw(line)
                self.assertEqual((client.event()["data"], raw.text()), (line, line))
                self.assertIn(line, record.text())
        for line in [r'{"data":"\ud83dx"}', r'{"data":1,"event":"\udc00"}',
                     r'{"data":1,"id":"\ud800"}']:
            with self.subTest(line), serve("-r --on-error=skip") as server, \
                    server.sse() as client:
                server.raw(line, '{"data":"good"}')
                self.assertEqual(client.event()["data"], "good")
                self.assertEqual(server.finish(), 1)

    def test_injections(self):
        for record in [{"event": "a\nid: 5", "data": 1}, {"event": "a\rb", "data": 1},
                       {"id": "1\ndata: x", "data": 1}, {"id": "a\0b", "data": 1}]:
            with self.subTest(record), serve("-r --on-error=skip") as server, \
                    server.sse() as client:
                server.feed(record, {"id": "good", "data": 2})
                event = client.event()
                self.assertEqual((event["id"], event["data"]), ("good", "2"))
                self.assertEqual(server.finish(), 1)
        for options, value in [("--event-from .e", {"e": "a\nb"}), ("--id-from .e", {"e": "a\nb"}),
                               ("--id-from .e", {"e": "a\0b"})]:
            with self.subTest(options), serve(f"{options} --on-error=skip") as server, \
                    server.sse() as client:
                server.feed(value, {"e": "ok", "n": 2})
                self.assertEqual(json.loads(client.event()["data"])["n"], 2)

    def test_long_and_many(self):
        text = {"text": "x" * 3_000_000}
        with serve("--slow-after 1m") as server, server.sse() as client:
            server.feed(text, *range(5000))
            self.assertEqual(client.data(5001), [text, *range(5000)])

    def test_speed_of_one(self):
        with serve() as server, server.sse() as client:
            server.feed(0)
            client.event()
            times = []
            for number in range(20):
                start = time.monotonic()
                server.feed(number)
                client.event()
                times.append(time.monotonic() - start)
        self.assertLess(sorted(times)[10], 0.1)

    def test_files(self):
        with serve("--eof=stay") as one:
            one.path.joinpath("a.jsonl").write_text("1\n2")
            one.path.joinpath("b.jsonl.gz").write_bytes(
                gzip.compress(b"3\n") + gzip.compress(b"4\n"))
            with serve(f"--eof=stay {one.path}/a.jsonl {one.path}/b.jsonl.gz -") as server:
                server.feed(5)
                with server.sse("/events?since=earliest") as client:
                    self.assertEqual(client.data(5), [1, 2, 3, 4, 5])


class Choices(unittest.TestCase):
    CHANNELS = ["a", "a.b", "a.b.c", "b", "b.a", "ab"]

    def chosen(self, query, **options):
        """The channels of what comes with this query."""
        with serve("--channel-from .c --event-from .e") as server, \
                server.sse(f"/events?{query}") as client:
            server.feed(*({"c": channel, "e": "x"} for channel in self.CHANNELS), {"e": "x"},
                        {"c": "a", "e": "y"}, {"c": "end", "e": "z"})
            server.end()
            return [f'{value.get("c", "-")}{value["e"]}' for value in
                    (json.loads(event["data"]) for event in client.others()
                     if event.get("event") != "end")]

    def test_channels(self):
        for patterns, expected in [
                (["a"], ["ax", "ay"]), (["a.b"], ["a.bx"]), (["a.*"], ["a.bx"]),
                (["*"], ["ax", "bx", "abx", "ay", "endz"]), (["*.*"], ["a.bx", "b.ax"]),
                (["*.a"], ["b.ax"]), (["a.*.c"], ["a.b.cx"]), (["a", "b"], ["ax", "bx", "ay"]),
                (["a.b", "a.*"], ["a.bx"]), (["none"], []),
                (["**"], ["ax", "a.bx", "a.b.cx", "bx", "b.ax", "abx", "-x", "ay", "endz"])]:
            with self.subTest(patterns):
                query = "&".join(f"channel={quote(pattern)}" for pattern in patterns)
                self.assertEqual(self.chosen(query), expected)

    def test_the_rest(self):
        got = self.chosen("channel=a.**")
        self.assertEqual([each for each in got if each not in ["ax", "ay"]], ["a.bx", "a.b.cx"])

    def test_without_a_channel_everything_comes(self):
        self.assertEqual(len(self.chosen("")), 9)

    def test_events(self):
        self.assertEqual(self.chosen("event=y"), ["ay"])
        self.assertEqual(self.chosen("event=y&event=z"), ["ay", "endz"])
        self.assertEqual(self.chosen("event=y&event=z&channel=a"), ["ay"])

    def test_percent_encoding(self):
        with serve("--channel-from .c") as server, \
                server.sse("/events?channel=%61%2E%2a&channel=gr%C3%BCn+a") as client:
            server.feed({"c": "a.x"}, {"c": "no"}, {"c": "grün a"})
            self.assertEqual([value["c"] for value in client.data(2)], ["a.x", "grün a"])

    def test_bad_queries(self):
        with serve() as server:
            for query in ["heartbeat=soon", "heartbeat=-1", "channel=a..b", "channel=%zz"]:
                answer = server.ask(f"/events?{query}")
                self.assertEqual(answer.status, 400, query)
                self.assertIn("error", answer.json())


class Heartbeats(unittest.TestCase):
    def test_a_comment_now_and_then(self):
        start = time.monotonic()
        with serve("--heartbeat 100ms") as server, server.sse() as client, \
                server.sse("/events?heartbeat=1h") as other:
            client.block()
            other.block()
            blocks = [client.block() for _ in range(3)]
            took = time.monotonic() - start
            self.assertEqual(blocks, [{"comment": ""}] * 3)
            self.assertGreaterEqual(took, 0.2)
            self.assertTrue(other.quiet(0.1))

    def test_by_the_request(self):
        with serve() as server, server.sse("/events?heartbeat=100ms") as client:
            client.block()
            self.assertEqual(client.block(), {"comment": ""})

    def test_bytes(self):
        with serve("--heartbeat 50ms") as server, server.wire() as wire:
            wire.request("/events")
            wire.read_to(b"\r\n\r\n")
            wire.read_to(b"\n\n")
            self.assertEqual(wire.read_to(b"\n\n"), b":")

    def test_heartbeats_with_gzip(self):
        with serve("--heartbeat 50ms") as server, \
                server.sse(fields=["Accept-Encoding: gzip"]) as client:
            client.block()
            self.assertEqual(client.block(), {"comment": ""})


class Compression(unittest.TestCase):
    def test_each_event_comes_at_once(self):
        with serve() as server, server.sse(fields=["Accept-Encoding: br, gzip"]) as client:
            self.assertEqual(client.answer.get("content-encoding"), "gzip")
            for number in range(20):
                server.feed({"n": number})
                self.assertEqual(client.data(), [{"n": number}])
            server.end()
            self.assertEqual(client.event()["event"], "end")
            self.assertIsNone(client.event())
            # The member has its end, too.
            self.assertTrue(client.inflater.eof)

    def test_who_gets_it(self):
        with serve() as server:
            for field, encoding in [("gzip;q=0", None), ("identity", None), ("br", None),
                                    ("GZIP", "gzip"), ("gzip;q=0.5, br", "gzip"), ("*", None),
                                    ("br;q=1.0, gzip;q=0.000", None)]:
                with server.sse(fields=[f"Accept-Encoding: {field}"]) as client:
                    got = client.answer.get("content-encoding")
                    if field != "*":
                        self.assertEqual(got, encoding, field)
        with serve("--compress=off") as server, \
                server.sse(fields=["Accept-Encoding: gzip"]) as client:
            self.assertIsNone(client.answer.get("content-encoding"))

    def test_clients_of_one_server_differ(self):
        """What is compressed once for many starts where each of them came in."""
        with serve("--compress-level 1") as server:
            clients = []
            for number in range(60):
                field = ["Accept-Encoding: gzip"] if number % 3 else []
                clients.append((number, client := server.sse(fields=field)))
                server.feed({"n": number, "text": "again and again " * 5})
                while json.loads(client.event()["data"])["n"] != number:
                    pass
            for first, client in clients:
                got = [client.event() for _ in range(59 - first)]
                self.assertEqual([json.loads(event["data"])["n"] for event in got],
                                 list(range(first + 1, 60)))

    def test_it_is_smaller(self):
        with serve("--slow-after 1m") as server, \
                server.sse(fields=["Accept-Encoding: gzip"]) as client:
            server.feed(*({"name": "temperature", "unit": "°C", "value": number % 7}
                          for number in range(2000)))
            client.events(2000)
            sent = server.metric("bytes_out_total", transport="sse")
        self.assertLess(sent, 40_000)


class Many(unittest.TestCase):
    def test_all_get_all_in_order(self):
        with serve("--workers 3 --slow-after 1m") as server:
            clients = [server.sse() for _ in range(40)]
            got = [None] * len(clients)

            def read(at):
                got[at] = [event["id"] for event in clients[at].events(1500)]

            threads = [threading.Thread(target=read, args=[at]) for at in range(len(clients))]
            for thread in threads:
                thread.start()
            for start in range(0, 1500, 100):
                server.feed(*range(start, start + 100))
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            server.reaches(40, "connections_active", transport="sse")
            server.reaches(60_000, "events_out_total", transport="sse")
            server.reaches(40, "connections_total", transport="sse")
        self.assertEqual([sequence(id) for id in got[0]], list(range(1, 1501)))
        self.assertTrue(all(each == got[0] for each in got))

    def test_a_client_that_left(self):
        with serve() as server:
            with server.sse():
                server.reaches(1, "connections_active", transport="sse")
            # Without an event or a heartbeat to find out by.
            until(lambda: server.metric("connections_active", transport="sse") == 0,
                  "it is noticed")
            server.reaches(1, "closed_total", reason="peer")
