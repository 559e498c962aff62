"""Parts of a run, side by side, each with a folder, processes and a network of its own."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# A part that takes so long hangs.
LIMIT_SECONDS = 900
# The processes of a part end with the first of them, and its loopback interface is its own: no
# port that it picked can be taken by another part. What `ip netns add` makes is gone, too.
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = ('ip link set lo up && mkdir -p /run/netns && mount -t tmpfs netns /run/netns && "$@";'
          ' exit $?')
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Outcome:
    """What came of one test."""
    test: str
    result: str  # passed, failed, skipped
    seconds: float = 0.0
    text: str = ""


@dataclass
class Part:
    """What one process runs of a suite."""
    suite: str
    name: str
    command: list
    # What is made of the folder, the exit status and the output of the process.
    read: callable
    tests: int = 1
    # It measures: nothing runs beside it.
    is_alone: bool = False
    # It computes and does not wait: no more of these than processors.
    computes: bool = False
    # How long it is likely to take, for the longest start first.
    seconds: float = 1.0
    outcomes: list = field(default_factory=list)


def namespaces():
    """The words before a command that give it some, or none where the system does not allow it."""
    words = [*NAMESPACES, "sh", "-c", INSIDE, "sh"]
    try:
        done = subprocess.run([*words, "true"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return words if done.returncode == 0 else []


class Jobs:
    """Takes parts from a list and runs so many at once."""

    def __init__(self, count, environment):
        self.count = count
        self.environment = environment
        # Short, for the path of a socket has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="check-"))
        self.prefix = namespaces()
        self.lock = threading.Condition()
        self.waiting, self.running, self.processes = [], [], set()
        self.is_open, self.is_stopped, self.made = True, False, 0
        # What outlives its part comes to us, and ends with the run.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def add(self, parts):
        with self.lock:
            self.waiting += parts
            self.waiting.sort(key=lambda part: (part.is_alone, -part.seconds))
            self.lock.notify_all()

    def close(self):
        """No more parts come."""
        with self.lock:
            self.is_open = False
            self.lock.notify_all()

    def _next(self):
        with self.lock:
            while not self.is_stopped and (self.is_open or self.waiting):
                part = next(filter(self._may_run, self.waiting), None)
                if part:
                    self.waiting.remove(part)
                    self.running.append(part)
                    return part
                self.lock.wait()
            return None

    def _may_run(self, part):
        if part.is_alone:
            # They come last, one after the other.
            return not self.is_open and not self.running and part is self.waiting[0]
        computing = sum(other.computes for other in self.running)
        return not part.computes or computing < (os.cpu_count() or 1)

    def run(self, finished):
        """Runs what is added until nothing comes any more; `finished(part)` is called for each."""
        threads = [threading.Thread(target=self._work, args=(finished,), daemon=True)
                   for _ in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            # A wait without a limit would not see a signal.
            while thread.is_alive():
                thread.join(0.2)

    def _work(self, finished):
        while part := self._next():
            try:
                part.outcomes = self._run(part)
            except Exception as problem:
                part.outcomes = [Outcome(part.name, "failed", text=f"the runner: {problem!r}")]
            with self.lock:
                self.running.remove(part)
                if not self.is_stopped:
                    finished(part)
                self.lock.notify_all()

    def _run(self, part):
        with self.lock:
            self.made += 1
            folder = self.folder / str(self.made)
        (folder / "tmp").mkdir(parents=True)
        environment = self.environment | {"TMPDIR": str(folder / "tmp")}
        began = time.monotonic()
        with open(folder / "output", "wb") as output:
            command = [word.replace("{folder}", str(folder)) for word in part.command]
            process = subprocess.Popen([*self.prefix, *command], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output, env=environment,
                                       start_new_session=True)
            self.processes.add(process)
            try:
                status = process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                status = "did not end"
            finally:
                self._end(process)
        text = (folder / "output").read_bytes().decode(errors="replace")
        part.seconds = time.monotonic() - began
        outcomes = part.read(part, folder, status, text)
        shutil.rmtree(folder, ignore_errors=True)
        return outcomes

    def _end(self, process):
        """Ends the processes of a part that are left."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        self.processes.discard(process)

    def stop(self):
        """Ends all that runs, and takes away what it made."""
        with self.lock:
            self.is_stopped = True
            self.lock.notify_all()
        for process in list(self.processes):
            self._end(process)
        for child in self._left():
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _left():
        """Processes that came to us when their parents ended."""
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:  # It has gone.
                continue
            if int(fields[1]) == os.getpid():
                yield int(entry.parent.name)
