"""The suites of `make check`: the parts of each, and what their processes say of their tests."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from jobs import Outcome, Part

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "Tests"
# Those of the short set of the Autobahn suite.
CASES = 385
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed", re.M)
# Targets of Swift tests that wait for processes, of which two threads run few at once: a part for
# each suite. The others compute: a part for each target.
WAITING = ("ToolTests", "StreamClientTests")


class Suite:
    """Its name, how its parts are found, and whether that takes a build."""

    def __init__(self, name, find):
        self.name, self.find = name, find


def suites(options):
    """In the order in which they are told."""
    tools, python = str(options.tools), str(options.python)
    return [
        Suite("swift", lambda only: swift(options, only)),
        Suite("interop", lambda only: interop(tools, python, only)),
        Suite("runner", lambda only: program(
            "runner", [sys.executable, TESTS / "Check/test_check.py"], only)),
        Suite("corpus", lambda only: program(
            "corpus", [sys.executable, TESTS / "Corpus/check.py"], only)),
        Suite("demo", lambda only: program("demo", [TESTS / "demo.sh", tools], only)),
        Suite("soak", lambda only: program(
            "soak", [python, TESTS / "Soak/soak.py", tools, "--turns", "2000"], only, seconds=60)),
        Suite("autobahn", lambda only: autobahn(tools, python, options.build, only)),
    ]


# MARK: Programs that are one test, or count their own


def program(name, command, only, seconds=10.0):
    """A suite that is one process."""
    if not only.search(name):
        return []
    return [Part(name, name, [str(word) for word in command], read_program, seconds=seconds)]


def autobahn(tools, python, build, only):
    """The cases of the Autobahn suite, which is installed first: where they run is no network."""
    command = [python, str(TESTS / "Conformance/run.py"), "--tools", tools, "--build", str(build)]
    parts = [Part("autobahn", side, [*command, "--set", "short", "--side", side], read_program,
                  CASES, computes=True, seconds=300) for side in ("client", "server", "serve") if only.search(side)]
    if parts:
        done = subprocess.run([*command, "--install"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"the Autobahn suite: {done.stdout}{done.stderr}")
    return parts


def read_program(part, folder, status, text):
    """One outcome for each that the closing line counts, or one by the exit status."""
    counts = CLOSING.search(text)
    passed, failed = map(int, counts.groups()) if counts else (1, 0) if status == 0 else (0, 1)
    if status != 0 and failed == 0:
        failed = 1
    outcomes = [Outcome(part.name, "failed") for _ in range(failed)]
    outcomes += [Outcome(part.name, "passed") for _ in range(passed)]
    # It does not say how long each of them took.
    outcomes[0].seconds = part.seconds
    outcomes[0].text = f"status {status}\n{text}"
    return outcomes


# MARK: Interop, Python's unittest


def interop(tools, python, only):
    """A part for each class of tests."""
    worker = [python, str(TESTS / "Interop/interop.py")]
    listed = subprocess.run([*worker, "--list", tools], capture_output=True, text=True)
    if listed.returncode != 0:
        raise RuntimeError(f"interop.py --list: {listed.stderr}")
    groups = {}
    for line in listed.stdout.splitlines():
        test, kind = line.split()
        if only.search(test):
            groups.setdefault((test.rpartition(".")[0], kind == "alone"), []).append(test)
    return [
        Part("interop", name, [*worker, "--events", "{folder}/events", tools, *tests], read_events,
             len(tests), is_alone=is_alone, seconds=float(len(tests)))
        for (name, is_alone), tests in groups.items()]


def read_events(part, folder, status, text):
    """What a process wrote of each test, and of those it did not come to."""
    path = folder / "events"
    outcomes = [Outcome(**json.loads(line)) for line in whole_lines(path)]
    missing = part.tests - len({outcome.test for outcome in outcomes})
    if missing > 0:
        outcomes.append(Outcome(part.name, "failed", part.seconds,
                                f"{missing} tests did not end (status {status})\n{text}"))
    return outcomes


def whole_lines(path):
    """Those of a file that end in a line feed, and in nothing else: strings of JSON hold U+2028."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


# MARK: Swift Testing


def swift(options, only):
    """Builds the tests; a part for each suite of theirs."""
    build = [*shlex.split(options.swift), "build", "--build-tests", "--disable-xctest",
             "--scratch-path", str(options.build)]
    built = subprocess.run(build, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                           text=True)
    if built.returncode != 0:
        raise RuntimeError(f"the tests do not build:\n{built.stdout[-8000:]}{built.stderr}")
    tests = options.build / "debug/streamutilsPackageTests.xctest"
    # One after the other: a start is told when a test may start, not when it does.
    runner = [str(tests), "--testing-library", "swift-testing", "--no-parallel"]
    listed = subprocess.run([*runner, "--list-tests"], capture_output=True, text=True)
    if listed.returncode != 0:
        raise RuntimeError(f"{tests}: {listed.stderr}")
    groups = {}
    for test in listed.stdout.splitlines():
        if only.search(test):
            suite, target = test.split("/")[0], test.split(".")[0]
            groups.setdefault(suite if target in WAITING else target, []).append(test)
    return [
        Part("swift", name, [
            *runner, "--filter", "^(" + "|".join(map(re.escape, tests)) + ")",
            "--event-stream-output-path", "{folder}/events", "--event-stream-version", "0",
        ], read_event_stream, len(tests), computes="." not in name, seconds=0.5 * len(tests))
        for name, tests in groups.items()]


def read_event_stream(part, folder, status, text):
    """What Swift Testing wrote of each test function."""
    path = folder / "events"
    functions, starts, issues, outcomes = set(), {}, {}, []
    for line in whole_lines(path):
        record = json.loads(line)
        payload, kind = record["payload"], record["payload"]["kind"]
        if record["kind"] == "test":
            if kind == "function":
                functions.add(payload["id"])
            continue
        test, words = payload.get("testID"), [m["text"] for m in payload["messages"]]
        if kind == "issueRecorded":
            issues.setdefault(test, []).extend(words)
        if test not in functions:
            continue
        if kind == "testStarted":
            starts[test] = payload["instant"]["absolute"]
        elif kind == "testSkipped":
            outcomes.append(Outcome(name_of(test), "skipped", text=" ".join(words)))
        elif kind == "testEnded":
            bad = any(m["symbol"] == "fail" for m in payload["messages"])
            seconds = payload["instant"]["absolute"] - starts.pop(test)
            outcomes.append(Outcome(name_of(test), "failed" if bad else "passed", seconds,
                                    "\n".join(issues.get(test, []))))
    for test in starts:
        outcomes.append(Outcome(name_of(test), "failed", part.seconds,
                                f"did not end (status {status})\n{text[-8000:]}"))
    failed = any(outcome.result == "failed" for outcome in outcomes)
    if len(outcomes) < part.tests or (status != 0 and not failed):
        outcomes.append(Outcome(part.name, "failed", part.seconds,
                                f"{len(outcomes)} of {part.tests} tests ended (status {status})\n"
                                + text[-8000:]))
    return outcomes


def name_of(test):
    """Without the file and the line."""
    return test.rpartition("/")[0]
