"""Networks that fail: a proxy that cuts, stalls and swallows, and links that can be taken down."""

import ctypes
import os
import random
import select
import socket
import struct
import subprocess
import time
from contextlib import ExitStack, contextmanager

from peers import PATIENCE_SECONDS, accepting, shut

CLONE_NEWNET = 0x40000000


class Middle:
    """Where a proxy listens, and what it does: to be changed while it runs."""

    def __init__(self, port):
        self.port, self.url = port, f"ws://127.0.0.1:{port}/"
        self.count = 0
        self.swallowed = 0  # so many of the first connections


@contextmanager
def middle(port, work):
    """A proxy in front of a port, which calls `work` with itself, its client and its server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    proxy = Middle(listener.getsockname()[1])
    sockets = []

    def relay(client):
        proxy.count += 1
        sockets.append(client)
        try:
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                sockets.append(server)
                for each in [client, server]:
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                work(proxy, client, server)
        except OSError:
            pass  # One of the two is gone, and the other is then.

    with accepting(listener, relay):
        try:
            yield proxy
        finally:
            shut(sockets)


def swallowing(proxy, client, server):
    """Passes everything on, until it is told to swallow it."""
    number = proxy.count
    while True:
        for ready in select.select([client, server], [], [], PATIENCE_SECONDS)[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            if number > proxy.swallowed:
                (server if ready is client else client).sendall(data)


def chaotic(seed, lifetime):
    """Cuts each connection after a random number of bytes, up to `lifetime` in the mean, in one of
    several ways, and meanwhile stalls, delays, and splits into single bytes."""
    chance = random.Random(seed)

    def reset(each):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def work(_, client, server):
        left = chance.randrange(2 * lifetime)
        while left > 0:
            for ready in select.select([client, server], [], [], PATIENCE_SECONDS)[0]:
                data = ready.recv(chance.choice([1, 10, 1000, 1 << 16]))
                if not data:
                    return
                data = data[:left]
                left -= len(data)
                other = server if ready is client else client
                what = chance.random()
                if what < 0.004:
                    time.sleep(0.05)
                elif what < 0.05:
                    time.sleep(0.001)
                size = min(100, len(data)) if what > 0.9 else 0
                for byte in data[:size]:
                    other.sendall(bytes([byte]))
                other.sendall(data[size:])
        for each in chance.choice([[], [client], [server], [client, server]]):
            reset(each)

    return work


class Link:
    """Two network namespaces and the cable between them."""

    def __init__(self, stack):
        self.near, self.far = [self._space(stack) for _ in range(2)]
        tool("ip", "link", "add", "near", "netns", str(self.near), "type", "veth", "peer", "name",
             "far", "netns", str(self.far))
        for pid, name, host in [(self.near, "near", 1), (self.far, "far", 2)]:
            tool(*self.inside(pid), "ip", "address", "add", f"10.9.8.{host}/24", "dev", name)
            tool(*self.inside(pid), "ip", "link", "set", name, "up")

    @staticmethod
    def _space(stack):
        # It lives as long as its standard input is open, so not longer than we do.
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        stack.callback(process.wait)
        stack.callback(process.kill)
        for stream in [process.stdin, process.stdout, process.stderr]:
            stack.callback(stream.close)
        if not process.stdout.readline():
            raise OSError(process.stderr.read().decode().strip())
        return process.pid

    @staticmethod
    def inside(pid):
        """What goes in front of a command."""
        return ["nsenter", "--net", "--target", str(pid)]

    @staticmethod
    @contextmanager
    def at(pid):
        """Sockets that this thread makes are there."""
        library = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{pid}/ns/net") as there:
            if library.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            try:
                yield
            finally:
                library.setns(here.fileno(), CLONE_NEWNET)

    def listener(self):
        """A socket that listens at the far end."""
        with self.at(self.far):
            return socket.create_server(("10.9.8.2", 0))

    def cut(self):
        """The cable is pulled at the far end."""
        tool(*self.inside(self.far), "ip", "link", "set", "far", "down")

    def deafen(self):
        """What the far end says does not arrive; it hears everything."""
        tool(*self.inside(self.far), "ip", "route", "add", "blackhole", "10.9.8.1/32")


def tool(*command):
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.decode().strip()}")


@contextmanager
def link():
    """A link, or OSError where the system does not let us make one."""
    with ExitStack() as stack:
        yield Link(stack)
