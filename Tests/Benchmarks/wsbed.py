"""WebSocket servers for the benchmark, and what clients did with them."""

import hashlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import corpus
from measure import Bed, BenchmarkError, Row, Run

# Longer than any command takes, so that one that hangs is only skipped.
SECONDS = 40
REPORT_SECONDS = 5
POLL_SECONDS = 0.001
REQUEST_LINE = b'{"method":"ping","id":1}\n'


@dataclass(frozen=True)
class Client(Row):
    """A command with URL (or AUTHORITY) for the server, and the file that it sends."""
    share: float = 1           # of the messages
    are_records: bool = False  # {"type":"text","data":"…"}
    is_raw: bool = False       # no newlines

    @property
    def is_ours(self) -> bool:
        return self.peer == "ws-cat"


class Server:
    """A program that prints its port first; ends with the block."""

    def __init__(self, bed: Bed, command: str, scheme: str):
        self.bed, self.command, self.scheme = bed, command, scheme
        # No more for a small corpus than for a full one.
        self.share = min(1, bed.forms["llm.sse"]["bytes"] / corpus.DEFAULT_SIZE)
        self.turn = 0
        self.seen: dict[str, str] = {}  # what was wrong in a run, by row
        self.failed: set[str] = set()   # peers that are not run again

    def __enter__(self):
        (self.bed.directory / "request.json").write_bytes(REQUEST_LINE)
        self.process = self.bed.start(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self.read, daemon=True).start()
        try:
            self.port = int(self.lines.get(timeout=SECONDS))
        except (queue.Empty, ValueError):
            raise BenchmarkError(f"{self.command}: no port") from None
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()

    def read(self) -> None:
        with self.process.stdout as stream:
            unfinished = b""
            while chunk := stream.read(1 << 16):
                *whole, unfinished = (unfinished + chunk).split(b"\n")
                for line in whole:
                    self.lines.put(line)

    def scaled(self, messages: int) -> int:
        return max(1000, round(messages * self.share))

    def placed(self, row: Client, target: str) -> str:
        authority = f"127.0.0.1:{self.port}"
        # Quoted, because & is in it.
        return (row.command.replace("URL", f"'{self.scheme}://{authority}{target}'")
                .replace("AUTHORITY", authority))

    def target(self, path: str) -> str:
        """One of its own for each run, by which its report is known."""
        self.turn += 1
        return f"{path}{'&' if '?' in path else '?'}run={self.turn}"

    def requests(self, row: Client, times: int) -> list[Run] | None:
        return self.attempt(row, self.placed(row, "/echo"), times, row.input)

    def attempt(self, row: Client, command: str, times: int, input: str) -> list[Run] | None:
        """None when a peer fails, which is then not tried again."""
        if row.name in self.failed:
            return None
        try:
            return self.bed.run(command, times, input, SECONDS)
        except BenchmarkError as error:
            if row.is_ours or not row.peer:
                raise
            self.failed.add(row.name)
            # Without the command, which is in the row.
            self.seen[row.name] = f"fails: {str(error).split(': ')[-1]}"
            return None

    def reply_fault(self, row: Client) -> str:
        """What is wrong with the reply that a client prints, empty when nothing is."""
        if row.input == "/dev/null":
            return ""
        with open(self.bed.directory / row.input, "rb") as file:
            process = self.bed.start(self.placed(row, "/echo"), stdin=file,
                                     stdout=subprocess.PIPE, start_new_session=True)
        try:
            output = process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            end(process)
            process.communicate()
            self.failed.add(row.name)
            return self.found(row, "does not end")
        if process.returncode != 0:
            return self.found(row, f"exit status {process.returncode}")
        return "" if output == REQUEST_LINE else self.found(row, "prints another reply")

    def found(self, row: Client, fault: str) -> str:
        """The fault of a peer; one of ours ends the run."""
        if row.is_ours or not row.peer:
            raise BenchmarkError(f"{row.command}: {fault}")
        return fault


