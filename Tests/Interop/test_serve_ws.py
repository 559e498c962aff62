"""stream-serve's events over WebSocket: records, subscriptions, questions, frames."""

import json
import time
import unittest

from websockets.exceptions import InvalidStatus

from serve_bed import ID, RawWS, sequence, serve


class Messages(unittest.TestCase):
    def test_records(self):
        with serve("--channel-from .c --event-from .e") as server, server.ws() as client:
            server.raw('{"c":"a.b","e":"up","n":1.50}', '"text"', "12345678901234567890")
            texts = [client.text() for _ in range(3)]
        one, two, three = map(json.loads, texts)
        self.assertEqual(list(one), ["event", "id", "data", "channel"])
        self.assertEqual((one["event"], one["channel"]), ("up", "a.b"))
        self.assertIn('{"c":"a.b","e":"up","n":1.50}', texts[0])
        # Absent members are left out, and numbers keep their digits.
        self.assertEqual(list(two), ["id", "data"])
        self.assertEqual(two["data"], "text")
        self.assertIn("12345678901234567890", texts[2])
        self.assertEqual([sequence(each["id"]) for each in (one, two, three)], [1, 2, 3])
        self.assertTrue(ID.fullmatch(one["id"]))

    def test_records_of_records(self):
        with serve("-r") as server, server.ws() as client:
            server.feed({"event": "e", "id": "own", "data": "a\nb", "channel": "c"},
                        {"data": {"k": [1]}, "id": 8})
            self.assertEqual(client.record(), {"event": "e", "id": "own", "data": "a\nb",
                                               "channel": "c"})
            self.assertEqual(client.record(), {"id": "8", "data": {"k": [1]}})

    def test_raw(self):
        lines = ['{"n":1.0}', '"text"', '"li\\nne"', "7", '""']
        with serve() as server, server.ws("/ws?raw") as client:
            server.raw(*lines)
            self.assertEqual([client.text() for _ in range(5)], lines)
        with serve("-r") as server, server.ws("/ws?raw") as client:
            server.raw(*('{"data":%s}' % line for line in lines))
            self.assertEqual([client.text() for _ in range(5)],
                             ['{"n":1.0}', "text", "li\nne", "7", ""])
        with serve("-t") as server, server.ws("/ws?raw") as client:
            server.raw("plain text")
            self.assertEqual(client.text(), "plain text")

    def test_queries(self):
        with serve("--channel-from .c --event-from .e") as server, \
                server.ws("/ws?channel=a.*&channel=b") as channels, \
                server.ws("/ws?event=x&event=y") as events, server.ws() as all:
            server.feed({"c": "a.1", "e": "x"}, {"c": "c", "e": "y"}, {"c": "b"}, {"e": "x"})
            self.assertEqual([record["channel"] for record in channels.records(2)], ["a.1", "b"])
            self.assertEqual([sequence(record["id"]) for record in events.records(3)], [1, 2, 4])
            self.assertEqual(len(all.records(4)), 4)

    def test_since(self):
        with serve() as server:
            server.feed(*range(10))
            server.settled()
            with server.ws("/ws?since=earliest") as client:
                records = client.records(10)
                self.assertEqual([record["data"] for record in records], list(range(10)))
                server.feed(10)
                self.assertEqual(client.data(), [10])
            server.settled()
            for query, expected in [(f"since={records[6]['id']}", [7, 8, 9, 10]),
                                    (f"last_event_id={records[6]['id']}", [7, 8, 9, 10]),
                                    ("since=3", [8, 9, 10]), ("since=30s", list(range(11)))]:
                with self.subTest(query), server.ws(f"/ws?{query}") as client:
                    self.assertEqual(client.data(len(expected)), expected)

    def test_all_get_all_in_order(self):
        with serve("--workers 2 --slow-after 1m") as server:
            clients = [server.ws() for _ in range(20)]
            server.feed(*range(500))
            for client in clients:
                self.assertEqual(client.data(500), list(range(500)))
            server.reaches(20, "connections_active", transport="ws")
            server.reaches(10_000, "events_out_total", transport="ws")


