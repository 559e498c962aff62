"""The reader of standard output leaves while the peer says nothing: `ws-cat URL | head -1` hung."""

import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from contextlib import ExitStack
from pathlib import Path

from faults import resting, silent
from peers import ENVIRONMENT, PATIENCE_SECONDS, until
from raw_peers import TEXT, raw_server
from sse_peers import event, held, web


class Readers(unittest.TestCase):

    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def start(self, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                                   env=ENVIRONMENT, bufsize=0)
        clock = threading.Timer(PATIENCE_SECONDS, process.kill)
        clock.start()
        for close in [clock.cancel, process.wait, process.kill]:
            self.stack.callback(close)
        for stream in [process.stdin, process.stdout, process.stderr]:
            if stream:
                self.stack.callback(stream.close)
        return process

    def ends(self, process):
        """As the reader's end ends it, without a word."""
        self.assertEqual(process.wait(PATIENCE_SECONDS), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")

    def commands(self):
        """Each waits for a peer that has said one thing, and nothing since."""
        def says_one(raw):
            raw.send(TEXT, b"1")
            silent(raw)

        peer = self.stack.enter_context(raw_server(says_one))
        seen = self.stack.enter_context(web([held(event("1"))]))
        return [["ws-cat", "-t", "--no-close", "--ping", "1h", peer.url],
                ["ws-cat", "-t", "--ping", "1h", peer.url], ["sse-decode", "-d", seen.url]]

    def test_a_pipe(self):
        for command in self.commands():
            with self.subTest(command):
                process = self.start(command)
                self.assertEqual(process.stdout.read(2), b"1\n")
                process.stdout.close()
                self.ends(process)

    def test_a_socket(self):
        for command in self.commands():
            with self.subTest(command):
                ours, theirs = socket.socketpair()
                process = self.start(command, stdout=theirs)
                theirs.close()
                self.assertEqual(ours.recv(2), b"1\n")
                ours.close()
                self.ends(process)

    def test_before_anything_came(self):
        with raw_server(silent) as peer:
            process = self.start(["ws-cat", "-t", peer.url])
            resting(process)
            process.stdout.close()
            self.ends(process)

    def test_what_has_no_reader(self):
        """A file, and what takes everything, has none that could leave."""
        with raw_server(silent) as peer, tempfile.TemporaryFile() as file:
            for stdout in [file, subprocess.DEVNULL]:
                process = self.start(["ws-cat", "-t", "--no-close", peer.url], stdout=stdout)
                resting(process)
                process.terminate()
                self.assertEqual(process.wait(PATIENCE_SECONDS), 0)

    def server(self, *options):
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        port = Path(folder, "port")
        process = self.start(["stream-serve", "--listen", "127.0.0.1:0", "--port-file", str(port),
                              *options])
        until(lambda: port.exists() and port.read_text().endswith("\n"))
        return process

    def test_a_server(self):
        process = self.server("--publish")
        process.stdout.close()
        self.ends(process)
        # It writes nothing, and serves on.
        process = self.server()
        process.stdout.close()
        resting(process)
        process.terminate()
        self.assertEqual(process.wait(PATIENCE_SECONDS), 0)


if __name__ == "__main__":
    unittest.main()
