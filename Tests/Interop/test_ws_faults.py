"""ws-cat and peers that fail: how connections break, begin and close."""

import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from faults import cat, fed, silent, until
from peers import PATIENCE_SECONDS, TOOLS, head, read_request
from raw_peers import CLOSE, PING, TEXT, frame, raw_server

# A server in a process of its own, which can be killed: it says what it is told and waits.
VICTIM = """
import sys, time
from raw_peers import raw_server
def answer(raw):
    raw.socket.sendall(bytes.fromhex(sys.argv[2]))
    time.sleep(60)
with raw_server(answer) as seen:
    print(seen.url, flush=True)
    time.sleep(60)
"""


class Lost(unittest.TestCase):
    """A connection that breaks without a Close ends with 69, and what came before is written."""

    def ends(self, answer, status=69, said=b"", options="-t"):
        with raw_server(answer) as seen, cat(f"{options} --close-timeout 100s", seen.url) as tool:
            output = tool.output.read()
            self.assertEqual((tool.status(), output), (status, b"one\n"), tool.errors)
            self.assertIn(said, tool.errors)
            self.assertLess(tool.elapsed, 50)

    def test_a_killed_server(self):
        part = struct.pack(">BBH", 0x81, 126, 1000) + b"some of it"
        for said, more in [(b"", b""), (b"in the middle of a message", part),
                           (b"in the middle of a message", frame(TEXT, b"a", fin=False)),
                           (b"in the middle of a message", b"\x81")]:
            told = (frame(TEXT, b"one") + more).hex()
            server = subprocess.Popen([sys.executable, "-c", VICTIM, str(TOOLS), told],
                                      stdout=subprocess.PIPE, cwd=Path(__file__).parent)
            with self.subTest(more), server:
                try:
                    url = server.stdout.readline().decode().strip()
                    with cat("-t", url) as tool:
                        self.assertEqual(tool.output.readline(), b"one\n")
                        server.kill()
                        self.assertEqual(tool.status(), 69, tool.errors)
                        self.assertIn(said, tool.errors)
                finally:
                    server.kill()

    def test_resets(self):
        for more in [b"", b"\x81\x7e\x10\x00abc"]:
            def answer(raw):
                raw.socket.sendall(frame(TEXT, b"one") + more)
                received.wait(PATIENCE_SECONDS)
                raw.reset()

            received = threading.Event()
            with self.subTest(more), raw_server(answer) as seen, \
                    cat("-t --close-timeout 100s", seen.url) as tool:
                self.assertEqual(tool.output.readline(), b"one\n")
                received.set()
                self.assertEqual((tool.status(), tool.output.read()), (69, b""), tool.errors)
                self.assertLess(tool.elapsed, 50)

    def test_an_end_without_close(self):
        for more in [b"", b"\x81", b"\x88\x02\x03", b"\x01\x01a"]:
            with self.subTest(more):
                self.ends(lambda raw: raw.socket.sendall(frame(TEXT, b"one") + more))

    def test_an_end_of_one_direction(self):
        """The peer says that it sends nothing more, and hangs up late."""
        def answer(raw):
            raw.send(TEXT, b"one")
            raw.socket.shutdown(socket.SHUT_WR)
            raw.ended()

        self.ends(answer)

    def test_what_a_slow_reader_has_not_taken(self):
        """Standard output is behind when the connection breaks: what was received is written."""
        def answer(raw):
            raw.socket.sendall(b"".join(frame(TEXT, b"%07d" % n) for n in range(150_000)))
            raw.reset()

        with raw_server(answer) as seen, cat("-t --receive-buffer 64K", seen.url) as tool:
            tool.rests()
            output = tool.output.read()
            self.assertEqual(tool.status(), 69, tool.errors)
            lines = output.split(b"\n")[:-1]
            self.assertEqual(lines, [b"%07d" % n for n in range(len(lines))])
            self.assertEqual(tool.stats()["records_out"], len(lines))


