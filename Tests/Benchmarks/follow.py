"""sse-decode on URLs beside other clients, on a server that is faster than all of them."""

import hashlib
import queue
import statistics
import subprocess
import threading
import time

from measure import Bed, BenchmarkError, Row, note, percentile, ratios
from report import Section, Target, code, median, spread

SIZES = [200, 1000]  # MB
SECONDS = 60
TICKS = 500
INTO = "| cat >/dev/null"
OURS, FILTERED, DATA = "sse-decode -r URL", "curl, sse-decode -r", "sse-decode -d URL"
GO = "Go, a channel of events"
SLOW = [GO, "httpx-sse"]
ROWS = [
    Row(OURS, f"sse-decode -r --reconnect never URL {INTO}"),
    Row(FILTERED, f"curl -sN URL | sse-decode -r {INTO}", peer="curl", beside=OURS),
    Row(DATA, f"sse-decode -d --reconnect never URL {INTO}"),
    Row(GO, f"go_sse URL {INTO}", peer="go_sse", beside=DATA),
    Row("Go, the least", f"go_sse -lean URL {INTO}", peer="go_sse", beside=DATA),
    Row("httpx-sse", f"python py_httpx_sse.py URL {INTO}", peer="httpx-sse", beside=DATA),
]


class Blast:
    """sse_blast, which ends with the block."""

    def __init__(self, bed: Bed):
        self.bed = bed

    def __enter__(self):
        self.process = self.bed.start("sse_blast llm.sse", stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def placed(self, command: str, target: str) -> str:
        return command.replace("URL", f"http://127.0.0.1:{self.port}{target}")

    def digest(self, command: str, size: int) -> str:
        placed = self.placed(command.removesuffix(INTO), f"/stream?bytes={size}")
        process = self.bed.start(placed, stdout=subprocess.PIPE)
        digest = hashlib.sha256()
        while chunk := process.stdout.read(1 << 20):
            digest.update(chunk)
        if process.wait() != 0:
            raise BenchmarkError(f"{placed}: exit status {process.returncode}")
        return digest.hexdigest()


def follow(bed: Bed) -> Section:
    section = Section(
        "Event streams from URLs",
        "The LLM stream of the corpus, as often as it takes, from a server on loopback that sends"
        f" it out of memory (`sse_blast.c`); every command ends in `{INTO}`. GB/s of the stream by"
        " wall time of the whole process, its start in it. The clients in Go are ours, on net/http:"
        " one as command line clients are written, with an event for each block and a channel between"
        " reading and printing, and one that does as little as bufio allows. They and httpx-sse write"
        " the data as it is; `-d` also looks whether it is JSON. Slow ones get a quarter.",
        ["row", "command", "MB", "GB/s", "cpu s", "peak MB", "beside", "ours is × as fast"])
    with Blast(bed) as blast:
        if blast.digest(ROWS[0].command, 10_000_000) != blast.digest(ROWS[1].command, 10_000_000):
            raise BenchmarkError("sse-decode writes something else of a URL than of curl")
        share = min(1, bed.forms["llm.sse"]["bytes"] / 200e6)
        for size in SIZES:
            measure(bed, blast, section, round(size * share))
    return section


def measure(bed: Bed, blast: Blast, section: Section, size: int) -> None:
    def run(row: Row):
        megabytes = size / 4 if row.name in SLOW else size
        command = blast.placed(row.command, f"/stream?bytes={round(megabytes * 1e6)}")
        [done] = bed.run(command, 1, seconds=SECONDS)
        return megabytes / 1e3 / done.wall, done

    measured = bed.rounds_of(ROWS, run)
    rates = {name: [rate for rate, _ in values] for name, values in measured.items()}
    for row in ROWS:
        if row.name not in measured:
            section.rows.append([row.name, code(row.command), str(size),
                                 f"{row.peer} not installed", *[""] * 4])
            continue
        runs = [done for _, done in measured[row.name]]
        ours = rates.get(row.beside)
        section.rows.append([
            row.name, code(row.command.removesuffix(INTO).strip()), str(size),
            spread(rates[row.name]), spread([done.cpu for done in runs]),
            spread([done.peak / 1e6 for done in runs]), row.beside,
            spread(ratios(ours, rates[row.name])) if ours else ""])

    def ratio(ours: str, other: str) -> float | None:
        return median(ratios(rates.get(ours, []), rates.get(other, [])))

    section.targets += [
        Target(f"sse-decode of a URL, {size} MB, × curl and our filter", 0.8,
               ratio(OURS, FILTERED), "×"),
        Target(f"… {size} MB, × a client in Go", 5, ratio(DATA, GO), "×"),
        Target(f"… {size} MB, × httpx-sse", 5, ratio(DATA, "httpx-sse"), "×"),
    ]


def first(bed: Bed) -> Section:
    """From the moment that the server sends an event until its line can be read."""
    section = Section(
        "Events from a URL, one at a time",
        f"{TICKS} events, one each 2 ms: from the clock that the server puts into an event, before it"
        " sends it, to having its line from the tool's pipe. Two wake-ups, and this program's time,"
        " are in it.",
        ["command", "50 % µs", "99 % µs", "most µs"])
    with Blast(bed) as blast:
        for command in ["sse-decode -d --reconnect never URL", "curl -sN URL"]:
            if command.startswith("curl") and bed.versions["curl"] is None:
                continue
            note(f"ticking into {command}")
            late = latencies(bed, blast.placed(command, f"/tick?count={TICKS}"))
            section.rows.append([code(command), *(f"{value * 1e6:.0f}" for value in [
                statistics.median(late), percentile(late, 99), max(late)])])
            if command.startswith("sse"):
                section.targets.append(Target("event of a URL to its line, 99 %", 2,
                                              percentile(late, 99) * 1000, "ms", at_least=False))
    return section


def latencies(bed: Bed, command: str) -> list[float]:
    process = bed.start(command, stdout=subprocess.PIPE)
    found: queue.SimpleQueue[float] = queue.SimpleQueue()

    def read() -> None:
        rest = b""
        while chunk := process.stdout.read(1 << 16):
            now = time.monotonic_ns()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if digits := line.removeprefix(b"data: "):
                    found.put((now - int(digits)) / 1e9)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(SECONDS)
    process.kill()
    process.wait()
    late = [found.get() for _ in range(found.qsize())]
    if len(late) != TICKS:
        raise BenchmarkError(f"{command}: {len(late)} of {TICKS} events came")
    return late
