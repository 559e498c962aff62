"""ws-cat as a server, with clients of python's websockets and aiohttp, and aiohttp's server."""

import asyncio
import http.client
import signal
import unittest

import aiohttp
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from peers import PATIENCE_SECONDS, run
from ws_peers import MESSAGES, aiohttp_server, listening, messages, records

OPTIONS = {"max_size": 1 << 26, "ping_interval": None, "open_timeout": PATIENCE_SECONDS,
           "close_timeout": PATIENCE_SECONDS, "proxy": None}


def patiently(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE_SECONDS))


class WebSockets(unittest.TestCase):
    """Clients of the websockets package."""

    def echoed(self, options="", fragment=None, **client):
        async def talk(url):
            async with connect(url, **OPTIONS | client) as connection:
                back = []
                for message in MESSAGES:
                    if fragment:
                        # At most some hundred frames for each.
                        step = max(fragment, len(message) // 500)
                        await connection.send([message[at:at + step] for at in
                                               range(0, len(message), step)] or [message])
                    else:
                        await connection.send(message)
                    back.append(await connection.recv())
                return back, connection.response.headers.get("Sec-WebSocket-Extensions", "")

        with listening(f"-r {options}", echoes=True) as tool:
            back, extensions = patiently(talk(tool.url))
            self.assertEqual(tool.status(), 0)
        self.assertEqual(back, MESSAGES)
        return extensions

    def test_every_kind(self):
        self.assertIn("permessage-deflate", self.echoed())
        self.assertEqual(self.echoed(compression=None), "")
        self.assertEqual(self.echoed("--compress=off"), "")
        self.echoed("--fragment 1000")
        self.echoed(fragment=1)
        self.echoed(fragment=100, compression=None)

    def test_offers(self):
        for offer in [{"server_no_context_takeover": True}, {"client_no_context_takeover": True},
                      {"server_max_window_bits": 9}, {"client_max_window_bits": 9},
                      {"client_max_window_bits": True},
                      {"server_no_context_takeover": True, "client_no_context_takeover": True,
                       "server_max_window_bits": 10, "client_max_window_bits": 11}]:
            with self.subTest(offer):
                factory = ClientPerMessageDeflateFactory(**offer)
                answer = self.echoed(compression=None, extensions=[factory])
                self.assertIn("permessage-deflate", answer)
                if offer.get("server_max_window_bits"):
                    self.assertIn("server_max_window_bits", answer)

    def test_both_ways_and_the_end_of_input(self):
        async def talk(tool):
            async with connect(tool.url, **OPTIONS) as connection:
                await connection.send('{"from":"client"}')
                line = await asyncio.to_thread(tool.process.stdout.readline)
                tool.process.stdin.write(b'{"from":"server"}\n2\n')
                tool.process.stdin.close()
                got = [message async for message in connection]
                return line, got, connection.close_code

        with listening("-d") as tool:
            self.assertEqual(patiently(talk(tool)),
                             (b'{"from":"client"}\n', ['{"from":"server"}', "2"], 1000))
            self.assertEqual(tool.status(), 0)

    def test_the_close_of_the_client(self):
        async def talk(url, code):
            async with connect(url, **OPTIONS) as connection:
                await connection.close(code, "enough")
                return connection.close_code

        for code, status in [(1000, 0), (1001, 0), (1011, 69), (4000, 69), (1008, 77)]:
            with self.subTest(code), listening("-d") as tool:
                # The peer's code comes back.
                self.assertEqual(patiently(talk(tool.url, code)), code)
                self.assertEqual(tool.status(), status)

    def test_too_long_a_message(self):
        async def talk(url):
            async with connect(url, **OPTIONS) as connection:
                await connection.send("x" * 2000)
                await connection.wait_closed()
                return connection.close_code

        with listening("-d --max-message 1000") as tool:
            self.assertEqual(patiently(talk(tool.url)), 1009)
            self.assertEqual(tool.status(), 76)

    def test_subprotocols(self):
        async def talk(url, offered):
            async with connect(url, subprotocols=offered, **OPTIONS) as connection:
                return connection.subprotocol

        # Ours come in the order of our preference.
        for offered, agreed in [(["other", "two", "one"], "one"), (["two"], "two"),
                                (["other"], None)]:
            with listening("-d --subprotocol one --subprotocol two") as tool:
                self.assertEqual(patiently(talk(tool.url, offered)), agreed)

    def test_one_after_another(self):
        async def talk(url, text):
            async with connect(url, **OPTIONS) as connection:
                await connection.send(text)

        with listening("-d --keep-listening") as tool:
            for number in range(3):
                patiently(talk(tool.url, str(number)))
                self.assertEqual(tool.process.stdout.readline(), b"%d\n" % number)
            tool.process.send_signal(signal.SIGTERM)
            self.assertEqual(tool.status(), 0)

    def test_a_signal_while_it_listens(self):
        with listening("-d") as tool:
            tool.process.send_signal(signal.SIGTERM)
            self.assertEqual(tool.status(), 0)

    def test_requests_that_are_no_handshake(self):
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        for change, statuses in [({name: None for name in fields}, [400, 426]),
                                 ({"Sec-WebSocket-Version": "12"}, [426]),
                                 ({"Sec-WebSocket-Key": "short"}, [400])]:
            with self.subTest(change), listening("-d") as tool:
                request = {name: value for name, value in (fields | change).items() if value}
                connection = http.client.HTTPConnection("127.0.0.1", tool.port,
                                                        timeout=PATIENCE_SECONDS)
                connection.request("GET", "/", headers=request)
                response = connection.getresponse()
                self.assertIn(response.status, statuses)
                if change.get("Sec-WebSocket-Version"):
                    self.assertEqual(response.getheader("Sec-WebSocket-Version"), "13")
                connection.close()


class AIOHTTP(unittest.TestCase):
    """The client and the server of the aiohttp package."""

    def test_server(self):
        for options in ["", "--compress=off", "--fragment 1000", "--no-context-takeover"]:
            with self.subTest(options), aiohttp_server() as seen:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} {options} {seen.url}",
                             records(MESSAGES))
                self.assertEqual(messages(output), MESSAGES)
                self.assertEqual(seen.close()[0], 1000)
                self.assertEqual(bool(seen.connections[0].compress), "off" not in options)

    def test_subprotocols_of_the_server(self):
        with aiohttp_server(protocols=["two"]) as seen:
            output = run(f"ws-cat -r --all --subprotocol one --subprotocol two {seen.url}")
        self.assertIn(b'"subprotocol":"two"', output.replace(b": ", b":"))

    def test_a_page_that_is_no_endpoint(self):
        with aiohttp_server() as seen:
            run(f"ws-cat {seen.url}elsewhere", status=69)

    def test_client(self):
        async def talk(url, compress):
            back = []
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(url, compress=compress, max_msg_size=1 << 26,
                                              protocols=["one"]) as connection:
                    for message in MESSAGES:
                        is_text = isinstance(message, str)
                        send = connection.send_str if is_text else connection.send_bytes
                        await send(message)
                        back.append((await connection.receive()).data)
                    return back, connection.compress, connection.protocol

        for options, compress in [("", 15), ("", 9), ("", 0), ("--fragment 999", 15),
                                  ("--compress=off", 15)]:
            with self.subTest(options=options, compress=compress):
                with listening(f"-r --subprotocol one {options}", echoes=True) as tool:
                    back, agreed, protocol = patiently(talk(tool.url, compress))
                    self.assertEqual(tool.status(), 0)
                self.assertEqual((back, protocol), (MESSAGES, "one"))
                self.assertEqual(bool(agreed), bool(compress) and not options.endswith("off"))
