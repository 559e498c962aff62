"""ws-cat is told to stop, by a signal or by the clock."""

import signal
import socket
import time
import unittest
from contextlib import ExitStack, contextmanager

from faults import cat, silent
from peers import head, read_request
from raw_peers import CLOSE, TEXT, raw_server


def killed_by(number):
    return [-number, 128 + number]

@contextmanager
def unanswered():
    """The URL of a port where connecting does not end: the queue of its listener is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        others = []
        try:
            for _ in range(4):
                others.append(socket.socket())
                others[-1].setblocking(False)
                others[-1].connect_ex(("127.0.0.1", port))
            time.sleep(0.05)
            yield f"ws://127.0.0.1:{port}/"
        finally:
            for other in others:
                other.close()


def later(raw):
    """Not now."""
    read_request(raw.socket)
    raw.socket.sendall(head("text/plain", "503 Later", ["Retry-After: 60", "Content-Length: 0"]))


class Stops(unittest.TestCase):
    """SIGTERM and --max-time end it in every phase."""

    @contextmanager
    def phases(self, options=""):
        """Yields a function for each phase that starts a tool, and waits until it is there."""
        with unanswered() as nowhere, raw_server(silent, opens=False) as mute, \
                raw_server(silent) as opened, raw_server(later, opens=False) as busy:
            tls = mute.url.replace("ws:", "wss:")
            ways = {"connecting": (nowhere, ""), "TLS": (tls, ""), "opening": (mute.url, ""),
                    "open": (opened.url, ""), "backoff": (busy.url, "--reconnect")}
            yield {name: (url, f"{options} {more}") for name, (url, more) in ways.items()}

    def test_signals(self):
        def floods(raw):
            while True:
                raw.send(TEXT, b"x" * 10_000)

        with self.phases("-t --close-timeout 30s") as phases, raw_server(floods) as flood, \
                ExitStack() as stack:
            # Its standard output is blocked, as nobody reads it.
            phases["blocked"] = flood.url, "-t"
            # The end of its input makes it close, and nobody answers.
            phases["closing"] = phases["open"][0], "-t --wait 0s --close-timeout 30s"
            tools = []
            for input in [b"", b"1\n"]:
                for name, (url, options) in phases.items():
                    tool = stack.enter_context(cat(options, url))
                    tool.input.write(input)
                    if name == "closing":
                        tool.end_input()
                    tools.append((name, input, tool))
            time.sleep(0.7)
            for _, _, tool in tools:
                tool.stop()
            # Those that end by themselves before the one that has to be ended.
            for name, input, tool in sorted(tools, key=lambda each: each[0] == "blocked"):
                with self.subTest(name, input=input):
                    status = tool.status(6)
                    self.assertLess(tool.elapsed, 5.6 if name == "blocked" else 4.5)
                    # A line that could not be sent, or written, is not to be forgotten.
                    unsent = bool(input) and name not in ["open", "closing", "blocked"]
                    lost = unsent or name == "blocked"
                    self.assertIn(status, killed_by(signal.SIGTERM) if lost else [0], tool.errors)
                    if unsent:
                        self.assertEqual(tool.stats()["unsent"], 1)

    def test_two_signals(self):
        with raw_server(silent) as seen, cat("", seen.url) as tool:
            time.sleep(0.2)
            tool.stop()
            time.sleep(0.1)
            tool.process.send_signal(signal.SIGINT)
            # The peer is silent: the second does not wait for it.
            self.assertEqual(tool.status(2), 128 + signal.SIGINT, tool.errors)

    def test_max_time(self):
        with self.phases("--max-time 300ms --close-timeout 200ms") as phases, \
                ExitStack() as stack:
            tools = {name: stack.enter_context(cat(options, url))
                     for name, (url, options) in phases.items()}
            for name, tool in tools.items():
                with self.subTest(name):
                    # There was no connection, or nobody answered its close.
                    self.assertEqual(tool.status(5), 69, tool.errors)
                    self.assertLess(tool.elapsed, 2)

    def test_max_time_of_a_conversation(self):
        def answer(raw):
            raw.send(TEXT, b"one")
            raw.close()

        def waits(raw):
            raw.send(TEXT, b"one")
            raw.next(CLOSE)
            raw.send(CLOSE, b"\x03\xe8")

        for talk in [answer, waits]:
            with raw_server(talk) as seen, cat("-t --max-time 300ms", seen.url) as tool:
                self.assertEqual(tool.output.read(), b"one\n")
                self.assertEqual(tool.status(3), 0, tool.errors)
