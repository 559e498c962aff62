"""What sse-decode asks URLs with, and what it makes of answers that are no plain event stream."""

import base64
import gzip
import json
import random
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from authority import Authority, server_context
from peers import ENVIRONMENT, PATIENCE_SECONDS, reserved, seed, until
from sse_peers import (IDLE, STREAM, Files, chunks, cut, decode, decoding, each_of, event, held,
                       none, record, redirect, reply, silence, stream, web, zipped)

NDJSON = "application/x-ndjson"
JSON = "application/json"
SEQUENCE = "application/json-seq"
# As Gemini writes it without alt=sse.
ARRAY = (b'[{\n  "candidates": [\n    {"text": "Gr\xc3\xbcn, \\"[1,\\n2]\\" {"}\n  ]\n}\n,\r\n'
         b'{\n  "n": 12345678901234567890.10\n}\n,\n[], {}, "a\\\\", -0.5e1, null]\n')
VALUES = json.loads(ARRAY)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def values(records):
    """The JSON values that are the data of these records."""
    for each in records:
        if sorted(each) != ["data", "event"] or each["event"] != "message":
            raise AssertionError(f"no plain record: {each}")
    return [json.loads(each["data"]) for each in records]


class Requests(Files):
    """Methods, bodies, header fields, credentials."""

    def asked(self, *options, path="", secrets=(), **environment):
        """The first request, with a stream and the end behind it."""
        with web([stream(event("a", 1)), none]) as seen:
            done = decode("-v", "--reconnect", "always", *options, seen.url + path, **environment)
            self.assertEqual(done.records, [record("a", 1)])
        one, other = seen.requests
        # The next request is the same, but for the id.
        self.assertEqual(other.id, "1")
        self.assertEqual(
            (one.method, one.body, sorted(one.fields)),
            (other.method, other.body,
             sorted(field for field in other.fields if field[0].lower() != "last-event-id")))
        for secret in secrets:
            self.assertNotIn(secret.encode(), done.errors)
        return one

    def test_methods(self):
        for options, method, body in [
                (["-X", "GET"], "GET", b""), (["-X", "POST"], "POST", b""),
                (["--request", "REPORT"], "REPORT", b""), (["--body", "{}"], "POST", b"{}"),
                (["-X", "PUT", "--body", "a=b"], "PUT", b"a=b"), (["--body", ""], "POST", b"")]:
            with self.subTest(options):
                request = self.asked(*options)
                self.assertEqual((request.method, request.body), (method, body))
                self.assertEqual(request.one("Accept"), STREAM)

    def test_fields_of_every_request(self):
        request = self.asked(path="p")
        self.assertEqual((request.method, request.target, request.id), ("GET", "/p", None))
        self.assertEqual([request.one(name) for name in ["Accept", "Cache-Control",
                                                         "Accept-Encoding", "User-Agent"]],
                         [STREAM, "no-cache", "gzip", "streamutils/0.1.0"])

    def test_content_types(self):
        self.assertEqual(self.asked("--body", "{}").one("Content-Type"), JSON)
        request = self.asked("--body", "a", "-H", "content-type: text/plain")
        self.assertEqual(request.one("Content-Type"), "text/plain")
        self.assertEqual(self.asked().all("Content-Type"), [])

    def test_a_body_in_a_file_is_read_again(self):
        body = self.file("body", b'{"n": 1}\n')

        def answer(client, request):
            body.write_bytes(b'{"n": 2}')
            cut(event("a", 1))(client, request)

        with web([answer, none]) as seen:
            decode("--body", f"@{body}", seen.url)
        self.assertEqual([request.body for request in seen.requests], [b'{"n": 1}\n', b'{"n": 2}'])

    def test_a_large_body(self):
        data = bytes(range(256)) * 10_000
        request = self.asked("--body", f"@{self.file('body', data)}")
        self.assertEqual(request.body, data)

    def test_a_body_that_is_not_there(self):
        with web([]) as seen:
            decode("--body", f"@{self.folder}/none", seen.url, status=66)

    def test_fields(self):
        fields = self.file("fields", "# Three.\nX-A: 1\nX-B:  two words \n\nX-A: 3\n")
        request = self.asked("-H", f"@{fields}", "-H", "X-C: ü", "--header=X-D: a: b")
        self.assertEqual((request.all("X-A"), request.one("X-B"), request.one("X-C"),
                          request.one("X-D")), (["1", "3"], "two words", "ü", "a: b"))

    def test_fields_of_ours_give_way(self):
        request = self.asked("-H", "User-Agent: mine", "-H", "accept: text/event-stream, */*")
        self.assertEqual((request.one("User-Agent"), request.one("Accept")),
                         ("mine", "text/event-stream, */*"))

    def test_fields_that_would_break_the_request(self):
        with web([]) as seen:
            for options in [["-H", "X-A: 1\r\nX-B: 1"], ["-H", "X A: 1"], ["-H", "X-A"],
                            ["--last-event-id", "1\r\nX-B: 1"], ["-X", "GET /\r\n"],
                            ["--cookie", "a=1\r\nX-B: 1"]]:
                with self.subTest(options):
                    decode(*options, seen.url, status=64)
            self.assertEqual(seen.count, 0)

    def test_credentials(self):
        token = self.file("token", "s3cret.token_\n")
        password = self.file("password", "s3cret:ü\n")
        machines = self.file("netrc", "machine 127.0.0.1 login ann password s3cret\n")
        for options, wanted in [
                (["--bearer-file", token], "Bearer s3cret.token_"),
                (["--user", "ann:s3cret:ü"], basic("ann", "s3cret:ü")),
                (["--user", f"ann:@{password}"], basic("ann", "s3cret:ü")),
                (["--netrc-file", machines], basic("ann", "s3cret"))]:
            with self.subTest(options):
                request = self.asked(*options, secrets=["s3cret", wanted.split(" ")[1]])
                self.assertEqual(request.one("Authorization"), wanted)
        request = self.asked("--user", "ann", STREAMUTILS_PASSWORD="s3cret", secrets=["s3cret"])
        self.assertEqual(request.one("Authorization"), basic("ann", "s3cret"))
        self.assertEqual(self.asked().all("Authorization"), [])

    def test_a_token_is_read_again(self):
        token = self.file("token", "first\n")

        def answer(client, request):
            token.write_text("second\n")
            stream(event("a"))(client, request)

        with web([answer, none]) as seen:
            decode("--bearer-file", token, seen.url)
        self.assertEqual([request.one("Authorization") for request in seen.requests],
                         ["Bearer first", "Bearer second"])

    def test_a_password_in_the_url(self):
        with web([stream(event("a", 1)), none]) as seen:
            url = seen.url.replace("://", "://ann:s3cret%3A%C3%BC@")
            done = decode("-v", "--all", "--tag-source", "--stats", url)
        self.assertEqual([request.one("Authorization") for request in seen.requests],
                         [basic("ann", "s3cret:ü")] * 2)
        for written in [done.errors, done.output]:
            self.assertNotIn(b"s3cret", written)
            self.assertNotIn(basic("ann", "s3cret:ü").split()[1].encode(), written)

    def test_no_secret_is_told(self):
        token = self.file("token", "s3cret-1\n")
        for failing in [reply("503 Later"), reply("401 No"), stream(event("a")), held(),
                        redirect(302, "/?key=s3cret-2"), stream(type="text/html")]:
            for format in ["text", "json"]:
                def answer(client, request):
                    (failing if seen.count == 1 else none)(client, request)

                with self.subTest(failing, format=format), web(answer) as seen:
                    command = ["-v", "--all", "--tag-source", "--stats", *IDLE,
                               "--log-format", format, "--bearer-file", token,
                               "--cookie", "a=s3cret-3", "-H", "X-Key: s3cret-4",
                               "--query", "key=s3cret-5", "--body", "s3cret-6",
                               seen.url + "?token=s3cret-7"]
                    with decoding(*command) as tool:
                        output = tool.output.read()
                        tool.status()
                    self.assertGreaterEqual(seen.count, 1)
                    self.assertEqual(seen.requests[0].query, [("token", "s3cret-7"),
                                                              ("key", "s3cret-5")])
                    self.assertNotIn(b"s3cret", tool.errors + output)

    def test_cookies(self):
        jar = self.file("cookie", "id=s3cret\n")
        request = self.asked("--cookie", "a=1", "--cookie", f"@{jar}", secrets=["s3cret"])
        self.assertEqual(request.one("Cookie"), "a=1; id=s3cret")

    def test_a_cookie_jar(self):
        jar = self.folder / "jar"
        fields = ["Set-Cookie: id=s3cret; Path=/", "Set-Cookie: kept=1; Max-Age=1000"]
        with web([stream(event("a", 1), fields=fields), none]) as seen:
            done = decode("-v", "--cookie-jar", jar, seen.url)
            self.assertEqual(done.records, [record("a", 1)])
            self.assertNotIn(b"s3cret", done.errors)
        first, second = [request.one("Cookie") for request in seen.requests]
        self.assertIsNone(first)
        self.assertEqual(sorted(second.split("; ")), ["id=s3cret", "kept=1"])
        lines = [line.split("\t") for line in jar.read_text().splitlines() if "\t" in line]
        self.assertEqual(sorted([line[0], *line[5:]] for line in lines),
                         [["127.0.0.1", "id", "s3cret"], ["127.0.0.1", "kept", "1"]])
        self.assertEqual(jar.stat().st_mode & 0o777, 0o600)
        # The next run has them from the start, and takes one back.
        with web([stream(event("a"), fields=["Set-Cookie: kept=; Max-Age=0"]), none]) as seen:
            decode("--cookie-jar", jar, seen.url)
        first, second = [request.one("Cookie") for request in seen.requests]
        self.assertIn("kept=1", first.split("; "))
        self.assertNotIn("kept", second or "")
        self.assertNotIn("kept", jar.read_text())

    def test_a_cookie_jar_with_a_cookie_of_the_user(self):
        jar = self.file("jar", "# Netscape HTTP Cookie File\n"
                               "127.0.0.1\tFALSE\t/\tFALSE\t0\tid\tfrom-jar\n")
        request = self.asked("--cookie-jar", jar, "--cookie", "a=1")
        self.assertEqual(sorted(request.one("Cookie").split("; ")), ["a=1", "id=from-jar"])

    def test_a_cookie_jar_is_for_one_url(self):
        decode("--cookie-jar", self.folder / "jar", "http://127.0.0.1:1/", "http://127.0.0.1:1/b",
               status=64)

    def test_queries(self):
        key = self.file("key", "s3cret +&=#%ü\n")
        request = self.asked("--query", "a b=c&d", "--query", f"key=@{key}", path="p?x=1",
                             secrets=["s3cret"])
        self.assertEqual((request.path, request.query), (
            "/p", [("x", "1"), ("a b", "c&d"), ("key", "s3cret +&=#%ü")]))
        # Also for those that take a + for a +.
        self.assertIn("a%20b=c%26d", request.target)

    def test_the_id_as_a_parameter(self):
        with web([stream(event("a", "1 &=#%ü…")), stream(event("b", "")), none]) as seen:
            decode("--id-param", "last id", "--query", "q=2", seen.url + "p?x=1")
        self.assertEqual([sorted(request.query) for request in seen.requests],
                         [[("q", "2"), ("x", "1")],
                          [("last id", "1 &=#%ü…"), ("q", "2"), ("x", "1")],
                          [("q", "2"), ("x", "1")]])
        self.assertEqual(seen.ids, [None, "1 &=#%ü…", None])
        with web([none]) as seen:
            decode("--id-param", "last", "--last-event-id", "7", seen.url)
        self.assertEqual((seen.requests[0].query, seen.ids), ([("last", "7")], ["7"]))

    def test_the_id_takes_the_place_of_a_parameter(self):
        with web([stream(event("a", "8")), none]) as seen:
            decode("--id-param", "last", seen.url + "p?last=7&x=1")
        self.assertEqual([sorted(request.query) for request in seen.requests],
                         [[("last", "7"), ("x", "1")], [("last", "8"), ("x", "1")]])

    def test_a_fragment_is_not_sent(self):
        for url, target in [("p?x=1#y?z", "/p?x=1"), ("#x", "/")]:
            with web([none]) as seen:
                decode(seen.url + url)
            self.assertEqual(seen.requests[0].target, target)

    def test_usage(self):
        for options in [["--reconnect", "perhaps"], ["--backoff", "2s..1s"], ["--input", "xml"],
                        ["--retries", "-1"], ["--retry-statuses", "abc"], ["--exactly-once"],
                        ["--tag-source", "--text"], ["--idle-timeout", "x"],
                        ["--body", "x", "-X", "GET"], ["-H", "Last-Event-ID: 1"],
                        ["--cacert", "c"],
                        ["--exactly-once", "--state", "s", "--output", "o", "-z"]]:
            with self.subTest(options):
                decode(*options, "http://127.0.0.1:1/", status=64)
        # Without a URL they would mean nothing.
        for options in [["--state", "s"], ["--notify"], ["--idle-timeout", "1s"], ["-H", "A: 1"],
                        ["--retries", "1"], ["--backoff", "1s..2s"], ["--user", "a"],
                        ["--cacert", "c"], ["--proxy", "http://h:1"], ["-L"], ["-4"],
                        ["--poll-for", "1m"], ["--connect-timeout", "0"], ["--query", "a=1"],
                        ["--reconnect", "never"], ["--retry-statuses", "none"], ["--insecure"]]:
            with self.subTest(options):
                self.assertIn(b"needs a URL", decode(*options, status=64, options=[]).errors)

    def test_urls_that_are_none(self):
        for url in ["http://", "http://[::1/", "http://a b/", "http://127.0.0.1:99999/",
                    "http://h:0/"]:
            with self.subTest(url):
                decode(url, status=64)
        # No operand with a colon is taken for one.
        decode("ftp://127.0.0.1/", status=66)