class Subscriptions(unittest.TestCase):
    OPTIONS = "--channel-from .c"

    def test_nothing_until_subscribed(self):
        with serve(self.OPTIONS) as server, server.ws("/ws?channel=") as client:
            server.feed({"c": "a", "n": 1}, {"n": 2})
            server.settled()
            self.assertTrue(client.quiet(0.1))
            answer = client.ask({"type": "subscribe", "channel": "a", "ref": 1})
            self.assertEqual(answer, {"type": "ok", "ref": 1, "channels": ["a"]})
            server.feed({"c": "b", "n": 3}, {"c": "a", "n": 4})
            self.assertEqual(client.data(), [{"c": "a", "n": 4}])

    def test_add_and_take_away(self):
        with serve(self.OPTIONS) as server, server.ws("/ws?channel=a") as client:
            answer = client.ask({"type": "subscribe", "channel": ["b", "c.*"], "ref": "x"})
            self.assertEqual(sorted(answer["channels"]), ["a", "b", "c.*"])
            answer = client.ask({"type": "subscribe", "channel": "b"})
            self.assertEqual(sorted(answer["channels"]), ["a", "b", "c.*"])
            self.assertNotIn("ref", answer)
            server.feed({"c": "a"}, {"c": "c.1"}, {"c": "d"}, {"c": "b"})
            self.assertEqual([value["c"] for value in client.data(3)], ["a", "c.1", "b"])
            answer = client.ask({"type": "unsubscribe", "channel": ["a", "b"], "ref": 2})
            self.assertEqual(answer, {"type": "ok", "ref": 2, "channels": ["c.*"]})
            server.feed({"c": "a"}, {"c": "b"}, {"c": "c.2"})
            self.assertEqual(client.data(), [{"c": "c.2"}])
            self.assertEqual(client.ask({"type": "unsubscribe", "channel": "c.*"})["channels"], [])
            server.feed({"c": "c.3"})
            server.settled()
            self.assertTrue(client.quiet(0.1))

    def test_the_first_one_narrows(self):
        with serve(self.OPTIONS) as server, server.ws() as client:
            server.feed({"c": "z"}, {"n": 1})
            self.assertEqual(client.data(2), [{"c": "z"}, {"n": 1}])
            self.assertEqual(client.ask({"type": "subscribe", "channel": "a"})["channels"], ["a"])
            server.feed({"c": "z"}, {"n": 1}, {"c": "a"})
            self.assertEqual(client.data(), [{"c": "a"}])

    def test_all_of_them(self):
        with serve(self.OPTIONS) as server, server.ws("/ws?channel=") as client:
            client.ask({"type": "subscribe", "channel": "**"})
            server.feed({"c": "z.y"}, {"n": 1})
            self.assertEqual(client.data(2), [{"c": "z.y"}, {"n": 1}])

    def test_since(self):
        with serve(self.OPTIONS) as server, server.ws("/ws?channel=") as client:
            server.feed(*({"c": "ab"[n % 2], "n": n} for n in range(20)))
            server.settled()
            client.ask({"type": "subscribe", "channel": "a", "since": "earliest", "ref": 1})
            records = client.records(10)
            self.assertEqual([record["data"]["n"] for record in records], list(range(0, 20, 2)))
            server.feed({"c": "a", "n": 20})
            self.assertEqual(client.data()[0]["n"], 20)
            # What is behind an id, and the newest few, of another channel.
            client.ask({"type": "subscribe", "channel": "b", "since": records[7]["id"]})
            self.assertEqual([value["n"] for value in client.data(3)], [15, 17, 19])
        with serve(self.OPTIONS) as server, server.ws("/ws?channel=") as client:
            server.feed(*({"c": "a", "n": n} for n in range(20)))
            server.settled()
            client.ask({"type": "subscribe", "channel": "a", "since": 2})
            self.assertEqual([value["n"] for value in client.data(2)], [18, 19])

    def test_in_an_event_there_is_no_type(self):
        with serve("-r") as server, server.ws() as client:
            server.feed({"data": {"type": "ok"}})
            self.assertNotIn("type", client.message())


