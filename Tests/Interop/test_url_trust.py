"""What sse-decode sends to whom: ids that are no field's value, secrets, certificates."""

import json
import ssl
import unittest

from authority import Authority, server_context
from broken_nets import middle, swallowing
from peers import until
from sse_peers import (IDLE, Files, cut, decode, decoding, event, held, none, record,
                       redirect, reply, stream, web)
from test_ws_nginx import NGINX, nginx

JSON = "application/json"
EVIL = "1\r\nX-Smuggled: yes\r\n\r\nDELETE /all HTTP/1.1\r\nHost: x\r\n\r\n"


def polled(*values):
    return reply("200 OK", json.dumps(values).encode(), type=JSON)


class Ids(Files):
    """Ids that an event stream cannot have."""

    ENCODED = "1%0D%0AX-Smuggled: yes%0D%0A%0D%0ADELETE /all HTTP/1.1%0D%0AHost: x%0D%0A%0D%0A"

    def test_from_a_poll(self):
        token = self.file("token", "s3cret")
        with web(polled({"id": EVIL, "data": "a"})) as poll, \
                web([held(), held(), stream(event("b", 2)), none]) as seen:
            decode(*IDLE, "--bearer-file", token, "--poll", poll.url, "--poll-for", "1ms",
                   seen.url)
        self.assertEqual(seen.ids, [None, None, self.ENCODED, "2"])
        self.assertEqual({request.method for request in seen.requests}, {"GET"})
        for request in seen.requests:
            self.assertEqual(request.all("X-Smuggled"), [])
        for request in poll.requests:
            self.assertEqual(request.all("Authorization"), [])

    def test_from_a_state(self):
        for id, sent in [(EVIL, self.ENCODED), ("a\tb…", "a\tb…"), ("\x01\x7f", "%01%7F")]:
            with self.subTest(id), web([none]) as seen:
                line = {"url": seen.url, "last_event_id": id}
                state = self.file("state", json.dumps(line) + "\n")
                decode("--state", state, seen.url)
                self.assertEqual(seen.ids, [sent])
                self.assertEqual(json.loads(state.read_text())["last_event_id"], id)

    def test_a_redirect_keeps_it_so(self):
        with web([redirect(307, "/there"), none]) as seen:
            line = {"url": seen.url, "last_event_id": EVIL}
            decode("--state", self.file("state", json.dumps(line)), seen.url)
        self.assertEqual(seen.ids, [self.ENCODED] * 2)


class Secrets(Files):
    """--poll at another origin, and redirects there."""

    def test_a_poll_elsewhere(self):
        token = self.file("token", "s3cret")
        secrets = ["--bearer-file", token, "-H", "X-Key: s3cret", "--cookie", "a=s3cret",
                   "--query", "key=s3cret"]
        for options, is_told in [([], False), (["--poll-trusted"], True)]:
            with self.subTest(options), web(polled({"id": 1, "data": "a"})) as poll, \
                    web(held()) as seen:
                decode(*IDLE, "-n", "1", *secrets, *options, "--poll", poll.url, seen.url)
                [request] = poll.requests
                self.assertEqual("s3cret" in repr(request), is_told)

    def test_a_poll_elsewhere_that_redirects(self):
        token = self.file("token", "s3cret")
        with web([redirect(302, "/b"), polled({"id": 1, "data": "a"})]) as poll, \
                web(held()) as seen:
            decode(*IDLE, "-n", "1", "--bearer-file", token, "--poll", poll.url, seen.url)
        self.assertEqual([request.all("Authorization") for request in poll.requests], [[], []])

    def test_what_is_for_that_poll(self):
        token = self.file("token", "s3cret")
        with web(polled({"id": 1, "data": "a"})) as poll, web(held()) as seen:
            url = poll.url.replace("://", "://ann:pass@")
            decode(*IDLE, "-n", "1", "--bearer-file", token, "--poll", url, seen.url)
        [request] = poll.requests
        self.assertEqual(request.one("Authorization"), "Basic YW5uOnBhc3M=")

    def test_a_poll_alone_and_one_beside(self):
        token = self.file("token", "s3cret")
        with web(polled({"id": 1, "data": "a"})) as poll:
            decode("-n", "1", "--bearer-file", token, "--poll", poll.url)
        self.assertEqual(poll.requests[0].one("Authorization"), "Bearer s3cret")
        with web([held(), held(), polled({"id": 1, "data": "a"})]) as seen:
            decode(*IDLE, "-n", "1", "--bearer-file", token, "--poll", seen.url + "poll", seen.url)
        self.assertEqual(seen.requests[2].one("Authorization"), "Bearer s3cret")

    def test_the_certificate_stays_with_its_origin(self):
        authority = Authority(self.folder, "authority")
        pair = authority.issue("server", "IP:127.0.0.1")
        certificate, key = authority.issue("client")
        shown = []

        def looking(name, answer):
            def look(client, request):
                shown.append((name, bool(client.socket.getpeercert())))
                answer(client, request)
            return look

        def wanting():
            context = server_context(*pair, clients=str(authority.certificate))
            context.verify_mode = ssl.CERT_OPTIONAL
            return context

        with web([looking("other", none)], tls=wanting()) as other, \
                web([looking("first", redirect(307, other.url))], tls=wanting()) as seen:
            decode("--cacert", authority.certificate, "--cert", certificate, "--key", key,
                   seen.url)
        self.assertEqual(shown, [("first", True), ("other", False)])


