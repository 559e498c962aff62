"""Servers of event streams for the benchmark, and what serve_load saw of them."""

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from measure import Bed, BenchmarkError, Row

PROGRAMS = [["gcc", "-O2", "-o", "serve_load", "serve_load.c", "-lz", "-lpthread"],
            ["gcc", "-O2", "-o", "serve_bare", "serve_bare.c"]]
GO = ["go", "build", "-o", "serve_go", "peers/serve_go.go"]
# bed.versions knows no more than measure.py does.
VERSIONS = {
    "stream-serve": "stream-serve --version",
    "nginx": "nginx -v",
    "nchan": "dpkg-query -W -f ${Version} libnginx-mod-nchan",
    "serve_go": "serve_go --version",
    "socketify": "python -c 'import socketify, importlib.metadata as it;"
                 " print(it.version(\"socketify\"))'",
}

START_SECONDS = 10
# All clients connect within it, or the server is skipped.
CONNECT_SECONDS = 30
# For the server to have done what belongs to connections.
PAUSE_SECONDS = 0.3
POLL_SECONDS = 0.002
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN_CONF = """\
load_module {module};
daemon off;
user {user};
worker_processes auto;
worker_rlimit_nofile 50000;
error_log {directory}/error.log crit;
pid {directory}/nginx.pid;
events {{ worker_connections 25000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size 1024M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        nchan_channel_id bench;
        nchan_subscriber_first_message newest;
        location = /pub {{
            nchan_publisher websocket;
            nchan_message_buffer_length 100000;
            nchan_message_timeout 60s;
        }}
        location = /events {{ nchan_subscriber eventsource; }}
        location = /ws {{ nchan_subscriber websocket; }}
    }}
}}
"""


@dataclass(frozen=True)
class Server(Row):
    """A command with PORT_FILE that publishes the lines of its input."""
    transports: tuple[str, ...] = ("sse", "ws")
    share: float = 1        # of the messages, for one that is slow
    is_fed: bool = False    # over WebSocket what others read from their input, at a port it is told

    @property
    def is_ours(self) -> bool:
        return self.peer == "stream-serve"


@dataclass(frozen=True)
class Load:
    """What the clients saw, and the CPU time that the server took meanwhile."""
    seen: dict
    cpu: float

    @property
    def rate(self) -> float:
        return self.seen["deliveries_per_second"]

    @property
    def cpu_each(self) -> float:
        """Microseconds per delivery."""
        return self.cpu * 1e6 / max(1, self.seen["deliveries"])

    @property
    def bytes_each(self) -> float:
        return self.seen["bytes"] / max(1, self.seen["deliveries"])

    def late(self, percent: str) -> float:
        return self.seen["latency_ms"][percent]

    @property
    def faults(self) -> int:
        """What no client may see, whatever the policy is."""
        return sum(self.seen[name] for name in ["lost", "doubled", "disordered", "gap_wrong"])

    @property
    def trouble(self) -> str:
        """Everything that was not as it should be, empty when all was."""
        names = {"lost": "lost", "doubled": "doubled", "disordered": "out of order",
                 "gap_wrong": "wrong gaps", "gap_missed": "skipped and told",
                 "refused": "refused", "closed": "closed"}
        found = [f"{self.seen[name]:,} {text}" for name, text in names.items() if self.seen[name]]
        if not found and self.seen["errors"]:
            found = [self.seen["error"]]
        return ", ".join(found)


