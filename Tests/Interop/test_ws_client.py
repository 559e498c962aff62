"""ws-cat as the client of a server of python's websockets."""

import asyncio
import json
import signal
import subprocess
import tempfile
import unittest

from faults import cat, silent
from peers import PATIENCE_SECONDS, reserved, run, started
from raw_peers import raw_server
from ws_peers import (MESSAGES, deflate, keep, messages, outcome, records, saying,
                      websockets_server)


class Messages(unittest.TestCase):
    """Each message arrives as it was sent."""

    def echoed(self, options="", **server):
        with websockets_server(**server) as seen:
            output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} {options} {seen.url}",
                         records(MESSAGES))
        self.assertEqual(messages(output), MESSAGES)
        self.assertEqual(seen.messages, MESSAGES)
        self.assertEqual(seen.close()[0], 1000)
        return seen

    def test_every_kind(self):
        for options in ["", "--compress=off", "--fragment 1000", "--fragment 100 --compress=off",
                        "--compress-level 9 --fragment 4096", "--no-context-takeover",
                        "--window-bits 9", "--compress=required"]:
            with self.subTest(options):
                seen = self.echoed(options)
                extensions = seen.connections[0].response.headers.get("Sec-WebSocket-Extensions")
                self.assertEqual(bool(extensions), "off" not in options)

    def test_parameters_of_the_server(self):
        for parameters in [{"server_no_context_takeover": True},
                           {"client_no_context_takeover": True},
                           {"server_max_window_bits": 9}, {"client_max_window_bits": 9},
                           {"server_no_context_takeover": True, "client_no_context_takeover": True,
                            "server_max_window_bits": 10, "client_max_window_bits": 11}]:
            with self.subTest(parameters):
                self.echoed(**deflate(**parameters))

    def test_a_server_without_compression(self):
        self.echoed(compression=None)
        with websockets_server(compression=None) as seen:
            done = outcome(f"ws-cat --compress=required {seen.url}", b"1\n")
        self.assertEqual(done.returncode, 76, done.stderr)

    def test_fragments(self):
        async def answer(connection, seen):
            for size in [1, 7, 1000]:
                for message in MESSAGES:
                    # At most some hundred frames for each.
                    step = max(size, len(message) // 500)
                    parts = [message[at:at + step] for at in range(0, len(message), step)]
                    # Iterables are sent as fragments, and the last one of all is empty.
                    await connection.send(parts or [message])
                    await connection.ping()
            await connection.close()

        for options in ["", "--compress=off"]:
            with self.subTest(options), websockets_server(answer) as seen:
                self.assertEqual(messages(run(f"ws-cat -r --no-close {options} {seen.url}")),
                                 MESSAGES * 3)

    def test_data(self):
        values = b'{"a": [1e1000, "\\u00e9"]}\n"text"\n1\nnull\n'
        with websockets_server() as seen:
            self.assertEqual(run(f"ws-cat --no-close -n 4 {seen.url}", values), values)
        self.assertEqual(seen.messages, values.decode().split("\n")[:-1])
        odd = ['{"a":\n1}', "no JSON", b"\x00\xff", ""]
        with websockets_server(saying(*odd)) as seen:
            output = run(f"ws-cat --no-close {seen.url}")
        self.assertEqual([json.loads(line) for line in output.split(b"\n")[:-1]],
                         [{"a": 1}, "no JSON", {"binary": "AP8="}, ""])

    def test_text(self):
        lines = b'{"a": \nno JSON\n\n\xc3\xbc\n'
        with websockets_server() as seen:
            self.assertEqual(run(f"ws-cat -t --no-close -n 4 {seen.url}", lines), lines)
            nulls = b"two\nlines\0\0last\0"
            self.assertEqual(run(f"ws-cat -t -0 --no-close -n 3 {seen.url}", nulls), nulls)

    def test_binary(self):
        with websockets_server() as seen:
            output = run(f"ws-cat -b --chunk 1000 --no-close -n 3 {seen.url}", b"b" * 2500)
        self.assertEqual(output, b"b" * 2500)
        self.assertEqual(b"".join(seen.messages), b"b" * 2500)
        self.assertLessEqual(max(map(len, seen.messages)), 1000)
        prefixed = b"".join(len(part).to_bytes(4, "big") + part
                            for part in [b"one", b"", b"z" * 100_000])
        with websockets_server() as seen:
            self.assertEqual(run(f"ws-cat -b --length-prefix --no-close -n 3 {seen.url}", prefixed),
                             prefixed)
        self.assertEqual(seen.messages, [b"one", b"", b"z" * 100_000])

    def test_many(self):
        lines = b"".join(b'{"n":%d}\n' % number for number in range(10_000))
        with websockets_server() as seen:
            self.assertEqual(run(f"ws-cat --no-close -n 10000 {seen.url}", lines), lines)


class Conversations(unittest.TestCase):
    """How a connection begins and how it ends."""

    def test_end_of_input(self):
        lines = b"".join(b"%d\n" % number for number in range(1000))
        with websockets_server(keep) as seen:
            self.assertEqual(run(f"ws-cat {seen.url}", lines), b"")
            self.assertEqual(seen.close(), (1000, ""))
        self.assertEqual(seen.messages, lines.decode().split("\n")[:-1])

    def test_what_comes_while_it_waits(self):
        async def answer(connection, seen):
            await connection.recv()
            await asyncio.sleep(0.2)
            await connection.send("late")
            await keep(connection, seen)

        with websockets_server(answer) as seen:
            self.assertEqual(run(f"ws-cat -t --wait 1500ms {seen.url}", b"ask\n"), b"late\n")

    def test_one(self):
        with websockets_server() as seen:
            self.assertEqual(run(f"ws-cat -1 {seen.url}", b"1\n2\n"), b"1\n")

    def test_close_of_the_client(self):
        with websockets_server(keep) as seen:
            run(f"ws-cat --close-code 1001 --close-reason 'that is all' {seen.url}")
            self.assertEqual(seen.close(), (1001, "that is all"))
            outcome(f"ws-cat --close-code 4321 {seen.url}")
            self.assertEqual(seen.close(), (4321, ""))

    def test_close_of_the_server(self):
        codes = {1000: 0, 1001: 0, 1002: 76, 1003: 76, 1007: 76, 1008: 77, 1009: 76, 1010: 76,
                 1011: 69, 1012: 69, 1013: 69, 3000: 69, 4000: 69, 4999: 69}
        for code, status in codes.items():
            with self.subTest(code), websockets_server(saying("1", code=code)) as seen:
                self.assertEqual(run(f"ws-cat -d --no-close {seen.url}", status=status), b"1\n")

    def test_a_server_that_closes_while_input_is_open(self):
        with websockets_server(saying("1")) as seen:
            with started(f"exec ws-cat {seen.url}", stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE) as tool:
                self.assertEqual(tool.stdout.read(), b"1\n")
                self.assertEqual(tool.wait(timeout=PATIENCE_SECONDS), 0)

    def test_a_lost_connection(self):
        async def answer(connection, seen):
            await connection.send("1")
            await asyncio.sleep(0.1)
            connection.transport.abort()

        with websockets_server(answer) as seen:
            self.assertEqual(run(f"ws-cat -d --no-close {seen.url}", status=69), b"1\n")

    def test_nobody_listens(self):
        with reserved() as port:
            done = outcome(f"ws-cat ws://127.0.0.1:{port}/", b"1\n")
        self.assertEqual((done.returncode, done.stdout), (69, b""))
        self.assertIn(b"127.0.0.1", done.stderr)

    def test_too_long_a_message(self):
        with websockets_server(saying("1", "x" * 2000)) as seen:
            self.assertEqual(run(f"ws-cat --no-close --max-message 1000 {seen.url}", status=76),
                             b"1\n")
            self.assertEqual(seen.close()[0], 1009)

    def test_a_line_that_is_no_value(self):
        with websockets_server(keep) as seen:
            run(f"ws-cat -d {seen.url}", b"1\nno JSON\n3\n", status=65)
            seen.close()
        self.assertEqual(seen.messages, ["1"])

    def test_signal(self):
        with websockets_server() as seen:
            with started(f"exec ws-cat {seen.url}", stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE) as tool:
                tool.stdin.write(b"1\n")
                tool.stdin.flush()
                self.assertEqual(tool.stdout.readline(), b"1\n")
                tool.send_signal(signal.SIGTERM)
                self.assertEqual(tool.wait(timeout=PATIENCE_SECONDS), 0)
            self.assertEqual(seen.close()[0], 1001)

    def test_subprotocols(self):
        with websockets_server(saying(), subprotocols=["two", "three"]) as seen:
            output = run(f"ws-cat -r --all --no-close --subprotocol one --subprotocol two"
                         f" {seen.url}")
        opened, closed = [json.loads(line) for line in output.split(b"\n")[:-1]]
        self.assertEqual((opened["type"], opened["status"], opened["subprotocol"]),
                         ("open", 101, "two"))
        self.assertEqual((closed["type"], closed["code"], closed["clean"]), ("close", 1000, True))

    def test_a_subprotocol_that_was_not_offered(self):
        def select(connection, offered):
            return "other"
        with websockets_server(select_subprotocol=select) as seen:
            done = outcome(f"ws-cat --subprotocol one {seen.url}", b"1\n")
        self.assertEqual(done.returncode, 76, done.stderr)
        self.assertEqual(seen.messages, [])

    def test_headers(self):
        with tempfile.NamedTemporaryFile() as file, websockets_server(keep) as seen:
            file.write(b"X-Third: 3\nX-Fourth: 4: four\n")
            file.flush()
            run(f"ws-cat -H 'X-First: 1' -H 'X-Second:2' -H @{file.name}"
                f" --origin https://example.org {seen.url}path?q=1")
        [request] = seen.requests
        self.assertEqual(request.path, "/path?q=1")
        fields = ["X-First", "X-Second", "X-Third", "X-Fourth", "Origin", "Host",
                  "Sec-WebSocket-Version"]
        self.assertEqual([request.headers.get(name) for name in fields],
                         ["1", "2", "3", "4: four", "https://example.org",
                          f"127.0.0.1:{seen.port}", "13"])


class Staying(unittest.TestCase):
    """Pings and new connections."""

    def test_pings(self):
        with websockets_server() as seen:
            output = run(f"ws-cat -r --all --ping 20ms --wait 1s {seen.url}")
        pongs = [record for record in map(json.loads, output.split(b"\n")[:-1])
                 if record["type"] == "pong"]
        self.assertGreaterEqual(len(pongs), 2)
        self.assertGreaterEqual(min(record["rtt_ms"] for record in pongs), 0)

    def test_a_server_that_stays_away(self):
        # It reads no more, so that no ping is answered, and would stay for ever.
        with raw_server(silent) as seen, \
                cat("--no-close --ping 100ms --pong-timeout 200ms --close-timeout 100ms",
                    seen.url) as tool:
            tool.end_input()
            self.assertEqual(tool.status(), 69, tool.errors)
            self.assertLess(tool.elapsed, 8)

    def test_a_new_connection(self):
        async def answer(connection, seen):
            seen.messages.append(await connection.recv())
            await connection.send(str(len(seen.connections)))
            if len(seen.connections) < 3:
                connection.transport.abort()
            else:
                await connection.close(4000, "for good")

        with websockets_server(answer) as seen:
            done = outcome(f"""ws-cat --no-close --reconnect --backoff 10ms..20ms"""
                           f""" --final-codes 4000-4999 -e '{{"subscribe":1}}' {seen.url}""")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertEqual(seen.messages, ['{"subscribe":1}'] * 3)
        # An abort may take what was sent with it; the last connection closes as it should.
        self.assertEqual(done.stdout.split(b"\n")[-2], b"3")
