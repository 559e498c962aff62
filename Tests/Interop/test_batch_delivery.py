"""stream-batch and receivers that refuse records, are away, or answer for each record."""

import gzip
import json
import re
import subprocess
import tempfile
import threading
import unittest
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from peers import ENVIRONMENT

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
# The pauses of README's lines are those of real life.
PATIENCE_SECONDS = 300


def readme_line(start):
    """The line of README that starts so, without the tool's path."""
    return next(line for line in README.splitlines() if line.startswith(start))[len(start):]


@contextmanager
def receiver(answer):
    """A server and its port. `answer` gets the path and the body of each request and gives a
    status and a body; None closes the connection."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                found = answer(self.path, body)
            if found is None:
                self.close_connection = True
                return
            status, text = found
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_SECONDS)


class Endpoint:
    """Takes JSON, refuses a record, and is away for its first requests."""

    def __init__(self, refused=(), status=400, away=0):
        self.refused, self.status, self.away = refused, status, away
        self.taken = []
        self.requests = 0

    def __call__(self, path, body):
        self.requests += 1
        if self.requests <= self.away:
            return None if self.requests % 2 else (503, b"away")
        text = body.decode()
        records = json.loads(text) if text.startswith("[") else [json.loads(text)]
        if any(record["n"] in self.refused for record in records):
            return self.status, b"no"
        self.taken += [record["n"] for record in records]
        return 200, b"yes"


class ReadmeLines(unittest.TestCase):
    """README's unit and its line for cron as they stand, but for hosts and folders."""

    def run_in(self, folder, line, url, status=0):
        line = re.sub(r"https://[a-z.]+\.example\.com", url, line)
        line = re.sub("(?<= )/(?=var/|srv/)", f"{folder}/", line)
        for path in ["var/lib/ship", "var/log/app", "srv/bulk"]:
            (folder / path).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["sh", "-c", line], capture_output=True, env=ENVIRONMENT,
                              cwd=folder, timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done

    def unit(self, endpoint, numbers, status):
        command = readme_line("ExecStart=/usr/local/bin/stream-batch")
        with tempfile.TemporaryDirectory() as name, receiver(endpoint) as url:
            folder = Path(name)
            log = folder / "var" / "log"
            log.mkdir(parents=True)
            (log / "app.jsonl.1").write_text("")
            (log / "app.jsonl").write_text("".join(f'{{"n":{n}}}\n' for n in numbers))
            self.run_in(folder, "stream-batch" + command, url, status)
            return self.letters(folder / "var/lib/ship/dead.jsonl")

    def cron(self, endpoint, numbers, status):
        command = readme_line("10 0 * * * stream-batch")
        with tempfile.TemporaryDirectory() as name, receiver(endpoint) as url:
            folder = Path(name)
            log = folder / "var" / "log" / "app"
            log.mkdir(parents=True)
            text = "".join(f'{{"n":{n}}}\n' for n in numbers)
            (log / "yesterday.jsonl.gz").write_bytes(gzip.compress(text.encode()))
            self.run_in(folder, "stream-batch" + command, url, status)
            return self.letters(folder / "srv/bulk/dead.jsonl")

    def letters(self, path):
        return [item["n"] for line in path.read_text().splitlines()
                for item in json.loads(line)["items"]]

    def test_a_record_that_is_refused(self):
        for job, status in [(self.unit, 400), (self.unit, 500), (self.cron, 400)]:
            with self.subTest(job=job.__name__, status=status):
                endpoint = Endpoint(refused=[1001], status=status)
                self.assertEqual(job(endpoint, range(1, 2501), 1), [1001])
                self.assertEqual(sorted(endpoint.taken),
                                 [n for n in range(1, 2501) if n != 1001])

    def test_an_endpoint_that_is_away(self):
        for job, away in [(self.unit, 6), (self.cron, 7)]:
            with self.subTest(job=job.__name__):
                endpoint = Endpoint(away=away)
                self.assertEqual(job(endpoint, range(1, 2501), 0), [])
                self.assertEqual(sorted(endpoint.taken), list(range(1, 2501)))


class Elasticsearch:
    """Answers _bulk: refuses documents of some numbers, has no room for others at first, and is
    away for its first requests."""

    def __init__(self, refused, busy, away):
        self.refused, self.busy, self.away = refused, dict(busy), away
        self.taken = []

    def __call__(self, path, body):
        assert path == "/app/_bulk"
        if self.away > 0:
            self.away -= 1
            return None if self.away % 2 else (503, b"{}")
        lines = [json.loads(line) for line in body.decode().splitlines()]
        assert all(action == {"index": {}} for action in lines[::2])
        items = [self.item(document["n"]) for document in lines[1::2]]
        answer = {"took": 1, "errors": True, "items": [{"index": item} for item in items]}
        return 200, json.dumps(answer).encode()

    def item(self, number):
        if number in self.refused:
            return {"status": 400, "error": {"type": "document_parsing_exception",
                                             "reason": f"failed to parse field [n] of {number}"}}
        if self.busy.get(number, 0) > 0:
            self.busy[number] -= 1
            return {"status": 429, "error": {"type": "es_rejected_execution_exception",
                                             "reason": "too busy"}}
        self.taken.append(number)
        return {"status": 201, "result": "created"}


class Bulk(unittest.TestCase):
    """README's line for Elasticsearch as it stands, but for the host."""

    def test_the_line_of_readme(self):
        start = README.index("stream-batch -n 500 -f lines --results")
        line = README[start:README.index("```", start)]
        refused, busy = [3, 700, 701, 1200], {4: 2, 5: 1, 1100: 1}
        endpoint = Elasticsearch(refused, busy, away=3)
        with tempfile.TemporaryDirectory() as name, receiver(endpoint) as url:
            line = line.replace("http://localhost:9200", url)
            (Path(name) / "app.jsonl").write_text(
                "".join(f'{{"n":{n}}}\n' for n in range(1, 1301)))
            done = subprocess.run(["sh", "-c", line], capture_output=True, env=ENVIRONMENT,
                                  cwd=name, timeout=PATIENCE_SECONDS)
            self.assertEqual(done.returncode, 1, done.stderr.decode())
            letters = [json.loads(line) for line in
                       (Path(name) / "dead.jsonl").read_text().splitlines()]
        self.assertEqual(sorted(endpoint.taken), [n for n in range(1, 1301) if n not in refused])
        self.assertEqual([(item["n"], letter["error"]) for letter in letters
                          for item in letter["items"]],
                         [(n, f"failed to parse field [n] of {n}") for n in refused])