class Redirects(Files):
    """3xx, which GET follows."""

    def fields(self, request):
        return [request.one(name) for name in ["Authorization", "Cookie", "X-Key"]]

    def test_another_origin_gets_no_fields_of_the_user(self):
        token = self.file("token", "s3cret\n")
        for host in ["127.0.0.1", "localhost"]:
            with self.subTest(host), web([stream(event("a", 1)), none]) as other:
                moved = redirect(302, f"http://{host}:{other.port}/new")
                with web([moved, moved]) as seen:
                    done = decode("-v", "--bearer-file", token, "--cookie", "a=1", "-H", "X-Key: k",
                                  "--last-event-id", "0", "--query", "key=s3cret",
                                  "--resolve", f"localhost:{other.port}:127.0.0.1", seen.url)
                self.assertEqual(done.records, [record("a", 1)])
                self.assertEqual([self.fields(request) for request in seen.requests],
                                 [["Bearer s3cret", "a=1", "k"]] * 2)
                self.assertEqual([self.fields(request) for request in other.requests],
                                 [[None] * 3] * 2)
                for request in other.requests:
                    self.assertNotIn("s3cret", repr(request))
                    self.assertEqual((request.target, request.one("Accept"),
                                      request.one("Accept-Encoding")), ("/new", STREAM, "gzip"))
                self.assertEqual((seen.ids, other.ids), (["0", "1"], ["0", "1"]))

    def test_the_same_origin_does(self):
        moved = reply("307 Elsewhere", b"moved", "Location: b", stays=True)
        with web([moved, stream(event("a")), none]) as seen:
            decode("--user", "ann:s3cret", "--cookie", "a=1", "-H", "X-Key: k", seen.url + "p/a")
        self.assertEqual([request.target for request in seen.requests], ["/p/a", "/p/b", "/p/a"])
        self.assertEqual([self.fields(request) for request in seen.requests],
                         [[basic("ann", "s3cret"), "a=1", "k"]] * 3)

    def test_each_status(self):
        for status in [301, 302, 303, 307, 308]:
            with self.subTest(status), \
                    web([redirect(status, "/there?x=1"), stream(event("a", 1)), none]) as seen:
                done = decode("--last-event-id", "5", seen.url + "p")
                self.assertEqual(done.records, [record("a", 1)])
                self.assertEqual([request.target for request in seen.requests],
                                 ["/p", "/there?x=1", "/p"])
                self.assertEqual(seen.ids, ["5", "5", "1"])

    def test_ten_and_no_more(self):
        for count, status in [(10, 0), (11, 76)]:
            def answer(client, request):
                number = int(request.target[1:] or 0)
                if number < count:
                    redirect(302, f"/{number + 1}")(client, request)
                else:
                    none(client, request)

            with self.subTest(count), web(answer) as seen:
                decode(seen.url, status=status)
                self.assertEqual(seen.count, 11)

    def test_a_loop(self):
        with web(redirect(301, "/")) as seen:
            done = decode(seen.url, status=76)
        self.assertEqual(seen.count, 11)
        self.assertIn(b"more than 10 redirects", done.errors)

    def test_not_followed(self):
        for options in [["--no-location"], ["--body", "{}"], ["-X", "POST"], ["-X", "PUT"]]:
            for status in [301, 302, 303, 307, 308]:
                with self.subTest(options, status=status), web([redirect(status, "/b")]) as seen:
                    done = decode(*options, seen.url, status=69)
                    self.assertIn(str(status).encode(), done.errors)
                    self.assertEqual(seen.count, 1)

    def test_methods(self):
        for method, status, wanted in [
                ("POST", 303, "GET"), ("POST", 301, "GET"), ("POST", 302, "GET"),
                ("POST", 307, "POST"), ("POST", 308, "POST"), ("PUT", 303, "GET"),
                ("PUT", 301, "PUT"), ("PUT", 302, "PUT"), ("PUT", 307, "PUT")]:
            with self.subTest(method, status=status), \
                    web([redirect(status, "/b"), cut(event("a", 1)), redirect(status, "/b"),
                         none]) as seen:
                decode("-L", "-X", method, "--body", "{}", seen.url)
                body = b"" if wanted == "GET" else b"{}"
                type = None if wanted == "GET" else JSON
                self.assertEqual(
                    [(request.method, request.target, request.body, request.one("Content-Type"))
                     for request in seen.requests],
                    [(method, "/", b"{}", JSON), (wanted, "/b", body, type)] * 2)

    def test_places_that_are_no_stream(self):
        for location in ["ftp://127.0.0.1/", "file:///etc/passwd", "http://", "gopher://a", "",
                         None]:
            with self.subTest(location), web([redirect(302, location)]) as seen:
                decode(seen.url, status=76)
                self.assertEqual(seen.count, 1)