class TLSEcho(Server):
    def __init__(self, bed: Bed):
        make_certificates(bed)
        super().__init__(bed, "python3 tls_echo.py tls/cert.pem tls/key.pem", "wss")
        # The only way for websocat to know the CA.
        bed.environment["SSL_CERT_FILE"] = str(bed.directory / "tls" / "ca.pem")

    def __exit__(self, *arguments) -> None:
        del self.bed.environment["SSL_CERT_FILE"]
        super().__exit__(*arguments)


class Blast(Server):
    def __init__(self, bed: Bed):
        super().__init__(bed, "ws_blast", "ws")
        self.expected: dict[tuple, tuple[int, str]] = {}

    def path(self, row: Client, size: int, count: int) -> str:
        if row.input:
            return self.target("/sink")
        return self.target(f"/recv?size={size}&count={count}{'&binary' if row.is_raw else ''}")

    def report(self, target: str) -> tuple[int, int, bool] | None:
        """Messages, bytes and whether the client closed, or None when the server cannot tell."""
        try:
            while True:
                path, messages, size, is_closed = self.lines.get(timeout=REPORT_SECONDS).split()
                if path.decode() == target:
                    return int(messages), int(size), is_closed == b"1"
        except queue.Empty:
            return None

    def lines_file(self, size: int, count: int) -> str:
        """The name of a file with so many lines, which are those that /recv sends."""
        name = f"messages-{count}.jsonl"
        path = self.bed.directory / name
        if not path.exists() or path.stat().st_size != (size + 1) * count:
            target = self.target(f"/recv?size={size}&count={count}")
            floor = self.placed(Client("", "ws_floor recv URL"), target)
            with open(path, "wb") as file:
                if self.bed.start(floor, stdout=file).wait() != 0:
                    raise BenchmarkError(f"{floor}: cannot write {name}")
            self.report(target)
            # It would still be on its way to the disk and compete with the runs.
            os.sync()
        return name

    def input(self, row: Client, size: int, count: int) -> str:
        return self.lines_file(size, count) if row.input else "/dev/null"

    def run(self, row: Client, size: int, count: int) -> Run | None:
        """None when a peer fails."""
        input = self.input(row, size, count)
        target = self.path(row, size, count)
        runs = self.attempt(row, self.placed(row, target), 1, input)
        if runs is None:
            return None
        report = self.report(target)
        fault = self.sending_fault(report, size, count) if row.input else ""
        if fault:
            self.seen[row.name] = self.found(row, fault)
        return runs[0]

    def sending_fault(self, report: tuple | None, size: int, count: int) -> str:
        if report is None:
            return "connection not ended"
        messages, total, is_closed = report
        faults = []
        if messages < count:
            faults.append(f"{1 - messages / count:.2%} of the messages lost")
        elif messages > count:
            faults.append(f"{messages} messages for {count} lines")
        elif total == count * (size + 1):
            faults.append("the newline is in the message")
        elif total != count * size:
            faults.append(f"{total} bytes for {count * size}")
        if not is_closed:
            faults.append("no Close")
        return ", ".join(faults)

    def fault(self, row: Client, size: int, count: int) -> str:
        """What is wrong with what a client writes, empty when nothing is; sending is seen in
        every run."""
        if row.input:
            return ""
        floor = Client("", f"ws_floor {'raw' if row.is_raw else 'recv'} URL", is_raw=row.is_raw)
        key = size, count, row.is_raw
        if key not in self.expected:
            self.expected[key] = self.digest(floor, size, count)[1:]
        status, total, digest = self.digest(row, size, count)
        expected_total, expected_digest = self.expected[key]
        if status is None:
            self.failed.add(row.name)
            return self.found(row, "does not end")
        if status != 0:
            return self.found(row, f"exit status {status}")
        if total < expected_total:
            return self.found(row, f"{1 - total / expected_total:.2%} of the output lost")
        if digest != expected_digest:
            return self.found(row, "output differs from what was sent")
        return ""

    def digest(self, row: Client, size: int, count: int) -> tuple[int | None, int, str]:
        """The exit status, None when it did not end, and size and digest of the output."""
        target = self.path(row, size, count)
        command = self.placed(row, target).split("|")[0]
        process = self.bed.start(command, stdout=subprocess.PIPE, start_new_session=True)
        timer = threading.Timer(SECONDS, end, [process])
        timer.start()
        digest, total, rest = hashlib.sha256(), 0, b""
        while chunk := process.stdout.read(1 << 18):
            if row.are_records:
                *lines, rest = (rest + chunk).split(b"\n")
                chunk = b"".join(json.loads(line)["data"].encode() + b"\n" for line in lines)
            digest.update(chunk)
            total += len(chunk)
        status = process.wait()
        is_late = not timer.is_alive()
        timer.cancel()
        self.report(target)
        return None if is_late else status, total, digest.hexdigest()


