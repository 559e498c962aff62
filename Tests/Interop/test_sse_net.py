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
from http_peers import QUICK, ending, outcome, serving
from peers import ENVIRONMENT, PATIENCE_SECONDS
from test_ws_nginx import NGINX, nginx, wait_for

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


def stream(connection, request):
    """Events from behind the last, 500 on a connection, and then an unfinished one."""
    last = int(request.get("Last-Event-ID") or 0)
    if last >= TOTAL:
        return ending(connection, request)
    connection.head("200 OK", "text/event-stream", "X-Accel-Buffering: no")
    for start in range(last + 1, min(last + 501, TOTAL + 1), 50):
        connection.events(*range(start, start + 50))
        time.sleep(0.005)
    return connection.send("id: 99999\ndata: half")


@contextmanager
def squid():
    """The port of a squid that lets everything through."""
    with serving(ending) as free:
        port = free.port
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "squid.conf")
        path.write_text(CONFIGURATION.format(folder=folder, port=port))
        process = subprocess.Popen([SQUID, "-N", "-f", str(path)], env=ENVIRONMENT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        clock = threading.Timer(3 * PATIENCE_SECONDS, process.kill)
        clock.start()
        try:
            wait_for(port, process)
            yield port
        finally:
            clock.cancel()
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


class Proxies(unittest.TestCase):
    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_nginx(self):
        with serving(stream) as server, nginx(server.port) as port:
            done = outcome(f"-d {QUICK} http://127.0.0.1:{port}/stream")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().split(), NUMBERS)

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_http_2(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "authority")
            with serving(stream) as server, \
                    nginx(server.port, authority.issue("localhost", "DNS:localhost"),
                          version="http2") as port:
                done = outcome(f"-d {QUICK} --cacert {authority.certificate}"
                               f" https://localhost:{port}/stream")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().split(), NUMBERS)
        self.assertEqual({request.get("X-Protocol") for request in server.requests},
                         {"HTTP/2.0"})

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_nginx_without_a_server(self):
        with serving(stream) as server:
            port = server.port
        with nginx(port) as proxy:
            done = outcome(f"-d {QUICK} --retries 2 http://127.0.0.1:{proxy}/stream")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn(b"502", done.stderr)

    @unittest.skipUnless(SQUID, "squid is not installed")
    def test_squid(self):
        with serving(stream) as server, squid() as port:
            done = outcome(f"-d {QUICK} --proxy http://127.0.0.1:{port} {server.url}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.decode().split(), NUMBERS)
            self.assertIn("squid", server.requests[0].get("Via"))


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
                   "-q", *options.split(), f"http://10.9.8.2:{server.port}/stream"]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            meanwhile()
            output, errors = process.communicate(timeout=60)
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
            with serving(stream, listener=cable.listener()) as server:
                self.followed(cable, server, f"{QUICK} --idle-timeout 10s")

    def test_a_dead_link(self):
        with self.hosts() as cable, serving(stream, listener=cable.listener()) as server:
            def cut():
                # In the middle of the stream, for longer than its silence is borne.
                deadline = time.monotonic() + 10
                while not server.requests and time.monotonic() < deadline:
                    time.sleep(0.001)
                time.sleep(0.02)
                tool(*cable.inside(cable.far), "ip", "link", "set", "far", "down")
                time.sleep(1.5)
                tool(*cable.inside(cable.far), "ip", "link", "set", "far", "up")

            errors = self.followed(
                cable, server, f"{QUICK} --idle-timeout 300ms --connect-timeout 300ms", cut)
            self.assertNotIn('"stalls":0', errors)