class Answers(Files):
    """Answers that are refusals, errors, or no HTTP at all."""

    def refused(self, answer, status, *options):
        with web([answer]) as seen:
            done = decode(*options, seen.url, status=status)
            self.assertEqual((done.output, seen.count), (b"", 1))
        return done.errors

    def test_permissions(self):
        for status in [401, 403, 407]:
            for options in [[], ["--body", "{}"]]:
                with self.subTest(status, options=options):
                    errors = self.refused(reply(f"{status} No", b'{"why": "expired"}', type=JSON),
                                          77, *options)
                    self.assertIn(str(status).encode(), errors)
                    self.assertIn(b'{"why": "expired"}', errors)

    def test_the_body_of_an_error(self):
        body = b'{"error": {"message": "no such model"}}'
        for status in [400, 404, 501]:
            with self.subTest(status):
                errors = self.refused(reply(f"{status} No", body, type=JSON), 69)
                self.assertIn(body, errors)
        # Its beginning, however long it is and whatever is in it.
        errors = self.refused(reply("404 No", b"begin\x1b[31m\x00" + b"x" * 1_000_000), 69)
        self.assertIn(b"begin", errors)
        self.assertLess(len(errors), 4000)
        self.assertNotIn(b"\x1b", errors)
        self.assertNotIn(b"\0", errors)

    def test_the_body_of_an_error_that_does_not_end(self):
        def answer(client, request):
            client.head("404 No", "text/plain")
            client.say(b"begin")
            client.hold()

        with web([answer]) as seen:
            done = decode(*IDLE, seen.url, status=69)
        self.assertIn(b"404", done.errors)

    def test_an_error_with_status_200(self):
        body = b'{"error": {"message": "overloaded"}}'
        for sent in [body, b"\n" + body + b"\n", json.dumps(json.loads(body), indent=2).encode()]:
            with self.subTest(sent):
                errors = self.refused(reply("200 OK", sent, type=JSON), 76)
                self.assertIn(b"overloaded", errors)

    def test_an_error_with_the_type_of_a_stream(self):
        # Neither nothing with status 0, for a POST, nor asked for again and again, for a GET.
        bodies = [b'{"error":{"message":"overloaded"}}', b'{"error":\n {"message": "overloaded"}}',
                  b"<html><title>overloaded", b"\n\noverloaded", b"datum: overloaded",
                  b'{"error":{"message":"overloaded"}}\n\n']
        for body in bodies:
            for options in [[], ["--body", "{}"], ["--body", "{}", "--fail-on-error"]]:
                for answer in [stream(body), chunks(body), cut(body), held(body)]:
                    with self.subTest(body, options=options):
                        errors = self.refused(answer, 76, *IDLE, *options)
                        self.assertIn(b"overloaded", errors)

    def test_errors_in_a_stream(self):
        failed = {"type": "response.failed", "response": {
            "id": "r", "output": ["x" * 500], "error": {"code": "server_error", "message": "why"}}}
        cut_short = {"type": "response.incomplete", "response": {
            "error": None, "incomplete_details": {"reason": "why"}}}
        for data, type in [({"type": "error", "message": "why"}, None), ("why", "error"),
                           ({"object": "error", "message": "why"}, None),
                           ({"error": "why"}, None), (failed, "response.failed"), (failed, None),
                           (cut_short, "response.incomplete"), (cut_short, None)]:
            sent = data if isinstance(data, str) else json.dumps(data)
            with self.subTest(sent, type=type):
                for options in [["--fail-on-error"], ["--until", "END", "--require-end"]]:
                    with web([stream(event("a"), event(sent, type=type))]) as seen:
                        done = decode("--body", "{}", *options, seen.url, status=76)
                    self.assertEqual(len(done.records), 2)
                    self.assertIn(b"reports an error", done.errors)
                    self.assertIn(b"why", done.errors)
                    self.assertNotIn(b"cut off", done.errors)

    def test_no_errors_in_a_stream(self):
        done = {"type": "response.completed", "response": {"error": None, "object": "response"}}
        tool = {"type": "response.mcp_call.failed", "error": None}
        for data, type in [(done, None), (tool, "response.mcp_call.failed"),
                           ({"error": False}, None), ({"type": "x", "errors": 1}, None),
                           ('"error"', None), ("{", None),
                           ({"a": {"error": 1}}, None), ({"type": {"error": 1}}, None)]:
            sent = data if isinstance(data, str) else json.dumps(data)
            with self.subTest(sent), web([stream(event(sent, type=type))]) as seen:
                decode("--body", "{}", "--fail-on-error", seen.url)

    def test_no_error_at_all(self):
        for value in [{"error": None, "a": 1}, {"data": {"error": "x"}}, {"errors": []}]:
            with self.subTest(value), \
                    web([reply("200 OK", json.dumps(value).encode(), type=JSON)]) as seen:
                self.assertEqual(values(decode(seen.url).records), [value])

    def test_a_page(self):
        page = b"<!DOCTYPE html>\n<title>Log in</title>"
        errors = self.refused(reply("200 OK", page, type="text/html; charset=utf-8"), 76)
        self.assertIn(b"text/html", errors)
        # Whatever it says that it is.
        self.refused(stream(b"<html>\n" * 4000), 76)

    def test_types(self):
        for type in ["text/event-stream; charset=windows-1252", "text/event-stream;",
                     "Text/Event-Stream"]:
            with self.subTest(type), web([stream(event("é"), type=type), none]) as seen:
                self.assertEqual(decode(seen.url).records, [record("é")])
        for type in ["text/x-bogus", "bogus", "text/event-stream, text/html", "*/*"]:
            with self.subTest(type):
                self.refused(stream(event("é"), type=type), 76)

    def test_two_types(self):
        """The last that is one counts, as in browsers."""
        for types in [[STREAM, STREAM], ["text/html", STREAM], [STREAM, "*/*"], [STREAM, "x"],
                      [f"text/html;a=\"b,c/d\", {STREAM};charset=utf-8"], [f"{STREAM},{STREAM}"]]:
            fields = [f"Content-Type: {type}" for type in types]
            with self.subTest(types), \
                    web([stream(event("a"), type=None, fields=fields), none]) as seen:
                self.assertEqual(decode(seen.url).records, [record("a")])

    def test_no_type(self):
        for type in [None, ""]:
            with web([stream(b": a\n", event("a"), type=type), none]) as seen:
                done = decode(seen.url)
                self.assertEqual(done.records, [record("a")])
                self.assertIn(b"no Content-Type", done.errors)
        for body in [b"", b"<html>", b"{}", b"hello\n"]:
            with self.subTest(body):
                self.refused(stream(body, type=None), 76)
        # What is lost before it says anything may still become one.
        with web([cut(type=None), stream(event("a"), type=None), none]) as seen:
            self.assertEqual(decode(seen.url).records, [record("a")])

    def test_a_large_event(self):
        large = "x" * (5 << 20)
        whole = event(large)
        with web([stream(whole), stream(whole[:3 << 20], whole[3 << 20:], pause=0.05),
                  none]) as seen:
            self.assertEqual(decode(seen.url).records, [record(large)] * 2)

    def test_no_http(self):
        def says(text):
            def answer(client, request):
                client.say(text)
            return answer

        for text in [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100,
                     b"data: a\n\n"]:
            with self.subTest(text):
                self.refused(says(text), 76)

    def test_a_head_without_an_end(self):
        def answer(client, request):
            client.say(b"HTTP/1.1 200 OK\r\n")
            for number in range(100_000):
                client.say(b"X-%d: %s\r\n" % (number, b"x" * 1000))

        with web([answer]) as seen:
            decode(seen.url, status=76)

    def test_heads(self):
        body = event("a", 1)
        for head in [
                b"HTTP/1.1 200 OK\r\ncontent-type:text/event-stream\r\n\r\n",
                b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                b"HTTP/1.1 200\r\nContent-Type: text/event-stream\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Type: text/event-stream;\r\n"
                b"\t charset=utf-8\r\nX-B : 3\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/event-stream\r\n"
                + b"Set-Cookie: a=1\r\n" * 300 + b"\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"]:
            for size in [1, 7, 10_000]:
                def answer(client, request):
                    wire = head + body
                    client.pieces([wire[at:at + size] for at in range(0, len(wire), size)], 0.0005)

                with self.subTest(head, size=size), web([answer, none]) as seen:
                    self.assertEqual(decode(seen.url).records, [record("a", 1)])

    def test_a_limit_of_a_line(self):
        with web([stream(event("a"), b"data: " + b"x" * 5000 + b"\n\n")]) as seen:
            done = decode("--max-line", "1K", seen.url, status=65)
        self.assertEqual((done.records, seen.count), ([record("a")], 1))


