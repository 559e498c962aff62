"""The sides of the suite: a program as the client of its server, and two as the server of its
client. Each sends back what it receives."""

import json
import os
import select
import socket
import subprocess
import time

AGENT = "streamutils"
# The suite itself gives up a case after 240 s at most.
CASE_SECONDS = 250
START_SECONDS = 60
END_SECONDS = 15
# So much may go wrong with processes before the rest is left out.
PROBLEMS = 20
# What it takes to echo: standard input ends at once, and is not to end the connection.
ECHO = ["--echo", "--no-close", "-b", "--max-message", "64M"]
SILENT = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


class Side:
    """One run of the suite against one side."""

    def __init__(self, name, wstest, environment, cases, folder, seconds):
        self.name, self.folder, self.cases = name, folder, cases
        self.wstest, self.environment = wstest, environment
        self.deadline = time.monotonic() + seconds
        self.problems = []
        self.processes = []

    def start(self, command, log, **streams):
        process = subprocess.Popen(command, stderr=log, **streams)
        self.processes.append(process)
        return process

    def suite(self, mode, specification, log):
        """The suite in this mode, which runs until it is ended or done."""
        specification |= {"outdir": str(self.folder), "cases": self.cases, "exclude-cases": [],
                          "exclude-agent-cases": {}}
        path = self.folder / "specification.json"
        path.write_text(json.dumps(specification))
        command = [*self.wstest, "-m", mode, "-s", str(path)]
        if mode == "fuzzingserver":
            command += ["--webport", "0"]
        return self.start(command, log, env=self.environment, stdin=subprocess.DEVNULL, stdout=log)

    def ended(self, process, seconds, what):
        """Waits for the process and keeps what went wrong with it."""
        seconds = max(0, min(seconds, self.deadline - time.monotonic()))
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.problems.append(f"{what}: did not end in time")
            process.kill()
            process.wait()
            return
        self.processes.remove(process)
        if status < 0 or status in (64, 70):
            self.problems.append(f"{what}: ended with status {status}")

    def is_over(self):
        return len(self.problems) >= PROBLEMS or time.monotonic() >= self.deadline

    def stop(self):
        """Ends what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.processes.clear()


def as_client(side, tool):
    """Runs `tool URL` for each case."""
    with open(side.folder / "log", "wb") as log:
        # The suite cannot be told to take any port: another may be quicker.
        for _ in range(5):
            url = f"ws://127.0.0.1:{free_port()}"
            server = side.suite("fuzzingserver", {"url": url}, log)
            count = case_count(side, tool, server, url, log)
            if count:
                break
        else:
            side.problems.append(f"the suite's server said nothing; see {log.name}")
        for case in range(1, count + 1):
            echo = side.start([tool, *ECHO, f"{url}/runCase?case={case}&agent={AGENT}"], log,
                              **SILENT)
            side.ended(echo, CASE_SECONDS, f"case number {case}")
            if side.is_over():
                break
        reports = side.start([tool, "-t", "--no-close", f"{url}/updateReports?agent={AGENT}"],
                             log, stdin=subprocess.DEVNULL, stdout=log)
        # Some time for what there is, when there was too little for all of it.
        side.deadline = max(side.deadline, time.monotonic() + START_SECONDS)
        side.ended(reports, START_SECONDS, "updateReports")
        side.stop()


def case_count(side, tool, server, url, log):
    """How many cases the suite's server has, once it listens; none when it does not."""
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and server.poll() is None:
        asked = side.start([tool, "-t", "--no-close", "-n", "1", f"{url}/getCaseCount"], log,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        answer = asked.communicate(timeout=START_SECONDS)[0].strip()
        side.processes.remove(asked)
        if answer:
            return int(answer)
        # All but a server that is not there yet.
        if asked.returncode != 69:
            break
        time.sleep(0.2)
    side.stop()
    return 0


def as_server(side, tool):
    """Runs `tool --listen fd:` for each connection, as systemd starts a server by its socket."""
    with open(side.folder / "log", "wb") as log, socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        client = side.suite("fuzzingclient", {"servers": [{"agent": AGENT, "url": url}]}, log)
        number = listener.fileno()
        # bash, not sh: the number of the descriptor may have two digits.
        command = ["bash", "-c", f'LISTEN_PID=$$ exec "$@" 3<&{number}', "bash", tool, *ECHO,
                   "--listen", "fd:"]
        environment = os.environ | {"LISTEN_FDS": "1"}
        serving = {}
        served = 0
        while client.poll() is None and not side.is_over():
            if is_asked(listener, 0.1):
                served += 1
                echo = side.start(command, log, env=environment, pass_fds=[number], **SILENT)
                serving[echo] = (f"connection number {served}", time.monotonic())
                # One that still closes its connection does not keep the next from its own.
                limit = time.monotonic() + END_SECONDS
                while (echo.poll() is None and is_asked(listener, 0) and client.poll() is None
                       and time.monotonic() < limit):
                    time.sleep(0.001)
            for echo, (what, start) in list(serving.items()):
                if echo.poll() is not None or time.monotonic() > start + CASE_SECONDS:
                    side.ended(echo, 0, what)
                    del serving[echo]
        side.ended(client, 0, f"the suite (see {log.name})")
        for echo, (what, _) in serving.items():
            side.ended(echo, END_SECONDS, what)
        side.stop()


def as_many_clients_server(side, tool):
    """Runs `tool`, which serves all connections, with its hidden endpoint that echoes."""
    port_file = side.folder / "port"
    with open(side.folder / "log", "wb") as log:
        server = side.start([tool, "-l", "127.0.0.1:0", "--port-file", str(port_file),
                             "--eof=stay", "--echo-endpoint", "--max-message", "64M"], log,
                            **SILENT)
        limit = time.monotonic() + START_SECONDS
        while not port_file.exists() and time.monotonic() < limit and server.poll() is None:
            time.sleep(0.01)
        url = f"ws://127.0.0.1:{port_file.read_text().strip()}/echo"
        client = side.suite("fuzzingclient", {"servers": [{"agent": AGENT, "url": url}]}, log)
        while client.poll() is None and server.poll() is None and not side.is_over():
            time.sleep(0.1)
        side.ended(client, 0, f"the suite (see {log.name})")
        server.terminate()
        side.ended(server, END_SECONDS, "the server")
        side.stop()


def is_asked(listener, seconds):
    """True when a connection waits to be accepted."""
    return bool(select.select([listener], [], [], seconds)[0])


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
