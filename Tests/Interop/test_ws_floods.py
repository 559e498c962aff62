"""ws-cat and peers that send too much, or take nothing: memory stays small, and time too."""

import os
import signal
import struct
import threading
import time
import unittest
import zlib
from contextlib import ExitStack, contextmanager

from faults import MEMORY_KIB, cat, fed, resting, silent, until
from peers import PATIENCE_SECONDS
from raw_peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, raw_server

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Floods(unittest.TestCase):
    """Much of a kind that costs the peer little."""

    def refused(self, answer, options="-t", status=76, code=None, opens=True):
        """The peak of a tool that does not accept what comes."""
        closes = []

        def talk(raw):
            answer(raw)
            closes.append(raw.next(CLOSE)[:2])
            # The tool waits for the end, and can be looked at.
            until(peaks.__len__)

        peaks = []
        with raw_server(talk, opens) as seen, cat(options, seen.url) as tool:
            until(closes.__len__)
            peaks.append(tool.peak_kib())
            self.assertEqual(tool.output.read(), b"")
            self.assertEqual(tool.status(), status, tool.errors)
        self.assertEqual(closes, [struct.pack(">H", code)])
        self.assertLess(peaks[0], MEMORY_KIB)

    def test_pings_that_are_answered(self):
        sent = [b"%d" % number for number in range(20_000)]
        answers = []

        def answer(raw):
            for at in range(0, len(sent), 100):
                raw.socket.sendall(b"".join(frame(PING, ping) for ping in sent[at:at + 100]))
                raw.send(TEXT, b"%d" % at)
                while not answers or answers[-1] != sent[at + 99]:
                    answers.append(raw.next(PONG))
            raw.close()

        with raw_server(answer) as seen, cat("-t", seen.url) as tool:
            output = tool.output.read()
            self.assertEqual(tool.status(), 0, tool.errors)
            self.assertEqual(tool.stats()["pings_received"], len(sent))
        self.assertEqual(answers, sent)
        self.assertEqual(output, b"".join(b"%d\n" % at for at in range(0, len(sent), 100)))

    def test_pings_of_a_peer_that_reads_no_pongs(self):
        piece = frame(PING, b"p" * 125) * 1000

        def answer(raw):
            ready.wait()
            for number in range(300):
                raw.socket.sendall(piece + frame(TEXT, b"%d" % number))
            peaks.append(tool.peak_kib())
            raw.close()

        peaks, ready = [], threading.Event()
        with raw_server(answer) as seen, cat("-t", seen.url) as tool:
            ready.set()
            output = tool.output.read()
            self.assertEqual(tool.status(), 0, tool.errors)
        self.assertEqual(output, b"".join(b"%d\n" % number for number in range(300)))
        self.assertLess(peaks[0], MEMORY_KIB)

    def test_pongs_that_nobody_asked_for(self):
        def answer(raw):
            raw.socket.sendall(frame(PONG, b"1") * 100_000 + frame(TEXT, b"one"))
            raw.close()

        with raw_server(answer) as seen, cat("-t", seen.url) as tool:
            self.assertEqual(tool.output.read(), b"one\n")
            self.assertEqual(tool.status(), 0, tool.errors)

    def test_control_frames_that_are_too_long(self):
        for opcode in [PING, PONG, CLOSE]:
            with self.subTest(opcode):
                self.refused(lambda raw: raw.send(opcode, b"\x03\xe8" * 63), code=1002)
                self.refused(lambda raw: raw.send(opcode, b"", fin=False), code=1002)

    def test_empty_messages(self):
        def answer(raw):
            for _ in range(100):
                raw.socket.sendall(frame(TEXT) * 2000)
            raw.close()

        for options, output in [("-t", b"\n" * 200_000), ("-d", b'""\n' * 200_000), ("-b", b"")]:
            with raw_server(answer) as seen, cat(options, seen.url) as tool:
                self.assertEqual(tool.output.read(), output)
                self.assertEqual(tool.status(), 0, tool.errors)
                self.assertEqual(tool.stats()["records_out"], 200_000)

    def test_empty_fragments(self):
        def answer(raw):
            ready.wait()
            raw.send(TEXT, b"a", fin=False)
            for _ in range(100):
                raw.socket.sendall(frame(CONTINUATION, fin=False) * 2000)
            raw.send(CONTINUATION, b"b")
            peaks.append(tool.peak_kib())
            raw.close()

        peaks, ready = [], threading.Event()
        with raw_server(answer) as seen, cat("-t", seen.url) as tool:
            ready.set()
            self.assertEqual(tool.output.read(), b"ab\n")
            self.assertEqual(tool.status(), 0, tool.errors)
        self.assertLess(peaks[0], MEMORY_KIB)

    def test_fragments_of_too_long_a_message(self):
        def answer(raw):
            raw.send(TEXT, b"a", fin=False)
            raw.socket.sendall(frame(CONTINUATION, b"b", fin=False) * 100_000)

        self.refused(answer, "-t --max-message 50000", code=1009)

    def test_a_size_that_nobody_has(self):
        for size in [1 << 62, (1 << 63) - 1, (16 << 20) + 1]:
            self.refused(lambda raw: raw.socket.sendall(b"\x82\x7f" + struct.pack(">Q", size)),
                         code=1009)

    def test_a_decompression_bomb(self):
        """A thousand bytes of the wire are a million of memory."""
        pieces = []
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        for _ in range(64):
            pieces.append(packer.compress(bytes(1 << 20)))
        bomb = b"".join([*pieces, packer.flush(zlib.Z_SYNC_FLUSH)])[:-4]

        def whole(raw):
            raw.open(DEFLATE)
            raw.send(BINARY, bomb, reserved=4)

        def pieces(raw):
            raw.open(DEFLATE)
            raw.send(BINARY, b"", fin=False, reserved=4)
            for at in range(0, len(bomb), 1000):
                raw.send(CONTINUATION, bomb[at:at + 1000], fin=False)

        for answer in [whole, pieces]:
            self.refused(answer, "-b --max-message 1M", code=1009, opens=False)