class Compressed(unittest.TestCase):
    """Content-Encoding: gzip."""

    GZIP = ["Content-Encoding: gzip"]

    def test_an_event_is_out_before_the_next_comes(self):
        for encoding in ["gzip", "x-gzip", "GZIP"]:
            def answer(client, request):
                client.head("200 OK", STREAM, f"Content-Encoding: {encoding}")
                for number, part in enumerate(zipped(*(event(each, each) for each in range(20)))):
                    until(lambda: shown >= number)
                    client.say(part)

            shown = 0
            with self.subTest(encoding), web([answer, none]) as seen, \
                    decoding("--stats", seen.url) as tool:
                for number in range(20):
                    self.assertEqual(tool.record(), record(number, number))
                    shown += 1
                self.assertEqual(tool.status(), 0, tool.errors)
                self.assertEqual(seen.ids, [None, "19"])

    def test_every_cut(self):
        # What decodes is written, and the rest asked for.
        parts = zipped(event("a", 1), event("b", 2), event("c", 3))
        whole = b"".join(parts)
        asked = {end: [] for end in range(len(whole))}

        def answer(client, request):
            end = int(request.path[1:])
            asked[end].append(request.id)
            again = len(asked[end]) > 1
            (none if again else stream(whole[:end], fields=self.GZIP))(client, request)

        with web(answer) as seen:
            for records, end in each_of(seen, asked):
                count = sum(end >= len(b"".join(parts[:n + 1])) for n in range(3))
                with self.subTest(end):
                    self.assertGreaterEqual(len(records), count)
                    self.assertEqual(records, [record("a", 1), record("b", 2),
                                               record("c", 3)][:len(records)])
                    self.assertEqual(asked[end], [None, str(len(records) or "") or None])

    def test_a_stream_that_is_cut_off_for_good(self):
        parts = zipped(event("a", 1), event("b", 2), ends=False)
        with web([stream(*parts, fields=self.GZIP)]) as seen:
            done = decode("--reconnect", "never", seen.url, status=69)
        self.assertEqual(done.records, [record("a", 1), record("b", 2)])

    def test_damage(self):
        packed = bytearray(gzip.compress(event("a", 1)))
        packed[-5] ^= 1
        with web([stream(bytes(packed), fields=self.GZIP), stream(event("b", 2)), none]) as seen:
            done = decode(seen.url)
        self.assertEqual(done.records, [record("a", 1), record("b", 2)])
        self.assertNotEqual(done.errors, b"")
        # What stands before the defect counts.
        parts = [*zipped(event("a", 1), b"id: 2\ndata:", ends=False), b"\xff" * 40]
        with web([stream(*parts, fields=self.GZIP), none]) as seen:
            done = decode(seen.url)
        self.assertEqual((done.records, seen.ids), ([record("a", 1)], [None, "1"]))
        self.assertIn(b"the compressed answer is broken", done.errors)
        with web([stream(b"no gzip at all", fields=self.GZIP), none]) as seen:
            self.assertEqual(decode(seen.url).output, b"")
        self.assertEqual(seen.count, 2)

    def test_several_members(self):
        packed = gzip.compress(b"id: 1\nda") + gzip.compress(b"") + gzip.compress(b"ta: a\n\n")
        with web([stream(*(packed[at:at + 3] for at in range(0, len(packed), 3)),
                         fields=self.GZIP, pause=0.001), none]) as seen:
            self.assertEqual(decode(seen.url).records, [record("a", 1)])

    def test_a_connection_that_was_compressed_and_one_that_is_not(self):
        answers = [stream(*zipped(event("a", 1)), fields=self.GZIP), stream(event("b", 2)),
                   stream(*zipped(event("c", 3)), fields=self.GZIP), none]
        with web(answers) as seen:
            self.assertEqual(decode(seen.url).records,
                             [record("a", 1), record("b", 2), record("c", 3)])

    def test_what_was_not_asked_for(self):
        for encoding in ["br", "gzip, br", "zstd"]:
            with self.subTest(encoding), \
                    web([stream(b"x", fields=[f"Content-Encoding: {encoding}"])]) as seen:
                decode(seen.url, status=76)
        # Words that are no coding change nothing, as in browsers.
        for encoding in ["identity", "none", "", "utf-8", "UTF-8, none", "binary"]:
            with self.subTest(encoding), \
                    web([stream(event("a"), fields=[f"Content-Encoding: {encoding}"]),
                         none]) as seen:
                self.assertEqual(decode(seen.url).records, [record("a")])
        for fields in [["Content-Encoding: none, gzip"],
                       ["Content-Encoding: X-GZIP", "Content-Encoding: none"]]:
            with self.subTest(fields), \
                    web([stream(*zipped(event("a", 1)), fields=fields), none]) as seen:
                self.assertEqual(decode(seen.url).records, [record("a", 1)])

    def test_an_error_that_is_compressed(self):
        body = gzip.compress(b'{"error": "s"}')
        with web([reply("404 No", body, "Content-Encoding: gzip", type=JSON)]) as seen:
            done = decode(seen.url, status=69)
        self.assertNotIn(body[:4], done.errors)
        with web([reply("200 OK", body, "Content-Encoding: gzip", type=JSON)]) as seen:
            decode(seen.url, status=76)

    def test_json(self):
        with web([reply("200 OK", gzip.compress(ARRAY), *self.GZIP, type=JSON)]) as seen:
            self.assertEqual(values(decode(seen.url).records), VALUES)