class Anew(Files):
    """What a retry does not take over from the connection before."""

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_a_black_hole_over_http_2(self):
        authority = Authority(self.folder, "authority")
        pair = authority.issue("server", "IP:127.0.0.1")

        def answer(client, request):
            passed = ["X-Accel-Buffering: no"]
            if request.id is None:
                held(event("a", 1), fields=passed)(client, request)
            else:
                held(event("b", 2), fields=passed)(client, request)

        with web(answer) as seen, nginx(seen.port, pair, "http2") as port, \
                middle(port, swallowing) as proxy, \
                decoding(*IDLE, "-n", "2", "--cacert", authority.certificate,
                         f"https://127.0.0.1:{proxy.port}/") as tool:
            self.assertEqual(tool.record(), record("a", 1))
            self.assertEqual(seen.requests[0].one("X-Protocol"), "HTTP/2.0")
            proxy.swallowed = 1
            self.assertEqual(tool.record(), record("b", 2))
            self.assertEqual(tool.status(), 0, tool.errors)
            self.assertEqual(proxy.count, 2)

    def chunk(self, name, seq, total, data, **fields):
        text = json.dumps({"type": "chunk", "id": name, "seq": seq, "total": total, "data": data})
        return event(text, **fields)

    def test_half_a_message_is_its_connections(self):
        parts = [self.chunk("1", 0, 3, "a"), self.chunk("1", 1, 3, "b"),
                 self.chunk("1", 2, 3, "c", id=5)]
        # Sent again; another one with its number; one that is sent on where every chunk has an id.
        others = [self.chunk("1", 0, 3, "A"), self.chunk("1", 1, 3, "B"),
                  self.chunk("1", 2, 3, "C", id=6)]
        for first, second, whole in [
                (parts[:2], parts, "abc"), (parts[1:2], others, "ABC"),
                (parts[:1] + parts[1:2], others, "ABC")]:
            with self.subTest(second), web([cut(event("x", 4), *first), stream(*second),
                                            none]) as seen:
                done = decode("-t", "--join-chunks", seen.url)
                self.assertEqual(done.output.decode(), f"x\n{whole}\n")
                self.assertEqual(seen.ids[:2], [None, "4"])

    def test_a_message_whose_chunks_have_ids(self):
        parts = [self.chunk("1", each, 3, "abc"[each], id=5 + each) for each in range(3)]
        with web([cut(event("x", 4), *parts[:2]), stream(*parts), none]) as seen:
            done = decode("-t", "--join-chunks", seen.url)
        self.assertEqual(done.output, b"x\nabc\n")
        # From its beginning.
        self.assertEqual(seen.ids, [None, "4", "7"])

    def test_an_orphan_does_not_hold_the_state(self):
        state = self.folder / "state"
        with web(held(event("x", 1), self.chunk("1", 1, 3, "b"), event("y", 2))) as seen, \
                decoding("--join-chunks", "--join-wait", "100ms", "--on-error", "skip", "--state",
                         state, "--state-interval", "1ms", seen.url) as tool:
            for each in [record("x", 1), record("y", 2)]:
                self.assertEqual(tool.record(), each)
            until(lambda: b'"last_event_id":"2"' in state.read_bytes())
            tool.stop()
            tool.status()
            self.assertIn(b"chunks of a message are missing", tool.errors)


if __name__ == "__main__":
    unittest.main()
