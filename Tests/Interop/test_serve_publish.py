"""What clients publish: standard output, acknowledgements, echoes, a bot behind it, rates."""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS
from serve_bed import ID, RawWS, SSE, Server, WS, sequence, serve, until
from sse_peers import seed


class Output(unittest.TestCase):
    def test_lines(self):
        with serve("--publish") as server, server.ws() as one, server.ws() as other:
            for client, message in [
                    (one, '{"type":"publish","channel":"c","event":"e","data":{"n":1.0},"ref":1}'),
                    (one, '{"type":"publish","data":"text","ref":1}'),
                    (other, '{"type":"publish","channel":"c","data":12345678901234567890,"ref":1}'),
                    (other, '{"data":null,"ref":1,"type":"publish"}')]:
                answer = client.ask(message)
                self.assertEqual((answer["type"], answer["ref"]), ("ok", 1))
                self.assertRegex(answer["id"], r"^[0-9a-z]+-p\d+$")
            records = server.published(4)
            output = server.output
        self.assertEqual([list(record) for record in records],
                         [["event", "channel", "client", "data"], ["client", "data"],
                          ["channel", "client", "data"], ["client", "data"]])
        # Verbatim.
        self.assertIn(b'"data":{"n":1.0}', output[0])
        self.assertIn(b'"data":12345678901234567890', output[2])
        self.assertEqual([record["data"] for record in records][1::2], ["text", None])
        clients = [record["client"] for record in records]
        self.assertTrue(clients[0] == clients[1] != clients[2] == clients[3], clients)
        self.assertRegex(str(clients[0]), r"^\d+$")

    def test_not_without_the_option(self):
        with serve() as server, server.ws() as client:
            answer = client.ask({"type": "publish", "channel": "c", "data": 1, "ref": 1})
            self.assertEqual((answer["type"], answer["ref"]), ("error", 1))
            server.feed(2)
            self.assertEqual(client.data(), [2])
            server.finish()
            self.assertEqual(server.output, [])

    def test_a_line_is_one_line(self):
        """However its bytes were laid out."""
        with serve("--publish") as server, server.ws() as client:
            client.send('{"type":"publish","data":{"a":\n1,\r\n"b":[\n]}}')
            self.assertEqual(client.message()["type"], "ok")
            server.post("/publish", b'{\n "c": 2\n}\n')
            server.post("/publish", b'[\n {"d":\n3},\n 4]')
            records = server.published(4)
            self.assertEqual([record["data"] for record in records],
                             [{"a": 1, "b": []}, {"c": 2}, {"d": 3}, 4])
            self.assertEqual(len(server.output), 4)

    def test_bad_ones(self):
        with serve("--publish") as server, server.ws() as client:
            for message in ['{"type":"publish","ref":1}', '{"type":"publish","channel":7,"data":1}',
                            '{"type":"publish","channel":"a.*","data":1}',
                            '{"type":"publish","channel":"a..b","data":1}',
                            '{"type":"publish","event":"a\\nb","data":1}',
                            '{"type":"publish","event":7,"data":1}']:
                answer = client.ask(message)
                self.assertEqual(answer["type"], "error", message)
            client.ask({"type": "publish", "data": "good"})
            self.assertEqual([record["data"] for record in server.published(1)], ["good"])
            for target in ["/publish?channel=a.*", "/publish?channel=a..b", "/publish?event=a%0Ab"]:
                self.assertEqual(server.post(target, 1).status, 400, target)
            server.reaches(6, "publish_errors_total", at_least=True)
            server.reaches(1, "published_total")

    def test_many_at_once(self):
        """No line is torn, none is lost, and each client's are in order."""
        with serve("--publish --publish-rate 100000/s --publish-rate-total 1000000/s"
                   " --workers 2") as server:
            errors = []

            def publish(name):
                try:
                    with WS(server) as client:
                        for number in range(100):
                            answer = client.ask({"type": "publish", "channel": name,
                                                 "data": [name, number, "x" * 300], "ref": number})
                            if (answer["type"], answer["ref"]) != ("ok", number):
                                raise AssertionError(answer)
                except Exception as error:
                    errors.append(error)

            threads = [threading.Thread(target=publish, args=[f"w{n}"]) for n in range(8)]
            for thread in threads:
                thread.start()
            for number in range(50):
                server.post("/publish", [["http", 2 * number], ["http", 2 * number + 1]])
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            self.assertEqual(errors, [])
            records = server.published(900)
        self.assertEqual(len(records), 900)
        for name in ["http", *(f"w{n}" for n in range(8))]:
            self.assertEqual([record["data"][1] for record in records if record["data"][0] == name],
                             list(range(100)))

    def test_a_reader_that_is_slow(self):
        """Publishers wait or are refused; nothing acknowledged is lost, events still flow."""
        reader, writer = os.pipe()
        command = ["stream-serve", "--publish", "--publish-rate", "100000/s",
                   "--publish-rate-total", "100000/s", "--listen", "127.0.0.1:0"]
        with tempfile.TemporaryDirectory() as folder:
            port = Path(folder, "port")
            process = subprocess.Popen([*command, "--port-file", port], stdin=subprocess.PIPE,
                                       stdout=writer, env=ENVIRONMENT)
            os.close(writer)
            try:
                until(lambda: port.exists() and port.read_text().endswith("\n"))

                class Plain:
                    opened = []
                    host = f"127.0.0.1:{int(port.read_text())}"
                    address = ("127.0.0.1", int(port.read_text()))

                Plain.process = process
                accepted, statuses, stop = [], set(), threading.Event()

                def publish():
                    for number in range(60):
                        try:
                            answer = Server.post(Plain, "/publish", [f"{number}" + "x" * 9990])
                        except OSError:
                            return
                        statuses.add(answer.status)
                        if answer.status == 200:
                            accepted.append(number)
                        if stop.is_set():
                            return

                Plain.ask = lambda *rest: Server.ask(Plain, *rest)
                with SSE(Plain, "/events") as client:
                    thread = threading.Thread(target=publish, daemon=True)
                    thread.start()
                    until(lambda: len(accepted) >= 6, "its output is full")
                    Server.idle(Plain)
                    # Its output is stuck; the others are not.
                    process.stdin.write(b"1\n")
                    process.stdin.flush()
                    self.assertEqual(client.data(), [1])
                with os.fdopen(reader, "rb") as output:
                    thread.join(0.1)
                    lines = []
                    while len(lines) < 60 and (thread.is_alive() or len(lines) < len(accepted)):
                        lines.append(json.loads(output.readline()))
                    thread.join(PATIENCE_SECONDS)
                    process.stdin.close()
                    lines += [json.loads(line) for line in output]
                self.assertEqual([int(line["data"].rstrip("x")) for line in lines], accepted)
                self.assertTrue(statuses <= {200, 503, 429}, statuses)
            finally:
                process.kill()
                process.wait()