class JSONAnswers(Files):
    """NDJSON, JSON and JSON text sequences where a stream was asked for."""

    def test_lines(self):
        body = b'{"a":1}\n\n{"b": 2.00, "c": "\xc3\xbc"}\r\n[1, 2]\n"x"\n1e1000'
        texts = ['{"a":1}', '{"b": 2.00, "c": "ü"}', "[1, 2]", '"x"', "1e1000"]
        for type in [NDJSON, "application/jsonl", "application/ndjson", "application/x-jsonlines",
                     "Application/X-NDJSON; charset=utf-8"]:
            for way in [reply("200 OK", body, type=type), chunks(body, type=type),
                        stream(*(body[at:at + 1] for at in range(len(body))), type=type)]:
                with self.subTest(type), web([way]) as seen:
                    # It is complete: nothing is asked for again.
                    self.assertEqual(decode(seen.url).records, [record(each) for each in texts])
                    self.assertEqual(seen.count, 1)

    def test_data_passes_as_it_is(self):
        body = b'{"a":1.00, "a":2}\n"x"\n1e1000\n'
        with web([reply("200 OK", body, type=NDJSON)]) as seen:
            self.assertEqual(decode("-d", seen.url).output, body)

    def test_an_array_cut_anywhere(self):
        def answer(client, request):
            at = int(request.path[1:])
            chunks(*filter(None, [ARRAY[:at], ARRAY[at:]]), type=JSON, pause=0.001)(client, request)

        with web(answer) as seen:
            for records, at in each_of(seen, range(len(ARRAY) + 1)):
                with self.subTest(at):
                    self.assertEqual(values(records), VALUES)
            self.assertEqual(seen.count, len(ARRAY) + 1)

    def test_an_array_byte_by_byte(self):
        parts = [ARRAY[at:at + 1] for at in range(len(ARRAY))]
        with web([stream(*parts, type=JSON, pause=0.001)]) as seen:
            done = decode("-d", seen.url)
        lines = done.output.split(b"\n")[:-1]
        self.assertEqual([json.loads(line) for line in lines], VALUES)
        # Every digit is kept.
        self.assertIn(b"12345678901234567890.10", lines[1])

    def test_other_layouts(self):
        for body, wanted in [
                (b'{"a": 1}', [{"a": 1}]), (b'{"a": 1}{"b": 2}\n{"c":\n3}', [{"a": 1}, {"b": 2},
                                                                          {"c": 3}]),
                (b"[]", []), (b"", []), (b" [ ] ", []), (b"[[1, 2], [3]]", [[1, 2], [3]]),
                (b"\xef\xbb\xbf[1, 2]", [1, 2]), (b"[1][2]", [1, 2])]:
            with self.subTest(body), web([reply("200 OK", body, type=JSON)]) as seen:
                self.assertEqual(values(decode(seen.url).records), wanted)

    def test_a_sequence(self):
        body = b'\x1e{"a": 1}\n\x1e{\n"b": 2}\n\x1e\x1e[3]\n\x1e4\n'
        for type in [SEQUENCE, f"{SEQUENCE}; x=y"]:
            for parts in [[body], [body[at:at + 1] for at in range(len(body))]]:
                with self.subTest(type), web([stream(*parts, type=type)]) as seen:
                    self.assertEqual(values(decode(seen.url).records),
                                     [{"a": 1}, {"b": 2}, [3], 4])
                    self.assertEqual(seen.count, 1)

    def test_a_value_is_out_before_the_next_comes(self):
        for type, parts in [(NDJSON, [b"1\n", b"[2]\n", b'"3"\n']),
                            (JSON, [b"[1,", b"[2],", b'"3"', b"]"]),
                            (SEQUENCE, [b"\x1e1\n", b"\x1e[2]\n", b'\x1e"3"\n'])]:
            def answer(client, request):
                client.head("200 OK", type)
                for number, part in enumerate(parts):
                    until(lambda: shown >= min(number, 3))
                    client.say(part)

            shown = 0
            with self.subTest(type), web([answer]) as seen, \
                    decoding("-d", "--stats", seen.url) as tool:
                for wanted in [1, [2], "3"]:
                    self.assertEqual(tool.record(), wanted)
                    shown += 1
                self.assertEqual(tool.status(), 0, tool.errors)

    def test_forced(self):
        for input, body in [("jsonl", b"1\n[2]\n"), ("json-stream", b"[1, [2]]"),
                            ("json-seq", b"\x1e1\n\x1e[2]\n")]:
            for type in [None, "text/plain", STREAM]:
                with self.subTest(input, type=type), \
                        web([reply("200 OK", body, type=type)]) as seen:
                    self.assertEqual(values(decode("--input", input, seen.url).records), [1, [2]])
                    self.assertEqual(seen.count, 1)
                file = self.file("input", body)
                self.assertEqual(values(decode("--input", input, file).records), [1, [2]])
                self.assertEqual(values(decode("--input", input, input=body).records), [1, [2]])
        with web([stream(event("a", 1), type="text/plain"), none]) as seen:
            self.assertEqual(decode("--input", "sse", seen.url).records, [record("a", 1)])
        self.assertEqual(seen.ids, [None, "1"])

    def test_files(self):
        array = b'[{"a":1},\n {"b":\n2}]{"c":3} 4'
        for name, content in [("a.json", array), ("a.json.gz", gzip.compress(array))]:
            with self.subTest(name):
                done = decode("-d", "--input=json-stream", self.file(name, content))
                self.assertEqual(done.output.splitlines(),
                                 [b'{"a":1}', b'{"b": 2}', b'{"c":3}', b"4"])
        done = decode("-d", "--input=jsonl", "--on-error=skip", input=b'1\n{"a"\n[2]\n', status=1)
        self.assertEqual(done.output, b"1\n[2]\n")
        self.assertIn(b"-:2", done.errors)

    def test_files_that_are_no_json(self):
        for input, body in [("jsonl", b"1\nno\n2\n"), ("json-stream", b"[1, 2"),
                            ("json-stream", b'[1, {"a": no}]'), ("json-stream", b'[1, {"a": 2')]:
            with self.subTest(body):
                done = decode("--input", input, input=body, status=65)
                self.assertEqual(values(done.records)[:1], [1])

    def test_reframing_at_random(self):
        chance = random.Random(seed())

        def value(depth):
            kind = chance.randrange(7 if depth else 5)
            if kind < 2:
                return chance.choice([None, True, False, -1.5e-7, 0, 10 ** 30])
            if kind < 5:
                return "".join(chance.choice('a"\\[]{}:,\n\u2028ü\U0001f600') for _ in range(5))
            if kind == 5:
                return [value(depth - 1) for _ in range(chance.randrange(4))]
            return {str(each): value(depth - 1) for each in range(chance.randrange(4))}

        cases = []
        for _ in range(40):
            wanted = [{"v": value(4)} for _ in range(chance.randrange(6))]
            layout = {"indent": chance.choice([None, 1, 4]),
                      "ensure_ascii": chance.random() < 0.5}
            if chance.random() < 0.5:
                body = json.dumps(wanted, **layout).encode()
            else:
                body = b"\n".join(json.dumps(each, **layout).encode() for each in wanted)
            size = chance.choice([1, 2, 7, 10_000])
            parts = [body[at:at + size] for at in range(0, len(body), size)]
            cases.append((body, parts, wanted))

        def answer(client, request):
            chunks(*cases[int(request.path[1:])][1], type=JSON)(client, request)

        with web(answer) as seen:
            for records, number in each_of(seen, range(len(cases))):
                body, _, wanted = cases[number]
                with self.subTest(body):
                    self.assertEqual(values(records), wanted)

    def test_a_watch_that_ends(self):
        """Kubernetes ends a watch after minutes: it is asked for again where that is wanted."""
        with web([reply("200 OK", b'{"a":1}\n', type=JSON),
                  reply("200 OK", b'{"a":2}\n', type=NDJSON), none]) as seen:
            done = decode("--reconnect", "always", seen.url)
        self.assertEqual((values(done.records), seen.count), ([{"a": 1}, {"a": 2}], 3))

    def test_lines_that_are_cut_off(self):
        with web([cut(b'1\n2\n{"a"', type=NDJSON)]) as seen:
            done = decode("--reconnect", "never", seen.url, status=69)
        self.assertEqual(values(done.records), [1, 2])


