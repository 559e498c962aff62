"""What sse-decode asks a URL with, and what it makes of answers that are no event stream."""

import base64
import gzip
import json
import tempfile
import time
import unittest
from pathlib import Path

from http_peers import QUICK, ending, events, follower, outcome, serving, status, zipped


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, text=""):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path


class Requests(Files):
    def asked(self, options, *scripts, path="/stream"):
        with serving(*(scripts or [ending])) as server:
            done = outcome(f"-v {QUICK} {options} '{server.url.replace('/stream', path)}'")
        self.assertEqual(done.returncode, 0, done.stderr)
        for request in server.requests:
            for secret in [*request.all("Authorization"), *request.all("Cookie"), "s3cret"]:
                self.assertNotIn(secret.encode(), done.stderr)
        return server.requests

    def test_credentials(self):
        token = self.file("token", "s3cret\n")
        [request] = self.asked(f"--bearer-file {token}")
        self.assertEqual(request.all("Authorization"), ["Bearer s3cret"])
        [request] = self.asked(f"--user ann:@{token}")
        self.assertEqual(request.all("Authorization"),
                         ["Basic " + base64.b64encode(b"ann:s3cret").decode()])
        netrc = self.file("netrc", "machine 127.0.0.1 login bob password s3cret\n")
        [request] = self.asked(f"--netrc-file {netrc}")
        self.assertEqual(request.all("Authorization"),
                         ["Basic " + base64.b64encode(b"bob:s3cret").decode()])

    def test_a_token_is_read_for_each_request(self):
        token = self.file("token", "one")

        def renew(connection, request):
            token.write_text("two")
            events(1)(connection, request)

        first, second = self.asked(f"--bearer-file {token}", renew, ending)
        self.assertEqual(first.get("Authorization"), "Bearer one")
        self.assertEqual(second.get("Authorization"), "Bearer two")

    def test_fields(self):
        fields = self.file("fields", "# Two.\nX-One: 1\nX-Two: 2\n")
        [request] = self.asked(f"-H @{fields} -H 'Accept: application/x-own' -H 'X-Three: 3'")
        self.assertEqual([request.all(f"X-{name}") for name in ["One", "Two", "Three"]],
                         [["1"], ["2"], ["3"]])
        self.assertEqual(request.all("Accept"), ["application/x-own"])

    def test_method_and_body(self):
        body = self.file("body.json", '{"big":1}')
        [request] = self.asked(f"--body @{body}")
        self.assertEqual((request.method, request.body), ("POST", b'{"big":1}'))
        [request] = self.asked("-X REPORT --body text -H 'Content-Type: text/plain'")
        self.assertEqual((request.method, request.body, request.all("Content-Type")),
                         ("REPORT", b"text", ["text/plain"]))

    def test_the_query(self):
        first, second = self.asked("--query 'a=b c' --id-param last", events("x&y"), ending,
                                   path="/stream?z=1")
        self.assertEqual(first.target, "/stream?z=1&a=b%20c")
        self.assertEqual(second.target, "/stream?z=1&a=b%20c&last=x%26y")
        self.assertEqual(second.get("Last-Event-ID"), "x&y")

    def test_cookies(self):
        jar = self.folder / "jar"

        def setting(connection, request):
            connection.head("200 OK", "text/event-stream", "Set-Cookie: k=s3cret; Path=/")
            connection.events(1)

        options = f"--cookie-jar {jar} --cookie own=1"
        first, second = self.asked(options, setting, ending)
        self.assertEqual(first.get("Cookie"), "own=1")
        self.assertEqual(sorted(second.get("Cookie").split("; ")), ["k=s3cret", "own=1"])
        # A session's cookie is kept for the next run, too: the jar is what makes it one session.
        [third] = self.asked(f"--cookie-jar {jar}")
        self.assertEqual(third.get("Cookie"), "k=s3cret")

    def test_another_origin_gets_no_fields(self):
        token = self.file("token", "s3cret")
        with serving(ending) as other:
            moved = status("307 Moved", f"Location: {other.url}")
            self.asked(f"--bearer-file {token} -H 'X-Key: s3cret' --cookie a=s3cret", moved)
            [request] = other.requests
        for name in ["Authorization", "X-Key", "Cookie"]:
            self.assertEqual(request.all(name), [])
        self.assertEqual(request.get("Accept"), "text/event-stream")

    def test_redirects_of_a_post(self):
        moved = status("303 See", "Location: /there")
        with serving(moved) as server:
            done = outcome(f"--body x {server.url}")
        self.assertEqual((done.returncode, len(server.requests)), (76, 1))
        [_, second] = self.asked("-L --body x", moved, ending)
        self.assertEqual((second.method, second.body), ("GET", b""))
        [_, second] = self.asked("-L --body x", status("307 Same", "Location: /there"), ending)
        self.assertEqual((second.method, second.body), ("POST", b"x"))
        with serving(moved) as server:
            done = outcome(f"--no-location {server.url}")
        self.assertEqual((done.returncode, len(server.requests)), (76, 1))

    def test_options_that_do_not_go_together(self):
        for options in ["--exactly-once http://h/", "--body x -X GET http://h/",
                        "-H 'Last-Event-ID: 1' http://h/", "--cookie-jar j http://h/ http://i/",
                        "--state s", "--notify", "-t --tag-source http://h/", "ftp://h/ http://h:0/",
                        "--cacert c http://h/", "--last-event-id $'a\\nb' http://h/",
                        "--exactly-once --state s --output o -z http://h/"]:
            with self.subTest(options):
                self.assertEqual(outcome(options, b"").returncode, 64)


