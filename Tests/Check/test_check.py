#!/usr/bin/env python3
"""Tests of the runner itself: test_check.py"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from itertools import accumulate
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Interop")]

from interop import Result  # noqa: E402
from jobs import Jobs, Outcome, Part, namespaces  # noqa: E402
from suites import read_event_stream, read_program  # noqa: E402


def by_status(part, folder, status, text):
    return [Outcome(part.name, "failed" if status else "passed", part.seconds, text)]


def part(name, script, **more):
    return Part("own", name, ["sh", "-c", script], by_status, **more)


class InFolder(unittest.TestCase):
    """What it makes goes to a folder of its own, so that what is left can be seen."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class JobsTests(InFolder):
    def setUp(self):
        super().setUp()
        before = tempfile.tempdir
        tempfile.tempdir = str(self.folder)
        self.addCleanup(setattr, tempfile, "tempdir", before)

    def run_parts(self, parts, count=2):
        """The outcomes by name, in the order of their ends."""
        jobs, ended = Jobs(count, dict(os.environ)), {}
        jobs.add(parts)
        jobs.close()
        jobs.run(lambda part: ended.update({part.name: part.outcomes[0]}))
        jobs.stop()
        self.assertEqual(list(self.folder.glob("check-*")), [])
        return ended

    def test_statuses_and_output(self):
        ended = self.run_parts([part("good", "true"), part("bad", "echo oh; exit 3")])
        self.assertEqual((ended["good"].result, ended["bad"].result), ("passed", "failed"))
        self.assertEqual(ended["bad"].text, "oh\n")

    def test_each_has_a_folder(self):
        ended = self.run_parts([part("a", 'echo "$TMPDIR"; test -z "$(ls "$TMPDIR")"; touch'
                                     ' "$TMPDIR/x"'), part("b", 'echo "$TMPDIR"')])
        self.assertEqual({outcome.result for outcome in ended.values()}, {"passed"})
        self.assertNotEqual(ended["a"].text, ended["b"].text)

    def test_no_process_is_left(self):
        name = f"{self.folder}/fifo"
        os.mkfifo(name)
        # It holds the writing end of the FIFO for as long as it lives, in a session of its own.
        reader = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        ended = self.run_parts([part("forks", f"exec 9>{name}; setsid sleep 1000 & echo said >&9")])
        self.assertEqual(ended["forks"].result, "passed")
        os.set_blocking(reader, True)
        self.assertEqual(os.read(reader, 100), b"said\n")
        self.assertEqual(os.read(reader, 100), b"", "the end: nobody holds it any more")

    def test_a_port_of_its_own(self):
        if not namespaces():
            self.skipTest("no namespaces here")
        rendezvous = self.folder / "met"
        script = (f"mkdir -p {rendezvous}; touch {rendezvous}/$0; {sys.executable} -c '"
                  "import os, socket, time\n"
                  "held = socket.create_server((\"127.0.0.1\", 12345))\n"
                  f"while len(os.listdir(\"{rendezvous}\")) < 2: time.sleep(0.01)'")
        ended = self.run_parts([part("a", script.replace("$0", "a")),
                                part("b", script.replace("$0", "b"))])
        self.assertEqual([outcome.text for outcome in ended.values()], ["", ""])

    def test_alone_comes_last(self):
        log = self.folder / "log"
        parts = [part(name, f"echo {name} >>{log}; sleep 0.1; echo {name} >>{log}", is_alone=alone,
                      seconds=seconds)
                 for name, alone, seconds in [("x", True, 9), ("y", True, 8), ("a", False, 1),
                                              ("b", False, 2)]]
        self.run_parts(parts)
        lines = log.read_text().split()
        self.assertEqual(set(lines[:4]), {"a", "b"})
        self.assertEqual(lines[4:], ["x", "x", "y", "y"])

    def test_no_more_compute_than_there_are_processors(self):
        log = self.folder / "log"
        parts = [part(f"{n}", f"echo begin >>{log}; sleep 0.05; echo end >>{log}", computes=True)
                 for n in range(3 * os.cpu_count())]
        self.run_parts(parts, count=3 * os.cpu_count())
        at_once = list(accumulate(1 if line == "begin" else -1 for line in log.read_text().split()))
        self.assertEqual(max(at_once), os.cpu_count())

    def test_the_longest_first(self):
        parts = [part(name, "true", seconds=seconds)
                 for name, seconds in [("short", 1), ("long", 3), ("middle", 2)]]
        self.assertEqual(list(self.run_parts(parts, count=1)), ["long", "middle", "short"])


