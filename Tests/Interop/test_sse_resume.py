"""sse-decode over many connections: what is kept, waited for, polled and said."""

import json
import os
import random
import socket
import tempfile
import time
import unittest
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from http_peers import QUICK, ending, events, follower, outcome, serving, status

TOTAL = 3000


def numbered(total=TOTAL, share=40, cut=True, pause=0.0):
    """Events from behind the Last-Event-ID up to `total`, some at a time, then 204."""
    def script(connection, request):
        first = int(request.get("Last-Event-ID") or 0) + 1
        if first > total:
            return ending(connection, request)
        connection.head()
        for start in range(first, total + 1, share):
            connection.events(*range(start, min(start + share, total + 1)))
            time.sleep(pause)
        if cut:
            connection.send("id: 99999\ndata: half")
    return script


class Kept(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.state = self.folder / "state"
        self.output = self.folder / "output"

    def kept(self):
        return [json.loads(line) for line in self.state.read_text().splitlines()]

    def test_a_run_goes_on_where_the_last_one_ended(self):
        with serving(numbered(6)) as server:
            for wanted in [b"1\n2\n", b"3\n4\n", b"5\n6\n"]:
                done = outcome(f"-d -n 2 --state {self.state} {server.url}")
                self.assertEqual((done.returncode, done.stdout), (0, wanted), done.stderr)
                self.assertEqual(self.kept(), [
                    {"url": server.url, "last_event_id": wanted.split()[-1].decode()}])
            self.assertEqual(self.state.stat().st_mode & 0o777, 0o600)
            self.assertEqual(list(self.folder.iterdir()), [self.state])
            done = outcome(f"-d --state {self.state} {server.url}")
            self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_what_nobody_read_is_not_kept(self):
        large = "x" * 1000

        def script(connection, request):
            connection.head()
            for number in range(4000):
                connection.send(f"id: {number}\ndata: {large}\n\n")
            connection.gone()

        with serving(script) as server, \
                follower(f"-d --state {self.state} --state-interval 10ms {server.url}") as process:
            deadline = time.monotonic() + 10
            while not self.state.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.3)
            process.kill()
            written = process.stdout.read().count(b"\n")
            [entry] = self.kept()
            # Not more than the pipe holds, which is what the system has taken.
            self.assertLess(int(entry["last_event_id"]), written)
            self.assertLess(written, 4000)

    def test_events_without_an_id_come_again(self):
        def script(connection, request):
            if request.get("Last-Event-ID") is None:
                connection.head()
                connection.send("id: 1\ndata: 1\n\ndata: 2\n\ndata: 3\n\n")
            elif request.get("Last-Event-ID") == "1":
                connection.head()
                connection.send("data: 2\n\ndata: 3\n\nid: 4\ndata: 4\n\n")
            else:
                ending(connection, request)

        options = f"-d --output {self.output} --state {self.state} --exactly-once"
        with serving(script) as server:
            done = outcome(f"{options} -n 3 {server.url}")
            self.assertEqual(self.output.read_text(), "1\n2\n3\n")
            [entry] = self.kept()
            self.assertEqual((entry["last_event_id"], entry["length"]), ("1", 2))
            done = outcome(f"{options} {QUICK} {server.url}")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.output.read_text(), "1\n2\n3\n4\n")

    def test_events_that_are_held_back(self):
        def script(connection, request):
            if request.get("Last-Event-ID") is not None:
                return ending(connection, request)
            connection.head()
            connection.send('id: a\ndata: {"n":1}\n\nid: b\ndata: {"n":3}\n\n')
            connection.gone()

        with serving(script) as server, follower(
                f"-d --reorder .n --max-wait 30s --state {self.state} --state-interval 10ms"
                f" {server.url}") as process:
            self.assertEqual(process.stdout.readline(), b'{"n":1}\n')
            time.sleep(0.3)
            process.kill()
            self.assertFalse(self.state.exists())

    def test_killed_at_any_moment(self):
        seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        print(f"kills: SEED={seed}")
        choice = random.Random(seed)
        self.output.write_text("before\n")
        command = (f"-d --exactly-once --state {self.state} --state-interval 10ms"
                   f" --output {self.output} {QUICK}")
        with serving(numbered(pause=0.02)) as server:
            for _ in range(25):
                with follower(f"{command} {server.url}") as process:
                    time.sleep(choice.uniform(0, 0.25))
                    process.kill()
                    process.wait()
            done = outcome(f"{command} {server.url}")
            self.assertEqual(done.returncode, 0, done.stderr)
            # Some of them had something to cut off or to go on from.
            self.assertGreater(len({request.get("Last-Event-ID")
                                    for request in server.requests}), 3)
        self.assertEqual(self.output.read_text().split(),
                         ["before", *(str(n) for n in range(1, TOTAL + 1))])

    def test_one_output_of_two_urls_in_turn(self):
        command = f"-d --exactly-once --state {self.state} --output {self.output} -n 2"
        with serving(numbered(4)) as one, serving(numbered(4)) as other:
            for server in [one, other, one, other]:
                self.assertEqual(outcome(f"{command} {server.url}").returncode, 0)
        # What the other has written is not cut off as if it were a killed run's.
        self.assertEqual(self.output.read_text().split(), ["1", "2", "1", "2", "3", "4", "3", "4"])

    def test_an_event_that_ends_the_stream(self):
        def failing(connection, request):
            connection.head()
            connection.events(1, 2)
            connection.send("event: error\nid: 3\ndata: broken\n\nid: 4\ndata: 4\n\n")

        with serving(failing) as server:
            done = outcome(f"-d --fail-on-error --state {self.state} {server.url}")
        # What was written, the error too, is behind us.
        self.assertEqual((done.returncode, done.stdout), (76, b'1\n2\n"broken"\n'))
        self.assertEqual(self.kept(), [{"url": server.url, "last_event_id": "3"}])

    def test_two_runs_with_one_output(self):
        command = f"-d --exactly-once --state {self.state} --output {self.output}"
        with serving(numbered(100000, pause=0.01)) as server, \
                follower(f"{command} {server.url}"):
            deadline = time.monotonic() + 10
            while not self.state.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            done = outcome(f"{command} {server.url}")
            self.assertEqual(done.returncode, 73, done.stderr)

    def test_files_that_do_not_fit(self):
        command = f"-d --exactly-once --state {self.state} --output {self.output} http://127.0.0.1:1/"
        self.state.write_text('{"url":"http://127.0.0.1:1/","length":9}\n')
        self.assertEqual(outcome(command).returncode, 78)
        for text in ["no\n", "{}\n", "[1]\n"]:
            self.state.write_text(text)
            self.assertEqual(outcome(command).returncode, 78)

    def test_duplicates(self):
        def again(connection, request):
            connection.head()
            connection.events(2, 3)

        with serving(events(1, 2), again, ending) as server:
            done = outcome(f"-d --dedup --stats {QUICK} {server.url}")
        self.assertEqual(done.stdout, b"1\n2\n3\n")
        self.assertIn(b'"duplicates":1', done.stderr)
        with serving(again, ending) as server:
            self.state.write_text(json.dumps({"url": server.url, "last_event_id": "2"}) + "\n")
            done = outcome(f"-d --dedup --state {self.state} {QUICK} {server.url}")
        self.assertEqual(done.stdout, b"3\n")


