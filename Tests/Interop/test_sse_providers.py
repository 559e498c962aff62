"""The commands of the manual's PROVIDERS, with a server that speaks as each provider does."""

import json
import re
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS, TOOLS, chunked, head, lines, read_request, server
from provider_shapes import candidates, chat, event, message, responses

ORIGIN = re.compile(r"https://(api\.openai\.com|api\.anthropic\.com|stream\.wikimedia\.org"
                    r"|generativelanguage\.googleapis\.com|hub\.example\.com)")

WORDS = ["Tide", " pools ", "\nhold \"eleven\"", " worlds: grün €\U0001f600\u2028", "."]
REQUEST = b'{"model": "m", "stream": true,\n "messages": [{"role": "user", "content": "?"}]}\n'


def commands():
    """Those of the section, as a reader would type them."""
    page = subprocess.run([TOOLS / "sse-decode", "--print-man"], capture_output=True, check=True,
                          timeout=PATIENCE_SECONDS).stdout.decode()
    section = re.search(r"^\.Sh PROVIDERS\n(.*?)^\.Sh ", page, re.M | re.S)[1]
    found = []
    for block in re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", section, re.M | re.S):
        settings = ""
        text = block.replace("\\e\n", "\\\n").replace("\\e", "\\")
        for command in re.split(r"^\$ ", text, flags=re.M)[1:]:
            if command.startswith("sse-decode "):
                found.append(settings + command)
            else:
                settings += command  # A variable for those that follow.
    return found


class Request:
    """What a client asked for."""

    def __init__(self, connection):
        start, _, rest = read_request(connection).partition(b"\r\n")
        fields, _, self.body = rest.partition(b"\r\n\r\n")
        self.method, target, _ = start.decode().split(" ")
        self.path, _, query = target.partition("?")
        self.query = urllib.parse.parse_qsl(query, strict_parsing=bool(query))
        self.fields = {}
        for line in fields.decode().split("\r\n"):
            name, _, value = line.partition(":")
            self.fields.setdefault(name.lower(), []).append(value.strip())
        missing = int(self.field("Content-Length") or 0) - len(self.body)
        while missing > 0:
            received = connection.recv(missing)
            if not received:
                raise AssertionError("the request's body ended early")
            self.body += received
            missing -= len(received)

    def field(self, name):
        """The value of the field that is there once, or None."""
        values = self.fields.get(name.lower(), [])
        if len(values) > 1:
            raise AssertionError(f"{name} is there {len(values)} times")
        return values[0] if values else None


