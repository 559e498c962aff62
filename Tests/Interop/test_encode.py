"""sse-encode as a server's program, read by curl, sseclient-py, httpx-sse and through CGI."""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request
from pathlib import Path

import httpx
import httpx_sse
import sseclient

from peers import (ENVIRONMENT, PATIENCE_SECONDS, SAMPLES, TOOLS, activated, lines, run, server,
                   started, until)

ENCODE = ["sse-encode", "--http"]


def as_seen(line):
    """A line of records.jsonl as a client must see it, or None when it dispatches nothing."""
    record = json.loads(line)
    if "data" not in record:
        return None
    id, data = record.get("id"), record["data"]
    if not isinstance(data, str):
        # The text as it stands: Python would write numbers anew.
        start = line.index('"data":') + len('"data":')
        data = line[start:json.JSONDecoder().raw_decode(line, start)[1]]
    return (record.get("event", "message"), None if id is None else str(id), data)


RECORDS = [seen for line in (SAMPLES / "records.jsonl").read_text().splitlines()
           if (seen := as_seen(line))]


class Encode(unittest.TestCase):
    """sse-encode --http as the program behind a socket."""

    def same_events(self, events):
        # A client keeps the last id; a record has the one that came with it.
        last, expected = "", []
        for event, id, data in RECORDS:
            last = last if id is None else id
            expected.append((event, last, data))
        self.assertEqual(events, expected)

    def test_curl(self):
        with server(activated([*ENCODE, "records.jsonl"])) as url:
            stream = run(f"curl -sSN {url}")
            self.assertEqual(stream, run("sse-encode records.jsonl"))
            self.assertEqual([(record["event"], record.get("id"), record["data"])
                              for record in lines(run("sse-decode", stream))], RECORDS)

    def test_curl_sees_the_head(self):
        with server(activated([*ENCODE, "records.jsonl"])) as url:
            received = run(f"curl -sSi {url}").split(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        self.assertEqual(received[0], "http/1.1 200 ok")
        self.assertIn("content-type: text/event-stream", received)
        self.assertIn("cache-control: no-cache, no-transform", received)
        self.assertIn("x-accel-buffering: no", received)

    def test_curl_decompresses(self):
        with server(activated([*ENCODE, "-z", "-d", "metrics.jsonl"])) as url:
            self.assertIn(b"content-encoding: gzip", run(f"curl -sSi --raw {url}").lower())
            self.assertEqual(run(f"curl -sSN --compressed {url} | sse-decode -d"),
                             (SAMPLES / "metrics.jsonl").read_bytes())
            # Without --compressed curl leaves it to us.
            self.assertEqual(run(f"curl -sSN {url} | sse-decode -d"),
                             (SAMPLES / "metrics.jsonl").read_bytes())

    def test_sseclient(self):
        with server(activated([*ENCODE, "records.jsonl"])) as url:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
                # urllib's own iteration is by lines, which is what sseclient must not need.
                reads = iter(lambda: response.read1(37), b"")
                events = [(event.event, event.id, event.data)
                          for event in sseclient.SSEClient(reads).events()]
        # It does not carry ids over to events without one.
        self.assertEqual(events, RECORDS)

    def httpx_events(self, url):
        with httpx.Client(timeout=PATIENCE_SECONDS) as client:
            with httpx_sse.connect_sse(client, "GET", url) as source:
                return list(source.iter_sse())

    def test_httpx_sse(self):
        with server(activated([*ENCODE, "--retry", "2500", "records.jsonl"])) as url:
            events = self.httpx_events(url)
        # It also hands out blocks without data: a comment, a retry time.
        self.same_events([(event.event, event.id, event.data) for event in events
                          if (event.event, event.data) != ("message", "")])

    def test_httpx_sse_decompresses(self):
        with server(activated([*ENCODE, "-z9", "-d", "agent.jsonl"])) as url:
            data = "".join(event.data + "\n" for event in self.httpx_events(url))
        self.assertEqual(data.encode(), (SAMPLES / "agent.jsonl").read_bytes())

    def test_many_lines_in_data(self):
        text = "one\r\ntwo\rthree\n\n four: ü \U0001f600\u2028"
        record = json.dumps({"event": "äöü", "id": "7", "data": text}).encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(record)
            file.flush()
            with server(activated([*ENCODE, file.name])) as url:
                [event] = self.httpx_events(url)
        self.assertEqual((event.event, event.id), ("äöü", "7"))
        self.assertEqual(event.data, text.replace("\r\n", "\n").replace("\r", "\n"))

    def test_a_large_stream_after_a_large_request(self):
        # The request stays unread: closing at once would reset the connection and lose the end.
        with tempfile.NamedTemporaryFile() as file:
            file.write((SAMPLES / "access.jsonl").read_bytes() * 200)
            file.flush()
            with server(activated([*ENCODE, "-d", "--done", file.name])) as url:
                stream = run(f"curl -sSN -H 'X-Long: {'x' * 60_000}' {url}")
        self.assertEqual(stream.count(b"\ndata: ") + 1,
                         200 * len(lines((SAMPLES / "access.jsonl").read_bytes())) + 1)
        self.assertTrue(stream.endswith(b"event: done\ndata: \n\n"))

    def test_events_arrive_as_they_are_written(self):
        for options in [[], ["-z"]]:
            with self.subTest(options), tempfile.TemporaryDirectory() as directory:
                fifo = Path(directory, "fifo")
                os.mkfifo(fifo)
                with server(activated([*ENCODE, *options, "-d", str(fifo)])) as url:
                    with started(f"curl -sSN --compressed {url}", stdout=subprocess.PIPE) as curl:
                        with open(fifo, "wb", buffering=0) as source:
                            for number in range(5):
                                source.write(b"%d\n" % number)
                                self.assertEqual(curl.stdout.readline(), b"data: %d\n" % number)
                                self.assertEqual(curl.stdout.readline(), b"\n")
                        self.assertEqual(curl.stdout.read(), b"")

    def test_a_client_that_leaves_ends_the_tool(self):
        with tempfile.TemporaryDirectory() as directory:
            fifo = Path(directory, "fifo")
            os.mkfifo(fifo)
            statuses = []

            def answer(connection):
                with subprocess.Popen([*ENCODE, "-d", "--heartbeat=20ms", str(fifo)],
                                      stdin=connection, stdout=connection, stderr=subprocess.PIPE,
                                      env=ENVIRONMENT) as tool:
                    try:
                        statuses.append(tool.wait(timeout=PATIENCE_SECONDS))
                    finally:
                        tool.kill()

            with server(answer) as url, started(f"curl -sSN {url}", stdout=subprocess.PIPE) as curl:
                with open(fifo, "wb", buffering=0) as source:
                    source.write(b"1\n")
                    # A heartbeat may come first.
                    while (line := curl.stdout.readline()) in [b": heartbeat\n", b"\n"]:
                        pass
                    self.assertEqual(line, b"data: 1\n")
                    curl.kill()
                    curl.wait()
                    until(lambda: statuses)
            # Killed by SIGPIPE, or told of the reset.
            self.assertEqual(len(statuses), 1)
            self.assertNotEqual(statuses[0], 0)


class Gateway(unittest.TestCase):
    """sse-encode --cgi behind Python's CGI server."""

    def test_curl(self):
        if not hasattr(http.server, "CGIHTTPRequestHandler"):
            self.skipTest("this Python has no CGI server")
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory, "cgi-bin", "events")
            script.parent.mkdir()
            script.write_text(f"#!/bin/sh\nexec {TOOLS}/sse-encode --cgi $QUERY_STRING"
                              f" {SAMPLES}/records.jsonl\n")
            script.chmod(0o755)
            # The server drops to nobody, who has to get there.
            os.chmod(directory, 0o755)
            with self.gateway(directory) as url:
                self.assertEqual(run(f"curl -sSN {url}"), run("sse-encode records.jsonl"))
                # The server answers with the head of the script as it is.
                received = run(f"curl -sSi {url}").lower()
                self.assertIn(b"status: 200 ok\r\ncontent-type: text/event-stream\r\n", received)
                self.assertEqual(run(f"curl -sSN --compressed '{url}?-z'"),
                                 run("sse-encode records.jsonl"))

    def gateway(self, directory):
        code = ("import http.server, sys\n"
                "h = http.server.CGIHTTPRequestHandler\n"
                "h.have_fork = False\n"
                "s = http.server.HTTPServer(('127.0.0.1', 0), h)\n"
                "print(s.server_port, flush=True)\n"
                "s.serve_forever()\n")
        return CGIServer([sys.executable, "-W", "ignore", "-c", code], directory)


class CGIServer:
    def __init__(self, command, directory):
        self.command, self.directory = command, directory

    def __enter__(self):
        self.process = subprocess.Popen(self.command, cwd=self.directory, env=ENVIRONMENT,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.clock = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        self.clock.start()
        return f"http://127.0.0.1:{int(self.process.stdout.readline())}/cgi-bin/events"

    def __exit__(self, *_):
        self.clock.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
