"""What ws-cat asks with: credentials, cookies, queries; and what it makes of the answer."""

import base64
import contextlib
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

from peers import read_request, run, server
from ws_peers import outcome, saying, websockets_server


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Files(unittest.TestCase):
    """Tests that read secrets from files."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def asked(self, options="", url="", settings="", **environment):
        """The request of one connection."""
        with websockets_server(saying("1")) as seen:
            url = url.replace("PORT", str(seen.port)) or seen.url
            done = outcome(f"{settings} ws-cat -v --no-close {options} '{url}'", **environment)
            self.assertEqual((done.returncode, done.stdout), (0, b"1\n"), done.stderr)
            [request] = seen.requests
        fields = request.headers.get_all("Authorization") + request.headers.get_all("Cookie")
        # Neither a field nor what is in it.
        parts = [part for field in fields for part in (field, field.split(" ")[-1])]
        for secret in [*parts, "s3cret"]:
            self.assertNotIn(secret.encode(), done.stderr)
        return request


class Credentials(Files):
    """Authorization and Cookie, and where they come from."""

    def authorization(self, *arguments, **options):
        return self.asked(*arguments, **options).headers.get_all("Authorization")

    def test_nothing_by_itself(self):
        request = self.asked()
        self.assertEqual(request.headers.get_all("Authorization"), [])
        self.assertEqual(request.headers.get_all("Cookie"), [])

    def test_user(self):
        wanted = [basic("ann", "s3cret:ü")]
        secret = self.file("secret", "s3cret:ü\n")
        self.assertEqual(self.authorization("--user ann:s3cret:ü"), wanted)
        self.assertEqual(self.authorization(f"--user ann:@{secret}"), wanted)
        self.assertEqual(self.authorization("--user ann", STREAMUTILS_PASSWORD="s3cret:ü"), wanted)
        self.assertEqual(self.authorization("--user ann:@/dev/fd/7", settings=f"7<{secret}"),
                         wanted)
        # A pipe can be read only once.
        self.assertEqual(
            self.authorization("--user ann:@/dev/fd/7 7<&0 0</dev/null",
                               settings=f"cat {secret} |"), wanted)
        self.assertEqual(self.authorization(url="ws://ann:s3cret%3A%C3%BC@127.0.0.1:PORT/"), wanted)

    def test_netrc(self):
        wanted = [basic("ann", "s3cret")]
        text = ("machine example.org login eve password other\n"
                "machine 127.0.0.1\n  login ann\n  password s3cret\n")
        path = self.file(".netrc", text)
        self.assertEqual(self.authorization(f"--netrc-file {path}"), wanted)
        self.assertEqual(self.authorization("--netrc", HOME=str(self.folder)), wanted)
        self.assertEqual(self.authorization(HOME=str(self.folder)), [])
        other = self.file("other", "machine example.org login eve password other\n")
        self.assertEqual(self.authorization(f"--netrc-file {other}"), [])

    def test_bearer(self):
        token = self.file("token", "s3cret.to-ken_\n")
        self.assertEqual(self.authorization(f"--bearer-file {token}"), ["Bearer s3cret.to-ken_"])

    def test_cookies(self):
        jar = self.file("cookie", "id=s3cret\n")
        request = self.asked(f"--cookie a=1 --cookie @{jar}")
        self.assertEqual(request.headers.get_all("Cookie"), ["a=1; id=s3cret"])

    def test_secrets_that_would_break_the_request(self):
        secret = self.file("secret", "s3cret\r\nX-Injected: 1\n")
        with websockets_server() as seen:
            for options in [f"--bearer-file {secret}", f"--cookie @{secret}",
                            f"--user ann:@{secret}", "-H $'X-A: 1\\r\\nX-Injected: 1'"]:
                done = outcome(f"ws-cat {options} {seen.url}")
                self.assertNotEqual(done.returncode, 0, options)
                self.assertNotIn(b"s3cret", done.stderr)
            done = outcome(f"ws-cat --bearer-file {secret}-none {seen.url}")
            self.assertEqual(done.returncode, 66, done.stderr)
            self.assertEqual(seen.requests, [])

    def test_two_at_once(self):
        token = self.file("token", "t\n")
        done = outcome(f"ws-cat --user a:b --bearer-file {token} ws://127.0.0.1:1/")
        self.assertEqual(done.returncode, 64, done.stderr)

    def test_query(self):
        key = self.file("key", "s3cret +&=#%ü\n")
        request = self.asked(f"--query 'a b=c&d' --query key=@{key}",
                             "ws://127.0.0.1:PORT/p?x=1")
        path, _, query = request.path.partition("?")
        self.assertEqual(path, "/p")
        self.assertNotIn("#", query)
        self.assertEqual(urllib.parse.parse_qsl(query),
                         [("x", "1"), ("a b", "c&d"), ("key", "s3cret +&=#%ü")])
        self.assertEqual(self.asked("--query a=1", "ws://127.0.0.1:PORT").path, "/?a=1")

    def test_a_fragment(self):
        # RFC 6455, section 3: there is none.
        done = outcome("ws-cat 'ws://127.0.0.1:1/p#fragment'")
        self.assertEqual(done.returncode, 64, done.stderr)


class Answers(Files):
    """Statuses other than 101."""

    def test_statuses(self):
        for status, exit in [(401, 77), (403, 77), (200, 69), (404, 69), (500, 69), (503, 69)]:
            with self.subTest(status):
                with websockets_server(refuse=lambda request: (status, [])) as seen:
                    done = outcome(f"ws-cat --no-close {seen.url}", b"1\n")
                self.assertEqual((done.returncode, done.stdout), (exit, b""), done.stderr)
                self.assertIn(str(status).encode(), done.stderr)

    def test_401_is_not_tried_again(self):
        with websockets_server(refuse=lambda request: (401, [])) as seen:
            run(f"ws-cat --no-close --reconnect --backoff 1ms..2ms {seen.url}", status=77)
        self.assertEqual(len(seen.requests), 1)

    def test_retry_after(self):
        def refuse(request):
            return (503, [("Retry-After", "1")]) if len(seen.requests) == 1 else None

        with websockets_server(saying("1", "2"), refuse=refuse) as seen:
            start = time.monotonic()
            self.assertEqual(run(f"ws-cat --no-close --reconnect --backoff 1ms..2ms -n 1"
                                 f" {seen.url}"), b"1\n")
            self.assertGreaterEqual(time.monotonic() - start, 0.95)
        self.assertEqual(len(seen.requests), 2)

    def test_retries(self):
        with websockets_server(refuse=lambda request: (503, [])) as seen:
            run(f"ws-cat --no-close --reconnect --retries 2 --backoff 1ms..2ms {seen.url}",
                status=69)
        self.assertEqual(len(seen.requests), 3)

    def test_a_token_is_read_again(self):
        token = self.file("token", "first\n")

        def refuse(request):
            token.write_text("second\n")
            return (503, []) if len(seen.requests) == 1 else None

        with websockets_server(saying("1", "2"), refuse=refuse) as seen:
            run(f"ws-cat --no-close --reconnect --backoff 1ms..2ms -n 1 --bearer-file {token}"
                f" {seen.url}")
        self.assertEqual([request.headers["Authorization"] for request in seen.requests],
                         ["Bearer first", "Bearer second"])


def redirecting(location, requests):
    """A server that sends everybody elsewhere."""
    def answer(connection):
        requests.append(read_request(connection).decode())
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n"
                           "Connection: close\r\n\r\n".encode())
    return server(answer)


class Redirects(unittest.TestCase):
    """3xx, which are followed with --location only."""

    def test_only_when_asked(self):
        requests = []
        with websockets_server(saying("1")) as seen:
            for scheme in ["ws", "http"]:
                location = f"{scheme}://127.0.0.1:{seen.port}/new?x=1"
                with redirecting(location, requests) as url:
                    done = outcome(f"ws-cat --no-close {url}")
                    self.assertNotIn(done.returncode, [0, 1, 64], done.stderr)
                    self.assertIn(b"302", done.stderr)
                    self.assertEqual(run(f"ws-cat --no-close -L {url}"), b"1\n")
        self.assertEqual([request.path for request in seen.requests], ["/new?x=1"] * 2)

    def test_credentials_stay_with_their_origin(self):
        requests = []
        with websockets_server(saying("1")) as seen:
            with redirecting(seen.url, requests) as url:
                run(f"ws-cat --no-close -L --user ann:s3cret --cookie a=1 -H 'X-Other: 1' {url}")
        self.assertIn("authorization: basic", requests[0].lower())
        [request] = seen.requests
        self.assertEqual([request.headers.get(name) for name in ["Authorization", "Cookie",
                                                                 "X-Other"]], [None, None, None])

    def test_the_same_origin(self):
        def refuse(request):
            return (307, [("Location", "new")]) if request.path == "/a/old" else None

        with websockets_server(saying("1"), refuse=refuse) as seen:
            self.assertEqual(run(f"ws-cat --no-close -L --user ann:s3cret {seen.url}a/old"), b"1\n")
        self.assertEqual([request.path for request in seen.requests], ["/a/old", "/a/new"])
        self.assertEqual(seen.requests[1].headers["Authorization"], basic("ann", "s3cret"))

    def test_without_an_end(self):
        requests = []
        with redirecting("/again", requests) as url:
            done = outcome(f"ws-cat --no-close -L {url}")
        self.assertNotIn(done.returncode, [0, 1, 64], done.stderr)
        self.assertEqual(len(requests), 11)


class Broken(unittest.TestCase):
    """Servers that are none."""

    def test_answers(self):
        # Any Sec-WebSocket-Accept but the right one is wrong, and so are the other fields.
        good = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
        answers = ["\r\n".join(good), "\r\n".join(good[:3]), "\r\n".join([*good[:2], *good[3:]]),
                   "HTTP/2 101", "SSH-2.0-OpenSSH_9.2", "\0" * 100, "x" * 100_000]
        for answer in answers:
            def talk(connection):
                read_request(connection)
                # It may leave before it has read all that.
                with contextlib.suppress(ConnectionError):
                    connection.sendall(answer.encode() + b"\r\n\r\n\x81\x011")

            with self.subTest(answer[:200]), server(talk) as url:
                done = outcome(f"ws-cat --no-close {url}", b"1\n")
                self.assertEqual((done.returncode, done.stdout), (76, b""), done.stderr)

    def test_a_server_that_leaves(self):
        def talk(connection):
            read_request(connection)
            connection.sendall(b"HTTP/1.1 101 Swi")

        with server(talk) as url:
            done = outcome(f"ws-cat --no-close {url}", b"1\n")
        self.assertIn(done.returncode, [69, 76], done.stderr)
