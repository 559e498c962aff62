"""Runs commands where the corpora lie, and times them from outside."""

import hashlib
import json
import math
import os
import select
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent

SPAWN = ["gcc", "-O2", "-o", "spawn", "spawn.c"]
SIMDJSON = ["g++", "-std=c++17", "-O3", "-march=native", "-pthread",
            "-o", "simdjson_peer", "simdjson_peer.cpp", "-lsimdjson"]
SERVERS = [["gcc", "-O2", "-o", name, f"{name}.c"] for name in ["ws_blast", "ws_floor", "sse_blast"]]
GO = ["go", "build", "-o", "go_sse", "peers/go_sse.go"]

# The first line of what each prints names the version; one that cannot be run is not installed.
VERSIONS = {
    "sse-encode": "sse-encode --version",
    "sse-decode": "sse-decode --version",
    "stream-sample": "stream-sample --version",
    "stream-batch": "stream-batch --version",
    "ws-cat": "ws-cat --version",
    "sed": "sed --version",
    "mawk": "mawk -W version",
    "jq": "jq --version",
    "mlr": "mlr --version",
    # That of moreutils has no version to print.
    "parallel": "parallel --version",
    "shuf": "shuf --version",
    "wc": "wc --version",
    "cat": "cat --version",
    "node": "node --version",
    "node-eventsource": """node -p "require('eventsource/package.json').version" """,
    "simdjson": "simdjson_peer --version",
    "g++": "g++ --version",
    "gcc": "gcc --version",
    "websocat": "websocat --version",
    "node-ws": """node -p "require('ws/package.json').version" """,
    "websockets": "python -c 'import websockets.version as it; print(it.version)'",
    "websocket-client": "python -c 'import websocket; print(websocket.__version__)'",
    "openssl": "openssl version",
    "curl": "curl --version",
    "go": "go version",
    "go_sse": "go_sse --version",
    "httpx-sse": "python -c 'import httpx, importlib.metadata as it;"
                 " print(it.version(\"httpx-sse\"), httpx.__version__)'",
}

# A right sampler fails by chance in one run of two million.
DEVIATIONS = 5
# Longer than any pause of the machine: a peer that is silent for so long keeps its output back.
PATIENCE_SECONDS = 5
# Long enough for the command to go to sleep in read, which is where a trickle finds it.
PAUSE_SECONDS = 0.001


class BenchmarkError(Exception):
    """One of our tools failed or wrote something wrong, so there is nothing to measure."""


@dataclass(frozen=True)
class Row:
    """A command, the file it reads and, where the corpus knows it, what it must write."""
    name: str
    command: str
    input: str = ""
    peer: str = ""    # the program that has to be installed; empty for our own tools
    beside: str = ""  # our row that a peer is compared with
    writes: str = ""  # the form
    # How many lines of the input, where they are not known: a number or, below 1, the share that
    # each has a chance to be in.
    samples: float = 0


@dataclass(frozen=True)
class Run:
    wall: float
    cpu: float
    peak: int  # bytes; in a pipeline, of its largest process


