"""stream-serve's ends: of its input, by a signal, by bad input, and before it began."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS
from serve_bed import refused, serve, until


class EndOfInput(unittest.TestCase):
    def test_clients_are_told(self):
        with serve("--drain 1h") as server, server.sse() as sse, server.ws() as ws, \
                server.stream() as stream, server.ws("/ws?raw") as raw, server.wire() as poll:
            poll.request("/poll?wait=60s&channel=none")
            server.reaches(1, "connections_active", transport="poll")
            server.feed(1)
            server.end()
            first, *end = sse.others()
            self.assertEqual(first["data"], "1")
            self.assertEqual([(event["event"], json.loads(event["data"])) for event in end],
                             [("end", {"reason": "eof"})])
            for client in [ws, stream]:
                first, end = client.others()
                self.assertEqual((end["event"], end["data"]), ("end", {"reason": "eof"}))
            self.assertEqual(ws.code, 1001)
            self.assertEqual(raw.text(), "1")
            while raw.text() is not None:
                pass
            self.assertEqual(raw.code, 1001)
            answer = poll.answer()
            self.assertEqual((answer.status, answer.json()), (200, []))
            # Nobody is waited for who has got everything.
            for client in [sse, stream, poll]:
                client.close()
            self.assertEqual(server.status(), 0)

    def test_the_end_is_no_event_to_go_on_from(self):
        """A client that connects again asks for what comes behind its last event."""
        with serve() as server, server.sse() as client:
            server.feed(1)
            server.end()
            event, end = client.others()
        self.assertIn(end.get("id", event["id"]), [event["id"]])

    def test_filters_do_not_hide_it(self):
        with serve() as server, server.sse("/events?channel=a&event=x") as client:
            server.end()
            self.assertEqual(client.event()["event"], "end")

    def test_nobody_is_there(self):
        with serve("--drain 1h") as server:
            server.feed(1)
            self.assertEqual(server.finish(), 0)

    def test_everything_is_delivered_first(self):
        with serve("--send-buffer 4K --slow-after 1h --drain 1h") as server:
            clients = [server.sse(receive_buffer=4096), server.stream(receive_buffer=4096)]
            texts = [f"{number}{'x' * 1000}" for number in range(3000)]
            server.feed(*texts)
            server.end()
            until(lambda: server.ask("/readyz").status == 503, "the end is seen")
            for client in clients:
                self.assertEqual(client.data(3000), texts)
                self.assertEqual(len(client.others()), 1)
            self.assertEqual(server.status(), 0)

    def test_one_that_does_not_read(self):
        for drain in ["1s", "1h"]:
            with self.subTest(drain), \
                    serve(f"--send-buffer 4K --drain {drain} --compress=off") as server:
                server.sse(receive_buffer=4096)
                server.raw_ws(receive_buffer=4096)
                server.feed(*("x" * 1000 for _ in range(3000)))
                server.settled()
                start = time.monotonic()
                server.end()
                if drain == "1s":
                    server.status()
                    self.assertGreater(time.monotonic() - start, 0.5)
                else:
                    self.drains(server)

    def drains(self, server):
        """What it answers meanwhile."""
        # Draining, it is not ready for more.
        until(lambda: server.ask("/readyz").status == 503, "not ready")
        self.assertEqual(server.ask("/healthz").status, 200)
        # Who polls gets what is left, and is then told that there is no more.
        left = server.ask("/poll?since=last:10&max=20")
        self.assertEqual((left.status, len(left.json())), (200, 10))
        over = server.ask(f"/poll?since={left.get('stream-cursor')}&wait=0")
        self.assertEqual((over.status, over.get("retry-after")), (503, "5"))

    def test_no_drain(self):
        with serve("--drain 0 --send-buffer 4K --compress=off") as server:
            server.sse(receive_buffer=4096)
            server.feed(*("x" * 1000 for _ in range(3000)))
            server.settled()
            server.end()
            # Half of what it would wait without the option.
            server.status(5)

    def test_stay(self):
        with serve("--eof=stay") as server, server.sse() as client:
            server.feed(1, 2)
            server.end()
            self.assertEqual(client.data(2), [1, 2])
            self.assertTrue(client.quiet(0.2))
            with server.sse("/events?since=earliest") as other:
                self.assertEqual(other.data(2), [1, 2])
            self.assertEqual(server.ask("/readyz").status, 200)
            client.close()
            server.signal()
            self.assertEqual(server.status(), 0)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in "ab":
                Path(folder, name).write_text(f'"{name}"\n')
            status, said = refused(f"--listen 127.0.0.1:0 {folder}/a {folder}/b")
            self.assertEqual(status, 0, said)
            status, said = refused(f"--listen 127.0.0.1:0 {folder}/a {folder}/c")
            self.assertEqual(status, 66, said)
            self.assertIn("/c", said)

    def test_the_close_is_answered(self):
        """A client that closes properly sees no reset."""
        with serve() as server, server.raw_ws() as client:
            server.end()
            self.assertEqual(client.closing(), 1001)
            client.say(8, b"\x03\xe9")
            self.assertEqual(client.rest(), b"")
            client.close()
            self.assertEqual(server.status(), 0)


class Signals(unittest.TestCase):
    def test_clients_come_back_at_different_times(self):
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            with self.subTest(number), serve() as server:
                clients = [server.sse() for _ in range(20)]
                sockets = [server.ws() for _ in range(3)]
                streams = [server.stream() for _ in range(3)]
                compressed = server.sse(fields=["Accept-Encoding: gzip"])
                server.feed(1)
                for client in [*clients, *sockets, *streams, compressed]:
                    self.assertEqual(client.data(), [1])
                server.signal(number)
                times = []
                for client in [*clients, compressed]:
                    blocks = []
                    while (block := client.block()) is not None:
                        blocks.append(block)
                    # And no event says that this is the end.
                    self.assertEqual([list(block) for block in blocks], [["retry"]])
                    times.append(int(blocks[0]["retry"]))
                self.assertTrue(all(1000 <= each <= 10_000 for each in times), times)
                self.assertGreater(len(set(times)), 5, times)
                for client in sockets:
                    self.assertEqual(client.others(), [])
                    self.assertEqual(client.code, 1001)
                for client in streams:
                    self.assertEqual(client.others(), [])
                self.assertEqual(server.status(), 0)

    def test_what_was_read_is_delivered(self):
        with serve() as server, server.sse() as client:
            server.feed(*range(5000))
            server.settled()
            server.signal()
            self.assertEqual([int(event["data"]) for event in client.others()], list(range(5000)))
            self.assertEqual(server.status(), 0)

    def test_waits_and_idle_connections_hold_nothing_up(self):
        with serve("--publish --drain 500ms") as server, server.wire() as poll, \
                server.wire() as idle, server.wire() as half:
            poll.request("/poll?wait=60s")
            server.reaches(1, "connections_active", transport="poll")
            idle.ask("/healthz")
            half.send("POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[1")
            server.signal()
            self.assertIn(poll.answer().status, [200, 503])
            self.assertTrue(idle.ended())
            server.status()

    def test_before_there_is_anything(self):
        with serve() as server:
            server.signal()
            self.assertEqual(server.status(), 0)

    def test_while_one_does_not_read(self):
        with serve("--send-buffer 4K --drain 500ms --slow=block --compress=off") as server:
            server.sse(receive_buffer=4096)
            thread = threading.Thread(target=self.feed, args=[server], daemon=True)
            thread.start()
            server.waits()
            server.signal()
            server.status()
            thread.join(PATIENCE_SECONDS)

    @staticmethod
    def feed(server):
        try:
            server.feed(*("x" * 1000 for _ in range(5000)))
        except BrokenPipeError:
            pass

    def test_files_that_wait(self):
        """The input that never opens keeps nobody."""
        with serve("--eof=stay") as one:
            fifo = one.path / "fifo"
            os.mkfifo(fifo)
            with serve(str(fifo), input=subprocess.DEVNULL) as server:
                server.signal()
                self.assertEqual(server.status(), 0)


class BadInput(unittest.TestCase):
    def test_stop(self):
        with serve() as server, server.sse() as client:
            server.raw("1", "2", "{x", "4")
            self.assertEqual(client.data(2), [1, 2])
            rest = client.others()
            self.assertNotIn("4", [event["data"] for event in rest])
            # A service manager starts it again: whoever was told of an end would not come back.
            self.assertNotIn("end", [event["event"] for event in rest])
            self.assertEqual(server.status(), 65)
            self.assertRegex(server.said(), r"stream-serve: .*:3:2: ")

    def test_skip(self):
        with serve("--on-error=skip") as server, server.sse() as client:
            server.raw("1", "nope", "3")
            self.assertEqual(client.data(2), [1, 3])
            self.assertEqual(server.finish(), 1)
            self.assertIn(":2:", server.said())

    def test_rejects(self):
        with serve("--rejects rejected -r") as server, server.sse() as client:
            server.raw('{"data":1}', '{"data":2,"dat":3}', '{"data":3}', "7", '{"data":4,"id":[]}',
                       b'"\xff"', '{"data":5,"channel":"a..b"}', '{"data":6}')
            self.assertEqual(client.data(3), [1, 3, 6])
            self.assertEqual(server.finish(), 1)
            rejected = [json.loads(line) for line in
                        (server.path / "rejected").read_text().splitlines()]
        self.assertEqual([each["line"] for each in rejected], [2, 4, 5, 6, 7])
        self.assertEqual(rejected[0]["raw"], '{"data":2,"dat":3}')
        self.assertIn("dat", rejected[0]["error"])
        self.assertIn("--data", rejected[1]["error"])
        self.assertIn("id", rejected[2]["error"])
        self.assertEqual(rejected[3]["raw_base64"], "Iv8i")

    def test_lines_that_are_too_long(self):
        with serve("--max-line 1000 --on-error=skip") as server, server.sse() as client:
            server.feed("x" * 900, "y" * 2000, "z")
            self.assertEqual(client.data(2), ["x" * 900, "z"])
            self.assertEqual(server.finish(), 1)

    def test_values_that_name_nothing(self):
        """An id, an event or a channel that is not there, or is no text."""
        with serve("--id-from .id --event-from .e --channel-from .c --on-error=skip") as server, \
                server.sse("/events?records") as client:
            server.feed({"n": 1}, {"n": 2, "e": None, "c": None, "id": None})
            records = [json.loads(event["data"]) for event in client.events(2)]
        for record in records:
            self.assertEqual(set(record), {"id", "data"})

    def test_gzip_that_is_cut_off(self):
        import gzip
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a.gz").write_bytes(gzip.compress(b"1\n2\n" * 1000)[:-6])
            status, said = refused(f"--listen 127.0.0.1:0 {folder}/a.gz")
        self.assertEqual(status, 65, said)


class Beginnings(unittest.TestCase):
    def test_bad_options(self):
        for options, word in [
                ("--lissten 1", "--listen"), ("--listen nonsense", "--listen"),
                ("--listen 127.0.0.1:99999", "--listen"), ("--slow=sometimes", "--slow"),
                ("--eof=maybe", "--eof"), ("--history x", "--history"),
                ("--buffer -1", "--buffer"), ("--heartbeat soon", "--heartbeat"),
                ("--workers 0", "--workers"), ("--compress-level 10", "--compress-level"),
                ("--prefix nope", "--prefix"), ("--id-from [", "--id-from"),
                ("--publish-rate x", "--publish-rate"), ("--origin", "--origin"),
                ("--slow=conflate", "--key-from"), ("--max-uploads 64K", "--max-uploads"),
                ("--max-uploads 64M --max-body 64M", "--max-uploads"),
                ("--max-uploads 64M --max-message 64M", "--max-uploads"),
                ("--channel a..b", "--channel"), ("--channel 'a.*'", "--channel")]:
            with self.subTest(options):
                status, said = refused(f"--listen 127.0.0.1:0 {options}")
                self.assertEqual(status, 64, said)
                self.assertIn(word, said)
                self.assertTrue(said.startswith("stream-serve: "), said)
                self.assertEqual(said.count("\n"), 1, said)

    def test_addresses(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            status, said = refused(f"--listen 127.0.0.1:{taken.getsockname()[1]}")
        # As with ws-cat.
        self.assertEqual(status, 69, said)
        self.assertIn("Address already in use", said)
        status, said = refused("--listen 192.0.2.1:8080")
        self.assertEqual(status, 69, said)
        self.assertIn("192.0.2.1:8080", said)
        status, said = refused("--listen no-such-host.invalid:8080")
        self.assertIn(status, [64, 69], said)
        status, said = refused("--listen unix:/nonexistent/socket")
        self.assertIn(status, [69, 71, 73], said)

    def test_one_taken_of_several(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, said = refused(f"--listen 127.0.0.1:0 --listen 127.0.0.1:{port}")
        self.assertEqual(status, 69, said)

    def test_a_socket_file_that_was_left(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/s"
            with socket.socket(socket.AF_UNIX) as old:
                old.bind(path)
                old.listen()
                # Somebody listens there.
                status, said = refused(f"--listen unix:{path}")
                self.assertEqual(status, 69, said)
            # A killed one has left it: that is no obstacle.
            status, said = refused(f"--listen unix:{path}")
            self.assertEqual(status, 0, said)
            # What is no socket is not removed.
            Path(folder, "file").write_text("precious")
            status, said = refused(f"--listen unix:{folder}/file")
            self.assertNotEqual(status, 0)
            self.assertEqual(Path(folder, "file").read_text(), "precious")

    def test_files(self):
        self.assertEqual(refused("--listen 127.0.0.1:0 /nonexistent")[0], 66)
        self.assertEqual(refused("--listen 127.0.0.1:0 --port-file /nonexistent/port")[0], 73)
        self.assertEqual(refused("--listen 127.0.0.1:0 --rejects /nonexistent/r")[0], 73)
        self.assertEqual(refused("--listen fd:")[0] in (64, 69, 71), True)

    def test_help_and_version(self):
        for option in ["--help", "-h", "--version", "-V"]:
            done = subprocess.run(["stream-serve", option], capture_output=True, env=ENVIRONMENT,
                                  timeout=PATIENCE_SECONDS)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"stream-serve", done.stdout)
        text = subprocess.run(["stream-serve", "-h"], capture_output=True, env=ENVIRONMENT,
                              timeout=PATIENCE_SECONDS).stdout.decode()
        for option in ["event", "event-from", "id-from", "channel-from", "key-from", "channel",
                       "listen", "port-file", "prefix", "origin", "workers", "heartbeat", "retry",
                       "ping", "pong-timeout", "compress", "compress-level", "history",
                       "history-bytes", "history-age", "buffer", "slow", "slow-after",
                       "send-timeout", "flush-interval", "send-buffer", "publish", "echo",
                       "publish-rate", "publish-rate-total", "eof", "drain", "admin",
                       "max-connections", "max-per-address", "max-head", "head-timeout",
                       "max-body", "body-timeout", "max-inflated", "max-message",
                       "max-subscriptions", "stats", "metrics-file", "on-error", "rejects",
                       "max-line", "quiet", "verbose", "log-format"]:
            self.assertRegex(text, rf"--{option}\b(?!-)")


class Words(unittest.TestCase):
    def test_counters_while_it_runs(self):
        """Those of the workers, too, and without anything new to read."""
        with serve("--metrics-file m.prom --metrics-interval 50ms") as server:
            with server.sse() as client:
                server.feed(1, 2)
                self.assertEqual(client.data(2), [1, 2])
                file = server.path / "m.prom"
                sample = ('\nstreamutils_events_out_total{tool="stream-serve",name="m",'
                          'transport="sse"} 2\n')
                until(lambda: sample in file.read_text(), "it is counted")

    def test_stats(self):
        with serve("--stats --metrics-file m.prom -q") as server, server.sse() as client:
            server.feed(1, 2)
            self.assertEqual(client.data(2), [1, 2])
            server.signal(signal.SIGUSR1)
            until(lambda: server.errors, "statistics")
            now = json.loads(server.errors[0])
            self.assertEqual(server.finish(), 0)
            counters = json.loads(server.errors[-1])
            text = (server.path / "m.prom").read_text()
        for name, count in [("records_in", 2), ("rejected", 0),
                            ("dropped", {"slow": 0, "conflated": 0})]:
            self.assertEqual((now[name], counters[name]), (count, count))
        self.assertEqual(counters["events_out"]["sse"], 2)
        self.assertIn('\nstreamutils_records_in_total{tool="stream-serve",name="m"} 2\n', text)

    def test_json(self):
        with serve("--log-format=json -v --on-error=skip") as server:
            server.raw("nope")
            self.assertEqual(server.finish(), 1)
            self.assertTrue(server.errors)
            for line in server.errors:
                self.assertIn("level", json.loads(line))

    def test_quiet(self):
        with serve("-q") as server:
            server.feed(1)
            server.end()
            self.assertEqual((server.status(), server.said()), (0, ""))
            self.assertEqual(server.output, [])

    def test_flags_of_standard_input_are_kept(self):
        reader, writer = os.pipe()
        with serve("--publish", input=reader) as server:
            os.write(writer, b"1\n")
            server.reaches(1, "events_in_total")
            self.assertFalse(fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK)
            self.assertFalse(fcntl.fcntl(server.process.stdout.fileno(), fcntl.F_GETFL)
                             & os.O_NONBLOCK)
            os.close(writer)
            os.close(reader)
            self.assertEqual(server.status(), 0)

    def test_closed_by_what_stands_behind(self):
        with serve("--publish", read_output=False) as server:
            self.assertEqual(server.post("/publish", 1).status, 200)
        # Nothing has to be published before it is noticed.
        reader, writer = os.pipe()
        with subprocess.Popen(
                ["stream-serve", "--publish", "--listen", "127.0.0.1:0"], stdin=subprocess.PIPE,
                stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            os.close(writer)
            os.close(reader)
            try:
                self.assertEqual(process.wait(PATIENCE_SECONDS), -signal.SIGPIPE)
                self.assertEqual(process.stderr.read(), b"")
            finally:
                process.kill()