class Answers(Files):
    def got(self, type, *pieces, options="-d", code=0, fields=(), pause=0.002):
        """The lines that an answer becomes."""
        def script(connection, request):
            connection.head("200 OK", type, *fields)
            for piece in pieces:
                connection.send(piece)
                time.sleep(pause)

        with serving(script, ending) as server:
            done = outcome(f"{options} {QUICK} {server.url}")
        self.assertEqual(done.returncode, code, done.stderr)
        self.errors = done.stderr.decode()
        self.requests = server.requests
        return done.stdout.decode().splitlines()

    def test_refusals_are_shown(self):
        error = json.dumps({"error": {"message": "no such model", "type": "not_found"}}, indent=1)
        for line, code in [("404 Not Found", 76), ("401 Unauthorized", 77), ("403 Forbidden", 77),
                           ("400 Bad Request", 76)]:
            with self.subTest(line), \
                    serving(status(line, body=error, type="application/json")) as server:
                done = outcome(f"-d {server.url}")
                self.assertEqual((done.returncode, done.stdout), (code, b""))
                self.assertIn(b"no such model", done.stderr)
                self.assertEqual(len(server.requests), 1)

    def test_an_error_with_status_200(self):
        error = '{\n "error": {"message": "over quota"}}'
        self.assertEqual(self.got("application/json", error, code=76), [])
        self.assertIn("over quota", self.errors)
        self.assertEqual(len(self.requests), 1)

    def test_a_page(self):
        self.assertEqual(self.got("text/html", "<html>Log in</html>", code=76), [])
        self.assertIn("text/html", self.errors)
        self.assertEqual(self.got("text/event-stream", "<html>\n" * 4000, code=76), [])

    def test_json_lines(self):
        for type in ["application/x-ndjson", "application/jsonl; charset=utf-8"]:
            lines = self.got(type, '{"a":1}\n{"b"', ":2.50}\n\n[3]")
            self.assertEqual(lines, ['{"a":1}', '{"b":2.50}', "[3]"])
            # Complete is complete.
            self.assertEqual(len(self.requests), 1)

    def test_an_array(self):
        values = [{"text": f'{n} "}}],[', "deep": [[n], {"x": None}]} for n in range(50)]
        text = json.dumps(values, indent=2)
        lines = self.got("application/json", *(text[at:at + 97] for at in range(0, len(text), 97)),
                         pause=0)
        self.assertEqual([json.loads(line) for line in lines], values)

    def test_a_sequence(self):
        lines = self.got("application/json-seq", '\x1e{"a":\n1}\n', '\x1e[2]\n\x1e"x"\n')
        self.assertEqual(lines, ['{"a": 1}', "[2]", '"x"'])

    def test_records_of_values(self):
        self.assertEqual(self.got("application/x-ndjson", '{"a":1}\n', options="-r"),
                         ['{"event":"message","data":"{\\"a\\":1}"}'])

    def test_a_forced_format(self):
        self.assertEqual(self.got("text/plain", "[1,2]", options="-d --input json-stream"),
                         ["1", "2"])
        self.assertEqual(self.got("text/plain", "data: 1\n\n", options="-d --input sse"), ["1"])

    def test_gzip(self):
        text = "".join(f"id: {n}\ndata: {n}\n\n" for n in range(1000))
        lines = self.got("text/event-stream", *(zipped(text)[at:at + 100]
                                                for at in range(0, len(zipped(text)), 100)),
                         fields=["Content-Encoding: gzip"], pause=0)
        self.assertEqual(lines, [str(n) for n in range(1000)])
        self.assertEqual(self.requests[1].get("Last-Event-ID"), "999")

    def test_gzip_that_is_cut(self):
        packer = gzip.zlib.compressobj(wbits=31)
        body = packer.compress(b"id: 1\ndata: 1\n\nid: 2\ndata:") + packer.flush(
            gzip.zlib.Z_SYNC_FLUSH)
        self.assertEqual(self.got("text/event-stream", body, fields=["Content-Encoding: gzip"]),
                         ["1"])
        self.assertEqual(self.requests[1].get("Last-Event-ID"), "1")
        # What stands before the defect counts.
        self.assertEqual(self.got("text/event-stream", body + b"\xff" * 40,
                                  fields=["Content-Encoding: gzip"]), ["1"])
        self.assertIn("the compressed answer is broken", self.errors)

    def test_gzip_flows(self):
        packer = gzip.zlib.compressobj(wbits=31)

        def script(connection, request):
            connection.head("200 OK", "text/event-stream", "Content-Encoding: gzip")
            connection.send(packer.compress(b"data: 1\n\n")
                            + packer.flush(gzip.zlib.Z_SYNC_FLUSH))
            connection.gone()

        with serving(script) as server, follower(f"-d {server.url}") as process:
            self.assertEqual(process.stdout.readline(), b"1\n")
            process.terminate()
            self.assertEqual(process.wait(5), 0)

    def test_the_end_of_an_answer(self):
        stream = events(1)
        for options, code, count in [("--reconnect never", 0, 1), ("--reconnect lost", 0, 1),
                                     ("--body x", 0, 1), ("--body x --reconnect always", 0, 2),
                                     ("", 0, 2), ("--until 1 --require-end", 0, 1),
                                     ("--until 2 --require-end --reconnect never", 76, 1),
                                     ("-n 1", 0, 1)]:
            with self.subTest(options), serving(stream, ending) as server:
                done = outcome(f"-d {QUICK} {options} {server.url}")
                self.assertEqual((done.returncode, len(server.requests)), (code, count),
                                 done.stderr)

        def cut(connection, request):
            connection.head("200 OK", "text/event-stream", "Content-Length: 1000")
            connection.events(1)

        for options, code, count in [("--reconnect never", 69, 1), ("--reconnect lost", 0, 2),
                                     ("--body x", 0, 2)]:
            with self.subTest(options), serving(cut, ending) as server:
                done = outcome(f"-d {QUICK} {options} {server.url}")
                self.assertEqual((done.returncode, len(server.requests)), (code, count),
                                 done.stderr)


