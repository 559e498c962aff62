"""ws-cat is told to stop, by a signal or by the clock."""

import signal
import threading
import time
import unittest
from contextlib import ExitStack

from faults import cat, silent
from peers import PATIENCE_SECONDS, head, read_request, unanswered, until
from raw_peers import CLOSE, TEXT, raw_server


def killed_by(number):
    return [-number, 128 + number]


class Phases:
    """Servers that bring a tool into each phase, and how many tools are there by now."""

    def __init__(self, stack, options):
        self.there = []
        nowhere = f"ws://127.0.0.1:{stack.enter_context(unanswered())}/"
        mute = stack.enter_context(raw_server(self.mute, opens=False)).url
        opened = stack.enter_context(raw_server(self.mute)).url
        busy = stack.enter_context(raw_server(self.later, opens=False)).url
        tls = mute.replace("ws:", "wss:")
        self.ways = {"connecting": (nowhere, options), "TLS": (tls, options),
                     "opening": (mute, options), "open": (opened, options),
                     "backoff": (busy, f"{options} --reconnect")}

    def mute(self, raw):
        self.there.append(raw)
        silent(raw)

    def later(self, raw):
        """Not now."""
        read_request(raw.socket)
        raw.socket.sendall(head("text/plain", "503 Later",
                                ["Retry-After: 600", "Content-Length: 0"]))
        self.there.append(raw)


class Stops(unittest.TestCase):
    """SIGTERM and --max-time end it in every phase."""

    def test_signals(self):
        def floods(raw):
            while True:
                raw.send(TEXT, b"x" * 10_000)

        # Nothing of this ends by itself while the test waits.
        with ExitStack() as stack:
            phases = Phases(stack, "-t --close-timeout 1000s --connect-timeout 1000s")
            flood = stack.enter_context(raw_server(floods))
            # Its standard output is blocked, as nobody reads it.
            phases.ways["blocked"] = flood.url, "-t --close-timeout 1000s"
            # The end of its input makes it close, and nobody answers.
            phases.ways["closing"] = phases.ways["open"][0], "-t --wait 0s --close-timeout 1000s"
            tools = []
            for input in [b"", b"1\n"]:
                for name, (url, options) in phases.ways.items():
                    tool = stack.enter_context(cat(options, url))
                    tool.input.write(input)
                    if name == "closing":
                        tool.end_input()
                    tools.append((name, input, tool))
            # All but those that connect, or are blocked.
            until(lambda: len(phases.there) == len(tools) - 4)
            for name, _, tool in tools:
                tool.rests()
                self.assertEqual(tool.is_blocked(), name == "blocked", name)
                tool.stop()
            for name, input, tool in tools:
                with self.subTest(name, input=input):
                    status = tool.status()
                    # A line that could not be sent, or written, is not to be forgotten.
                    unsent = bool(input) and name not in ["open", "closing", "blocked"]
                    lost = unsent or name == "blocked"
                    # Nor is one that was sent and that nobody confirmed.
                    done = [1] if input and name in ["open", "closing"] else [0]
                    self.assertIn(status, killed_by(signal.SIGTERM) if lost else done, tool.errors)
                    if unsent:
                        self.assertEqual(tool.stats()["unsent"], 1)

    def test_two_signals(self):
        def answer(raw):
            opened.set()
            raw.next(TEXT)
            came.set()
            raw.next(CLOSE)
            closing.set()
            silent(raw)

        opened, came, closing = (threading.Event() for _ in range(3))
        with raw_server(answer) as seen, cat("--close-timeout 1000s", seen.url) as tool:
            self.assertTrue(opened.wait(PATIENCE_SECONDS))
            tool.input.write(b"1\n")
            self.assertTrue(came.wait(PATIENCE_SECONDS))
            tool.stop()
            self.assertTrue(closing.wait(PATIENCE_SECONDS))
            # What comes within half a second is the same signal twice.
            time.sleep(0.6)
            tool.process.send_signal(signal.SIGINT)
            # The peer is silent: the second does not wait for it, and says what it may have lost.
            self.assertIn(tool.status(), killed_by(signal.SIGTERM), tool.errors)
        self.assertIn(b"1 sent message was not confirmed", tool.errors)
        self.assertEqual(tool.stats()["unconfirmed"], 1)

    def test_max_time(self):
        with ExitStack() as stack:
            phases = Phases(stack, "--max-time 300ms --close-timeout 200ms"
                                   " --connect-timeout 1000s")
            tools = {name: stack.enter_context(cat(options, url))
                     for name, (url, options) in phases.ways.items()}
            for name, tool in tools.items():
                with self.subTest(name):
                    # There was no connection, or nobody answered its close.
                    self.assertEqual(tool.status(), 69, tool.errors)
                    self.assertLess(tool.elapsed, 8)

    def test_max_time_of_a_conversation(self):
        def answer(raw):
            raw.send(TEXT, b"one")
            raw.close()

        def waits(raw):
            raw.send(TEXT, b"one")
            raw.next(CLOSE)
            raw.send(CLOSE, b"\x03\xe8")

        for talk in [answer, waits]:
            with raw_server(talk) as seen, cat("-t --max-time 1s", seen.url) as tool:
                self.assertEqual(tool.output.read(), b"one\n")
                self.assertEqual(tool.status(), 0, tool.errors)
