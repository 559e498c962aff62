"""A CONNECT proxy and a SOCKS proxy, which write down what they were asked."""

import base64
import selectors
import socket
import struct
from contextlib import contextmanager

from peers import PATIENCE_SECONDS, accepting, read_request


class Proxy:
    """`url` to use it; `asked` are the targets, host and port, as the clients named them."""

    def __init__(self, port):
        self.port = port
        self.asked = []
        self.requests = []


@contextmanager
def proxy(talk, user=None, names=None):
    """A proxy that wants `user` (name, password) and maps the host names in `names`."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Proxy(listener.getsockname()[1])

    def answer(connection):
        try:
            with connection:
                connection.settimeout(PATIENCE_SECONDS)
                target = talk(connection, seen, user)
                if not target:
                    return
                host, port = target
                with socket.create_connection(((names or {}).get(host, host), port),
                                              timeout=PATIENCE_SECONDS) as onward:
                    relay(connection, onward)
        except OSError:
            pass  # A client that left. What it saw is for the test to judge.

    with accepting(listener, answer):
        yield seen


def relay(one, other):
    """Copies both ways until both are done, or nothing happens for too long."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                return
            for key, _ in ready:
                received = key.fileobj.recv(65536)
                if received:
                    key.data.sendall(received)
                else:
                    selector.unregister(key.fileobj)
                    key.data.shutdown(socket.SHUT_WR)


def connect(connection, seen, user):
    """RFC 9110 section 9.3.6: where to, or None after a refusal."""
    request = read_request(connection).decode()
    seen.requests.append(request)
    method, target, _ = request.split("\r\n")[0].split(" ")
    fields = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line)
    if method != "CONNECT":
        connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        return None
    if user:
        wanted = "basic " + base64.b64encode(":".join(user).encode()).decode().lower()
        if fields.get("proxy-authorization") != wanted:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0"
                               b"\r\nProxy-Authenticate: Basic realm=\"test\"\r\n"
                               b"Connection: close\r\n\r\n")
            return None
    host, port = target.rsplit(":", 1)
    seen.asked.append((host, int(port)))
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    return host, int(port)


def socks(connection, seen, user):
    """RFC 1928 and 1929: where to, or None after a refusal."""
    stream = connection.makefile("rb")
    version, count = stream.read(2)
    methods = stream.read(count)
    method = 2 if user else 0
    if version != 5 or method not in methods:
        connection.sendall(b"\x05\xff")
        return None
    connection.sendall(bytes([5, method]))
    if user:
        stream.read(1)
        given = tuple(stream.read(stream.read(1)[0]).decode() for _ in range(2))
        connection.sendall(b"\x01\x00" if given == user else b"\x01\x01")
        if given != user:
            return None
    _, _, _, kind = stream.read(4)
    if kind == 3:
        host = stream.read(stream.read(1)[0]).decode()
    else:
        family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        host = socket.inet_ntop(family, stream.read(size))
    [port] = struct.unpack(">H", stream.read(2))
    seen.asked.append((host, port))
    # Succeeded; bound to 0.0.0.0:0, as most of them say.
    connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
    return host, port
