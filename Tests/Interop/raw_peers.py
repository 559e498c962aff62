"""WebSocket servers that break the rules: frames as bytes on a socket."""

import base64
import hashlib
import re
import socket
import struct
from contextlib import contextmanager

from peers import PATIENCE_SECONDS, accepting, shut

# RFC 6455, section 5.2.
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, reserved=0):
    """A frame of a server."""
    first = bytes([fin << 7 | reserved << 4 | opcode])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    if len(payload) < 1 << 16:
        return first + b"\x7e" + struct.pack(">H", len(payload)) + payload
    return first + b"\x7f" + struct.pack(">Q", len(payload)) + payload


def unmasked(mask, payload):
    if not payload:
        return b""
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class Raw:
    """A server's side of one connection."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def open(self, fields=""):
        """Answers the opening handshake."""
        while b"\r\n\r\n" not in self.received:
            if not self.fill():
                raise ConnectionError("no request")
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        [key] = re.findall(rb"(?im)^sec-websocket-key: (.*?)\r?$", head)
        accept = base64.b64encode(hashlib.sha1(
            key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        self.socket.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{fields}"
                            f"\r\n".encode())

    def fill(self):
        """False at the end."""
        received = self.socket.recv(1 << 16)
        self.received += received
        return bool(received)

    def take(self, size):
        while len(self.received) < size:
            if not self.fill():
                raise ConnectionError("the end in a frame" if self.received else "the end")
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def frame(self):
        """The opcode and the payload of the next frame."""
        first, second = self.take(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
        mask = self.take(4)
        return first & 15, unmasked(mask, self.take(size))

    def next(self, *opcodes):
        """The payload of the next frame that is one of these; pings are answered meanwhile."""
        while True:
            opcode, payload = self.frame()
            if opcode in opcodes:
                return payload
            if opcode == PING:
                self.send(PONG, payload)

    def send(self, opcode, payload=b"", **bits):
        self.socket.sendall(frame(opcode, payload, **bits))

    def close(self, code=1000):
        """Closes as one should, whoever began."""
        self.send(CLOSE, struct.pack(">H", code))
        self.next(CLOSE)

    def ended(self):
        """Reads until the client hangs up."""
        while self.fill():
            self.received = b""

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Peers:
    """Where a raw server listens, and how many came."""

    def __init__(self, host, port, scheme):
        self.port, self.count = port, 0
        self.url = f"{scheme}://{host}:{port}/"


@contextmanager
def raw_server(answer, opens=True, port=0, listener=None, tls=None):
    """A server that calls `answer` with each connection, in a thread of its own; a socket that
    breaks ends the answer. An answer that has `begins` is told of each before it is opened."""
    listener = listener or socket.create_server(("127.0.0.1", port), backlog=100)
    seen = Peers(*listener.getsockname(), "wss" if tls else "ws")
    errors, sockets = [], []

    def talk(connection):
        seen.count += 1
        if tls:
            connection.settimeout(PATIENCE_SECONDS)
        try:
            with connection if not tls else tls.wrap_socket(connection, True) as stream:
                sockets.append(stream)
                raw = Raw(stream)
                if hasattr(answer, "begins"):
                    answer.begins(raw)
                if opens:
                    raw.open()
                answer(raw)
        except OSError:
            pass  # What the client did is for the test to judge.
        except Exception as error:  # Raised where the test can see it.
            errors.append(error)

    with accepting(listener, talk):
        try:
            yield seen
        finally:
            shut(sockets)
    if errors:
        raise errors[0]
