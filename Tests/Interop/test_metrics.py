"""What Prometheus' own tool says of each tool's metrics, and the manual of their names."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS
from serve_bed import serve

MANUALS = Path(__file__).resolve().parents[2] / "man"


class Metrics(unittest.TestCase):
    def check(self, tool, text):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), f"{tool}\n{text}")
        kinds = dict(re.findall(r"^# TYPE streamutils_(\S+) (\S+)$", text, re.M))
        helped = re.findall(r"^# HELP streamutils_(\S+) \S", text, re.M)
        self.assertEqual(sorted(kinds), sorted(helped))
        listed = re.findall(r"^\.It Va (\w+)(?: Ns Brq Va \w+)? Pq (counter|gauge|histogram)$",
                            (MANUALS / f"{tool}.1").read_text(), re.M)
        names = {name + ("_total" if kind == "counter" else ""): kind for name, kind in listed}
        # A number that is not known yet is left out, and only that.
        self.assertLessEqual(kinds.items(), names.items())
        unknown = names.keys() - kinds.keys()
        self.assertTrue(all(names[name] == "gauge" for name in unknown), unknown)
        for line in text.splitlines():
            if not line.startswith("#"):
                self.assertIn(f'{{tool="{tool}"', line)

    def run_one(self, command, input=b"", status=0):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "some feed.prom"
            done = subprocess.run([*command, "--metrics-file", path, "-q"], input=input,
                                  capture_output=True, env=ENVIRONMENT, timeout=PATIENCE_SECONDS)
            self.assertEqual(done.returncode, status, done.stderr)
            text = path.read_text()
        self.assertIn('name="some feed"', text)
        self.check(command[0], text)

    def test_filters(self):
        lines = b'{"a":1}\nnone\n{"a":2}\n'
        skip = "--on-error=skip"
        self.run_one(["sse-encode", "-d", skip], lines, 1)
        self.run_one(["sse-decode", "--reorder", ".a"], b'data: {"a":1}\n\ndata: {"a":3}\n\n')
        self.run_one(["stream-sample", "--key", ".a", "-p", "0.5", skip], lines, 1)
        self.run_one(["stream-batch", "-n", "2", "-x", "cat", skip], lines, 1)

    def test_a_server_and_its_clients(self):
        with serve("--metrics-file served.prom") as server:
            server.feed(1, 2)
            server.settled()
            where = f"127.0.0.1:{server.port}"
            self.run_one(["sse-decode", "-n", "2", f"http://{where}/events?since=2"])
            self.run_one(["ws-cat", "-n", "2", f"ws://{where}/ws?since=2"])
            page = server.ask("/metrics").body.decode()
            self.check("stream-serve", page)
            self.assertEqual(server.finish(), 0)
            file = (server.path / "served.prom").read_text()
            self.check("stream-serve", file)

        def families(text):
            return re.findall(r"^# .*$", text, re.M)

        # One schema.
        self.assertEqual(families(page), families(file))