def end(process: subprocess.Popen) -> None:
    """Ends a leader of a session with all that it started and may hold its output open."""
    os.killpg(process.pid, signal.SIGKILL)


def peak_memory(blast: Blast, row: Client, size: int, count: int) -> int:
    """VmHWM in bytes of a command that receives into a pipe."""
    target = blast.path(row, size, count)
    reader = blast.bed.start("cat", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process = blast.bed.start(blast.placed(row, target), stdout=reader.stdin)
    reader.stdin.close()
    peak, end = 0, time.monotonic() + SECONDS
    while process.poll() is None:
        peak = max(peak, resident_peak(process.pid))
        if time.monotonic() > end:
            process.kill()
        time.sleep(POLL_SECONDS)
    reader.wait()
    blast.report(target)
    if process.returncode != 0 and row.is_ours:
        raise BenchmarkError(f"{row.command}: exit status {process.returncode}")
    return peak


def peak_of_stalled(blast: Blast, pairs: list[tuple[Client, Client]], size: int, count: int,
                    seconds: float) -> dict[str, list[int]]:
    """VmHWM in bytes by name, with a server that does not read and with output not read."""
    name = blast.lines_file(size, count)
    started = []
    for receiving, sending in pairs:
        with open(blast.bed.directory / name, "rb") as file:
            started.append((sending, blast.bed.start(
                blast.placed(sending, "/stall"), stdin=file, stdout=subprocess.DEVNULL)))
        started.append((receiving, blast.bed.start(
            blast.placed(receiving, blast.path(receiving, size, count)),
            stdout=subprocess.PIPE)))
    time.sleep(seconds)
    peaks: dict[str, list[int]] = {}
    for row, process in started:
        if process.poll() is not None and row.is_ours:
            raise BenchmarkError(f"{row.command}: ended with {process.returncode} on a stalled"
                                 " peer")
        peaks.setdefault(row.name, []).append(resident_peak(process.pid))
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    return peaks


def resident_peak(pid: int) -> int:
    """VmHWM in bytes, 0 when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def make_certificates(bed: Bed) -> None:
    """A CA and a certificate for 127.0.0.1, in tls."""
    directory = bed.directory / "tls"
    directory.mkdir(exist_ok=True)
    (directory / "leaf.ext").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in [
        f"openssl req -x509 {key} -days 2 -subj /CN=benchmark -keyout tls/ca.key -out tls/ca.pem",
        f"openssl req -new {key} -subj /CN=localhost -keyout tls/key.pem -out tls/leaf.csr",
        "openssl x509 -req -in tls/leaf.csr -CA tls/ca.pem -CAkey tls/ca.key -CAcreateserial"
        " -days 2 -extfile tls/leaf.ext -out tls/cert.pem",
    ]:
        process = bed.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.communicate()[1]
        if process.returncode != 0:
            raise BenchmarkError(f"{command}: {errors.decode(errors='replace')}")
