"""The ways to a server: proxies, given addresses, Unix sockets."""

import base64
import json
import socket
import tempfile
import unittest
from pathlib import Path

from authority import Authority, server_context
from peers import run
from proxies import connect, proxy, socks
from ws_peers import MESSAGES, messages, outcome, records, saying, websockets_server

USER = ("somebody", "se:cret")
# As a URL has to write it.
LOGIN = "somebody:se%3Acret"


def hidden(done):
    """No diagnostic has the password in any of its forms."""
    packed = base64.b64encode(":".join(USER).encode())
    return not any(secret in done.stderr + done.stdout for secret in
                   [b"se:cret", b"se%3Acret", packed])


class Proxies(unittest.TestCase):
    """The server is reached through one."""

    def test_every_kind_of_message(self):
        for talk, scheme in [(connect, "http"), (socks, "socks5"), (socks, "socks5h")]:
            with self.subTest(scheme), proxy(talk) as seen, websockets_server() as server:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)}"
                             f" --proxy {scheme}://127.0.0.1:{seen.port} {server.url}",
                             records(MESSAGES))
                self.assertEqual(messages(output), MESSAGES)
                self.assertEqual(seen.asked, [("127.0.0.1", server.port)])

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "authority")
            context = server_context(*authority.issue("server", "IP:127.0.0.1"))
            for talk, scheme in [(connect, "http"), (socks, "socks5h")]:
                with self.subTest(scheme), proxy(talk) as seen:
                    with websockets_server(saying("1"), ssl=context) as server:
                        given = f"{scheme}://127.0.0.1:{seen.port}"
                        self.assertEqual(run(f"ws-cat --no-close --cacert {authority.certificate}"
                                             f" --proxy {given} {server.url}"), b"1\n")
                        done = outcome(f"https_proxy={given} ws-cat --no-close {server.url}")
                        # The certificate is the server's, so the proxy vouches for nothing.
                        self.assertEqual(done.returncode, 77, done.stderr)
                    self.assertEqual(seen.asked, [("127.0.0.1", server.port)] * 2)

    def test_a_name_that_only_the_proxy_knows(self):
        names = {"inside.example": "127.0.0.1"}
        for talk, scheme in [(connect, "http"), (socks, "socks5h")]:
            with self.subTest(scheme), proxy(talk, names=names) as seen:
                with websockets_server(saying("1")) as server:
                    self.assertEqual(run(f"ws-cat --no-close --proxy {scheme}://127.0.0.1:"
                                         f"{seen.port} ws://inside.example:{server.port}/"), b"1\n")
                self.assertEqual(seen.asked, [("inside.example", server.port)])

    def test_a_user(self):
        for talk, scheme in [(connect, "http"), (socks, "socks5"), (socks, "socks5h")]:
            with self.subTest(scheme), proxy(talk, USER) as seen:
                with websockets_server(saying("1")) as server:
                    address = f"127.0.0.1:{seen.port}"
                    for command in [f"ws-cat --proxy {scheme}://{LOGIN}@{address}",
                                    f"http_proxy={scheme}://{LOGIN}@{address} ws-cat"]:
                        done = outcome(f"{command} -v --no-close {server.url}")
                        self.assertEqual((done.returncode, done.stdout), (0, b"1\n"), done.stderr)
                        self.assertTrue(hidden(done), done.stderr)
                    asked = len(seen.asked)
                    for login in ["", "somebody:other@"]:
                        done = outcome(f"ws-cat -v --no-close --proxy {scheme}://{login}{address}"
                                       f" {server.url}")
                        self.assertEqual((done.returncode, done.stdout), (77, b""), done.stderr)
                        self.assertNotIn(b"other", done.stderr)
                    self.assertEqual(len(seen.asked), asked)

    def test_environment(self):
        with proxy(connect) as seen, websockets_server(saying("1")) as server:
            given = f"http://127.0.0.1:{seen.port}"
            # Whether it goes through the proxy.
            for settings, options, through in [
                    (f"http_proxy={given}", "", True), (f"all_proxy={given}", "", True),
                    (f"https_proxy={given}", "", False),
                    (f"http_proxy={given} no_proxy=127.0.0.1", "", False),
                    (f"http_proxy={given} no_proxy=example.org", "", True),
                    (f"http_proxy={given}", "--noproxy 127.0.0.1", False),
                    (f"http_proxy={given}", "--noproxy '*'", False),
                    ("http_proxy=http://127.0.0.1:1", f"--proxy {given}", True)]:
                with self.subTest(settings=settings, options=options):
                    before = len(seen.asked)
                    self.assertEqual(run(f"{settings} ws-cat --no-close {options} {server.url}"),
                                     b"1\n")
                    self.assertEqual(len(seen.asked) - before, int(through))

    def test_no_proxy_there(self):
        with websockets_server() as server:
            for scheme in ["http", "socks5"]:
                done = outcome(f"ws-cat --proxy {scheme}://127.0.0.1:1 {server.url}")
                self.assertEqual(done.returncode, 69, done.stderr)
            self.assertEqual(server.requests, [])


class Addresses(unittest.TestCase):
    """The server is where one says it is."""

    def test_resolve(self):
        with websockets_server(saying("1")) as server:
            name = f"name.example:{server.port}"
            self.assertEqual(run(f"ws-cat --no-close --resolve {name}:127.0.0.1 ws://{name}/"),
                             b"1\n")
            self.assertEqual(server.requests[0].headers["Host"], name)

    def test_localhost(self):
        with websockets_server(saying("1")) as server:
            # It listens on 127.0.0.1 only.
            self.assertEqual(run(f"ws-cat --no-close ws://localhost:{server.port}/"), b"1\n")
            self.assertEqual(run(f"ws-cat --no-close -4 ws://localhost:{server.port}/"), b"1\n")
            self.assertEqual(outcome(f"ws-cat -6 ws://localhost:{server.port}/").returncode, 69)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "socket"))
            with websockets_server(unix=path) as server:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} --unix-socket {path}"
                             " ws://somewhere/path", records(MESSAGES))
                self.assertEqual(messages(output), MESSAGES)
                self.assertEqual((server.requests[0].path, server.requests[0].headers["Host"]),
                                 ("/path", "somewhere"))
            done = outcome(f"ws-cat --unix-socket {path}-none ws://somewhere/")
            self.assertEqual(done.returncode, 69, done.stderr)

    def test_a_server_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
            for command in [f"ws-cat {url}", f"ws-cat {url.replace('ws:', 'wss:')}"]:
                done = outcome(f"{command} --connect-timeout 200ms --stats")
                self.assertEqual(done.returncode, 69, done.stderr)
                stats = done.stderr[done.stderr.index(b"{"):].splitlines()[0]
                took = json.loads(stats)["elapsed_seconds"]
                self.assertTrue(0.15 < took < 5)
