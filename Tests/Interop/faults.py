"""A ws-cat under test that faults, and what the system knows of it."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS

# Resident memory that no stream and no stalled peer may exceed.
MEMORY_KIB = 12 << 10


class Cat:
    """One process. `input` is its standard input, `output` its standard output, both unbuffered."""

    def __init__(self, process):
        self.process = process
        self.input, self.output = process.stdin, process.stdout
        self.started = time.monotonic()
        self.errors = b""

    def status(self, within=PATIENCE_SECONDS):
        """The exit status; the diagnostics are in `errors` then."""
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"ws-cat is still there after {within} s") from None
        self.errors = self.process.stderr.read()
        return status

    @property
    def elapsed(self):
        return time.monotonic() - self.started

    def stats(self):
        """The counters of --stats, behind `status`."""
        lines = [line for line in self.errors.split(b"\n") if line.startswith(b"{")]
        return json.loads(lines[-1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.started = time.monotonic()

    def end_input(self):
        self.input.close()

    def peak_kib(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def cat(options, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE, before=()):
    """A ws-cat that runs while the test does, with its counters at the end of its diagnostics."""
    process = subprocess.Popen([*before, "ws-cat", "--stats", *options.split(), url], stdin=stdin,
                               stdout=stdout, stderr=subprocess.PIPE, env=ENVIRONMENT, bufsize=0)
    clock = threading.Timer(PATIENCE_SECONDS, process.kill)
    clock.start()
    try:
        yield Cat(process)
    finally:
        clock.cancel()
        process.kill()
        process.wait()
        for stream in [process.stdin, process.stdout, process.stderr]:
            if stream and not stream.closed:
                stream.close()


def until(condition, within=PATIENCE_SECONDS):
    """Waits for what a peer's thread will see."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come to this in time")
        time.sleep(0.005)


def fed(cat, lines):
    """Writes all of the lines in a thread, as far as they are taken; then ends the input."""
    def write():
        try:
            for line in lines:
                cat.input.write(line)
            cat.input.close()
        except (OSError, ValueError):
            pass  # The tool ended first, or the test did.

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def drained(cat):
    """Reads standard output in a thread, and forgets it."""
    def read():
        try:
            cat.output.read()
        except (OSError, ValueError):
            pass  # The test ended first.

    threading.Thread(target=read, daemon=True).start()


def silent(raw):
    """An answer: neither says nor reads anything, until the client hangs up."""
    until(lambda: not is_connected(raw.socket))


def is_connected(connection):
    if connection.fileno() < 0:
        return False
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == 1  # TCP_ESTABLISHED