class ReadingTests(InFolder):
    def test_programs(self):
        for text, status, counts in [
                ("", 0, (1, 0)), ("", 1, (0, 1)), ("3 passed, 2 failed", 1, (3, 2)),
                ("3 passed, 0 failed", 0, (3, 0)),
                # What counts well and then crashes has failed.
                ("3 passed, 0 failed", -11, (3, 1))]:
            outcomes = read_program(part("p", ""), self.folder, status, text)
            results = [outcome.result for outcome in outcomes]
            self.assertEqual((results.count("passed"), results.count("failed")), counts, text)

    def test_swift_event_streams(self):
        def event(kind, test, seconds, symbol="pass", text="words"):
            return {"kind": "event", "payload": {
                "kind": kind, "testID": test, "instant": {"absolute": seconds},
                "messages": [{"symbol": symbol, "text": text}]}}
        names = [f"T.S/{name}()/f.swift:1:2" for name in "abcd"]
        records = [{"kind": "test", "payload": {"kind": "function", "id": name}} for name in names]
        records += [event("testStarted", name, 1) for name in names[:3]]
        records += [event("testEnded", names[0], 3.5),
                    event("issueRecorded", names[1], 2, text="words\u2028"),
                    event("testEnded", names[1], 4, "fail"), event("testSkipped", names[3], 4)]
        # Its writer was killed in the last line.
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records) + '{"kind":'
        (self.folder / "events").write_text(text)
        swift = part("T.S", "", tests=4)
        outcomes = read_event_stream(swift, self.folder, -11, "crashed")
        self.assertEqual([(o.test, o.result) for o in outcomes], [
            ("T.S/a()", "passed"), ("T.S/b()", "failed"), ("T.S/d()", "skipped"),
            ("T.S/c()", "failed")])
        self.assertEqual((outcomes[0].seconds, outcomes[1].text), (2.5, "words\u2028"))
        # A process that says that all is well, yet does not end well, has failed.
        alone = part("T.S", "", tests=1)
        records = [records[0], records[4], event("testEnded", names[0], 2)]
        (self.folder / "events").write_text("".join(json.dumps(r) + "\n" for r in records))
        self.assertEqual([o.result for o in read_event_stream(alone, self.folder, -11, "")],
                         ["passed", "failed"])


class InteropTests(unittest.TestCase):
    def test_events(self):
        class Some(unittest.TestCase):
            def test_good(self):
                print("nothing of this is told")

            def test_bad(self):
                print("SEED=5")
                self.fail("oh")

            def test_parts(self):
                for number in range(3):
                    with self.subTest(number=number):
                        self.assertEqual(number, 1)

            def test_skipped(self):
                self.skipTest("why")

        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                raise ValueError("no class")

            def test_nothing(self):
                pass

        events = io.StringIO()
        loader = unittest.defaultTestLoader
        result = Result(events)
        unittest.TestSuite(map(loader.loadTestsFromTestCase, [Some, Broken])).run(result)
        seen = {event["test"].rpartition(".")[2]: event
                for event in map(json.loads, events.getvalue().splitlines())}
        self.assertEqual({name: event["result"] for name, event in seen.items()}, {
            "test_good": "passed", "test_bad": "failed", "test_parts": "failed",
            "test_skipped": "skipped", "Broken)": "failed"})
        self.assertIn("SEED=5", seen["test_bad"]["text"])
        self.assertIn("number=0", seen["test_parts"]["text"])
        self.assertIn("number=2", seen["test_parts"]["text"])
        self.assertEqual((result.passed, result.failed), (1, 3))


class ProgramTests(InFolder):
    """The whole of it, with tools that are not there."""

    def check(self, *more):
        return subprocess.Popen(
            [sys.executable, HERE / "check.py", "--tools", self.folder, "--build", self.folder,
             "--python", sys.executable, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=os.environ | {"TMPDIR": str(self.folder)})

    def test_a_failure(self):
        process = self.check("--only", "demo")
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("FAILED demo\n", output)
        self.assertIn("again: make check ONLY=demo\n", output)
        self.assertTrue(output.endswith("demo: 0 passed, 1 failed\n"), output)

    def test_no_test(self):
        process = self.check("--only", "demo/nosuch")
        self.assertIn("no test matches", process.communicate(timeout=60)[0])
        self.assertEqual(process.returncode, 1)

    def test_control_c(self):
        # The demo waits for ever: a tool says that it runs, and nothing else.
        started = self.folder / "started"
        for tool in ("sse-decode", "sse-encode"):
            (self.folder / tool).write_text(f"#!/bin/sh\ntouch {started}\nexec sleep 1000\n")
            (self.folder / tool).chmod(0o755)
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.check("--only", "demo")
            while not started.exists():
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            started.unlink()
            process.send_signal(number)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130)
            self.assertEqual([path.name for path in self.folder.glob("check-*")], [])


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - bad - len(outcome.skipped)} passed, {bad} failed")
    sys.exit(1 if bad else 0)