class Questions(unittest.TestCase):
    def test_refs_come_back_verbatim(self):
        with serve() as server, server.ws() as client:
            for ref in ['"x"', "1", "1.0", "12345678901234567890", "true", "null", "1e1000",
                        '"\\u0069"', '""']:
                client.send('{"type":"ping","ref":%s}' % ref)
                text = client.text()
                self.assertIn(f'"ref":{ref}', text.replace('": ', '":'), ref)
                self.assertEqual(json.loads(text)["type"], "pong")
            client.send('{"type":"ping"}')
            self.assertNotIn("ref", client.message())
            for ref in ["{}", "[1]"]:
                client.send('{"type":"ping","ref":%s}' % ref)
                self.assertEqual(client.message()["type"], "error", ref)

    def test_ping(self):
        with serve() as server, server.ws() as client:
            answer = client.ask({"type": "ping", "ref": 1})
        self.assertEqual(set(answer), {"type", "ref", "time"})
        self.assertRegex(answer["time"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
        self.assertLess(abs(time.mktime(time.strptime(answer["time"][:19], "%Y-%m-%dT%H:%M:%S"))
                            - time.mktime(time.gmtime())), 60)

    def test_history(self):
        with serve("--channel-from .c") as server, server.ws("/ws?channel=") as client:
            server.feed(*({"c": "ab"[n % 2], "n": n} for n in range(300)))
            server.settled()

            def asked(**question):
                answer = client.ask({"type": "history", "ref": 5} | question)
                self.assertEqual((answer["type"], answer["ref"]), ("history", 5))
                return answer["events"]

            events = asked(channel="a", since="earliest", n=3)
            self.assertEqual([event["data"]["n"] for event in events], [0, 2, 4])
            self.assertEqual(set(events[0]), {"id", "data", "channel"})
            behind = asked(channel="a", since=events[-1]["id"], n=2)
            self.assertEqual([event["data"]["n"] for event in behind], [6, 8])
            self.assertEqual(len(asked(channel="*", since="earliest")), 100)
            self.assertEqual(asked(channel="none", since="earliest"), [])
            newest = asked(channel="b", since=4)
            self.assertEqual([event["data"]["n"] for event in newest], [293, 295, 297, 299])
            # It subscribes to nothing.
            server.feed({"c": "a"})
            server.settled()
            self.assertTrue(client.quiet(0.1))

    def test_the_newest_without_since(self):
        with serve("--channel-from .c") as server, server.ws("/ws?channel=") as client:
            server.feed(*({"c": "a", "n": n} for n in range(10)))
            server.settled()
            answer = client.ask({"type": "history", "channel": "a", "n": 2})
            self.assertEqual([event["data"]["n"] for event in answer["events"]], [8, 9])

    def test_errors_leave_it_open(self):
        with serve() as server, server.ws("/ws?channel=") as client:
            for text in ["{", "", "7", "[]", "null", '{"ref":1}', '{"type":"dance","ref":1}',
                         '{"type":7,"ref":1}', '{"type":"subscribe","ref":1}',
                         '{"type":"subscribe","channel":5,"ref":1}',
                         '{"type":"subscribe","channel":["a",5],"ref":1}',
                         '{"type":"unsubscribe","ref":1}',
                         '{"type":"subscribe","channel":"a..b","ref":1}',
                         '{"type":"history","channel":"a","n":-1,"ref":1}',
                         '{"type":"history","channel":"a","n":"x","ref":1}',
                         '{"type":"publish","channel":"a","data":1,"ref":1}',
                         "[" * 5000 + "]" * 5000, "{" * 60000]:
                with self.subTest(text[:60]):
                    answer = client.ask(text)
                    self.assertIsNotNone(answer, (client.code, client.reason))
                    self.assertEqual(answer["type"], "error")
                    self.assertTrue(answer["error"])
                    if text.endswith('"ref":1}'):
                        self.assertEqual(answer["ref"], 1)
                    else:
                        self.assertNotIn("ref", answer)
            self.assertEqual(client.ask({"type": "ping", "ref": 2})["ref"], 2)

    def test_escapes_in_members(self):
        with serve("--channel-from .c") as server, server.ws("/ws?channel=") as client:
            answer = client.ask('{"\\u0074ype":"sub\\u0073cribe","channel":"\\u00fc","ref":"\\n"}')
            self.assertEqual(answer, {"type": "ok", "ref": "\n", "channels": ["ü"]})
            server.feed({"c": "ü"})
            self.assertEqual(client.record()["channel"], "ü")

    def test_order_of_answers(self):
        with serve() as server, server.raw_ws() as client:
            client.send(b"".join(RawWS.frame(1, '{"type":"ping","ref":%d}' % n)
                                 for n in range(500)))
            self.assertEqual([client.message()["ref"] for _ in range(500)], list(range(500)))


class Openings(unittest.TestCase):
    FIELDS = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}

    def opened(self, server, change={}, method="GET", target="/ws"):
        fields = [f"{name}: {value}" for name, value in (self.FIELDS | change).items() if value]
        with server.wire() as wire:
            wire.request(target, method, fields=fields)
            return wire.head()

    def test_good_ones(self):
        with serve() as server:
            for change in [{}, {"Connection": "keep-alive, uPGRADE"}, {"Upgrade": "WebSocket"},
                           {"Sec-WebSocket-Protocol": "one, two"}]:
                answer = self.opened(server, change)
                self.assertEqual(answer.status, 101, change)
                self.assertEqual(answer.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                self.assertEqual(answer.get("upgrade").lower(), "websocket")
                self.assertEqual(answer.get("connection").lower(), "upgrade")
                # What was not asked for, or is not known, is not agreed to.
                self.assertIsNone(answer.get("sec-websocket-extensions"))
                self.assertIsNone(answer.get("sec-websocket-protocol"))

    def test_bad_ones(self):
        with serve() as server:
            for change, statuses in [({"Sec-WebSocket-Version": "12"}, [426]),
                                     ({"Sec-WebSocket-Version": None}, [400, 426]),
                                     ({"Sec-WebSocket-Key": "short"}, [400]),
                                     ({"Sec-WebSocket-Key": None}, [400]),
                                     ({name: None for name in self.FIELDS}, [400, 426]),
                                     ({"Connection": "close"}, [400, 426])]:
                answer = self.opened(server, change)
                self.assertIn(answer.status, statuses, change)
                if answer.status == 426:
                    self.assertEqual(answer.get("sec-websocket-version"), "13")
            self.assertEqual(self.opened(server, method="POST").status, 405)
            with self.assertRaises(InvalidStatus) as raised:
                server.ws("/nowhere")
            self.assertEqual(raised.exception.response.status_code, 404)

    def test_frames_right_behind_the_head(self):
        with serve() as server, server.raw_ws(
                after=RawWS.frame(1, '{"type":"ping","ref":1}') + RawWS.frame(9, "hi")) as client:
            self.assertEqual(client.message()["ref"], 1)
            self.assertEqual(client.hear(), (10, b"hi"))

    def test_byte_by_byte(self):
        with serve() as server, server.raw_ws() as client:
            for byte in RawWS.frame(1, '{"type":"ping","ref":"slow"}'):
                client.send(bytes([byte]))
                time.sleep(0.001)
            self.assertEqual(client.message()["ref"], "slow")

    def test_compression(self):
        with serve() as server, server.ws() as client, server.ws(compression=None) as plain:
            self.assertIn("permessage-deflate", client.connection.response.headers
                          ["Sec-WebSocket-Extensions"])
            self.assertNotIn("Sec-WebSocket-Extensions", plain.connection.response.headers)
            text = "again " * 2000
            for _ in range(3):
                server.feed(text)
                self.assertEqual((client.data(), plain.data()), ([text], [text]))
                self.assertEqual(client.ask({"type": "ping", "ref": text[:240]})["ref"], text[:240])
        with serve("--compress=off") as server, server.ws() as client:
            self.assertNotIn("Sec-WebSocket-Extensions", client.connection.response.headers)
            server.feed(1)
            self.assertEqual(client.data(), [1])


class Frames(unittest.TestCase):
    def test_close_codes(self):
        frame = RawWS.frame
        ping = '{"type":"ping","ref":1}'
        cases = [(frame(2, b"\0\1"), 1003), (frame(1, ping, masked=False), 1002),
                 (frame(1, b'"\xff"'), 1007),
                 (frame(3, ""), 1002), (frame(11, ""), 1002), (frame(1, ping, reserved=4), 1002),
                 (frame(0, "x"), 1002), (frame(1, "x", final=False) + frame(1, "y"), 1002),
                 (frame(9, "x" * 126), 1002), (frame(9, "x", final=False), 1002),
                 (frame(8, b"\x03"), 1002), (frame(8, b"\x03\xed"), 1002),
                 (frame(8, b"\x03\xe8\xff"), 1007), (frame(8, b"\x03\xe8bye"), 1000),
                 (frame(8, b"\x0f\xa0"), 4000), (frame(8, b""), 1005),
                 (frame(1, "x" * 70_000), 1009),
                 (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1002),
                 (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009)]
        with serve() as server, server.ws() as other:
            for sent, code in cases:
                with self.subTest(sent[:20]), server.raw_ws() as client:
                    client.send(sent)
                    if sent[0] == 0x81 and code in (1002, 1009) and len(sent) == 10:
                        # A length that nothing can hold is refused before its bytes come.
                        self.assertIn(client.closing(), [1002, 1009])
                    else:
                        self.assertEqual(client.closing(), code)
                    self.assertTrue(client.ended())
            # Nobody else has noticed.
            server.feed(1)
            self.assertEqual(other.data(), [1])
            server.reaches(6, "closed_total", reason="protocol", at_least=True)

    def test_fragments_with_pings_between(self):
        with serve() as server, server.raw_ws() as client:
            text = '{"type":"ping","ref":"grün"}'.encode()
            client.say(1, text[:24], final=False)  # In the middle of a character.
            client.say(9, "a")
            self.assertEqual(client.hear(), (10, b"a"))
            client.say(0, text[24:], final=False)
            client.say(10, "unasked")
            client.say(0, b"")
            self.assertEqual(client.message()["ref"], "grün")

    def test_after_a_close_nothing_comes(self):
        with serve() as server, server.raw_ws() as client:
            client.send(RawWS.frame(8, b"\x03\xe8") + RawWS.frame(1, '{"type":"ping"}'))
            self.assertEqual(client.hear(), (8, b"\x03\xe8"))
            server.feed(1)
            self.assertIsNone(client.hear())

    def test_pings(self):
        with serve("--ping 200ms --pong-timeout 1s") as server, server.raw_ws() as mute, \
                server.raw_ws() as client, server.ws() as library:
            opcode, payload = mute.hear()
            self.assertEqual(opcode, 9)
            while not server.metric("closed_total", reason="pong_timeout"):
                opcode, payload = client.hear()
                self.assertEqual(opcode, 9)
                client.say(10, payload)
            # The one that does not answer is gone, the others are not.
            self.assertTrue(mute.ended())
            server.reaches(1, "closed_total", reason="pong_timeout")
            server.feed(1)
            self.assertEqual(client.message()["data"], 1)
            self.assertEqual(library.data(), [1])

    def test_one_that_vanishes(self):
        with serve() as server:
            client = server.raw_ws()
            server.reaches(1, "connections_active", transport="ws")
            client.close()
            server.reaches(0, "connections_active", transport="ws")