class Bed:
    """The place where everything runs: the corpora, the tools, the peers, the environment."""

    def __init__(self, directory: Path, tools: Path, forms: dict[str, dict], rounds: int):
        self.directory = directory
        self.forms = forms
        self.rounds = rounds
        # The Makefile installs what is on PyPI in venv.
        places = [str(tools.resolve()), str(directory), str(directory / "venv" / "bin"),
                  os.environ["PATH"]]
        # Debian keeps its Node packages where only Debian's own build of Node looks.
        self.environment = os.environ | {
            "PATH": ":".join(places), "NODE_PATH": "/usr/share/nodejs",
        }
        self.compile(SPAWN, needed=True)
        for program in SERVERS:
            self.compile(program, needed=True)
        self.compile(SIMDJSON, needed=False)
        self.compile(GO, needed=False)
        for script in [*HERE.glob("*.js"), *HERE.glob("peers/*")]:
            shutil.copy(script, directory)
        self.versions = {name: self.first_line(command) for name, command in VERSIONS.items()}
        # Files just written are still on their way to the disk and would compete with the runs.
        os.sync()

    def compile(self, command: list[str], needed: bool) -> None:
        binary = self.directory / command[command.index("-o") + 1]
        source = next(HERE / part for part in command if part.endswith((".c", ".cpp", ".go")))
        newest = max(file.stat().st_mtime for file in [source, *HERE.glob("*.h")])
        if binary.exists() and binary.stat().st_mtime > newest:
            return
        placed = [str(binary if part == binary.name
                      else source if part.endswith(source.name) else part) for part in command]
        try:
            subprocess.run(placed, check=needed, capture_output=not needed)
        except (OSError, subprocess.CalledProcessError) as error:
            if needed:
                raise BenchmarkError(f"cannot compile {source.name}: {error}") from None

    def first_line(self, command: str) -> str | None:
        try:
            shown = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError:
            return None
        output = shown.communicate()[0].decode(errors="replace")
        return output.splitlines()[0] if shown.returncode == 0 and output else None

    def is_missing(self, row: Row) -> bool:
        return row.peer != "" and self.versions[row.peer] is None

    def size(self, row: Row) -> int:
        return self.forms[row.input]["bytes"]

    def start(self, command: str, **streams) -> subprocess.Popen:
        return subprocess.Popen(arguments(command), cwd=self.directory, env=self.environment,
                                stdin=streams.pop("stdin", subprocess.DEVNULL), bufsize=0,
                                **streams)

    def output(self, command: str, seconds: float | None = None) -> bytes:
        # With a limit it is a peer that may do anything, and say so.
        process = self.start(command, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE if seconds else None,
                             start_new_session=seconds is not None)
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise BenchmarkError(f"{command}: not done after {seconds} s") from None
        if process.returncode != 0:
            said = (errors or b"").decode(errors="replace").strip()
            raise BenchmarkError(f"{command}: exit status {process.returncode}"
                                 + (f", {said[-200:]}" if said else ""))
        return output

    def run(self, command: str, times: int = 1, input: str = "/dev/null",
            seconds: float | None = None) -> list[Run]:
        """One Run for each time; everything is discarded on /dev/null.

        Throws when they are not done after so many seconds.
        """
        lines = self.output(
            shlex.join(["spawn", "-i", input, str(times), *arguments(command)]), seconds)
        runs = []
        for line in lines.decode().splitlines():
            wall, user, system, peak = map(int, line.split())
            runs.append(Run(wall / 1e9, (user + system) / 1e6, peak * 1024))
        return runs

    def check(self, row: Row) -> None:
        """Throws unless the command writes what the generator expects."""
        if self.is_missing(row) or not (row.writes or row.samples):
            return
        note(f"checking {row.command}")
        if row.samples:
            self.check_sample(row)
        else:
            self.check_form(row)

    def check_form(self, row: Row) -> None:
        process = self.start(row.command, stdout=subprocess.PIPE)
        digest, size = hashlib.sha256(), 0
        while chunk := process.stdout.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        status = process.wait()
        expected = self.forms[row.writes]
        if status != 0:
            raise BenchmarkError(f"{row.command}: exit status {status}")
        if (size, digest.hexdigest()) != (expected["bytes"], expected["sha256"]):
            raise BenchmarkError(f"{row.command}: wrote {size} bytes that differ from the "
                                 f"{expected['bytes']} expected ({row.writes})")

    def check_sample(self, row: Row) -> None:
        lines = self.output(row.command).splitlines(keepends=True)
        total = self.forms[row.input]["lines"]
        share = row.samples < 1
        expected = total * row.samples if share else row.samples
        deviation = math.sqrt(expected * (1 - row.samples)) if share else 0
        if abs(len(lines) - expected) > DEVIATIONS * deviation:
            raise BenchmarkError(f"{row.command}: wrote {len(lines)} lines of {total},"
                                 f" not {expected:.0f} ± {DEVIATIONS * deviation:.0f}")
        with open(self.directory / row.input, "rb") as file:
            # Ours come in the order of the input, so each is searched for behind the one before.
            known = (all(line in file for line in lines) if not row.peer
                     else not set(lines).difference(file))
        if not known:
            raise BenchmarkError(f"{row.command}: wrote lines that are not in {row.input}, or not"
                                 " in this order")

    def rounds_of(self, rows: list[Row], measure: Callable[[Row], object]) -> dict[str, list]:
        """What `measure` gave for each row by name, one value a round.

        The rows take turns, so that a slow minute of the machine falls on all of them; the first
        round only fills the page cache and does not count.
        """
        present = [row for row in rows if not self.is_missing(row)]
        values: dict[str, list] = {row.name: [] for row in present}
        for turn in range(self.rounds + 1):
            note(f"round {turn} of {self.rounds}" if turn else "warming up")
            for row in present:
                value = measure(row)
                if turn:
                    values[row.name].append(value)
        return values

    def json_from(self, command: str) -> dict:
        return json.loads(self.output(command))

    def latencies(self, command: str, message: bytes, end: bytes, count: int) -> list[float] | None:
        """Seconds from writing a message to having its output; None when nothing comes."""
        process = self.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        seconds = []
        # The first messages find cold pages and do not count.
        for turn in range(count + count // 10):
            time.sleep(PAUSE_SECONDS)
            start = time.perf_counter()
            if not answers(process, message, end):
                process.kill()
                process.wait()
                return None
            if turn >= count // 10:
                seconds.append(time.perf_counter() - start)
        process.stdin.close()
        if process.wait() != 0:
            raise BenchmarkError(f"{command}: exit status {process.returncode}")
        return seconds


def answers(process: subprocess.Popen, message: bytes, end: bytes) -> bool:
    """Whether the output for a message comes while the input stays open."""
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    try:
        process.stdin.write(message)
    except BrokenPipeError:
        return False
    received = b""
    while not received.endswith(end):
        chunk = process.stdout.read(1 << 16) if poll.poll(PATIENCE_SECONDS * 1000) else b""
        if not chunk:
            return False
        received += chunk
    return True


def arguments(command: str) -> list[str]:
    # Only a pipeline gets a shell: elsewhere its memory would count as the command's.
    if "|" in command:
        return ["bash", "-o", "pipefail", "-c", command]
    return shlex.split(command)


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Round by round: a ratio of medians would mix rounds that the machine treated differently."""
    return [mine / other for mine, other in zip(ours, theirs)]


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def note(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
