#!/usr/bin/env python3
"""Runs the tools with peers over real sockets: interop.py DIRECTORY-OF-THE-TOOLS [TEST ...]

A TEST is file.Class.method or the beginning of it; without one all run. --list prints their names
and whether they run beside others; --events FILE writes a JSON object for each that ended."""

import argparse
import contextlib
import io
import json
import sys
import time
import traceback
import unittest
from pathlib import Path


class Result(unittest.TestResult):
    """Names what failed, and writes an event for each test."""

    def __init__(self, events):
        super().__init__()
        self.events = events
        self.problems = {}
        self.skips = {}
        self.passed = self.failed = 0

    def startTest(self, test):
        super().startTest(test)
        self.said = io.StringIO() if self.events else sys.stdout
        self.redirection = contextlib.redirect_stdout(self.said)
        self.redirection.__enter__()
        self.began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        seconds = time.monotonic() - self.began
        self.redirection.__exit__(None, None, None)
        if self.events and test.id() in self.problems:
            self.problems[test.id()] += self.said.getvalue()
        self.end(test, seconds)

    def end(self, test, seconds):
        problem, skip = self.problems.pop(test.id(), ""), self.skips.pop(test.id(), "")
        result = "failed" if problem else "skipped" if skip else "passed"
        self.failed += result == "failed"
        self.passed += result == "passed"
        if self.events:
            event = {"test": test.id(), "result": result, "seconds": round(seconds, 3),
                     "text": problem or skip}
            self.events.write(json.dumps(event) + "\n")
            self.events.flush()
        elif problem:
            print(f"FAILED {test.id()}\n{problem}")
        elif skip:
            print(f"skipped {test.id()}: {skip}")

    def note(self, test, problem):
        self.problems[test.id()] = "".join(traceback.format_exception(*problem))
        # One of a class or a module, which has no start and no stop.
        if not isinstance(test, unittest.TestCase):
            self.end(test, 0)

    def addFailure(self, test, problem):
        super().addFailure(test, problem)
        self.note(test, problem)

    def addError(self, test, problem):
        super().addError(test, problem)
        self.note(test, problem)

    def addSubTest(self, test, subtest, problem):
        super().addSubTest(test, subtest, problem)
        if problem:
            text = f"{subtest}\n" + "".join(traceback.format_exception(*problem))
            self.problems[test.id()] = self.problems.get(test.id(), "") + text

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skips[test.id()] = reason
        if not isinstance(test, unittest.TestCase):
            self.end(test, 0)


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tools", metavar="DIRECTORY-OF-THE-TOOLS")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--events", type=Path, metavar="FILE")
    return parser.parse_args()


def main():
    options = arguments()
    # The modules look for the tools there.
    sys.argv[1:] = [options.tools]
    loader = unittest.defaultTestLoader
    tests = list(flat(loader.discover(str(Path(__file__).parent))))
    if options.tests:
        tests = [test for test in tests
                 if any(f"{test.id()}.".startswith(f"{name}.") for name in options.tests)]
    if options.list:
        for test in tests:
            method = getattr(test, test.id().rpartition(".")[2], None)
            is_alone = getattr(test, "alone", False) or getattr(method, "alone", False)
            print(test.id(), "alone" if is_alone else "beside")
        return 0
    with open(options.events, "w") if options.events else open("/dev/null", "w") as events:
        result = Result(events if options.events else None)
        unittest.TestSuite(tests).run(result)
    print(f"{result.passed} passed, {result.failed} failed"
          + (f", {len(result.skipped)} skipped" if result.skipped else ""))
    return 1 if result.failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
