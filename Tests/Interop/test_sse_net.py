"""sse-decode with proxies and bad networks between it and its server."""

import shutil
import subprocess
import tempfile
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path

from authority import Authority
from broken_nets import link, tool
from peers import ENVIRONMENT, PATIENCE_SECONDS, reserved, until
from sse_peers import SOON, STREAM, decode, event, none, web
from test_ws_nginx import NGINX, is_listening, nginx

SQUID = shutil.which("squid", path=f"{ENVIRONMENT['PATH']}:/usr/sbin:/usr/local/sbin")
TOTAL = 2000
NUMBERS = [str(number) for number in range(1, TOTAL + 1)]

CONFIGURATION = """
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
access_log none
cache_log {folder}/log
pid_filename {folder}/pid
coredump_dir {folder}
shutdown_lifetime 0 seconds
pinger_enable off
"""


def stream(client, request):
    """Events from behind the last, 500 on a connection, and then an unfinished one."""
    last = int(request.id or 0)
    if last >= TOTAL:
        return none(client, request)
    client.head("200 OK", STREAM, "X-Accel-Buffering: no")
    for start in range(last + 1, min(last + 501, TOTAL + 1), 50):
        client.say(b"".join(event(number, number) for number in range(start, start + 50)))
        time.sleep(0.005)
    return client.say(b"id: 99999\ndata: half")


@contextmanager
def squid():
    """The port of a squid that lets everything through."""
    with reserved() as port, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "squid.conf")
        path.write_text(CONFIGURATION.format(folder=folder, port=port))
        process = subprocess.Popen([SQUID, "-N", "-f", str(path)], env=ENVIRONMENT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        clock = threading.Timer(3 * PATIENCE_SECONDS, process.kill)
        clock.start()
        try:
            until(lambda: is_listening(port, process))
            yield port
        finally:
            clock.cancel()
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


class Proxies(unittest.TestCase):
    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_nginx(self):
        with web(stream) as server, nginx(server.port) as port:
            done = decode("-d", f"http://127.0.0.1:{port}/stream")
        self.assertEqual(done.output.decode().split(), NUMBERS)

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_http_2(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "authority")
            with web(stream) as server, \
                    nginx(server.port, authority.issue("localhost", "DNS:localhost"),
                          version="http2") as port:
                done = decode("-d", "--cacert", authority.certificate,
                              f"https://localhost:{port}/stream")
        self.assertEqual(done.output.decode().split(), NUMBERS)
        self.assertEqual({request.one("X-Protocol") for request in server.requests},
                         {"HTTP/2.0"})

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_nginx_without_a_server(self):
        with reserved() as port, nginx(port) as proxy:
            done = decode("-d", "--retries", "2", f"http://127.0.0.1:{proxy}/stream", status=69)
        self.assertIn(b"502", done.errors)

    @unittest.skipUnless(SQUID, "squid is not installed")
    def test_squid(self):
        with web(stream) as server, squid() as port:
            done = decode("-d", "--proxy", f"http://127.0.0.1:{port}", server.url)
            self.assertEqual(done.output.decode().split(), NUMBERS)
            self.assertIn("squid", server.requests[0].one("Via"))


class Networks(unittest.TestCase):
    """Two hosts of our own, where the system lets us make them."""

    @contextmanager
    def hosts(self):
        try:
            with link() as cable:
                yield cable
        except OSError as error:
            if "ot permitted" in str(error):
                self.skipTest(f"no network namespaces: {error}")
            raise

    def followed(self, cable, server, options, meanwhile=lambda: None):
        command = ["nsenter", "--net", "--target", str(cable.near), "sse-decode", "-d", "--stats",
                   "-q", *SOON, *options.split(), f"http://10.9.8.2:{server.port}/stream"]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            meanwhile()
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(output.decode().split(), NUMBERS)
        return errors.decode()

    def test_lost_packets(self):
        with self.hosts() as cable:
            try:
                tool(*cable.inside(cable.far), "tc", "qdisc", "add", "dev", "far", "root",
                     "netem", "loss", "10%", "delay", "2ms", "reorder", "25%")
            except OSError as error:
                self.skipTest(f"no netem: {error}")
            with web(stream, listener=cable.listener()) as server:
                self.followed(cable, server, "--idle-timeout 10s")

    def test_a_dead_link(self):
        def halting(client, request):
            """The stream stands still in its middle until the link is down."""
            if server.count > 1:
                return stream(client, request)
            client.head("200 OK", STREAM)
            client.say(b"".join(event(number, number) for number in range(1, 101)))
            begun.set()
            down.wait(PATIENCE_SECONDS)
            return client.say(event(101, 101))

        begun, down = threading.Event(), threading.Event()
        with self.hosts() as cable, web(halting, listener=cable.listener()) as server:
            def cut():
                # For longer than its silence is borne.
                self.assertTrue(begun.wait(PATIENCE_SECONDS))
                tool(*cable.inside(cable.far), "ip", "link", "set", "far", "down")
                down.set()
                time.sleep(1.5)
                tool(*cable.inside(cable.far), "ip", "link", "set", "far", "up")

            errors = self.followed(cable, server, "--idle-timeout 300ms --connect-timeout 300ms",
                                   cut)
            self.assertNotIn('"stalls":0', errors)