class Waits(unittest.TestCase):
    def test_retries(self):
        with serving(status("503 Later")) as server:
            done = outcome(f"-d {QUICK} --retries 2 {server.url}")
        self.assertEqual((done.returncode, len(server.requests)), (69, 3), done.stderr)
        self.assertIn(b"given up", done.stderr)
        done = outcome(f"-d {QUICK} --retries 1 http://127.0.0.1:1/")
        self.assertEqual(done.returncode, 69)
        self.assertIn(b"Connection refused", done.stderr)

    def test_waiting_for_a_first_answer_is_no_reconnect(self):
        with serving(status("503 Later"), events(1), ending) as server:
            done = outcome(f"-d -q --stats {QUICK} {server.url}")
        self.assertNotIn(b"time_to_reconnect_seconds", done.stderr)

    def test_an_event_makes_failures_forgotten(self):
        later = status("503 Later")
        with serving(later, events(1), later, events(2), later, later) as server:
            done = outcome(f"-d {QUICK} --retries 1 {server.url}")
        self.assertEqual((done.returncode, done.stdout), (69, b"1\n2\n"))

    def test_retry_after(self):
        with serving(status("429 Slow", "Retry-After: 1"), ending) as server:
            done = outcome(f"-d {QUICK} {server.url}")
        self.assertEqual(done.returncode, 0)
        self.assertGreaterEqual(server.times[1] - server.times[0], 1)

    def test_max_time(self):
        def silent(connection, request):
            connection.head()
            connection.events(1)
            connection.gone()

        with serving(silent) as server:
            start = time.monotonic()
            done = outcome(f"-d --max-time 300ms {server.url}")
        self.assertEqual((done.returncode, done.stdout), (0, b"1\n"))
        self.assertLess(time.monotonic() - start, 3)

    def test_no_answer(self):
        def silent(connection, request):
            connection.gone()

        with serving(silent, ending) as server:
            done = outcome(f"-d --idle-timeout 200ms {QUICK} {server.url}")
        self.assertEqual((done.returncode, len(server.requests)), (0, 2))

    def test_signals(self):
        def mute(connection, request):
            connection.gone()

        def open(connection, request):
            connection.head()
            connection.events(1)
            connection.gone()

        for script, ready in [(mute, 0), (open, 1), (status("503 Later"), 0)]:
            for name in ["terminate", "kill_by_int"]:
                with serving(script) as server, \
                        follower(f"-d --backoff 20s..20s {server.url}") as process:
                    deadline = time.monotonic() + 5
                    while not server.requests and time.monotonic() < deadline:
                        time.sleep(0.01)
                    for _ in range(ready):
                        process.stdout.readline()
                    time.sleep(0.1)
                    start = time.monotonic()
                    process.terminate() if name == "terminate" else process.send_signal(2)
                    self.assertEqual(process.wait(5), 0)
                    self.assertLess(time.monotonic() - start, 2)


