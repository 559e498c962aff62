#!/usr/bin/env python3
"""Runs every suite, side by side: check.py --tools DIRECTORY --build DIRECTORY --python PROGRAM

--only PATTERN runs the tests in whose names the regular expression is found, in every suite;
SUITE/PATTERN in this one, and SUITE the whole of it. SEED=N in the environment repeats what is
random. Exit status 1 when a test failed."""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from jobs import Jobs, Outcome  # noqa: E402
from suites import suites  # noqa: E402

# Most tests wait most of the time; more at once than this only makes them wait for each other.
JOBS_FOR_EACH_PROCESSOR = 4


class Progress:
    """A line when a suite starts, at each quarter of it, and at its end."""

    def __init__(self, suites):
        self.began = time.monotonic()
        self.started = {}
        self.expected = {suite.name: 0 for suite in suites}
        self.left = {}
        self.ended = {}
        self.told = {}
        self.outcomes = {suite.name: [] for suite in suites}

    def say(self, suite, text):
        seconds = int(time.monotonic() - self.began)
        print(f"{seconds // 60:2}:{seconds % 60:02}  {suite:9} {text}", flush=True)

    def start(self, suite, parts):
        self.started[suite] = time.monotonic()
        self.expected[suite] = sum(part.tests for part in parts)
        self.left[suite], self.told[suite] = len(parts), 0
        self.say(suite, f"starts: {self.expected[suite]} tests in {len(parts)} processes"
                 if self.expected[suite] > 1 else "starts")

    def finish(self, part):
        suite, outcomes = part.suite, self.outcomes[part.suite]
        outcomes += part.outcomes
        for outcome in part.outcomes:
            if outcome.result != "passed":
                self.tell(suite, outcome)
        self.left[suite] -= 1
        quarter = 4 * len(outcomes) // max(self.expected[suite], 1)
        if self.left[suite] == 0:
            self.ended[suite] = time.monotonic() - self.started[suite]
            self.say(suite, f"done in {self.ended[suite]:.0f} s: {closing(outcomes)}")
        elif quarter > self.told[suite]:
            self.told[suite] = quarter
            self.say(suite, f"{len(outcomes)} of {self.expected[suite]}")

    def fail(self, suite, problem):
        """A suite whose parts could not be found."""
        outcome = Outcome(suite, "failed", text=str(problem))
        self.outcomes[suite].append(outcome)
        self.tell(suite, outcome)

    @staticmethod
    def tell(suite, outcome):
        name = f"{suite}/{outcome.test}" if outcome.test != suite else suite
        if outcome.result == "skipped":
            print(f"skipped {name}: {outcome.text}", flush=True)
            return
        seed = re.search(r"SEED=\d+", outcome.text)
        # Without the parameters of a Swift function, which would be a group of the expression.
        again = f"make check ONLY={name.partition('(')[0]} {seed[0] if seed else ''}".strip()
        print(f"FAILED {name}\n{outcome.text}\nagain: {again}", flush=True)


def closing(outcomes):
    results = [outcome.result for outcome in outcomes]
    skipped = results.count("skipped")
    return (f"{results.count('passed')} passed, {results.count('failed')} failed"
            + (f", {skipped} skipped" if skipped else ""))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tools", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--build", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--python", type=Path, required=True, metavar="PROGRAM")
    parser.add_argument("--swift", default="swift", metavar="COMMAND")
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--jobs", type=int, metavar="N",
                        default=JOBS_FOR_EACH_PROCESSOR * (os.cpu_count() or 1))
    options = parser.parse_args()
    try:
        re.compile(options.only)
    except re.error as problem:
        parser.error(f"--only: {problem}")
    options.tools, options.build = options.tools.resolve(), options.build.resolve()
    # Not resolved: it is a link, and where it stands says which packages it sees.
    options.python = options.python.absolute()
    return options


def find(suite, only, jobs, progress, known):
    """Adds the parts of a suite, which may take a build."""
    try:
        parts = suite.find(only)
    except (RuntimeError, OSError) as problem:
        progress.fail(suite.name, problem)
        return
    for part in parts:
        part.seconds = known.get(f"{part.suite}/{part.name}", part.seconds)
    if parts:
        progress.start(suite.name, parts)
    jobs.add(parts)


def interrupt(number, _):
    raise KeyboardInterrupt


def main():
    options = arguments()
    # What a shell starts in the background ignores it, and so would every tool that is tested.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    # How long parts took the last time.
    memory = options.build / "check.json"
    known = json.loads(memory.read_text()) if memory.exists() else {}
    all_suites = suites(options)
    name, _, rest = options.only.partition("/")
    if any(suite.name == name for suite in all_suites):
        all_suites = [suite for suite in all_suites if suite.name == name]
        only = re.compile(rest)
    else:
        only = re.compile(options.only)
    progress = Progress(all_suites)
    jobs = Jobs(options.jobs, os.environ | {"STREAMUTILS_TOOLS": str(options.tools)})

    def finished(part):
        known[f"{part.suite}/{part.name}"] = round(part.seconds, 2)
        progress.finish(part)

    def find_all():
        finders = [threading.Thread(target=find, args=(suite, only, jobs, progress, known))
                   for suite in all_suites]
        for finder in finders:
            finder.start()
        for finder in finders:
            finder.join()
        jobs.close()

    try:
        threading.Thread(target=find_all, daemon=True).start()
        jobs.run(finished)
    except KeyboardInterrupt:
        jobs.stop()
        print("interrupted", file=sys.stderr)
        # Threads that wait for a build are not waited for.
        os._exit(130)
    jobs.stop()
    memory.write_text(json.dumps(known, indent=0, sort_keys=True))
    return tell_all(progress, all_suites)


def tell_all(progress, all_suites):
    """The slowest tests and the closing lines; the exit status."""
    tests = [(outcome, suite) for suite, outcomes in progress.outcomes.items()
             for outcome in outcomes]
    if not tests:
        print("no test matches", file=sys.stderr)
        return 1
    print("\nThe slowest tests:")
    for outcome, suite in sorted(tests, key=lambda pair: -pair[0].seconds)[:10]:
        print(f"{outcome.seconds:7.1f} s  {suite}/{outcome.test}")
    failed = [(suite, outcome) for outcome, suite in tests if outcome.result == "failed"]
    if failed:
        print("\nFailed:")
        for suite, outcome in failed:
            print(f"  {suite}/{outcome.test}")
    seconds = int(time.monotonic() - progress.began)
    print(f"\nAll suites, in {seconds // 60} min {seconds % 60} s:")
    for suite in all_suites:
        if progress.outcomes[suite.name]:
            print(f"{suite.name}: {closing(progress.outcomes[suite.name])}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
