"""stream-batch --journal --resume: logs that are rotated, runs that are killed."""

import os
import random
import tempfile
import time
import unittest
from collections import Counter

from rotation import Log, Shipper

KINDS = ["rename", "copytruncate", "delaycompress", "compress"]


def seed(what):
    value = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"{what}: SEED={value}")
    return value


def names(lines):
    """The first of the lines, shortened."""
    return [(line[:60], count) for line, count in sorted(lines.items())[:5]]


class Rotation(unittest.TestCase):
    """Of every line it is known that it was taken, and how often."""

    def drive(self, seed, kinds, jobs):
        chance = random.Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            logs = [Log(folder, f"log{number}", chance.random(), kind, chance.randrange(2) == 0)
                    for number, kind in enumerate(kinds)]
            options = ["-n", str(chance.randrange(1, 40)), "-q"]
            if jobs > 1:
                options += ["-j", str(jobs)]
            if chance.randrange(2):
                options += ["--retries", "2", "--backoff", "1ms..2ms"]
            shipper = Shipper(folder, logs, options)
            for _ in range(chance.randrange(15, 40)):
                process = shipper.start()
                end = time.monotonic() + chance.choice([0, 0.005, 0.02, 0.05, 0.2])
                while time.monotonic() < end or chance.randrange(3):
                    log = chance.choice(logs)
                    if not log.step():
                        shipper.end(process, [0, 65, 69])
                        # A file that is half compressed ends a run that has not read it yet.
                        for other in logs:
                            other.settle()
                            other.rotations = 0
                        shipper.run()
                        process = shipper.start()
                if chance.randrange(4):
                    shipper.kill(process)
                else:
                    shipper.end(process, [0, 65, 69])
            for log in logs:
                log.settle()
            shipper.run()
            self.check(shipper, logs, jobs)
            return shipper

    def check(self, shipper, logs, jobs):
        taken, again = shipper.taken()
        for log in logs:
            what = f"{log.kind} {log.name}, constant: {log.constant}"
            self.assertEqual(names(log.written - taken), [], f"{what}: lost")
            doubled = Counter({line: count for line, count in (taken - log.written).items()
                               if line in log.written})
            if log.kind != "rename":
                # What the manual says of files of less than 1 KiB that are copied or compressed.
                doubled = Counter({line: count for line, count in doubled.items()
                                   if line not in log.early})
            self.assertEqual(names(doubled), [], f"{what}: twice")
        self.assertFalse(taken.keys() - set().union(*[log.written for log in logs]))
        # What was taken again was under way when a run was killed.
        self.assertLessEqual(again, shipper.kills * jobs)

    def test_killed_and_rotated_at_random(self):
        value = seed("killed and rotated")
        kills = 0
        for number, kind in enumerate(KINDS * 2):
            with self.subTest(kind=kind, seed=value, number=number):
                kills += self.drive(f"{value} {number}", [kind], jobs=1).kills
        self.assertGreater(kills, 20)

    def test_several_logs_and_jobs(self):
        value = seed("several logs")
        for number in range(3):
            chance = random.Random(f"{value} {number}")
            kinds = [chance.choice(KINDS) for _ in range(3)]
            with self.subTest(kinds=kinds, seed=value, number=number):
                self.drive(f"{value} {number}", kinds, jobs=4)


if __name__ == "__main__":
    unittest.main()