class Serving:
    """A server that runs within the block, fed by `producer`, which waits for `go`."""

    turn = 0

    def __init__(self, bed: Bed, server: Server, options: str = "", producer: str = ""):
        self.bed, self.server = bed, server
        Serving.turn += 1
        self.directory = bed.directory / "serve"
        self.directory.mkdir(exist_ok=True)
        self.files = {name: self.directory / f"{name}-{Serving.turn}"
                      for name in ["port", "ready", "go"]}
        for path in self.files.values():
            path.unlink(missing_ok=True)
        self.options, self.producer = options, producer
        self.processes: list[subprocess.Popen] = []

    def __enter__(self):
        command = self.server.command.replace("PORT_FILE", str(self.files["port"]))
        if self.server.is_fed:
            self.port = free_port()
            self.configure_nchan()
        produce = f"{self.producer} --ready-file {self.files['go']}"
        source = None
        if self.producer and not self.server.is_fed:
            source = self.start(produce, stdout=subprocess.PIPE).stdout
        self.log = open(self.directory / "server.log", "wb")
        self.process = self.start(f"{command} {self.options}", stderr=self.log,
                                  stdin=source or subprocess.PIPE, stdout=subprocess.DEVNULL)
        if source:
            source.close()
        self.await_port()
        if self.producer and self.server.is_fed:
            self.start(f"{produce} --to 127.0.0.1:{self.port}")
        return self

    def __exit__(self, *_) -> None:
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            for stream in [process.stdin, process.stdout, process.stderr]:
                if stream:
                    stream.close()
        self.log.close()
        for path in self.files.values():
            path.unlink(missing_ok=True)

    def start(self, command: str, **streams) -> subprocess.Popen:
        process = self.bed.start(command, start_new_session=True, **streams)
        self.processes.append(process)
        return process

    def configure_nchan(self) -> None:
        user = "root" if os.geteuid() == 0 else "nobody"
        (self.directory / "nchan.conf").write_text(NCHAN_CONF.format(
            module=NCHAN, directory=self.directory, port=self.port, user=user))

    def await_port(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if self.files["port"].exists():
                text = self.files["port"].read_text()
                if text.endswith("\n"):
                    self.port = int(text)
                    return
            elif self.server.is_fed:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
                except OSError:
                    pass
            time.sleep(POLL_SECONDS)
        raise BenchmarkError(f"{self.server.command}: does not listen, {self.said()}")

    def said(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace").strip()[-300:]

    def run(self, options: str, seconds: float) -> Load:
        """Connects the clients, then lets the producer begin, and waits for the clients."""
        load = self.connect(options)
        before = cpu_seconds(self.process.pid)
        self.files["go"].touch()
        seen = self.report(load, seconds)
        # The clients are still there, as their end takes time of the server too.
        cpu = cpu_seconds(self.process.pid) - before
        self.finish(load)
        return Load(seen, cpu)

    def hold(self, options: str, seconds: float) -> float:
        """The memory that the server has with idle clients after so many seconds."""
        load = self.connect(f"{options} --idle --duration {seconds + START_SECONDS}")
        time.sleep(seconds)
        memory = self.memory
        load.terminate()
        self.report(load, START_SECONDS)
        self.finish(load)
        return memory

    def connect(self, options: str) -> subprocess.Popen:
        self.files["ready"].unlink(missing_ok=True)
        load = self.start(f"serve_load 127.0.0.1:{self.port} --hold --ready-file"
                          f" {self.files['ready']} {options}",
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        end = time.monotonic() + CONNECT_SECONDS
        while not self.files["ready"].exists():
            if load.poll() is not None or time.monotonic() > end:
                load.terminate()
                said = b" ".join(load.communicate(timeout=START_SECONDS)).decode()
                raise BenchmarkError(f"{self.server.name}: clients cannot connect, {said.strip()}")
            time.sleep(POLL_SECONDS)
        time.sleep(PAUSE_SECONDS)
        return load

    def report(self, load: subprocess.Popen, seconds: float) -> dict:
        output, poll, end = b"", select.poll(), time.monotonic() + seconds + START_SECONDS
        poll.register(load.stdout, select.POLLIN)
        while not output.endswith(b"\n"):
            left = end - time.monotonic()
            if left < 0:
                raise BenchmarkError(f"{self.server.name}: serve_load does not end")
            if poll.poll(left * 1000):
                chunk = load.stdout.read(1 << 16)
                if not chunk:
                    raise BenchmarkError(f"serve_load: {load.stderr.read().decode().strip()}")
                output += chunk
        return json.loads(output)

    def finish(self, load: subprocess.Popen) -> None:
        load.stdin.close()
        # With 1 it tells of losses, which are in its report.
        if load.wait(START_SECONDS) not in (0, 1):
            raise BenchmarkError(f"serve_load: {load.stderr.read().decode().strip()}")
        if self.process.poll() is not None:
            raise BenchmarkError(f"{self.server.command}: ended with {self.process.returncode},"
                                 f" {self.said()}")

    @property
    def memory(self) -> int:
        """Bytes that are resident, what processes share divided among them."""
        return sum(resident(pid) for pid in family(self.process.pid))


def prepare(bed: Bed) -> None:
    """Compiles what the bed does not know of."""
    for program in PROGRAMS:
        bed.compile(program, needed=True)
    bed.compile(GO, needed=False)
    # It is not on everybody's PATH in Debian.
    if "/usr/sbin" not in bed.environment["PATH"].split(":"):
        bed.environment["PATH"] += ":/usr/sbin"
    for name, command in VERSIONS.items():
        if name not in bed.versions:
            bed.versions[name] = bed.first_line(command)
    if not NCHAN.exists():
        bed.versions["nchan"] = None


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Of all threads of the process and those below it, in nanoseconds where the kernel counts
    them; stat has hundredths of a second."""
    total = 0.0
    for each in family(pid):
        for task in Path(f"/proc/{each}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except (OSError, IndexError):
                try:
                    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def producer(count: int, size: int, rate: float = 0, more: str = "") -> str:
    paced = f" --rate {rate:g}" if rate else ""
    return shlex.join(["serve_load", "--produce", str(count), "--size", str(size)]) + (
        paced + (f" {more}" if more else ""))