class Handshakes(unittest.TestCase):
    """What never becomes a connection ends in time."""

    def fails(self, answer, status=69, scheme="ws", timeout="300ms", within=8,
              said=b"--connect-timeout", options=""):
        with raw_server(answer, opens=False) as seen:
            url = seen.url.replace("ws:", f"{scheme}:")
            with cat(f"--connect-timeout {timeout} {options}", url) as tool:
                self.assertEqual(tool.status(), status, tool.errors)
                self.assertLess(tool.elapsed, within)
                self.assertIn(said, tool.errors)

    @staticmethod
    def drip(raw):
        read_request(raw.socket)
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 1000:
            raw.socket.sendall(bytes([byte]))
            time.sleep(0.02)

    def test_silence(self):
        self.fails(silent)
        self.fails(silent, scheme="wss", said=b"300ms")

    def test_a_head_byte_by_byte(self):
        self.fails(self.drip)

    def test_an_endless_head(self):
        def answer(raw):
            read_request(raw.socket)
            raw.socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
            while True:
                raw.socket.sendall(b"X-Field: value\r\n" * 1000)

        # It is refused for its size, however much time there is.
        self.fails(answer, 76, timeout="100s", within=50, said=b"")

    def test_an_endless_body(self):
        def answer(raw):
            read_request(raw.socket)
            raw.socket.sendall(head("text/plain", "500 No", ["X: 1"]))
            while True:
                raw.socket.sendall(b"x" * 10_000)

        def slow(raw):
            read_request(raw.socket)
            raw.socket.sendall(head("text/plain", "500 No"))
            while True:
                raw.socket.sendall(b"x")
                time.sleep(0.05)

        self.fails(answer, timeout="100s", within=50, said=b"500")
        self.fails(slow, timeout="3s", within=20, said=b"500")

    def test_redirects_without_an_end(self):
        """The time is that of all of them together."""
        def answer(raw):
            time.sleep(0.15)
            read_request(raw.socket)
            raw.socket.sendall(head("text/plain", "302 Found",
                                    ["Location: /", "Content-Length: 0"]))

        self.fails(answer, options="-L")

    def test_answers_before_the_answer(self):
        """RFC 9110, section 15.2: they are passed over."""
        def answer(raw):
            raw.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"
                               b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
            raw.open()
            raw.send(TEXT, b"one")
            raw.close()

        with raw_server(answer, opens=False) as seen, cat("-t", seen.url) as tool:
            self.assertEqual(tool.output.read(), b"one\n")
            self.assertEqual(tool.status(), 0, tool.errors)

    def test_an_end_instead_of_an_answer(self):
        for answer in [b"", b"HTTP/1.1 101 Switch"]:
            def short(raw):
                read_request(raw.socket)
                raw.socket.sendall(answer)

            with self.subTest(answer):
                self.fails(short, timeout="100s", within=50, said=b"")


