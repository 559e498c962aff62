"""What an event stream's client does on HTTP: HTML 9.2.3, as browsers' tests have it."""

import time
import unittest

from http_peers import QUICK, ending, events, follower, outcome, serving, status


class Facts(unittest.TestCase):
    def followed(self, *scripts, options="", code=0, lines=None):
        """The server behind a run of the tool."""
        with serving(*scripts) as server:
            done = outcome(f"-d {QUICK} {options} '{server.url}'")
        self.assertEqual(done.returncode, code, done.stderr)
        if lines is not None:
            self.assertEqual(done.stdout.decode().splitlines(), lines)
        self.errors = done.stderr.decode()
        return server

    def test_a_request(self):
        [request] = self.followed(ending).requests
        self.assertEqual((request.method, request.target), ("GET", "/stream"))
        for name, value in [("Accept", "text/event-stream"), ("Cache-Control", "no-cache"),
                            ("Accept-Encoding", "gzip"), ("User-Agent", "streamutils/0.1.0")]:
            self.assertEqual(request.all(name), [value])
        self.assertEqual(request.all("Last-Event-ID"), [])

    def test_last_event_id_of_the_command_line(self):
        [request] = self.followed(ending, options="--last-event-id 42").requests
        self.assertEqual(request.all("Last-Event-ID"), ["42"])

    def test_last_event_id_of_the_stream(self):
        def stream(connection, request):
            connection.head()
            # The events behind it have none, and it is not ASCII.
            connection.send("id: …\ndata: 1\n\ndata: 2\n\n")

        server = self.followed(stream, ending, lines=["1", "2"])
        self.assertEqual([request.all("Last-Event-ID") for request in server.requests],
                         [[], ["…"]])

    def test_an_id_without_data_counts(self):
        def stream(connection, request):
            connection.head()
            connection.send("id: 7\n\n")

        server = self.followed(stream, ending, lines=[])
        self.assertEqual(server.requests[1].all("Last-Event-ID"), ["7"])

    def test_an_id_that_is_reset(self):
        def stream(connection, request):
            connection.head()
            connection.send("id: 1\ndata: 1\n\nid\ndata: 2\n\n")

        server = self.followed(stream, ending, lines=["1", "2"])
        self.assertEqual(server.requests[1].all("Last-Event-ID"), [])

    def test_what_is_unfinished_is_dropped(self):
        def first(connection, request):
            connection.head()
            connection.send("id: abc\ndata: 1\n\nevent: x\nid: def\ndata: Goodbye")

        def second(connection, request):
            connection.head()
            # A mark at the start of each connection, and no type left over.
            connection.send("\ufeffdata: 2\n\n")

        with serving(first, second, ending) as server:
            done = outcome(f"-r {QUICK} {server.url}")
        self.assertEqual(done.stdout.decode().splitlines(), [
            '{"event":"message","id":"abc","data":"1"}', '{"event":"message","data":"2"}'])
        self.assertEqual([request.all("Last-Event-ID") for request in server.requests],
                         [[], ["abc"], ["abc"]])

    def test_a_body_is_sent_again(self):
        options = "--reconnect always --body '{\"q\":1}' -H 'X-Key: v'"
        server = self.followed(events(1), ending, options=options, lines=["1"])
        for request in server.requests:
            self.assertEqual((request.method, request.body, request.get("X-Key")),
                             ("POST", b'{"q":1}', "v"))
            self.assertEqual(request.all("Content-Type"), ["application/json"])
        self.assertEqual(server.requests[1].all("Last-Event-ID"), ["1"])

    def test_a_stall(self):
        def silent(connection, request):
            connection.head()
            connection.events(1)
            connection.gone()

        server = self.followed(silent, ending, options="--idle-timeout 200ms --stats", lines=["1"])
        self.assertEqual(len(server.requests), 2)
        self.assertGreaterEqual(server.times[1] - server.times[0], 0.2)
        self.assertIn('"stalls":1', self.errors)

    def test_204_ends(self):
        self.assertEqual(len(self.followed(ending).requests), 1)

    def test_statuses(self):
        for code in [205, 210, 299, 400, 404, 405, 410, 501]:
            with self.subTest(code):
                server = self.followed(status(f"{code} Odd"), code=76)
                self.assertEqual(len(server.requests), 1)
                self.assertIn(f"answers {code}", self.errors)
        for code in [401, 403]:
            with self.subTest(code):
                self.assertEqual(len(self.followed(status(f"{code} No"), code=77).requests), 1)
        for code in [408, 425, 429, 500, 502, 503, 504]:
            with self.subTest(code):
                server = self.followed(status(f"{code} Later"), events(1), ending, lines=["1"])
                self.assertEqual(len(server.requests), 3)

    def test_other_statuses(self):
        server = self.followed(status("404 Soon"), ending, options="--retry-status 404,503")
        self.assertEqual(len(server.requests), 2)
        self.followed(status("503 Later"), code=76, options="--retry-status none")

    def test_redirects(self):
        for code in [301, 302, 303, 307, 308]:
            with self.subTest(code):
                server = self.followed(
                    status(f"{code} Moved", "Location: /there?x=1"), events(1), ending,
                    options="--last-event-id 5", lines=["1"])
                self.assertEqual([request.target for request in server.requests],
                                 ["/stream", "/there?x=1", "/stream"])
                self.assertEqual([request.get("Last-Event-ID") for request in server.requests],
                                 ["5", "5", "1"])

    def test_redirects_to_nowhere(self):
        for fields in [[], ["Location: "]]:
            server = self.followed(status("301 Moved", *fields), code=76)
            self.assertEqual(len(server.requests), 1)
        server = self.followed(status("307 Moved", "Location: /stream"), code=76)
        self.assertEqual(len(server.requests), 11)
        self.assertIn("more than 10 redirects", self.errors)

    def typed(self, type):
        def script(connection, request):
            connection.head("200 OK", type)
            connection.send("data: é\n\n")
        return script

    def test_types_of_an_event_stream(self):
        for type in ["text/event-stream; charset=windows-1252", "text/event-stream;",
                     "Text/Event-Stream"]:
            with self.subTest(type):
                self.followed(self.typed(type), ending, lines=['"é"'])

    def test_other_types(self):
        for type in ["text/x-bogus", "bogus", "text/html", None]:
            with self.subTest(type):
                server = self.followed(self.typed(type), code=76, lines=[])
                self.assertEqual(len(server.requests), 1)

    def test_the_end_of_a_stream_is_not_the_end(self):
        def cut(connection, request):
            connection.head()
            connection.events(2)
            connection.reset()

        def chunk(connection, request):
            connection.head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")
            connection.send("d\r\nid: 3\ndata: 3\r\n4\r\n\n\n\n\n\r\n")  # No last chunk.

        server = self.followed(events(1), cut, chunk, events(4), ending,
                               lines=["1", "2", "3", "4"])
        self.assertEqual([request.get("Last-Event-ID") for request in server.requests],
                         [None, "1", "2", "3", "4"])

    def test_retry(self):
        def stream(connection, request):
            connection.head()
            connection.send("retry: 2\n\n")

        def slow(connection, request):
            connection.head()
            connection.send("retry: 400\n\nretry: x1\n\n")

        with serving(stream, slow, ending) as server:
            done = outcome(f"-d --backoff 10s..10s {server.url}")
        self.assertEqual(done.returncode, 0, done.stderr)
        # No event came, and the first attempt behind a good connection waits for no more.
        self.assertLess(server.times[1] - server.times[0], 2)
        self.assertGreaterEqual(server.times[2] - server.times[1], 0.4)

    def test_a_network_error(self):
        def hang_up(connection, request):
            connection.reset()

        server = self.followed(hang_up, hang_up, events(1), ending, lines=["1"])
        self.assertEqual(len(server.requests), 4)

    def test_a_signal_while_it_waits(self):
        with serving(events(1)) as server, \
                follower(f"-d --backoff 20s..20s {server.url}") as process:
            self.assertEqual(process.stdout.readline(), b"1\n")
            time.sleep(0.2)
            start = time.monotonic()
            process.terminate()
            self.assertEqual(process.wait(5), 0)
            self.assertLess(time.monotonic() - start, 2)

    def test_pieces(self):
        text = "data: 1\r\n\r\nevent: x\r\ndata: 2\r\ndata: 3\r\n\r\n"

        def bytewise(connection, request):
            connection.head()
            for letter in text:
                connection.send(letter)
                time.sleep(0.001)

        self.followed(bytewise, ending, lines=["1", "\"2\\n3\""])

    def test_a_large_event(self):
        large = "x" * (5 << 20)

        def one(connection, request):
            connection.head()
            connection.send(f"data: {large}\n\n")

        def two(connection, request):
            connection.head()
            connection.send(f"data: {large[:3 << 20]}")
            time.sleep(0.05)
            connection.send(f"{large[3 << 20:]}\n\n")

        self.followed(one, two, ending, lines=[f'"{large}"'] * 2)