class Sources(Files):
    """Several operands."""

    def test_at_once(self):
        # Each waits for the other, so that neither can be read to its end first.
        turns = [threading.Semaphore(1), threading.Semaphore(0)]
        read = threading.Semaphore(0)

        def talking(mine):
            def answer(client, request):
                client.head()
                for number in range(20):
                    if not turns[mine].acquire(timeout=PATIENCE_SECONDS):
                        raise AssertionError("the other is not read")
                    client.say(event(number, number))
                    read.acquire(timeout=PATIENCE_SECONDS)
                    turns[1 - mine].release()
            return answer

        with web([talking(0), none]) as one, web([talking(1), none]) as other, \
                decoding("--tag-source", one.url, other.url) as tool:
            for number in range(40):
                seen = [one, other][number % 2]
                self.assertEqual(tool.record(),
                                 record(number // 2, number // 2, source=seen.url))
                read.release()
            self.assertEqual(tool.status(), 0, tool.errors)
        # Each goes on behind its own id.
        self.assertEqual((one.ids, other.ids), ([None, "19"], [None, "19"]))

    def test_tags(self):
        file = self.file("events", event("f", 1))
        with web([stream(event("[1, 2]", 1)), none, stream(event("[1, 2]", 1)), none]) as seen:
            url = seen.url.replace("://", "://ann:s3cret@") + "p"
            plain = seen.url + "p"
            done = decode("--tag-source", file, url)
            self.assertCountEqual(done.records, [record("f", 1, source=str(file)),
                                                 record("[1, 2]", 1, source=plain)])
            done = decode("--tag-source", "-d", url, file)
            self.assertCountEqual(done.records, [{"source": str(file), "data": "f"},
                                                 {"source": plain, "data": [1, 2]}])
        done = decode("--tag-source", "-j", file)
        self.assertEqual(done.records, [record("f", 1, source=str(file))])

    def test_one_that_fails(self):
        with web([reply("404 No")]) as one, \
                web([stream(event("a", 1), pause=0.1), stream(event("b", 2)), none]) as other:
            done = decode(one.url, other.url, status=69)
        self.assertEqual((done.records, one.count), ([record("a", 1), record("b", 2)], 1))
        self.assertEqual(other.ids, [None, "1", "2"])

    def test_a_count_for_all(self):
        with web(held(*(event(each) for each in range(5)))) as one, \
                web(held(*(event(each) for each in range(5)))) as other:
            self.assertEqual(len(decode("-n", "7", one.url, other.url).records), 7)

    def test_a_file_and_a_url(self):
        file = self.file("events", b"".join(event(each) for each in range(100)))
        with web([stream(event("u", 1), pause=0.05), none]) as seen:
            done = decode(file, seen.url)
        self.assertEqual([each["data"] for each in done.records if each["data"] != "u"],
                         [str(each) for each in range(100)])
        self.assertIn(record("u", 1), done.records)

    def test_what_a_file_beside_a_url_held_back(self):
        # Number 2 does not come, so 3 is held when the file ends.
        file = self.file("events", event('{"n":1}') + event('{"n":3}'))
        wanted = [{"n": 1}, {"n": 3}]
        with web([none]) as seen:
            done = decode("-d", "--reorder", ".n", "--max-wait", "1000s", file, seen.url)
        self.assertEqual(done.records, wanted)
        # A pipe that stays open: it is the clock that lets go.
        with web([held()]) as seen:
            command = ["sse-decode", "-d", "--reorder", ".n", "--max-wait", "200ms", seen.url, "-"]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=ENVIRONMENT)
            with process:
                clock = threading.Timer(PATIENCE_SECONDS, process.kill)
                clock.start()
                process.stdin.write(file.read_bytes())
                process.stdin.flush()
                self.assertEqual([json.loads(process.stdout.readline()) for _ in wanted], wanted)
                process.terminate()
                self.assertEqual(process.wait(PATIENCE_SECONDS), 0)
                clock.cancel()

    def test_bytes_of_files_are_not_received(self):
        file = self.file("events", event("f") * 50)
        with web([stream(event("u")), none]) as seen:
            stats = decode("-q", "--stats", file, seen.url).stats
        self.assertEqual((stats["bytes_received"], stats["events"], stats["records_in"]),
                         (len(event("u")), 1, 51))

    def test_standard_input_and_a_url(self):
        # The URL is read while nothing comes in.
        with web([held(event("u"))]) as seen:
            process = subprocess.Popen(["sse-decode", "-n", "2", "-", seen.url],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=ENVIRONMENT)
            with process:
                clock = threading.Timer(PATIENCE_SECONDS, process.kill)
                clock.start()
                self.assertEqual(json.loads(process.stdout.readline()), record("u"))
                process.stdin.write(event("i"))
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline()), record("i"))
                self.assertEqual(process.wait(PATIENCE_SECONDS), 0)
                clock.cancel()

    def test_the_end_of_one(self):
        with web([stream(event("a"), event("[DONE]"))]) as seen:
            done = decode("--until", "[DONE]", "--require-end", seen.url)
        self.assertEqual(done.records, [record("a")])
        self.assertEqual(seen.count, 1)
        with web([stream(event("a"), event("", type="stop"), event("b"))]) as seen:
            self.assertEqual(decode("--until-event", "stop", seen.url).records, [record("a")])
        self.assertEqual(seen.count, 1)

    def test_the_end_that_does_not_come(self):
        # A POST that ends well is over, but for the end that was named.
        with web([chunks(event("a"))]) as seen:
            done = decode("--body", "{}", "--until", "[DONE]", "--require-end", seen.url, status=76)
        self.assertEqual((done.records, seen.count), ([record("a")], 1))

    def test_the_end_of_time(self):
        """What one of them lacks is not the others' loss: what these held back is written."""
        def late(number):
            return held(event(json.dumps({"n": 1, "of": number})),
                        event(json.dumps({"n": 3, "of": number})))

        with web(late(1)) as one, web(late(2)) as two, web(silence) as mute, reserved() as port:
            nowhere = f"http://127.0.0.1:{port}/"
            done = decode("-d", "--reorder", ".n", "--max-wait", "1000s", "--until", "END",
                          "--require-end", "--max-time", "2s", one.url, two.url, status=76)
            self.assertCountEqual([(each["of"], each["n"]) for each in done.records],
                                  [(1, 1), (1, 3), (2, 1), (2, 3)])
            self.assertEqual(done.errors.count(b"cut off"), 2)
            # Who never had an answer has failed: a job that reads a dead feed must not look well.
            for dead, why in [(mute.url, b"no answer"), (nowhere, b"Connection refused")]:
                done = decode("-d", "--max-time", "1s", one.url, dead, two.url, status=69)
                self.assertEqual(len(done.records), 4)
                self.assertIn(dead.encode() + b": ", done.errors)
                self.assertIn(why, done.errors)
                self.assertIn(b"--max-time is over", done.errors)
                self.assertNotIn(one.url.encode(), done.errors)

    def test_what_others_held_back_before_a_failure(self):
        first = threading.Event()

        def bad(client, request):
            first.wait(PATIENCE_SECONDS)
            stream(b"data: " + b"x" * 2000 + b"\n\n")(client, request)

        def good(client, request):
            held(event('{"n":1}'), event('{"n":3}'))(client, request)

        with web(good) as one, web(bad) as other, \
                decoding("-d", "--reorder", ".n", "--max-wait", "1000s", "--max-line", "1K",
                         one.url, other.url) as tool:
            self.assertEqual(tool.record(), {"n": 1})
            first.set()
            self.assertEqual(tool.records(), [{"n": 3}])
            self.assertEqual(tool.status(), 65, tool.errors)


