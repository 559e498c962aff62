#!/usr/bin/env python3
"""Runs the Autobahn suite against ws-cat as a client and as a server, and against stream-serve.

run.py --tools DIRECTORY [--set short|full] [--side client|server|serve|all]
run.py --tools DIRECTORY --install only makes sure that the suite is there

Fails unless every case is OK or INFORMATIONAL. Needs pip, and gcc to
install the suite.
"""

import argparse
import json
import shutil
import signal
import sys
import threading
from pathlib import Path

import sides
import suite

ROOT = Path(__file__).resolve().parents[2]
# All but compression, of which the suite has 18 in each of these groups: one message size and
# way of sending it each. Three quarters of the time go there.
PLAIN = [f"{number}.*" for number in range(1, 11)]
DEFLATE = [f"12.{group}" for group in range(1, 6)] + [f"13.{group}" for group in range(1, 8)]
# What the suite itself works on the messages of number 16, 128 KiB in fragments of 1 KiB, takes
# longer than all else of its group: one group of each kind has it, the others number 7, 16 KiB in
# one piece, beside number 11, 8 KiB in fragments of 256 bytes.
FEW = [f"{group}.{last}" for group in DEFLATE
       for last in (1, 2, 3, 4, 6, 11, 16 if group in ("12.1", "13.1") else 7)]
SETS = {
    "short": (PLAIN + FEW, 385, 1800),
    "full": (PLAIN + [f"{group}.*" for group in DEFLATE], 517, 3000),
}
GOOD = ("OK", "INFORMATIONAL")


def report(side, expected):
    """Prints what failed and the totals; how many passed and failed."""
    try:
        cases = json.loads((side.folder / "index.json").read_text())[sides.AGENT]
    except (OSError, KeyError, ValueError) as problem:
        side.problems.append(f"no report: {problem!r}")
        cases = {}
    totals = {}
    failed = 0
    for case in sorted(cases, key=lambda case: [int(part) for part in case.split(".")]):
        verdict, close = cases[case]["behavior"], cases[case]["behaviorClose"]
        totals[verdict] = totals.get(verdict, 0) + 1
        if verdict not in GOOD or close not in GOOD:
            failed += 1
            print(f"FAILED as {side.name}, case {case}: {verdict}, close {close}:"
                  f" {explanation(side.folder / cases[case]['reportfile'])}")
    # One that is missing is one that failed.
    failed += expected - len(cases)
    for problem in side.problems:
        print(f"FAILED as {side.name}, {problem}")
    listed = ", ".join(f"{count} {verdict}" for verdict, count in sorted(totals.items()))
    print(f"as {side.name}: {listed or 'nothing'} of {expected}; {side.folder}/index.html")
    return expected - failed, failed + len(side.problems)


def explanation(path):
    try:
        case = json.loads(path.read_text())
        return " ".join(f"{case['result']} {case['resultClose']} ({path})".split())[:400]
    except (OSError, KeyError, ValueError):
        return str(path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tools", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--set", choices=SETS, default="short")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--side", choices=["client", "server", "serve", "all"], default="all")
    parser.add_argument("--build", type=Path, default=ROOT / ".build", metavar="DIRECTORY")
    return parser.parse_args()


def end(*_):
    sys.exit("interrupted")


def main():
    signal.signal(signal.SIGTERM, end)
    options = arguments()
    tools = options.tools.resolve()
    for tool in ("ws-cat", "stream-serve"):
        if not (tools / tool).exists():
            sys.exit(f"no {tools / tool}")
    try:
        wstest, environment = suite.install(options.build.resolve())
    except suite.CannotInstall as problem:
        sys.exit(str(problem))
    if options.install:
        return 0
    cases, expected, seconds = SETS[options.set]
    runs = []
    for name, run, tool in [("client", sides.as_client, "ws-cat"),
                            ("server", sides.as_server, "ws-cat"),
                            ("serve", sides.as_many_clients_server, "stream-serve")]:
        if options.side not in (name, "all"):
            continue
        folder = options.build.resolve() / "conformance" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        side = sides.Side(name, wstest, environment, cases, folder, seconds)
        runs.append((side, threading.Thread(target=run_one, args=(run, side, str(tools / tool)),
                                            daemon=True)))
    for _, thread in runs:
        thread.start()
    try:
        for _, thread in runs:
            thread.join()
    finally:
        for side, _ in runs:
            side.stop()
    results = [report(side, expected) for side, _ in runs]
    failed = sum(failed for _, failed in results)
    print(f"{sum(passed for passed, _ in results)} passed, {failed} failed")
    return 1 if failed else 0


def run_one(run, side, tool):
    try:
        run(side, tool)
    except Exception as problem:
        side.problems.append(f"the driver: {problem!r}")
        side.stop()


if __name__ == "__main__":
    sys.exit(main())
