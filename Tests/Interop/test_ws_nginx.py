"""ws-cat with nginx between it and its peer."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import connect

from authority import Authority
from peers import ENVIRONMENT, PATIENCE_SECONDS, reserved, run, until
from ws_peers import (MESSAGES, keep, listening, messages, outcome, records, saying,
                      websockets_server)

# Debian keeps it where only the administrator looks.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
# Of nginx, where a test is not about it.
READ_TIMEOUT_SECONDS = 50

CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} {tls};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
            proxy_set_header X-Protocol $server_protocol;
            proxy_read_timeout {timeout}s;
        }}
    }}
}}
"""


@contextmanager
def nginx(upstream, certificate=None, version="", timeout=READ_TIMEOUT_SECONDS):
    """The port of an nginx in front of this port; with TLS when it has a certificate and key, and
    then `version` may be http2."""
    with tempfile.TemporaryDirectory() as folder, reserved() as port:
        tls = "ssl {}; ssl_certificate {}; ssl_certificate_key {}".format(version, *certificate) \
            if certificate else ""
        path = Path(folder, "nginx.conf")
        path.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream, tls=tls,
                                             timeout=timeout))
        errors = str(Path(folder, "error.log"))
        process = subprocess.Popen([NGINX, "-p", folder, "-e", errors, "-c", str(path)],
                                   env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        clock = threading.Timer(PATIENCE_SECONDS, process.kill)
        clock.start()
        try:
            until(lambda: is_listening(port, process))
            yield port
        finally:
            clock.cancel()
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def is_listening(port, process):
    """Whether a program has come to this, on a port that was reserved for it."""
    if process.poll() is not None:
        raise AssertionError(f"{process.args[0]} did not start")
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@unittest.skipUnless(NGINX, "nginx is not installed")
class Nginx(unittest.TestCase):
    """A reverse proxy as most people configure it."""

    def test_every_kind_of_message(self):
        with websockets_server() as seen, nginx(seen.port) as port:
            for options in ["", "--compress=off"]:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} {options}"
                             f" ws://127.0.0.1:{port}/", records(MESSAGES))
                self.assertEqual(messages(output), MESSAGES)
                self.assertEqual(seen.close()[0], 1000)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "authority")
            pair = authority.issue("localhost", "DNS:localhost")
            with websockets_server() as seen, nginx(seen.port, pair) as port:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} --cacert"
                             f" {authority.certificate} wss://localhost:{port}/", records(MESSAGES))
        self.assertEqual(messages(output), MESSAGES)

    def test_the_read_timeout(self):
        with websockets_server(keep) as seen, nginx(seen.port, timeout=1) as port:
            done = outcome(f"ws-cat --no-close --ping 0 ws://127.0.0.1:{port}/", b"1\n")
        # nginx just drops the connection, and that is no success.
        self.assertEqual(done.returncode, 69, done.stderr)

    def test_pings_keep_it_open(self):
        async def answer(connection, seen):
            await asyncio.sleep(2)
            await saying("late")(connection, seen)

        with websockets_server(answer) as seen, nginx(seen.port, timeout=1) as port:
            self.assertEqual(run(f"ws-cat -t --no-close --ping 100ms ws://127.0.0.1:{port}/"),
                             b"late\n")

    def test_nobody_behind_it(self):
        with reserved() as upstream, nginx(upstream) as port:
            done = outcome(f"ws-cat --no-close ws://127.0.0.1:{port}/")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn(b"502", done.stderr)

    def test_in_front_of_a_listening_one(self):
        async def talk(url):
            async with connect(url, max_size=1 << 26, proxy=None) as connection:
                back = []
                for message in MESSAGES:
                    await connection.send(message)
                    back.append(await connection.recv())
                return back

        with listening("-r", echoes=True) as tool, nginx(tool.port) as port:
            back = asyncio.run(asyncio.wait_for(talk(f"ws://127.0.0.1:{port}/"), PATIENCE_SECONDS))
            self.assertEqual(tool.status(), 0)
        self.assertEqual(back, MESSAGES)