class Closes(unittest.TestCase):
    """Both sides may close, at any moment."""

    def conversation(self, answer, status, options="-t", input=None, timeout="100s", within=50):
        """Nothing of this takes as long as --close-timeout."""
        with raw_server(answer) as seen, \
                cat(f"{options} --close-timeout {timeout}", seen.url) as tool:
            if input is not None:
                fed(tool, input)
            output = tool.output.read()
            self.assertEqual(tool.status(), status, tool.errors)
            self.assertLess(tool.elapsed, within)
            self.tool = tool
        return output

    def test_both_at_the_same_moment(self):
        closes = []

        def answer(raw):
            raw.socket.sendall(frame(TEXT, b"one") + frame(CLOSE, b"\x03\xe9"))
            try:
                while True:
                    closes.append(raw.frame())
            except ConnectionError:
                pass  # The end.

        self.assertEqual(self.conversation(answer, 0, "-t -n 1", [b"x\n"] * 3), b"one\n")
        self.assertEqual([opcode for opcode, _ in closes].count(CLOSE), 1)
        self.assertEqual(closes[-1][0], CLOSE)

    def test_a_close_in_the_middle_of_our_message(self):
        """The frame that has begun is completed, for the peer that reads on; the rest is not."""
        got = []
        line = b"a" * 8_000_000 + b"\n"
        # The frame, and behind it a Close.
        whole = 14 + 8_000_000 + 6 + 2

        def answer(raw):
            raw.take(100_000)
            raw.socket.sendall(frame(CLOSE, b"\x03\xe8"))
            size, tail, raw.received = 100_000 + len(raw.received), b"", b""
            while size < whole and raw.fill():
                size, tail = size + len(raw.received), (tail + raw.received)[-8:]
                raw.received = b""
            got.append((size, tail, raw.socket.recv(1)))

        self.conversation(answer, 1, "-t --max-line 16M --compress=off", [line, line])
        [(size, tail, more)] = got
        self.assertEqual((size, tail[:2], more), (whole, b"\x88\x82", b""))
        self.assertEqual((self.tool.stats()["sent"], self.tool.stats()["unsent"]), (1, 1))

    def test_what_comes_behind_a_close(self):
        for more in [frame(TEXT, b"two"), frame(CLOSE, b"\x03\xf3"), b"\xff" * 100,
                     frame(PING, b"1")]:
            seen = []

            def answer(raw):
                raw.socket.sendall(frame(TEXT, b"one") + frame(CLOSE, b"\x03\xe8") + more)
                seen.append(raw.frame())
                self.assertEqual(raw.received, b"")

            with self.subTest(more):
                self.assertEqual(self.conversation(answer, 0), b"one\n")
                self.assertEqual(seen, [(CLOSE, b"\x03\xe8")])

    def test_a_flood_behind_a_close(self):
        def flood(raw):
            try:
                while True:
                    raw.socket.sendall(b"x" * (1 << 20))
            except OSError:
                pass  # It hung up, as it should.

        def answer(raw):
            raw.send(CLOSE, b"\x03\xe8")
            threading.Thread(target=flood, args=[raw], daemon=True).start()
            flood(raw)

        self.conversation(answer, 0)

    def test_a_bad_close(self):
        for payload in [b"\x03", b"\x03\xed", b"\x00\x01", b"\x03\xe8\xff"]:
            with self.subTest(payload):
                self.conversation(lambda raw: raw.send(CLOSE, payload), 76)

    def test_a_peer_that_does_not_hang_up(self):
        def answer(raw):
            raw.close()
            silent(raw)

        self.conversation(answer, 0)

    def test_a_peer_that_does_not_answer_the_close(self):
        def leaves(raw):
            raw.next(CLOSE)

        def stays(raw):
            raw.next(CLOSE)
            silent(raw)

        self.conversation(leaves, 69, input=[b"1\n"])
        self.conversation(stays, 69, input=[b"1\n"], timeout="300ms", within=4)

    def test_messages_behind_our_close(self):
        """What the peer says before it answers our Close is written."""
        def answer(raw):
            raw.next(CLOSE)
            for number in range(1000):
                raw.send(TEXT, b"%d" % number)
            raw.send(CLOSE, b"\x03\xe8")

        self.assertEqual(self.conversation(answer, 0, input=[b"1\n"]),
                         b"".join(b"%d\n" % number for number in range(1000)))

    def test_a_close_while_messages_are_unconfirmed(self):
        """The peer takes ten of many lines and closes: the counters tell of the rest."""
        def answer(raw):
            for _ in range(10):
                raw.next(TEXT)
            given.wait(PATIENCE_SECONDS)
            raw.send(CLOSE, b"\x03\xe8")
            raw.ended()

        given = threading.Event()
        with raw_server(answer) as seen, cat("-t --wait 2s", seen.url) as tool:
            fed(tool, [b"%d\n" % number for number in range(500)]).join(PATIENCE_SECONDS)
            until(lambda: tool.unread() == 0)
            given.set()
            status = tool.status()
            stats = tool.stats()
        self.assertEqual(stats["sent"] + stats.get("unsent", 0), stats["records_in"])
        # Of what it has read: on a busy machine that need not be all of what it was given.
        self.assertGreater(stats["records_in"], 10)
        self.assertGreaterEqual(stats["unconfirmed"] + stats.get("unsent", 0),
                                stats["records_in"] - 10)
        if stats.get("unsent"):
            self.assertEqual(status, 1)
