"""ws-cat as a server, and clients that fail."""

import os
import signal
import socket
import struct
import time
import unittest

from faults import MEMORY_KIB, Cat, resting, until
from peers import PATIENCE_SECONDS
from raw_peers import CLOSE, TEXT
from ws_peers import listening

REQUEST = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def masked(opcode, payload=b"", first=0x80):
    """A short frame of a client, whose mask is nothing but zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else \
        b"\xfe" + struct.pack(">H", len(payload))
    return bytes([first | opcode]) + size + bytes(4) + payload


def connected(port, request=REQUEST):
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request)
    answer = b""
    while request == REQUEST and not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    return connection


def rest(connection):
    """All that comes until the end."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Clients(unittest.TestCase):
    """One that fails does not harm the next."""

    def test_ends(self):
        for request in [b"", b"GET / HTTP/1.1\r\nHost", REQUEST]:
            for end in [reset, lambda connection: connection.close()]:
                with listening("-q -t --keep-listening") as tool:
                    for _ in range(20):
                        end(connected(tool.port, request))
                    with connected(tool.port) as connection:
                        connection.sendall(masked(TEXT, b"one") + masked(TEXT, b"tw", first=0))
                        self.assertEqual(tool.process.stdout.readline(), b"one\n")
                    with connected(tool.port) as connection:
                        connection.sendall(masked(TEXT, b"three") + masked(CLOSE, b"\x03\xe8"))
                        self.assertEqual(tool.process.stdout.readline(), b"three\n")
                        self.assertEqual(rest(connection), b"\x88\x02\x03\xe8")

    def test_the_server_hangs_up_at_once(self):
        """RFC 6455, section 7.1.1: it is the server that ends the connection."""
        took = []
        for _ in range(5):
            with listening("-t") as tool, connected(tool.port) as connection:
                start = time.monotonic()
                connection.sendall(masked(CLOSE, b"\x03\xe8"))
                self.assertEqual(rest(connection), b"\x88\x02\x03\xe8")
                took.append(time.monotonic() - start)
                connection.close()
                self.assertEqual(tool.status(), 0)
        # One that waits first for the client to hang up does so each time.
        self.assertLess(min(took), 0.5)

    def test_one_that_says_nothing(self):
        with listening("-q -t --keep-listening --connect-timeout 1s") as tool:
            with connected(tool.port, b"") as mute, connected(tool.port) as other:
                other.sendall(masked(TEXT, b"one"))
                self.assertEqual(tool.process.stdout.readline(), b"one\n")
                self.assertEqual(mute.recv(1), b"")

    def test_one_that_is_dead(self):
        with listening("-q -t --ping 100ms --pong-timeout 200ms") as tool, connected(tool.port):
            self.assertEqual(tool.status(), 69)

    def test_an_echo_to_one_that_does_not_read(self):
        for piece in [masked(TEXT) * 10_000, masked(TEXT, b"1") * 10_000,
                      masked(TEXT, b"1" * 1000) * 100]:
            with self.subTest(len(piece)), listening("-t --echo") as tool, \
                    connected(tool.port) as connection:
                drain = os.dup(tool.process.stdout.fileno())
                os.set_blocking(drain, False)
                connection.settimeout(0.3)
                try:
                    for _ in range(1000):
                        connection.sendall(piece)
                        try:
                            while os.read(drain, 1 << 20):
                                pass
                        except BlockingIOError:
                            pass  # No more for now.
                    self.fail("it takes without an end")
                except TimeoutError:
                    self.assertLess(Cat(tool.process).peak_kib(), MEMORY_KIB)
                finally:
                    os.close(drain)

    def test_signals(self):
        for request in [b"", b"GET / HTTP/1.1\r\nHost", REQUEST]:
            with self.subTest(request), listening("-q -t --keep-listening") as tool, \
                    connected(tool.port, request) as connection:
                resting(tool.process)
                tool.process.send_signal(signal.SIGTERM)
                if request == REQUEST:
                    self.assertEqual(connection.recv(100), b"\x88\x02\x03\xe9")
                    connection.sendall(masked(CLOSE, b"\x03\xe9"))
                self.assertEqual(tool.status(), 0)

    def test_descriptors(self):
        with listening("-q -t --keep-listening") as tool:
            for number in range(100):
                with connected(tool.port) as connection:
                    connection.sendall(masked(CLOSE, b"\x03\xe8"))
                    rest(connection)
                if number == 20:
                    before = Cat(tool.process).peak_kib()
            until(lambda: Cat(tool.process).descriptors() < 12)
            self.assertLess(Cat(tool.process).peak_kib() - before, 700)