class TLS(unittest.TestCase):
    """https://, with an authority that nobody but the test knows."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name, "authority")
        cls.pair = cls.authority.issue("localhost", "DNS:localhost,IP:127.0.0.1")

    def server(self, answers):
        return web(answers, tls=server_context(*self.pair))

    def test_a_stream(self):
        with self.server([stream(event("a", 1)), none]) as seen:
            done = decode("--cacert", self.authority.certificate, seen.url)
        self.assertEqual(done.records, [record("a", 1)])
        self.assertEqual(seen.ids, [None, "1"])

    def test_a_stranger(self):
        with self.server([]) as seen:
            # Another attempt would be waited for in vain.
            done = decode(seen.url, status=77, options=["--backoff", "1000s..1000s"])
        self.assertEqual((done.output, seen.count), (b"", 0))
        with self.server([none]) as seen:
            decode("--insecure", seen.url)

    def test_files_that_are_being_replaced(self):
        """Files that were whole are read again, until they are so once more."""
        pair = self.authority.issue("client")
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for kept in [self.authority.certificate, *pair]:
            # Of authorities, libcurl keeps what it has read.
            for broken in ["gone", "empty", "half"][:3 if kept in pair else 1]:
                files = [folder / Path(each).name for each in [self.authority.certificate, *pair]]
                for file, each in zip(files, [self.authority.certificate, *pair]):
                    file.write_bytes(Path(each).read_bytes())
                victim = folder / Path(kept).name
                whole = victim.read_bytes()

                def answer(client, request):
                    if broken == "gone":
                        victim.unlink()
                    else:
                        victim.write_bytes(whole[:len(whole) // 2] if broken == "half" else b"")
                    stream(event("a", 1))(client, request)

                context = server_context(*self.pair, clients=self.authority.certificate)
                with self.subTest(victim.name, broken=broken), \
                        web([answer, none], tls=context) as seen, \
                        decoding("--cacert", files[0], "--cert", files[1], "--key", files[2],
                                 "--all", seen.url) as tool:
                    retries = 0
                    while retries < 3:
                        retries += tool.record().get("connection") == "retrying"
                    self.assertEqual(seen.count, 1)
                    victim.write_bytes(whole)
                    self.assertEqual(tool.status(), 0, tool.errors)
                    self.assertEqual(seen.ids, [None, "1"])

    def test_files_that_never_were(self):
        with self.server([]) as seen:
            decode("--cacert", "/nowhere.pem", seen.url, status=78)
            decode("--insecure", "--cert", "/nowhere.pem", seen.url, status=78)

    def test_a_redirect_to_plain_text(self):
        with web([]) as plain, self.server([redirect(302, plain.url)]) as seen:
            decode("--cacert", self.authority.certificate, seen.url, status=76)
            self.assertEqual(plain.count, 0)

    def test_a_redirect_to_tls(self):
        with self.server([stream(event("a")), none]) as secure, \
                web([redirect(302, secure.url)] * 2) as seen:
            done = decode("--insecure", seen.url)
        self.assertEqual(done.records, [record("a")])