class Polls(unittest.TestCase):
    @staticmethod
    def poll(total, records=True):
        """Up to three events behind `since`, and 404 when there is no more."""
        def script(connection, request):
            since = int(parse_qs(urlsplit(request.target).query).get("since", ["0"])[0])
            found = range(since + 1, min(since + 4, total + 1))
            if not found:
                return status("404 Over")(connection, request)
            if records:
                body = [{"event": "tick", "id": str(n), "data": str(n)} for n in found]
            else:
                body = [{"at": {"seq": n}, "v": n} for n in found]
            connection.answer(json.dumps(body))
        return script

    def test_polling_alone(self):
        with serving(self.poll(10)) as server:
            done = outcome(f"-r {QUICK} --stats --poll '{server.url}?wait=5s'")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(lines, [{"event": "tick", "id": str(n), "data": str(n)}
                                 for n in range(1, 11)])
        self.assertEqual(server.requests[0].target, "/stream?wait=5s")
        self.assertEqual(server.requests[1].target, "/stream?wait=5s&since=3")

    def test_another_cursor(self):
        with serving(self.poll(5, records=False)) as server:
            done = outcome(f"-d {QUICK} --poll {server.url} --poll-cursor .at.seq")
        self.assertEqual([json.loads(line)["v"] for line in done.stdout.splitlines()],
                         [1, 2, 3, 4, 5])

    def test_a_stream_that_is_withheld(self):
        state = {"streams": 0, "polls": 0}

        def script(connection, request):
            if request.target.startswith("/poll"):
                state["polls"] += 1
                return self.poll(1 << 30)(connection, request)
            state["streams"] += 1
            if state["streams"] <= 2:
                connection.head()
                return connection.gone()
            if state["polls"] == 0:
                raise AssertionError("the stream was asked for a third time")
            connection.head()
            last = int(request.get("Last-Event-ID"))
            connection.events(last + 1)
            connection.send("data: over\n\n")

        with serving(script) as server:
            url = server.url.replace("/stream", "/events")
            done = outcome(f"-d {QUICK} --idle-timeout 200ms --poll-for 300ms --until over {url}")
        self.assertEqual(done.returncode, 0, done.stderr)
        numbers = [int(line) for line in done.stdout.splitlines()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertGreater(len(numbers), 4)
        self.assertIn(b"withheld", done.stderr)
        self.assertEqual(state["streams"], 3)


class Words(unittest.TestCase):
    def test_records_of_the_connection(self):
        with serving(events(1), status("503 Later"), ending) as server:
            done = outcome(f"-r --all {QUICK} {server.url}")
        records = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(
            [record.get("connection") or record["data"] for record in records],
            ["connecting", "open", "1", "retrying", "connecting", "retrying", "connecting",
             "closed"])
        self.assertTrue(all(record["source"] == server.url for record in records
                            if "connection" in record))
        self.assertRegex(records[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(records[1]["status"], 200)
        self.assertIn("wait_ms", records[3])

    def test_states_are_told(self):
        with serving(events(1), events(2), ending) as server:
            done = outcome(f"-d -v {QUICK} {server.url}")
        for text in [b"connecting", b"open 200 text/event-stream", b"retrying in ",
                     b"resumed after id 1"]:
            self.assertIn(text, done.stderr)
        with serving(events(1), ending) as server:
            done = outcome(f"-d -v --log-format json {QUICK} {server.url}")
        levels = {json.loads(line)["level"] for line in done.stderr.splitlines()}
        self.assertEqual(levels, {"info", "warning"})

    def test_counters(self):
        with tempfile.TemporaryDirectory() as folder, \
                serving(events(1, 2), events(2, 3), ending) as server:
            metrics = Path(folder, "feed.prom")
            done = outcome(f"-d -q --dedup --stats --metrics-file {metrics} {QUICK} {server.url}")
            text = metrics.read_text()
        counters = json.loads(done.stderr)
        for name, value in [("connection_attempts", 3), ("reconnections", 2), ("events", 4),
                            ("duplicates", 1), ("gaps", 0), ("stalls", 0),
                            ("connection_duration_seconds_count", 2),
                            ("time_to_reconnect_seconds_count", 1)]:
            self.assertEqual(counters[name], value, name)
        self.assertEqual(counters["bytes_received"], 60)
        self.assertLess(abs(counters["last_event_timestamp_seconds"] - time.time()), 30)
        labels = '{tool="sse-decode",job="feed"}'
        for line in [f"streamutils_connection_attempts_total{labels} 3",
                     "# TYPE streamutils_connection_duration_seconds summary",
                     f"streamutils_connection_duration_seconds_count{labels} 2",
                     "# TYPE streamutils_last_event_timestamp_seconds gauge",
                     f"streamutils_stalls_total{labels} 0"]:
            self.assertIn(line + "\n", text)

    def test_systemd(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in [f"{folder}/notify", f"@streamutils-test-{os.getpid()}"]:
                with self.subTest(name), \
                        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                    manager.bind(name.replace("@", "\0"))
                    manager.settimeout(10)
                    heard = []

                    def script(connection, request):
                        self.assertEqual(heard, [])
                        connection.head()
                        connection.gone()

                    with serving(script) as server:
                        variables = f"NOTIFY_SOCKET={name} WATCHDOG_USEC=200000"
                        with follower(f"-d --notify {server.url}", variables) as process:
                            for _ in range(3):
                                heard.append(manager.recv(100))
                            process.terminate()
                            self.assertEqual(process.wait(5), 0)
                            while heard[-1] != b"STOPPING=1":
                                heard.append(manager.recv(100))
                    self.assertEqual(heard[:3], [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"])
