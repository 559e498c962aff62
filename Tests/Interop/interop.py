#!/usr/bin/env python3
"""Runs the tools with peers over real sockets: interop.py DIRECTORY-OF-THE-TOOLS"""

import sys
import unittest
from pathlib import Path


class Result(unittest.TestResult):
    """Names what failed; the closing line says the rest."""

    def addFailure(self, test, problem):
        super().addFailure(test, problem)
        print(f"FAILED {test}\n{self.failures[-1][1]}")

    def addError(self, test, problem):
        super().addError(test, problem)
        print(f"FAILED {test}\n{self.errors[-1][1]}")

    def addSubTest(self, test, subtest, problem):
        super().addSubTest(test, subtest, problem)
        if problem:
            print(f"FAILED {subtest}\n{self._exc_info_to_string(problem, test)}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped {test}: {reason}")


def main():
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    result = Result()
    suite.run(result)
    failed = len({str(getattr(test, "test_case", test)) for test, _ in
                  result.failures + result.errors})
    passed = result.testsRun - failed - len(result.skipped)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
