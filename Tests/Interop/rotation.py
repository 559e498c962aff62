"""Logs that are written and rotated in every way, and stream-batch --resume that ships them."""

import gzip
import json
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS

# More than the tests write between two whole runs is not kept by any rotation.
KEPT = 3


class Log:
    """A log in a folder. Each line of it is a JSON object; `written` counts them."""

    def __init__(self, folder, name, seed, kind, constant):
        self.folder, self.name = Path(folder), name
        self.random = random.Random(seed)
        self.kind, self.constant = kind, constant
        self.written = Counter()
        self.number = self.generation = 0
        # Rotations since all was read for the last time.
        self.rotations = 0
        # The first lines of each file: a copy of less than 1 KiB may be read twice.
        self.early = set()
        self.size = 0
        self.file = None
        self.rest = b""
        self.steps = []
        self.create()

    @property
    def operands(self):
        """The files of the log, the oldest first."""
        names = [f"{self.name}.{number}" for number in range(KEPT, 0, -1)]
        if self.kind == "delaycompress":
            names = [f"{name}.gz" if number > 0 else name
                     for number, name in zip(range(KEPT - 1, -1, -1), names)]
        if self.kind == "compress":
            names = [f"{name}.gz" for name in names]
        return names + [self.name]

    def path(self, suffix=""):
        return self.folder / (self.name + suffix)

    def create(self):
        """A new file that begins with a line like that of all others, or with one of its own."""
        self.generation += 1
        self.size = 0
        self.file = open(self.path(), "ab", buffering=0)
        banner = {"log": self.name, "banner": 0 if self.constant else self.generation}
        self.put(json.dumps(banner).encode() + b"\n")

    def put(self, line):
        if self.size < 1024:
            self.early.add(line[:-1])
        self.size += len(line)
        self.written[line[:-1]] += 1
        self.file.write(line)

    def write(self):
        """Some lines, and now and then the beginning of one, whose rest comes with the next."""
        for _ in range(self.random.randrange(1, 30)):
            self.number += 1
            text = "x" * self.random.choice([0, 3, 50, 200, 2000])
            line = json.dumps({"log": self.name, "id": self.number, "text": text}).encode() + b"\n"
            if self.random.randrange(8):
                self.put(line)
                continue
            cut = self.random.randrange(len(line))
            self.file.write(line[:cut])
            self.steps.append(lambda: self.finish(line, cut))
            return

    def finish(self, line, cut):
        if self.size < 1024:
            self.early.add(line[:-1])
        self.size += len(line)
        self.written[line[:-1]] += 1
        self.file.write(line[cut:])

    def step(self):
        """The next thing that happens to the log. False when it must be read first."""
        if self.steps:
            self.steps.pop(0)()
            return True
        if self.random.randrange(6):
            self.write()
            return True
        if self.rotations + 1 >= KEPT:
            return False
        self.rotations += 1
        self.rotate()
        return True

    def settle(self):
        """All that has begun comes to its end."""
        while self.steps:
            self.steps.pop(0)()

    # Rotation, each part of it a step, between which runs come.

    def rotate(self):
        compressed = self.kind in ["delaycompress", "compress"]
        for number in range(KEPT - 1, 1 if compressed else 0, -1):
            ending = ".gz" if compressed else ""
            old, new = self.path(f".{number}{ending}"), self.path(f".{number + 1}{ending}")
            self.steps.append(lambda old=old, new=new: old.exists() and old.rename(new))
        if self.kind == "copytruncate":
            self.copy()
            return
        if self.kind == "delaycompress":
            self.compress(self.path(".1"), self.path(".2.gz"))
        elif self.kind == "compress":
            first, second = self.path(".1.gz"), self.path(".2.gz")
            self.steps.append(lambda: first.exists() and first.rename(second))
        self.steps.append(lambda: self.path().rename(self.path(".1")))
        # Many programs write on in the old file until they are told to open a new one.
        if self.random.randrange(2):
            self.steps.append(self.late)
        self.steps.append(self.reopen)
        if self.kind == "compress":
            self.compress(self.path(".1"), self.path(".1.gz"))

    def late(self):
        self.number += 1
        self.put(json.dumps({"log": self.name, "id": self.number}).encode() + b"\n")

    def reopen(self):
        self.file.close()
        self.create()

    def compress(self, source, target):
        """Like gzip(1), by and by: both are there meanwhile."""
        def begin():
            if source.exists():
                self.packed = gzip.compress(source.read_bytes())
                target.write_bytes(self.packed[:len(self.packed) // 2])

        def end():
            if source.exists():
                target.write_bytes(self.packed)

        def remove():
            if source.exists():
                source.unlink()
        self.steps += [begin, end, remove]

    def copy(self):
        """copytruncate: nothing is written between the copy and the truncation, or it were lost."""
        def begin():
            text = self.path().read_bytes()
            self.path(".1").unlink(missing_ok=True)
            self.path(".1").write_bytes(text[:len(text) // 2])

        def end():
            self.path(".1").write_bytes(self.path().read_bytes())
        self.steps += [begin, end, self.truncate]

    def truncate(self):
        os.truncate(self.path(), 0)
        self.file.close()
        self.create()


class Shipper:
    """Runs of stream-batch --resume over logs, which may be killed. Its command sometimes fails."""

    # Each batch is a file of its own, which is there as a whole or not at all.
    COMMAND = """
        [ $(( (BATCH_SEQ * 7919 + $$) % 10 )) = 0 ] && exit 3
        cat > taken/.$$ && mv taken/.$$ taken/$BATCH_SEQ.$BATCH_PART.$$
    """

    def __init__(self, folder, logs, options):
        self.folder, self.logs, self.options = Path(folder), logs, options
        self.kills = 0
        (self.folder / "taken").mkdir()

    def start(self):
        operands = [name for log in self.logs for name in log.operands]
        return subprocess.Popen(
            ["stream-batch", "-f", "lines", "--journal", "j", "--resume", *self.options,
             "-x", self.COMMAND, *operands],
            cwd=self.folder, env=ENVIRONMENT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def end(self, process, statuses):
        """Waits for the end of a run."""
        _, errors = process.communicate(timeout=PATIENCE_SECONDS * 3)
        if process.returncode not in statuses:
            raise AssertionError(f"exit status {process.returncode}: {errors.decode()}")
        return process.returncode

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        if self.end(process, [0, 65, 69, -signal.SIGKILL]) < 0:
            self.kills += 1

    def run(self):
        """Until one run has read all there is and delivered it."""
        while self.end(self.start(), [0, 69]) != 0:
            pass

    def taken(self):
        """How often each line was taken by a receiver that knows a batch again by its number."""
        batches = {}
        again = 0
        for path in (self.folder / "taken").iterdir():
            # Of a command that was killed, none: it goes on when the run is.
            name, text = path.name.rsplit(".", 1)[0], path.read_bytes()
            if name in batches:
                again += 1
                if batches[name] != text:
                    raise AssertionError(f"batch {name} is another one the second time")
            batches[name] = text
        lines = Counter(line for text in batches.values() for line in text.split(b"\n") if line)
        return lines, again