class Echoes(unittest.TestCase):
    def test_subscribers_have_it(self):
        with serve("--publish --echo") as server, server.sse("/events?channel=room.*") as sse, \
                server.ws() as ws, server.ws() as sender:
            server.feed("own")
            self.assertEqual(ws.data(), ["own"])
            answer = sender.ask({"type": "publish", "channel": "room.1", "event": "say",
                                 "data": {"text": "hello"}, "ref": 1})
            self.assertTrue(ID.fullmatch(answer["id"]), answer)
            event = sse.event()
            self.assertEqual((event["event"], event["id"]), ("say", answer["id"]))
            self.assertEqual(json.loads(event["data"]), {"text": "hello"})
            record = {"event": "say", "id": answer["id"], "data": {"text": "hello"},
                      "channel": "room.1"}
            self.assertEqual(ws.record(), record)
            # The one that sent it is a subscriber, too.
            self.assertEqual(sender.records(2)[1], record)
            # In one sequence with the others, in the history, and on standard output.
            self.assertEqual(sequence(answer["id"]), 2)
            answer = server.post("/publish?channel=room.2", [1, 2]).json()
            self.assertEqual([sequence(id) for id in answer["ids"]], [3, 4])
            server.idle()  # Each worker has them.
            self.assertEqual([record["id"] for record in server.ask("/last?n=2").json()],
                             answer["ids"])
            self.assertEqual([record["data"] for record in server.published(3)],
                             [{"text": "hello"}, 1, 2])

    def test_without_it_they_do_not(self):
        with serve("--publish") as server, server.ws() as client:
            client.ask({"type": "publish", "channel": "a", "data": 1})
            server.post("/publish?channel=a", 2)
            server.published(2)
            server.feed("own")
            self.assertEqual(client.data(), ["own"])
            server.settled()
            self.assertEqual(server.ask("/last?n=10").data, ["own"])

    def test_all_see_one_order(self):
        with serve("--publish --echo --workers 2 --publish-rate 100000/s") as server:
            readers = [server.sse() for _ in range(6)]
            senders = [server.ws(f"/ws?channel=none{n}") for n in range(4)]
            threads = [threading.Thread(target=lambda client=client: [
                client.ask({"type": "publish", "data": n}) for n in range(50)])
                for client in senders]
            for thread in threads:
                thread.start()
            for number in range(100):
                server.feed(number)
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            seen = [[event["id"] for event in reader.events(300)] for reader in readers]
        self.assertEqual([sequence(id) for id in seen[0]], list(range(1, 301)))
        self.assertTrue(all(each == seen[0] for each in seen))

    def test_acknowledged_it_can_be_had(self):
        """Who was told the id finds the event by it, wherever he asks."""
        with serve("--publish --echo --workers 2") as server:
            for number in range(50):
                [id] = server.post("/publish", number).json()["ids"]
                until(lambda: server.ask("/last").json() == [{"id": id, "data": number}])


