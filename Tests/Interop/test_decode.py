"""sse-decode behind curl, from a server that cuts its stream as networks do."""

import gzip
import subprocess
import threading
import time
import unittest

from peers import (PATIENCE_SECONDS, SAMPLES, chunked, head, lines, read_request, run, server,
                   started)

EVENTS = [("message", "first"), ("price", "one\ntwo"), ("message", "grün €\U0001f600 \u2028end")]


def stream(end):
    """EVENTS with this line end, a comment, an unknown field and a mark at the very start."""
    text = "\ufeff: hello\n\nwhatever: 1\n"
    for number, (event, data) in enumerate(EVENTS):
        text += f"event: {event}\nid: {number}\n"
        text += "".join(f"data: {line}\n" for line in data.split("\n")) + "\n"
    return text.replace("\n", end).encode()


def records():
    return [{"event": event, "id": str(number), "data": data}
            for number, (event, data) in enumerate(EVENTS)]


class Decode(unittest.TestCase):
    """curl -N from a server into sse-decode."""

    def received(self, parts, command="sse-decode", pause=0.0, status=0, head=head()):
        def answer(connection):
            read_request(connection)
            connection.sendall(head)
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)

        with server(answer) as url:
            return run(f"curl -sSN {url} | {command}", status=status)

    def test_every_line_end_in_odd_chunks(self):
        for end in ["\n", "\r", "\r\n"]:
            for sizes in [(1,), (2, 3, 5, 7), (13, 1)]:
                with self.subTest(end=end, sizes=sizes):
                    parts = chunked(stream(end), sizes)
                    received = self.received(
                        parts, head=head(fields=["Transfer-Encoding: chunked"]))
                    self.assertEqual(lines(received), records())

    def test_a_slow_trickle(self):
        body = stream("\r\n")
        received = self.received([body[i:i + 1] for i in range(len(body))], pause=0.003)
        self.assertEqual(lines(received), records())

    def test_an_event_is_out_before_the_next_comes(self):
        asked = threading.Semaphore(0)

        def answer(connection):
            read_request(connection)
            connection.sendall(head())
            for number in range(5):
                if not asked.acquire(timeout=PATIENCE_SECONDS):
                    raise AssertionError("nobody asked for the next event")
                # A lone CR ends the event: what may follow is not waited for.
                connection.sendall(b"data: %d\r\r" % number)

        with server(answer) as url:
            with started(f"curl -sSN {url} | sse-decode -d", stdout=subprocess.PIPE) as pipeline:
                for number in range(5):
                    asked.release()
                    self.assertEqual(pipeline.stdout.readline(), b"%d\n" % number)

    def test_the_end_marker_ends_the_pipeline(self):
        ended = threading.Event()

        def answer(connection):
            read_request(connection)
            connection.sendall(head() + b"data: 1\n\ndata: [DONE]\n\n")
            # A server that goes on must not keep the pipeline.
            while not ended.wait(0.02):
                try:
                    connection.sendall(b": still here\n\n")
                except OSError:
                    return

        with server(answer) as url:
            output = run(f"curl -sN {url} | sse-decode -d --until '[DONE]' --require-end;"
                         " exit ${PIPESTATUS[1]}")
            ended.set()
        self.assertEqual(output, b"1\n")

    def test_a_stream_that_is_cut_off(self):
        self.assertEqual(
            self.received([b"data: 1\n\ndata: 2\n"],
                          "sse-decode -d --until '[DONE]' --require-end", status=76), b"1\n")

    def test_an_error_page(self):
        page = (SAMPLES / "page.html").read_bytes()
        self.assertEqual(
            self.received([page], status=65, head=head("text/html", "502 Bad Gateway")), b"")
        error = (SAMPLES / "error.json").read_bytes()
        self.assertEqual(
            self.received([error], status=65, head=head("application/json", "401 Unauthorized")),
            b"")

    def test_gzip(self):
        packed = gzip.compress(stream("\n"))
        fields = ["Content-Encoding: gzip"]
        parts = [packed[i:i + 5] for i in range(0, len(packed), 5)]
        self.assertEqual(lines(self.received(parts, head=head(fields=fields))), records())
        # curl ends with an error of its own, but what arrived is written.
        self.assertEqual(lines(self.received(parts[:-1], status=65, head=head(fields=fields))),
                         records())