class Stalls(unittest.TestCase):
    """One side takes nothing for a while, or for ever."""

    LINES = [("-t", b"a" * 999 + b"\n"), ("-d", b"1\n"), ("-t", b"\n"), ("-b", b"a" * 1000),
             ("-t", b"a" * 3_000_000 + b"\n")]

    @contextmanager
    def unheard(self, options):
        """A tool for each of these lines, which are sent to a peer that reads none of them; with
        the lines that it has taken from us."""
        def lines(piece, written):
            for number in range(2000):
                written.append(number)
                yield piece

        with raw_server(silent) as seen, ExitStack() as stack:
            tools = []
            for form, line in self.LINES:
                tool = stack.enter_context(
                    cat(f"--compress=off --max-line 4M {form} {options}", seen.url))
                tools.append((tool, []))
                fed(tool, lines(line * max(1, (1 << 16) // len(line)), tools[-1][1]))
            yield tools

    def test_a_peer_that_stops_reading(self):
        """Standard input is not read any further, and memory is small."""
        with self.unheard("--ping 300ms --pong-timeout 1000s") as tools:
            for tool, _ in tools:
                until(lambda: tool.unread() > 0)
            # Meanwhile the system may find a little more room for each of them.
            resting(*(tool.process for tool, _ in tools), looks=60)
            stalled = [len(written) for _, written in tools]
            time.sleep(0.5)
            for (form, line), (tool, written), before in zip(self.LINES, tools, stalled):
                with self.subTest(form, line=len(line)):
                    self.assertLess(len(written) - before, 5, "standard input was read on")
                    if len(line) < 1_000_000:
                        self.assertLess(tool.peak_kib(), MEMORY_KIB)

    def test_a_peer_that_is_dead(self):
        """But for the missing pong it would be waited for for ever."""
        with self.unheard("--ping 300ms --pong-timeout 400ms") as tools:
            for (form, line), (tool, _) in zip(self.LINES, tools):
                with self.subTest(form, line=len(line)):
                    self.assertEqual(tool.status(), 69, tool.errors)
                    self.assertIn(b"no pong", tool.errors)
                    stats = tool.stats()
                    self.assertEqual(stats["sent"] + stats.get("unsent", 0), stats["records_in"])
                    self.assertEqual(stats["unconfirmed"], stats["sent"])

    def test_a_peer_that_reads_again(self):
        """It does not answer pings meanwhile, but is given time to."""
        count = 100_000

        def answer(raw):
            time.sleep(0.8)
            while len(got) < count:
                got.append(raw.next(TEXT))
            raw.next(CLOSE)
            raw.send(CLOSE, b"\x03\xe8")

        got = []
        with raw_server(answer) as seen, \
                cat("-t --ping 100ms --pong-timeout 50s --close-timeout 50s",
                    seen.url) as tool:
            fed(tool, [b"".join(b"%0100d\n" % number for number in range(at, at + 1000))
                       for at in range(0, count, 1000)])
            self.assertEqual(tool.status(), 0, tool.errors)
            self.assertEqual(tool.stats().get("unconfirmed", 0), 0)
        self.assertEqual(got, [b"%0100d" % number for number in range(count)])

    def test_lines_that_come_at_once(self):
        """More than is encoded in one go: all of them are sent, though nothing more comes in."""
        for count in [5000, 20_000]:
            for ends in [True, False]:
                got = []

                def answer(raw):
                    while len(got) < count:
                        got.append(raw.next(TEXT))
                    if ends:
                        raw.next(CLOSE)
                    raw.send(CLOSE, b"\x03\xe8")

                with self.subTest(count, ends=ends), raw_server(answer) as seen, \
                        cat("-t --close-timeout 50s", seen.url) as tool:
                    whole = b"".join(b"%0200d\n" % number for number in range(count))
                    if ends:
                        fed(tool, [whole])
                    else:
                        threading.Thread(target=tool.input.write, args=[whole]).start()
                    # A peer that closes unasked has confirmed nothing.
                    self.assertEqual(tool.status(), 0 if ends else 1, tool.errors)
                    self.assertEqual(tool.stats().get("unconfirmed", 0), 0 if ends else count)
                    self.assertEqual(got, [b"%0200d" % number for number in range(count)])

    def test_a_reader_that_goes_on(self):
        """Standard output is not taken for a while: the peer waits, memory is small, and nothing
        is lost."""
        lines = [b"%0100d" % number for number in range(200_000)]
        pieces = [b"".join(frame(TEXT, line) for line in lines[at:at + 1000])
                  for at in range(0, len(lines), 1000)]
        sent = []

        def answer(raw):
            for piece in pieces:
                raw.socket.sendall(piece)
                sent.append(piece)
            raw.close()

        with raw_server(answer) as seen, \
                cat("-t --ping 100ms --pong-timeout 1s", seen.url) as tool:
            until(tool.is_blocked)
            # For longer than a pong may take.
            time.sleep(1.3)
            self.assertLess(len(sent), len(pieces))
            self.assertLess(tool.peak_kib(), MEMORY_KIB)
            self.assertLess(tool.processor_seconds(), 0.5)
            self.assertEqual(tool.output.read(), b"\n".join(lines) + b"\n")
            self.assertEqual(tool.status(), 0, tool.errors)

    def test_a_reader_that_waits_longer_than_messages_may(self):
        """What is not read cannot be missed, and waiting for the reader costs nothing."""
        def answer(raw):
            while True:
                raw.socket.sendall(frame(TEXT, b"x" * 1000) * 100)

        with raw_server(answer) as seen, cat("-t --idle-timeout 1s", seen.url) as tool:
            until(tool.is_blocked)
            time.sleep(0.6)
            before = tool.processor_seconds()
            time.sleep(0.7)
            self.assertLess(tool.processor_seconds() - before, 0.2)
            self.assertIsNone(tool.process.poll())

    def test_pings_while_the_reader_waits(self):
        """They are answered until --receive-buffer is full."""
        pongs = []

        def answer(raw):
            raw.socket.sendall(frame(TEXT, b"x" * 1000) * 500)
            for number in range(20):
                raw.send(PING, b"%d" % number)
                pongs.append(raw.next(PONG))
            raw.close()

        reading, writing = os.pipe()
        try:
            with raw_server(answer) as seen, cat("-t", seen.url, stdout=writing) as tool:
                until(lambda: len(pongs) == 20)
                tool.stop()
                self.assertIn(tool.status(), [0, -signal.SIGTERM, 143])
        finally:
            os.close(reading)
            os.close(writing)

    def test_a_reader_that_leaves(self):
        """SIGPIPE ends it, as any filter."""
        def answer(raw):
            number = 0
            while True:
                raw.send(TEXT, b"%d" % number)
                number += 1

        with raw_server(answer) as seen, cat("-t", seen.url) as tool:
            self.assertEqual([tool.output.readline() for _ in range(2)], [b"0\n", b"1\n"])
            tool.output.close()
            self.assertIn(tool.status(), [-signal.SIGPIPE, 141], tool.errors)

    def test_both_sides_wait(self):
        """Neither the peer nor standard output takes anything; then both do, and all is there."""
        count = 30_000
        line = b"%0200d"
        got = []

        def answer(raw):
            def send():
                for number in range(count):
                    raw.send(TEXT, line % number)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            reads.wait(PATIENCE_SECONDS)
            while len(got) < count:
                got.append(raw.next(TEXT))
            sender.join()
            raw.close()

        reads = threading.Event()
        with raw_server(answer) as seen, cat("-t --no-close", seen.url) as tool:
            fed(tool, [b"".join((line + b"\n") % number for number in range(at, at + 1000))
                       for at in range(0, count, 1000)])
            until(tool.is_blocked)
            tool.rests()
            reads.set()
            self.assertEqual(tool.output.read(),
                             b"".join((line + b"\n") % number for number in range(count)))
            # Which of the messages that crossed confirms a line, only their times say.
            self.assertIn(tool.status(), [0, 1], tool.errors)
        self.assertEqual(got, [line % number for number in range(count)])
