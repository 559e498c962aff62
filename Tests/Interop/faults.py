"""A ws-cat under test that faults, and what the system knows of it."""

import array
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import termios
import threading
from contextlib import contextmanager
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS, until

# Resident memory that no stream and no stalled peer may exceed.
MEMORY_KIB = 12 << 10


class Cat:
    """One process. `input` is its standard input, `output` its standard output, both unbuffered."""

    def __init__(self, process):
        self.process = process
        self.input, self.output = process.stdin, process.stdout
        self.errors = b""

    def status(self):
        """The exit status; the diagnostics are in `errors` then."""
        try:
            status = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it is still there after {PATIENCE_SECONDS} s") from None
        self.errors = self.process.stderr.read()
        return status

    @property
    def elapsed(self):
        """The seconds it took by its own clock, behind `status`: how late the machine let it begin,
        and us look, is not in it."""
        return self.stats()["elapsed_seconds"]

    def stats(self):
        """The counters of --stats, behind `status`."""
        lines = [line for line in self.errors.split(b"\n") if line.startswith(b"{")]
        return json.loads(lines[-1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)

    def end_input(self):
        self.input.close()

    def rests(self):
        """Waits until it waits: for a peer, for the clock, for whoever reads what it writes."""
        resting(self.process)

    def unread(self):
        """How many bytes of a pipe that is its standard input it has not read."""
        descriptor = os.open(f"/proc/{self.process.pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        try:
            count = array.array("i", [0])
            fcntl.ioctl(descriptor, termios.FIONREAD, count)
            return count[0]
        finally:
            os.close(descriptor)

    def is_blocked(self):
        """Whether the pipe that is its standard output takes no more."""
        descriptor = os.open(f"/proc/{self.process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            return not poll.poll(0)
        finally:
            os.close(descriptor)

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


def resting(*processes, looks=20):
    """Waits until processes sleep, so many times we look in a row: what has to wait for a busy
    machine does not sleep, it is ready."""
    def look(process):
        state = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        # And what it used of the processor, so that nothing slipped in between.
        return state[0], state[11], state[12]

    def sleep():
        seen.append([look(process) for process in processes])
        return len(seen) >= looks and all(each == seen[-1] for each in seen[-looks:]) \
            and all(state in "SZ" for state, _, _ in seen[-1])

    seen = []
    until(sleep)


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
