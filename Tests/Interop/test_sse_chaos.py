"""sse-decode behind everything that goes wrong at once: nothing lost, nothing twice."""

import gzip
import os
import random
import subprocess
import tempfile
import threading
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

from http_peers import Connection, follower, serving
from peers import ENVIRONMENT, TOOLS

CLIENTS = 10
# Of each client: 100,000 in all.
TOTAL = 10_000
SECONDS = 120


class Chaos:
    """Cuts, stalls, refuses, redirects, compresses, and answers 503; by chance, but the same for
    the same seed, client and request."""

    def __init__(self, seed):
        self.seed = seed
        self.counts = {}
        self.lock = threading.Lock()
        self.kinds = {}

    def choice(self, path):
        with self.lock:
            number = self.counts[path] = self.counts.get(path, 0) + 1
        return random.Random(f"{self.seed} {path} {number}")

    def note(self, kind):
        with self.lock:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def __call__(self, connection: Connection, request):
        path = request.target.split("?")[0]
        choice = self.choice(path)
        kind = choice.choice(["end", "cut", "reset", "stall", "refuse", "redirect", "503", "503 0",
                              "gzip", "gzip cut", "chunked", "chunked cut", "half head", "bytes"])
        self.note(kind)
        last = int(request.get("Last-Event-ID") or 0)
        if last >= TOTAL:
            return connection.answer("", "204 No Content", "")
        count = min(TOTAL - last, choice.choice([0, 1, 10, 200, 2000]))
        text = "retry: 1\n\n" + "".join(
            f"id: {number}\ndata: {{\"n\":{number}}}\n\n"
            for number in range(last + 1, last + count + 1))
        body = text.encode()
        half = b"id: %d\ndata: {\"n\":" % (last + count + 1)
        if kind == "refuse":
            return connection.reset()
        if kind.startswith("503"):
            fields = ["Retry-After: 0"] if kind.endswith("0") else []
            return connection.answer("later", "503 Service Unavailable", "text/plain", *fields)
        if kind == "redirect":
            return connection.answer("", "307 Elsewhere", "", f"Location: {path}?{last}")
        if kind == "half head":
            return connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/ev")
        fields = []
        if kind.startswith("gzip"):
            fields = ["Content-Encoding: gzip"]
            body = gzip.compress(body + half, 1)
            if kind == "gzip cut":
                body = body[:choice.randrange(len(body))]
        elif kind.startswith("chunked"):
            fields = ["Transfer-Encoding: chunked"]
            pieces, at = [], 0
            while at < len(body):
                size = choice.choice([1, 7, 100, 5000])
                piece = body[at:at + size]
                pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
                at += size
            if kind == "chunked cut":
                pieces = pieces[:choice.randrange(len(pieces) + 1)]
            else:
                pieces.append(b"0\r\n\r\n")
            body = b"".join(pieces)
        else:
            body += half
        connection.head("200 OK", "text/event-stream", *fields)
        if kind == "bytes":
            for at in range(min(len(body), 300)):
                connection.send(body[at:at + 1])
            return None
        connection.send(body)
        if kind == "reset":
            return connection.reset()
        if kind == "stall":
            return connection.gone()
        return None


class ChaosTests(unittest.TestCase):
    def test_every_event_once_and_in_order(self):
        given = os.environ.get("SEED")
        seed = int(given) if given else random.randrange(1 << 32)
        print(f"chaos: SEED={seed}")
        chaos = Chaos(seed)
        wanted = "".join(f'{{"n":{number}}}\n' for number in range(1, TOTAL + 1))
        with serving(chaos) as server, tempfile.TemporaryDirectory() as folder:
            clients = []
            for number in range(CLIENTS):
                with open(Path(folder, f"{number}"), "wb") as output:
                    clients.append(subprocess.Popen(
                        [TOOLS / "sse-decode", "-q", "-d", "--backoff", "1ms..10ms",
                         "--idle-timeout", "300ms", f"{server.url}/{number}"],
                        env=ENVIRONMENT, stdout=output, stdin=subprocess.DEVNULL,
                        stderr=subprocess.PIPE))
            deadline = time.monotonic() + SECONDS
            try:
                for number, client in enumerate(clients):
                    client.wait(max(1, deadline - time.monotonic()))
                    self.assertEqual(client.returncode, 0, client.stderr.read())
                    self.assertTrue(Path(folder, f"{number}").read_text() == wanted,
                                    f"client {number} has other events")
            finally:
                for client in clients:
                    client.kill()
                    client.wait()
                    client.stderr.close()
        # Each of them happened.
        self.assertEqual(len(chaos.kinds), 14, chaos.kinds)

    def test_a_server_that_is_restarted(self):
        total = 2000

        def script(connection, request):
            last = int(request.get("Last-Event-ID") or 0)
            if last >= total:
                return connection.answer("", "204 No Content", "")
            connection.head()
            for start in range(last + 1, total + 1, 20):
                connection.events(*range(start, min(start + 20, total + 1)))
                time.sleep(0.002)
            return None

        with ExitStack() as running:
            server = running.enter_context(serving(script))
            with follower(f"-q -d --backoff 1ms..10ms {server.url}") as tool:
                lines = []
                reader = threading.Thread(target=lambda: lines.extend(tool.stdout), daemon=True)
                reader.start()
                for _ in range(4):
                    time.sleep(0.1)
                    running.close()
                    # Nobody listens.
                    time.sleep(0.05)
                    running.enter_context(serving(script, port=server.port))
                self.assertEqual(tool.wait(20), 0)
                reader.join(10)
        self.assertEqual([int(line) for line in lines], list(range(1, total + 1)))

    def test_the_same_chance_for_the_same_seed(self):
        one, other = Chaos(5), Chaos(5)
        self.assertEqual([one.choice("/a").random() for _ in range(5)],
                         [other.choice("/a").random() for _ in range(5)])