class Bots(unittest.TestCase):
    BOT = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    answer = {"event": "answer", "channel": message["channel"],
              "data": {"to": message["client"], "twice": 2 * message["data"]}}
    print(json.dumps(answer), flush=True)
"""

    def test_a_bot_in_a_pipeline(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo, port = Path(folder, "fifo"), Path(folder, "port")
            os.mkfifo(fifo)
            Path(folder, "bot.py").write_text(self.BOT)
            process = subprocess.Popen(
                ["bash", "-c", "echo $$ > pid; exec 9<>fifo; stream-serve -r --publish --listen"
                 f" 127.0.0.1:0 --port-file port < fifo | {sys.executable} bot.py > fifo"],
                cwd=folder, env=ENVIRONMENT, start_new_session=True)
            try:
                until(lambda: port.exists() and port.read_text().endswith("\n"))

                class Plain:
                    opened = []
                    host = f"127.0.0.1:{int(port.read_text())}"
                    address = ("127.0.0.1", int(port.read_text()))

                with WS(Plain, "/ws?channel=") as client, SSE(Plain, "/events?channel=b") as other:
                    client.ask({"type": "subscribe", "channel": "a"})
                    for number in range(20):
                        self.assertEqual(client.ask({"type": "publish", "channel": "a",
                                                     "data": number})["type"], "ok")
                        record = client.record()
                        self.assertEqual((record["event"], record["data"]["twice"]),
                                         ("answer", 2 * number))
                    client.ask({"type": "publish", "channel": "b", "data": 21})
                    self.assertEqual(other.data()[0]["twice"], 42)
            finally:
                os.killpg(process.pid, 9)
                process.wait()


class Rates(unittest.TestCase):
    """What is too much comes at once, so that its pace is none of the test's."""

    @staticmethod
    def posted(server, count):
        """The answers to as many requests."""
        with server.wire() as wire:
            wire.send("".join("POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
                              f"{number:2}" for number in range(count)))
            return [wire.answer() for _ in range(count)]

    def test_of_a_client(self):
        with serve("--publish --publish-rate 10/s") as server, \
                server.raw_ws("/ws?channel=") as client, server.ws() as other:
            client.send(b"".join(RawWS.frame(1, '{"type":"publish","data":%d,"ref":%d}' % (n, n))
                                 for n in range(30)))
            answers = []
            while len(answers) < 30 and (answer := client.message()):
                answers.append(answer["type"])
            self.assertIn("error", answers)
            self.assertGreaterEqual(answers.count("ok"), 5)
            self.assertLess(answers.count("ok"), 25)
            # Others are not refused for it, and this one hears on.
            self.assertEqual(other.ask({"type": "publish", "data": "x"})["type"], "ok")
            server.reaches(5, "refused_total", reason="rate", at_least=True)
            # What was not acknowledged is not published.
            records = server.published(answers.count("ok") + 1)
            self.assertEqual(len(records), answers.count("ok") + 1)

    def test_repeatedly(self):
        with serve("--publish --publish-rate 1/s") as server, server.raw_ws() as client:
            frame = client.frame(1, '{"type":"publish","data":1}')
            for _ in range(2000):
                try:
                    client.send(frame)
                except OSError:
                    break
            self.assertEqual(client.closing(), 1008)

    def test_it_comes_back(self):
        with serve("--publish --publish-rate 20/s") as server, server.ws() as client:
            while client.ask({"type": "publish", "data": 1})["type"] == "ok":
                pass
            time.sleep(0.3)
            self.assertEqual(client.ask({"type": "publish", "data": 1})["type"], "ok")

    def test_over_http(self):
        with serve("--publish --publish-rate 5/s") as server:
            statuses = []
            for answer in self.posted(server, 20):
                statuses.append(answer.status)
                if answer.status == 429:
                    self.assertRegex(answer.get("retry-after"), r"^[1-9]\d*$")
                    self.assertTrue(answer.json()["error"])
            self.assertIn(429, statuses)
            self.assertEqual(set(statuses), {200, 429})
            self.assertEqual(len(server.published(statuses.count(200))), statuses.count(200))

    def test_in_all(self):
        with serve("--publish --publish-rate 1000/s --publish-rate-total 10/s") as server:
            statuses = [answer.status for answer in self.posted(server, 40)]
            self.assertGreaterEqual(statuses.count(200), 5)
            self.assertGreaterEqual(statuses.count(429) + statuses.count(503), 5)
            server.feed("own")
            server.reaches(1, "events_in_total")

    def test_each_value_counts(self):
        with serve("--publish --publish-rate 10/s") as server:
            answer = server.post("/publish", list(range(1000)))
            self.assertIn(answer.status, [413, 429])
            self.assertEqual(server.output, [])


class RandomBodies(unittest.TestCase):
    def test_cut_anywhere(self):
        choice = random.Random(seed())
        with serve("--publish --publish-rate 100000/s") as server, server.wire() as wire:
            count = 0
            for _ in range(60):
                values = [choice.choice([choice.random(), "ü" * choice.randrange(5), None,
                                         {"a": [choice.randrange(9)]}])
                          for _ in range(choice.randrange(1, 6))]
                body = json.dumps(values).encode()
                pieces, at = [], 0
                while at < len(body):
                    size = choice.randrange(1, 9)
                    piece = body[at:at + size]
                    pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
                    at += size
                head = (f"POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                        f"\r\n").encode()
                whole = head + b"".join(pieces) + b"0\r\n\r\n"
                at = 0
                while at < len(whole):
                    size = choice.choice([1, 3, 50, 1000])
                    wire.send(whole[at:at + size])
                    at += size
                self.assertEqual(wire.answer().json()["accepted"], len(values))
                count += len(values)
                published = [record["data"] for record in server.published(count)]
                self.assertEqual(published[-len(values):], values)
