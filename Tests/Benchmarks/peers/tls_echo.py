"""A WebSocket server with TLS that echoes short text messages: a certificate with its key.

The first line of its output is the port. It does what one client at a time needs and no more, so
that most of what a client waits for is the handshake. It ends when its input does.
"""

import base64
import hashlib
import os
import socket
import ssl
import sys
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = 8


def serve(connection: ssl.SSLSocket) -> None:
    stream = connection.makefile("rb")
    key = None
    while (line := stream.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            key = value.strip()
    # A client of TLS only, which is measured too.
    if key is None:
        return
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while head := stream.read(2):
        opcode, size = head[0] & 15, head[1] & 127
        if size > 125:
            return
        mask = stream.read(4)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))
        connection.sendall(bytes([head[0], size]) + payload)
        if opcode == CLOSE:
            return


def main(certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One that keeps its connection open must not hold up the next.
        plain.settimeout(5)
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                serve(connection)
        except OSError as error:
            print(f"tls_echo: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
