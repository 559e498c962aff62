"""stream-batch's windows of event time beside DuckDB's sums.

Which lines are late is what a model of the watermark says, one that looks at everything again for
each line; which windows a line is in, and what stands in them, is SQL.
"""

import json
import os
import random
import select
import subprocess
import unittest
from collections import OrderedDict
from datetime import datetime

import duckdb

from peers import TOOLS

START = 1_767_607_200_000  # 2026-01-05T10:00:00Z, in milliseconds
PATIENCE = 60  # seconds


class Watermark:
    """Up to when all lines have come, in milliseconds."""

    def __init__(self, late, idle=None, limit=None):
        self.late, self.idle, self.limit = late, idle, limit
        self.time = 0
        self.latest = 0
        self.senders = OrderedDict()  # latest time, pace, when heard; the one heard last at the end
        self.progress = 0

    def hear(self, sender, time):
        self.latest = max(self.latest, time)
        passed = self.latest if self.idle is None else self.passed(sender, time)
        self.time = max(self.time, passed - self.late)

    def passed(self, sender, time):
        known = self.senders.get(sender)
        if known:
            if time > known[0]:
                known[1] += min(time - known[0], self.idle // 2)
                known[0] = time
                self.progress = max(self.progress, known[1])
        else:
            if len(self.senders) == self.limit:
                self.senders.popitem(last=False)
            known = self.senders[sender] = [time, self.progress, 0]
        known[2] = self.progress
        self.senders.move_to_end(sender)
        for other in [key for key, (_, _, heard) in self.senders.items()
                      if self.progress - heard > self.idle]:
            del self.senders[other]
        if self.progress <= self.idle:
            return 0
        return min(latest for latest, _, _ in self.senders.values())


WINDOWS = """
    SELECT l.*, (l.t - $phase) // $step * $step + $phase + $step * (1 + i) AS "end"
    FROM line l, range($length // $step) AS r(i)
"""

SUMS = f"""
    WITH found AS ({WINDOWS}), taken AS (
        SELECT * FROM found f
        WHERE f."end" > f.watermark
        AND NOT EXISTS (SELECT 1 FROM idle i WHERE i."end" = f."end" AND i.id < f.id))
    SELECT k, "end" - $length AS "from", "end", count(*), sum(v)::HUGEINT, min(v), max(v)
    FROM taken GROUP BY k, "end" ORDER BY "end", k
"""

SESSIONS = """
    WITH gaps AS (
        SELECT *, t - lag(t) OVER (PARTITION BY k ORDER BY t) AS gap FROM line),
    numbered AS (
        SELECT *, sum((gap IS NULL OR gap >= $gap)::INT) OVER (PARTITION BY k ORDER BY t) AS n
        FROM gaps)
    SELECT k, min(t), max(t), count(*), sum(v)::HUGEINT, min(v), max(v)
    FROM numbered GROUP BY k, n ORDER BY k, n
"""


def insert(database, table, values):
    """In one statement, which takes a hundredth of the time of one for each row."""
    if values:
        database.execute(f"INSERT INTO {table} VALUES " + ", ".join(map(repr, values)))


def milliseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def rows(output):
    """What aggregates wrote, as SQL has it."""
    found = []
    for line in output.splitlines():
        item = json.loads(line)
        found.append((item["key"], milliseconds(item["from"]), milliseconds(item["to"]),
                      item["count"], item["sum_v"], item["min_v"], item["max_v"]))
    return found


class Stream:
    """A random stream: some hosts whose clocks differ, and some that are silent for a while."""

    def __init__(self, choose):
        self.choose = choose
        self.unit = choose.choice([1, 20, 1000, 60_000])
        self.late = choose.choice([0, 0, 3, 10, 50]) * self.unit
        self.step = choose.choice([1, 5, 10]) * self.unit
        self.length = self.step * choose.choice([1, 1, 2, 4])
        self.offset = choose.choice([0, 0, 3, -4, 17]) * self.unit
        self.sender_idle = choose.choice([None, 4, 20, 100])
        if self.sender_idle:
            self.sender_idle *= self.unit
        self.limit = choose.choice([2, 4, 100])
        hosts = choose.randint(1, 6)
        self.skews = [choose.choice([0, 0, 0, 7, -7, 300]) * self.unit for _ in range(hosts)]

    def options(self):
        options = ["-q", "--stats", "-k", ".k", "--time", ".t", "--time-unit", "ms",
                   "-t", f"{self.length}ms", "--sliding", f"{self.step}ms",
                   f"--offset={self.offset}ms"]
        if self.late:
            options += ["--late", f"{self.late}ms"]
        if self.sender_idle:
            options += ["--watermark-by", ".h", "--watermark-idle", f"{self.sender_idle}ms",
                        "--watermark-keys", str(self.limit)]
        for function in ["count", "sum(.v)", "min(.v)", "max(.v)"]:
            options += ["-a", function]
        return options

    def lines(self, count):
        now = START
        silent = {}
        for _ in range(count):
            now += self.choose.choice([0, 0, 1, 1, 2, 5]) * self.unit
            if self.choose.random() < 0.01:
                silent[self.choose.randrange(len(self.skews))] = now + 60 * self.unit
            host = self.choose.choice([host for host in range(len(self.skews))
                                       if silent.get(host, 0) <= now] or [0])
            time = now + self.skews[host] - self.choose.choice([0, 0, 1, 4, 30]) * self.unit
            yield {"t": time, "k": self.choose.choice("abc"), "h": host,
                   "v": self.choose.randint(-10**15, 10**15)}


class BatchWindows(unittest.TestCase):
    """Windows, watermarks and silence."""

    def repeat(self, count, check):
        """Calls it with random streams; SEED=N in the environment repeats one."""
        given = os.environ.get("SEED")
        for seed in [int(given)] if given else [random.randrange(10**9) for _ in range(count)]:
            with self.subTest(f"SEED={seed}"):
                choose = random.Random(seed)
                check(choose, Stream(choose))

    def database(self, lines, watermarks, idle):
        database = duckdb.connect()
        database.execute("CREATE TABLE line (id INT, t BIGINT, k TEXT, v BIGINT, watermark BIGINT)")
        database.execute('CREATE TABLE idle (id INT, "end" BIGINT)')
        insert(database, "line", [
            (id, line["t"], line["k"], line["v"], watermark)
            for id, (line, watermark) in enumerate(zip(lines, watermarks))])
        insert(database, "idle", idle)
        return database

    def sums(self, stream, lines, watermarks, idle):
        with self.database(lines, watermarks, idle) as database:
            where = {"length": stream.length, "step": stream.step,
                     "phase": stream.offset % stream.step}
            found = database.execute(SUMS, where).fetchall()
            late = database.execute(f"""
                WITH found AS ({WINDOWS})
                SELECT count(*) FROM line WHERE id NOT IN (
                    SELECT id FROM found f WHERE f."end" > f.watermark
                    AND NOT EXISTS (
                        SELECT 1 FROM idle i WHERE i."end" = f."end" AND i.id < f.id))
                """, where).fetchone()[0]
        return found, late

    def watermarks(self, stream, lines):
        watermark = Watermark(stream.late, stream.sender_idle, stream.limit)
        for line in lines:
            watermark.hear(line["h"], line["t"])
            yield watermark.time

    def check(self, found, late, output, errors):
        self.assertEqual(sorted(rows(output)), sorted(found))
        self.assertEqual(json.loads(errors.splitlines()[-1]).get("late", 0), late)

    def test_windows(self):
        def check(_, stream):
            lines = list(stream.lines(400))
            found, late = self.sums(stream, lines, self.watermarks(stream, lines), [])
            text = "".join(json.dumps(line) + "\n" for line in lines)
            run = subprocess.run([f"{TOOLS}/stream-batch", *stream.options()], input=text,
                                 capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(run.returncode, 1 if late else 0, run.stderr)
            self.check(found, late, run.stdout, run.stderr)

        self.repeat(40, check)

    def test_silence(self):
        def check(choose, stream):
            lines = list(stream.lines(100))
            watermarks = list(self.watermarks(stream, lines))
            cuts = sorted(choose.sample(range(1, len(lines)), 4))
            parts = [lines[start:end] for start, end in zip([0, *cuts], [*cuts, len(lines)])]
            run = subprocess.Popen(
                [f"{TOOLS}/stream-batch", *stream.options(), "--idle-close", "10ms"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
            output, idle, written = b"", [], 0
            for part in parts:
                # In one piece, so that there is no silence inside it.
                text = "".join(json.dumps(line) + "\n" for line in part).encode()
                self.assertLessEqual(len(text), select.PIPE_BUF * 8)
                os.write(run.stdin.fileno(), text)
                written += len(part)
                found, _ = self.sums(stream, lines[:written], watermarks, idle)
                output += self.read(run.stdout, len(found) - output.count(b"\n"))
                idle += [(written - 1, row[2]) for row in found
                         if row[2] > watermarks[written - 1]
                         and (written - 1, row[2]) not in idle]
            run.stdin.close()
            output += run.stdout.read()
            errors = run.stderr.read().decode()
            run.stdout.close()
            run.stderr.close()
            run.wait(PATIENCE)
            found, late = self.sums(stream, lines, watermarks, idle)
            self.check(found, late, output.decode(), errors)

        self.repeat(10, check)

    def read(self, stream, count):
        """So many lines, which come by themselves."""
        output = b""
        while output.count(b"\n") < count:
            ready, _, _ = select.select([stream], [], [], PATIENCE)
            chunk = os.read(stream.fileno(), 1 << 16) if ready else b""
            self.assertTrue(chunk, f"{count} windows were to be closed, not {output.decode()}")
            output += chunk
        return output

    def test_sessions(self):
        def check(choose, stream):
            lines = list(stream.lines(300))
            choose.shuffle(lines)
            gap = choose.choice([1, 2, 5, 20]) * stream.unit
            with self.database(lines, [0] * len(lines), []) as database:
                found = database.execute(SESSIONS, {"gap": gap}).fetchall()
            text = "".join(json.dumps(line) + "\n" for line in lines)
            output = subprocess.run(
                [f"{TOOLS}/stream-batch", "-k", ".k", "--time", ".t", "--time-unit", "ms",
                 "-i", f"{gap}ms", "--late", "9999d", "-a", "count", "-a", "sum(.v)",
                 "-a", "min(.v)", "-a", "max(.v)"],
                input=text, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
            self.assertEqual(sorted(rows(output)), sorted(found))

        self.repeat(20, check)