class Sources(Files):
    def test_several_at_once(self):
        def slow(connection, request):
            connection.head()
            connection.events("slow")
            connection.gone()

        with serving(slow) as one, serving(slow) as two, \
                follower(f"-d --tag-source -n 2 {one.url} {two.url}") as process:
            # Neither ends, so one behind the other would show one event only.
            lines = sorted(process.communicate(timeout=10)[0].decode().splitlines())
            self.assertEqual(process.returncode, 0)
            self.assertEqual(lines, sorted(f'{{"source":"{server.url}","data":"slow"}}'
                                           for server in [one, two]))

    def test_files_beside(self):
        file = self.file("some.sse", "id: f\ndata: 1\n\ndata: 2\n\n")
        with serving(events("u"), ending) as server:
            done = outcome(f"-r --tag-source {QUICK} {file} {server.url} {file}")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["data"] for line in lines if line["source"] == str(file)],
                         ["1", "2"] * 2)
        self.assertEqual([line for line in lines if line["source"] == server.url],
                         [{"event": "message", "id": "u", "data": "u", "source": server.url}])

    def test_what_a_file_beside_a_url_held_back(self):
        # Number 2 does not come, so 3 is held when the file ends.
        file = self.file("some.sse", "".join(f'data: {{"n":{n}}}\n\n' for n in [1, 3]))
        with serving(ending) as server:
            done = outcome(f"-d --reorder .n --max-wait 30s {QUICK} {file} {server.url}")
        self.assertEqual((done.returncode, done.stdout), (0, b'{"n":1}\n{"n":3}\n'), done.stderr)

        def silent(connection, request):
            connection.head()
            connection.gone()

        # A pipe that stays open: it is the clock that lets go.
        with serving(silent) as server, follower(
                f"-d --reorder .n --max-wait 200ms {server.url} <(cat {file}; sleep 15)") as tool:
            self.assertEqual([tool.stdout.readline(), tool.stdout.readline()],
                             [b'{"n":1}\n', b'{"n":3}\n'])
            tool.terminate()
            self.assertEqual(tool.wait(5), 0)

    def test_bytes_of_files_are_not_received(self):
        file = self.file("some.sse", "data: 1\n\n" * 50)
        with serving(events(1), ending) as server:
            done = outcome(f"-d -q --stats {QUICK} {file} {server.url}")
        counters = json.loads(done.stderr)
        self.assertEqual((counters["bytes_received"], counters["events"],
                          counters["records_in"]), (15, 1, 51))

    def test_one_that_fails_does_not_end_the_others(self):
        with serving(status("404 Not Found")) as one, serving(events(1), events(2), ending) as two:
            done = outcome(f"-d {QUICK} {one.url} {two.url}")
        self.assertEqual((done.returncode, done.stdout), (76, b"1\n2\n"))

    def test_formats_of_files(self):
        array = self.file("a.json", '[{"a":1},\n {"b":\n2}]{"c":3} 4')
        done = outcome(f"-d --input=json-stream {array}")
        self.assertEqual((done.returncode, done.stdout.splitlines()),
                         (0, [b'{"a":1}', b'{"b": 2}', b'{"c":3}', b"4"]))
        packed = self.folder / "a.json.gz"
        packed.write_bytes(zipped(array.read_text()))
        self.assertEqual(outcome(f"-d --input=json-stream {packed}").stdout, done.stdout)
        done = outcome("-d --input=jsonl --on-error=skip", b'1\n{"a"\n[2]\n')
        self.assertEqual((done.returncode, done.stdout), (1, b"1\n[2]\n"))
        self.assertIn(b"-:2", done.stderr)