class Providers(unittest.TestCase):
    """Each command of the section once, and what may come instead of a whole answer."""

    @classmethod
    def setUpClass(cls):
        # Each has its test below.
        (cls.chat, cls.responses, cls.message, cls.gemini, cls.gemini_array, cls.wikimedia,
         cls.mercure) = commands()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.write("request.json", REQUEST.decode())
        self.requests = []

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def answering(self, *answers):
        """A server that gives each request the next of these: bytes, or what to do with the
        connection and the request."""
        left = list(answers)

        def answer(connection):
            request = Request(connection)
            self.requests.append(request)
            if not left:
                raise AssertionError(f"one request too many: {request.path}")
            whole = left.pop(0)
            if callable(whole):
                whole(connection, request)
            else:
                connection.sendall(whole)
        return server(answer)

    def at(self, url, command):
        """The command as it stands, but for the origin."""
        command, count = ORIGIN.subn(url.rstrip("/"), command)
        self.assertEqual(count, 1, command)
        return command

    def outcome(self, url, command, status=0):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", self.at(url, command)],
                              capture_output=True, cwd=self.folder, env=ENVIRONMENT,
                              timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, status, done.stderr)
        for secret in [b"s3cret", b"k3y"]:
            self.assertNotIn(secret, done.stderr)
        self.errors = done.stderr
        return done.stdout

    def output(self, command, *answers, status=0):
        """That of one run, with a server that answers so."""
        with self.answering(*answers) as url:
            return self.outcome(url, command, status)

    def check(self, path, method="POST", **fields):
        """Looks at the only request."""
        [request] = self.requests
        self.check_request(request, path, method, **fields)

    def check_request(self, request, path, method, **fields):
        self.assertEqual((request.method, request.path), (method, path))
        self.assertEqual(request.field("Cache-Control"), "no-cache")
        self.assertEqual(request.field("Accept"), "text/event-stream")
        self.assertEqual(request.field("Last-Event-ID"), fields.pop("last_event_id", None))
        for name, value in fields.items():
            self.assertEqual(request.field(name.replace("_", "-")), value, name)
        if method == "POST":
            self.assertEqual(request.field("Content-Type"), "application/json")
            self.assertEqual(request.body, REQUEST)
        else:
            self.assertEqual((request.body, request.field("Content-Type")), (b"", None))

    # OpenAI

    def test_openai_chat(self):
        self.write("openai.key", "s3cret\n")
        for space, end in [(" ", "\n"), ("", "\n"), (" ", "\r\n"), ("", "\r")]:
            for sizes in [(1 << 20,), (1,), (7, 2, 31)]:
                with self.subTest(space=space, end=end, sizes=sizes):
                    self.requests.clear()
                    body = b"".join(chunked(chat(WORDS, space, end).encode(), sizes))
                    whole = head("text/event-stream; charset=utf-8",
                                 fields=["Transfer-Encoding: chunked"]) + body
                    self.assertEqual(self.output(self.chat, whole).decode(), "".join(WORDS))
                    self.check("/v1/chat/completions", Authorization="Bearer s3cret")

    def test_openai_stops_at_the_marker(self):
        """Though the connection stays open, and more might come."""
        self.write("openai.key", "s3cret\n")

        def stay(connection, _):
            connection.sendall(head() + chat(["a"]).encode() + chat(["b"]).encode())
            connection.recv(1)  # Until the client hangs up.
        self.assertEqual(self.output(self.chat, stay), b"a")

    def test_openai_cut_off(self):
        self.write("openai.key", "s3cret\n")
        cut = chat(WORDS).replace("data: [DONE]\n\n", "")
        output = self.output(self.chat, head() + cut.encode(),
                             status=76)
        self.assertEqual(output.decode(), "".join(WORDS))
        self.assertIn(b"cut off", self.errors)

    def test_openai_error_in_mid_stream(self):
        self.write("openai.key", "s3cret\n")
        text = chat(["a"]).replace("data: [DONE]\n\n", event(
            {"error": {"message": "The server had an error", "type": "server_error"}}))
        output = self.output(self.chat, head() + text.encode(),
                             status=76)
        self.assertEqual(output, b"a")
        self.assertIn(b"The server had an error", self.errors)

    def test_openai_refusals(self):
        self.write("openai.key", "s3cret\n")
        body = b'{\n  "error": {"message": "no such thing", "code": "none"}\n}\n'
        for refusal, status in [("401 Unauthorized", 77), ("404 Not Found", 69),
                                ("400 Bad Request", 69), ("200 OK", 76)]:
            with self.subTest(refusal):
                self.requests.clear()
                whole = head("application/json", refusal) + body
                self.assertEqual(
                    self.output(self.chat, whole, status=status), b"")
                self.assertIn(b"no such thing", self.errors)

    def test_openai_refuses(self):
        """A refusal stands elsewhere, and is the answer; what tools are called with is none."""
        self.write("openai.key", "s3cret\n")
        deltas = [{"role": "assistant", "content": None, "refusal": ""}, {"refusal": "I "},
                  {"refusal": "cannot."}, {"tool_calls": [{"function": {"arguments": '{"not'}}]},
                  {}]
        text = "".join(event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas)
        output = self.output(self.chat, head() + (text + event("[DONE]")).encode())
        self.assertEqual(output, b"I cannot.")

    def test_openai_too_many_requests(self):
        """Asked again, body and all, not before the time that the server wants."""
        self.write("openai.key", "s3cret\n")
        times = []

        def late(connection, _):
            times.append(time.monotonic())
            connection.sendall(
                head("application/json", "429 Too Many Requests", ["Retry-After: 1"]) + b"{}")

        def now(connection, _):
            times.append(time.monotonic())
            connection.sendall(head() + chat(WORDS).encode())

        output = self.output(self.chat, late, now)
        self.assertEqual(output.decode(), "".join(WORDS))
        self.assertGreater(times[1] - times[0], 0.99)
        for request in self.requests:
            self.check_request(request, "/v1/chat/completions", "POST")

    def test_openai_responses(self):
        self.write("openai.key", "s3cret\n")
        output = self.output(self.responses, head() + responses(WORDS).encode())
        self.assertEqual(output.decode(), "".join(WORDS))
        self.check("/v1/responses", Authorization="Bearer s3cret")
        cut = responses(WORDS).partition("event: response.completed")[0]
        self.output(self.responses, head() + cut.encode(), status=76)
        self.assertIn(b"cut off", self.errors)
        refusal = cut + event({"type": "response.refusal.delta", "delta": "I cannot."},
                              "response.refusal.delta")
        # A response that fails says so itself.
        failed = event({"type": "response.failed", "sequence_number": 92, "response": {
            "id": "resp_1", "status": "failed", "output": [], "instructions": "x" * 400,
            "error": {"code": "server_error", "message": "The model failed"}}}, "response.failed")
        output = self.output(self.responses, head() + (refusal + failed).encode(), status=76)
        self.assertEqual(output.decode(), "".join(WORDS) + "I cannot.")
        self.assertIn(b"The model failed", self.errors)
        self.assertNotIn(b"cut off", self.errors)

    # Anthropic

    def test_anthropic(self):
        self.write("anthropic.header", "x-api-key: k3y\n")
        output = self.output(self.message, head() + message(WORDS).encode())
        self.assertEqual(output.decode(), "".join(WORDS))
        self.check("/v1/messages", x_api_key="k3y", anthropic_version="2023-06-01",
                   Authorization=None)

    def test_anthropic_overloaded(self):
        self.write("anthropic.header", "x-api-key: k3y\n")
        text = message(WORDS).partition("event: content_block_stop")[0] + event(
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "error")
        output = self.output(self.message, head() + text.encode(), status=76)
        self.assertEqual(output.decode(), "".join(WORDS))
        self.assertIn(b"Overloaded", self.errors)

    # Gemini

    def test_gemini_sse(self):
        self.write("gemini.header", "x-goog-api-key: k3y\n")
        text = "".join(event(chunk, end="\r\n") for chunk in candidates(WORDS))
        output = self.output(self.gemini, head() + text.encode())
        self.assertEqual(output.decode(), "".join(WORDS))
        self.check("/v1beta/models/gemini-2.5-flash:streamGenerateContent", x_goog_api_key="k3y")
        self.assertEqual(self.requests[0].query, [("alt", "sse")])

    def test_gemini_thinks(self):
        """Thoughts and text are parts of one answer, in any order; a call of a tool is another."""
        self.write("gemini.header", "x-goog-api-key: k3y\n")
        parts = [[{"text": "Hm.", "thought": True}],
                 [{"text": "Hm?", "thought": True}, {"text": "Tide"}],
                 [{"text": " pools"}, {"functionCall": {"name": "f", "args": {}}}, {"text": "."}]]
        shapes = [{"candidates": [{"content": {"parts": each}}]} for each in parts]
        shapes += [{"candidates": [{"finishReason": "STOP"}]}, {"usageMetadata": {}},
                   {"promptFeedback": {"blockReason": "OTHER"}}]
        text = "".join(event(shape) for shape in shapes)
        self.assertEqual(self.output(self.gemini, head() + text.encode()), b"Tide pools.")
        whole = head("application/json") + json.dumps(shapes).encode()
        self.assertEqual(self.output(self.gemini_array, whole), b"Tide pools.")
        failed = text + event({"error": {"code": 503, "message": "overloaded"}})
        self.output(self.gemini, head() + failed.encode(), status=76)
        self.assertIn(b"overloaded", self.errors)

    def test_gemini_array(self):
        self.write("gemini.header", "x-goog-api-key: k3y\n")
        # As Google lays it out: an element, then a comma on a line of its own.
        pretty = "[" + "\n,\n".join(json.dumps(chunk, indent=2, ensure_ascii=False)
                                    for chunk in candidates(WORDS)) + "\n]\n"
        for sizes in [(1 << 20,), (1,), (3, 100, 2)]:
            with self.subTest(sizes=sizes):
                self.requests.clear()
                whole = head("application/json; charset=UTF-8",
                             fields=["Transfer-Encoding: chunked"])
                whole += b"".join(chunked(pretty.encode(), sizes))
                self.assertEqual(self.output(self.gemini_array, whole).decode(), "".join(WORDS))
                self.check("/v1beta/models/gemini-2.5-flash:streamGenerateContent",
                           x_goog_api_key="k3y")
                self.assertEqual(self.requests[0].query, [])

    def test_gemini_elements_flow(self):
        """An element is written when it came, not when the array is complete."""
        self.write("gemini.header", "x-goog-api-key: k3y\n")
        shown = threading.Event()

        def answer(connection, _):
            first, *rest = [json.dumps(chunk, indent=2) for chunk in candidates(["a", "b"])]
            connection.sendall(head("application/json") + b"[" + first.encode())
            if not shown.wait(PATIENCE_SECONDS):
                raise AssertionError("the first element was held back")
            connection.sendall(b"".join(b"\n,\n" + each.encode() for each in rest) + b"]")

        with self.answering(answer) as url, \
                self.running(self.at(url, self.gemini_array)) as process:
            self.assertEqual(process.stdout.read(1), b"a")
            shown.set()
            self.assertEqual(process.stdout.read(), b"b")

    @contextmanager
    def running(self, command):
        process = subprocess.Popen(
            ["bash", "-c", "exec 2>errors\n" + command],
            stdout=subprocess.PIPE, cwd=self.folder, env=ENVIRONMENT)
        clock = threading.Timer(PATIENCE_SECONDS, process.kill)
        clock.start()
        try:
            yield process
            self.assertEqual(process.wait(PATIENCE_SECONDS), 0,
                             (self.folder / "errors").read_text())
        finally:
            clock.cancel()
            process.kill()
            process.wait(PATIENCE_SECONDS)
            process.stdout.close()

    # Wikimedia

    @staticmethod
    def change(number):
        """A change to a page; its id says for each topic where the stream is."""
        places = [{"topic": "eqiad.mediawiki.recentchange", "partition": 0,
                   "timestamp": 1767607200000 + number},
                  {"topic": "codfw.mediawiki.recentchange", "partition": 0, "offset": -1}]
        data = {"$schema": "/mediawiki/recentchange/1.0.0", "id": number, "type": "edit",
                "title": "Gezeitentümpel", "server_name": "de.wikipedia.org"}
        return json.dumps(places, separators=(",", ":")), data

    def changes(self, *numbers):
        text = ":ok\n\n"
        for number in numbers:
            id, data = self.change(number)
            text += event(data, "message", id)
        return head("text/event-stream; charset=utf-8") + text.encode()

    def test_wikimedia(self):
        over = head(status="204 No Content")
        # An event that was cut off is left out; it comes whole behind the id before.
        cut = self.changes(1, 2) + event(*reversed(self.change(3))).encode()[:-30]
        with self.answering(cut, self.changes(3, 4), over, self.changes(5), over) as url:
            for numbers in [[1, 2, 3, 4], [5]]:
                output = self.outcome(url, self.wikimedia)
                self.assertEqual(lines(output), [self.change(number)[1] for number in numbers])
        ids = [None, 2, 4, 4, 5]
        self.assertEqual(len(self.requests), len(ids))
        for request, number in zip(self.requests, ids):
            id = None if number is None else self.change(number)[0]
            self.check_request(request, "/v2/stream/recentchange", "GET", last_event_id=id)
        [state] = lines((self.folder / "recentchange.state").read_bytes())
        self.assertEqual(state["last_event_id"], self.change(5)[0])

    # Mercure

    HISTORY = [("urn:uuid:1", "https://example.com/books/1", {"title": "Tides"}),
               ("urn:uuid:2", "https://example.com/reviews/7", {"stars": 4}),
               ("urn:uuid:3", "https://example.com/books/1", {"title": "Tides, revised"})]

    def hub(self, connection, request):
        """The history behind the last event id, and 204 for who has all of it."""
        ids = [id for id, _, _ in self.HISTORY]
        asked = request.field("Last-Event-ID")
        if asked == ids[-1]:
            return connection.sendall(head(status="204 No Content"))
        begin = 0 if asked == "earliest" else ids.index(asked) + 1
        text = ":\n\n" + "".join(event(data, id=id) for id, _, data in self.HISTORY[begin:])
        connection.sendall(head(fields=[f"Last-Event-ID: {asked}"]) + text.encode())

    def test_mercure(self):
        self.write("subscriber.jwt", "s3cret.s3cret.s3cret\n")
        with self.answering(self.hub, self.hub, self.hub) as url:
            output = self.outcome(url, self.mercure)
            # The next run goes on behind the last event of this one.
            self.assertEqual(self.outcome(url, self.mercure), b"")
        self.assertEqual(lines(output), [{"event": "message", "id": id, "data": json.dumps(data)}
                                         for id, _, data in self.HISTORY])
        ids = ["earliest", "urn:uuid:3", "urn:uuid:3"]
        self.assertEqual(len(self.requests), len(ids))
        for request, id in zip(self.requests, ids):
            self.check_request(request, "/.well-known/mercure", "GET", last_event_id=id,
                               Authorization="Bearer s3cret.s3cret.s3cret")
            self.assertEqual(request.query, [("topic", "https://example.com/books/1"),
                                             ("topic", "https://example.com/reviews/{id}")])


if __name__ == "__main__":
    unittest.main()
