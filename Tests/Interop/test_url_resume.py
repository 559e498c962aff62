"""How sse-decode goes on: after the end of a connection, of a stream, of its own process."""

import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

from faults import resting
from peers import ENVIRONMENT, PATIENCE_SECONDS, lines, reserved, seed, unanswered, until
from sse_peers import (IDLE, SOON, Files, chunks, cut, decode, decoding, each_of, event, hangs_up,
                       held, none, record, reply, resets, silence, stream, web)

JSON = "application/json"


def later(*fields):
    return reply("503 Later", b"", *fields)


def events(records):
    return [each for each in records if "connection" not in each]


def connections(records):
    return [each for each in records if "connection" in each]


class State(Files):
    """--state FILE."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / "state"

    def kept(self):
        text = self.path.read_text()
        self.assertTrue(text == "" or text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def test_the_next_run_goes_on(self):
        with web([stream(event("a", 1), event("b", 2)), none, stream(event("c", 3)), none,
                  none]) as seen:
            url = seen.url + "s"
            self.assertEqual(len(decode("--state", self.path, url).records), 2)
            self.assertEqual(self.path.read_text(),
                             '{"url":"%s","last_event_id":"2"}\n' % url)
            self.assertEqual(decode("--state", self.path, url).records, [record("c", 3)])
            self.assertEqual(self.kept(), [{"url": url, "last_event_id": "3"}])
            decode("--state", self.path, url)
        self.assertEqual(seen.ids, [None, "2", "2", "3", "3"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["state", "state.lock"])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_odd_ids(self):
        for id in ['"\\ü…\U0001f600', "a b\tc", "\x01", " x"]:
            with self.subTest(id), web([stream(b"id: " + id.encode() + b"\ndata: a\n\n"), none,
                                        none]) as seen:
                decode("--state", self.path, seen.url)
                self.assertEqual(self.kept()[-1]["last_event_id"], id)
                decode("--state", self.path, seen.url)
                self.path.unlink()

    def test_an_id_that_is_reset(self):
        with web([stream(event("a", 1), event("b", "")), none, none]) as seen:
            decode("--state", self.path, seen.url)
            decode("--state", self.path, seen.url)
        self.assertEqual(seen.ids, [None, None, None])

    def test_an_id_goes_for_the_events_behind_it(self):
        # And one without an event counts, too.
        with web([stream(event("a", "…"), event("b")), stream(b"id: 7\n\n"), none]) as seen:
            self.assertEqual(decode("--state", self.path, seen.url).records,
                             [record("a", "…"), record("b")])
        self.assertEqual(seen.ids, [None, "…", "7"])

    def test_a_connection_begins_anew(self):
        # No type is left over, and a mark at its start is one.
        with web([stream(event("a", 1), b"event: x\nid: 2\ndata: half"),
                  stream(b"\xef\xbb\xbfdata: b\n\n"), none]) as seen:
            self.assertEqual(decode(seen.url).records, [record("a", 1), record("b")])
        self.assertEqual(seen.ids, [None, "1", "1"])

    def test_a_block_that_is_cut_off(self):
        with web([stream(event("a", 1), b"id: 2\ndata: b\n"), none]) as seen:
            decode("--state", self.path, seen.url)
        self.assertEqual(self.kept(), [{"url": seen.url, "last_event_id": "1"}])

    def test_events_that_are_not_selected_count(self):
        with web([stream(event("a", 1), event("b", 2, "x"), event("c", 3)), none]) as seen:
            done = decode("-e", "x", "--state", self.path, seen.url)
        self.assertEqual(done.records, [record("b", 2, "x")])
        self.assertEqual(self.kept(), [{"url": seen.url, "last_event_id": "3"}])

    def test_a_count_stops_behind_its_event(self):
        with web(stream(event("a", 1), event("b", 2), event("c", 3))) as seen:
            self.assertEqual(decode("-n", "2", "--state", self.path, seen.url).records,
                             [record("a", 1), record("b", 2)])
        self.assertEqual(self.kept(), [{"url": seen.url, "last_event_id": "2"}])

    def test_an_event_that_ends_the_stream(self):
        with web([stream(event("a", 1), event("b", 2), event("broken", 3, "error"),
                         event("c", 4))]) as seen:
            done = decode("-d", "--fail-on-error", "--state", self.path, seen.url, status=76)
        # What was written, the error too, is behind us.
        self.assertEqual(done.output, b'"a"\n"b"\n"broken"\n')
        self.assertEqual(self.kept(), [{"url": seen.url, "last_event_id": "3"}])

    def test_events_that_are_held_back(self):
        # Number 2 does not come, so that 3 is not written when the tool is killed.
        with web([held(event('{"n":1}', "a"), event('{"n":3}', "b"))]) as seen, \
                decoding("-d", "--reorder", ".n", "--max-wait", "100s", "--state", self.path,
                         "--state-interval", "10ms", seen.url) as tool:
            self.assertEqual(tool.record(), {"n": 1})
            tool.rests()
            tool.process.kill()
            # Both come in one read or in two, and what was written may be kept already.
            self.assertIn([each.get("last_event_id") for each in self.kept()], [[], ["a"]])

    def test_several_urls_and_those_of_others(self):
        self.file("state", '{"url":"http://other.example/","last_event_id":"x"}\n')
        with web([stream(event("a", 1)), none]) as one, \
                web([stream(event("b", 7)), none]) as other:
            decode("--state", self.path, one.url, other.url)
        kept = {each["url"]: each["last_event_id"] for each in self.kept()}
        self.assertEqual(kept, {one.url: "1", other.url: "7", "http://other.example/": "x"})
        self.assertEqual(len(self.kept()), 3)

    def test_no_secret_is_kept(self):
        with web([stream(event("a", 1)), none, none]) as seen:
            url = seen.url.replace("://", "://ann:s3cret@")
            decode("--state", self.path, url)
            [kept] = self.kept()
            self.assertEqual((kept["url"], kept["last_event_id"]), (seen.url, "1"))
            self.assertNotIn("s3cret", self.path.read_text())
            decode("--state", self.path, url)
        self.assertEqual(seen.ids[-1], "1")

    def test_files_that_are_none(self):
        for text in ["nonsense\n", "[]\n", "[1]\n", "{}\n", '{"last_event_id":"1"}\n',
                     '{"url":']:
            with self.subTest(text), web([]) as seen:
                self.file("state", text)
                decode("--state", self.path, seen.url, status=78)
                self.assertEqual((seen.count, self.path.read_text()), (0, text))
        with web(none) as seen:
            self.file("state", "")
            decode("--state", self.path, seen.url)

    def test_it_is_kept_while_the_stream_runs(self):
        with web([held(event("a", 1))]) as seen, \
                decoding("--state", self.path, "--state-interval", "10ms", seen.url) as tool:
            self.assertEqual(tool.record(), record("a", 1))
            until(lambda: [each["last_event_id"] for each in self.kept()] == ["1"])

    def test_the_interval(self):
        with web([stream(*(event(each, each) for each in range(60)), pause=0.01), none]) as seen, \
                decoding("--stats", "--state", self.path, "--state-interval", "200ms",
                         seen.url) as tool:
            versions = set()
            while tool.process.poll() is None:
                if self.path.exists():
                    versions.add(self.path.stat().st_ino)
                time.sleep(0.002)
            self.assertEqual(tool.status(), 0, tool.errors)
        # The first, one for each interval, and the last.
        self.assertLessEqual(len(versions), tool.elapsed / 0.2 + 3)
        self.assertEqual(self.kept(), [{"url": seen.url, "last_event_id": "59"}])

    def test_only_what_was_written_counts(self):
        # Nobody reads its output, and then it is killed.
        def floods(client, request):
            client.head()
            for number in range(100_000):
                client.say(event("x" * 1000, number))

        for stop in [signal.SIGKILL, signal.SIGTERM]:
            self.path.unlink(missing_ok=True)
            with self.subTest(stop), web(floods) as seen, \
                    decoding("--state", self.path, "--state-interval", "10ms", seen.url) as tool:
                until(tool.is_blocked)
                until(lambda: self.path.exists() and self.kept())
                tool.rests()
                tool.process.send_signal(stop)
                # With SIGTERM it ends within a while though nobody reads.
                tool.status()
                written = tool.output.read()
                whole = [json.loads(line) for line in written.split(b"\n")[:-1]]
                self.assertGreater(len(whole), 10)
                [kept] = self.kept()
                # What was written before the last write to FILE is not asked for again.
                self.assertLessEqual(int(kept["last_event_id"]), int(whole[-1]["id"]))
                self.assertGreaterEqual(int(kept["last_event_id"]), int(whole[-1]["id"]) - 500)
                if stop == signal.SIGTERM:
                    # Of events that came together a place is kept for every 4 KiB of output, and
                    # the last ones may not be the whole of it.
                    place = written.index(b'"id":"%d"' % int(kept["last_event_id"]))
                    behind = written.index(b"\n", place) + 1
                    self.assertLess(len(written) - behind, (4 << 10) + len(written) // len(whole))

    def test_a_slow_reader_moves_the_state_too(self):
        # There is always something that waits to be written, and it is not what was written.
        def floods(client, request):
            client.head()
            for number in range(1_000_000):
                client.say(event("x" * 1000, number))

        with web(floods) as seen, \
                decoding("--state", self.path, "--state-interval", "10ms", seen.url) as tool:
            for number in range(4000):
                self.assertEqual(tool.record()["id"], str(number))
                if number % 20 == 0:
                    time.sleep(0.004)
            [kept] = self.kept()
            self.assertGreater(int(kept["last_event_id"]), 2000)

    def test_dedup(self):
        replay = stream(event("b", 2), event("c", 3))
        with web([stream(event("a", 1), event("b", 2)), replay, none, replay, stream(event("d", 4)),
                  none]) as seen:
            done = decode("--dedup", "--stats", "--state", self.path, seen.url)
            self.assertEqual(done.records, [record("a", 1), record("b", 2), record("c", 3)])
            self.assertEqual(done.stats["duplicates"], 1)
            # In the next run too: its stream begins with the event that is known.
            with web([stream(event("c", 3), event("d", 4)), none], port=0) as other:
                self.file("state", '{"url":"%s","last_event_id":"3"}\n' % other.url)
                done = decode("--dedup", "--stats", "--state", self.path, other.url)
                self.assertEqual(done.records, [record("d", 4)])
                self.assertEqual(done.stats["duplicates"], 1)


class Attempts(Files):
    """--retries, --backoff, retry, Retry-After, --reset-after, --reconnect."""

    def waits(self, done):
        return [each["wait_ms"] for each in connections(done.records)
                if each["connection"] == "retrying"]

    def test_retries(self):
        for number in [0, 1, 3]:
            for failing in [later(), hangs_up, resets]:
                with self.subTest(number, failing=failing), web(failing) as seen:
                    done = decode("--retries", number, "--all", seen.url, status=69)
                    self.assertEqual(seen.count, number + 1)
                    self.assertIn(b"given up", done.errors)
                    last = done.records[-1]
                    self.assertEqual((last["connection"], last["source"]), ("given-up", seen.url))

    def test_retries_where_nobody_listens(self):
        with reserved() as port:
            done = decode("--retries", "3", "--stats", f"http://127.0.0.1:{port}/", status=69)
        self.assertEqual(done.stats["connection_attempts"], 4)
        self.assertEqual(done.errors.count(b"retrying in"), 3)
        self.assertIn(b"Connection refused", done.errors)

    def test_an_event_makes_up_for_failures(self):
        two = [later(), hangs_up, stream(event("a", 1))]
        with web([*two, *two, later(), later(), later()]) as seen:
            done = decode("--retries", "2", seen.url, status=69)
        self.assertEqual((len(done.records), seen.count), (2, 9))

    def test_a_connection_that_lasts_does_too(self):
        lasting = stream(b": a\n", b": b\n", pause=0.3)
        with web([lasting] * 3 + [none]) as seen:
            decode("--retries", "1", "--reset-after", "150ms", seen.url)
        self.assertEqual(seen.count, 4)

    def test_the_bounds_of_the_backoff(self):
        with web([later()] * 8 + [none]) as seen:
            done = decode("--backoff", "40ms..160ms", "--all", seen.url, options=[])
        waits = self.waits(done)
        self.assertEqual(len(waits), 8)
        for wait, limit in zip(waits, [40, 80] + [160] * 6):
            self.assertLessEqual(wait, limit)
        # It does not wait the same twice, and does what it says.
        self.assertGreater(len(set(waits)), 2)
        late = [other.at - one.at - wait / 1000
                for wait, one, other in zip(waits, seen.requests, seen.requests[1:])]
        self.assertGreaterEqual(min(late), -0.002)
        # A busy machine may make it late, but not each time.
        self.assertLess(statistics.median(late), 0.3)

    def test_an_event_resets_the_backoff(self):
        with web([later(), later(), later(), stream(event("a"))] * 2 + [none]) as seen:
            waits = self.waits(decode("--backoff", "20ms..500ms", "--all", seen.url, options=[]))
        for wait, limit in zip(waits, [20, 40, 80, 20, 20, 40, 80, 20]):
            self.assertLessEqual(wait, limit)

    def test_retry_is_the_first_wait_exactly(self):
        with web([stream(b"retry: 77\n", event("a")), later(), later(), none]) as seen:
            waits = self.waits(decode("--backoff", "10ms..100ms", "--all", seen.url, options=[]))
        self.assertEqual(waits[0], 77)
        # Behind failures the jitter comes on top, up to the longest wait.
        for wait, limit in zip(waits[1:], [77 + 10, 77 + 20]):
            self.assertGreaterEqual(wait, 77)
            self.assertLessEqual(wait, limit)

    def test_retry_counts_without_a_blank_line(self):
        with web([stream(b"retry: 66\n"), stream(b"retry: 55\n\nretry: x1\n\n"), none]) as seen:
            waits = self.waits(decode("--backoff", "1ms..100ms", "--all", seen.url, options=[]))
            self.assertEqual(waits, [66, 55])

    def test_retry_has_a_floor_and_a_ceiling(self):
        # No event came, and the first attempt behind a good connection waits for no more.
        for retry, backoff, wait in [(2, "1000s..1000s", 1000), (0, "1s..30s", 1000),
                                     (0, "3ms..20ms", 3), (4000, "1ms..20ms", 20)]:
            with self.subTest(retry, backoff=backoff), \
                    web([stream(b"retry: %d\n\n" % retry), none]) as seen:
                done = decode("--backoff", backoff, "--all", seen.url, options=[])
                self.assertEqual(self.waits(done), [wait])

    def test_other_requests_than_get_are_bounded(self):
        with reserved() as port:
            for options in [["-X", "POST"], ["--body", "{}"]]:
                done = decode("--stats", *options, f"http://127.0.0.1:{port}/", status=69)
                self.assertEqual(done.stats["connection_attempts"], 11)
        with web([later()] * 20 + [stream(event("a", 1), event("END"))]) as seen:
            decode("--body", "{}", "--retries", "20", "--until", "END", seen.url)
            self.assertEqual(seen.count, 21)

    def test_retry_after_a_date(self):
        date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=1000), usegmt=True)
        with web(later(f"Retry-After: {date}")) as seen, decoding("--all", seen.url) as tool:
            while (said := tool.record())["connection"] != "retrying":
                pass
            self.assertGreater(said["wait_ms"], 900_000)
            self.assertLessEqual(said["wait_ms"], 1000_020)
            tool.stop()
            self.assertEqual(tool.status(), 0, tool.errors)

    def test_retry_after(self):
        for value, least, most in [("1", 1000, 1020), ("0", 0, 20), ("x", 0, 20), ("-1", 0, 20),
                                   ("+1", 0, 20)]:
            with self.subTest(value), web([later(f"Retry-After: {value}"), none]) as seen:
                [wait] = self.waits(decode("--all", seen.url))
                self.assertGreaterEqual(wait, least)
                self.assertLessEqual(wait, most)
                waited = seen.requests[1].at - seen.requests[0].at
                self.assertGreaterEqual(waited, least / 1000 - 0.002)
        # Nothing that does not fit is a wait of nothing.
        for value in ["9" * 20, "9" * 400, str(2**64), "86401"]:
            with self.subTest(value), web(later(f"Retry-After: {value}")) as seen, \
                    decoding("--all", seen.url) as tool:
                while (said := tool.record())["connection"] != "retrying":
                    pass
                self.assertEqual(said["wait_ms"], 86_400_000)

    def test_reconnect(self):
        whole = event("a", 1)
        ways = [{"clean": chunks(whole), "closed": stream(whole)},
                {"early": cut(whole), "reset": cut(whole, reset=True),
                 "chunks": chunks(whole, ends=False)}]
        for mode in [None, "auto", "always", "lost", "never"]:
            for method in ["GET", "POST"]:
                for lost in [False, True]:
                    again = {"always": True, "lost": lost, "never": False}.get(
                        mode, lost or method == "GET")
                    options = (["--reconnect", mode] if mode else []) + ["-X", method]
                    self.reconnects(ways[lost], again, *options,
                                    status=69 if lost and not again else 0)

    def reconnects(self, ways, again, *options, status):
        """Those that end like this are asked once more, or not."""
        asked = []

        def answer(client, request):
            asked.append(request.path[1:])
            (ways[asked[-1]] if asked.count(asked[-1]) == 1 else none)(client, request)

        with web(answer) as seen:
            for records, way in each_of(seen, ways, *options, status=status):
                with self.subTest(options, way=way):
                    self.assertEqual(records, [record("a", 1)])
                    self.assertEqual(asked.count(way), 2 if again else 1)

    def test_never(self):
        for failing in [later(), hangs_up, resets, cut(event("a"))]:
            with self.subTest(failing), web([failing]) as seen:
                done = decode("--reconnect", "never", seen.url, status=69)
                # It is told which, and which it was of several.
                self.assertIn(seen.url.encode() + b": ", done.errors)

    def test_a_name_that_is_not_known_yet(self):
        """Libcurl 7.88 refuses a handle an option behind that: all attempts are made."""
        done = decode("--retries", "3", "http://no.such.invalid/", status=69)
        self.assertEqual(done.errors.count(b"the host's name cannot be resolved"), 4)

    def test_too_many_open_files(self):
        """What lacks is said; it passes."""
        with web(none) as seen:
            command = ["bash", "-c", 'ulimit -n 12; exec "$@"', "-", "sse-decode", "--retries", "1",
                       *SOON, *[f"{seen.url}{each}" for each in range(30)]]
            done = subprocess.run(command, capture_output=True, env=ENVIRONMENT,
                                  timeout=PATIENCE_SECONDS)
        self.assertIn(b"Too many open files", done.stderr)

    def test_waiting_for_a_first_answer_is_no_reconnect(self):
        with web([later(), stream(event("a", 1)), none]) as seen:
            done = decode("-q", "--stats", seen.url)
        self.assertEqual(done.stats["time_to_reconnect_seconds_count"], 0)

    def test_statuses(self):
        for status in [205, 210, 299, 404, 405, 410, 501, 505]:
            with self.subTest(status), web([reply(f"{status} Odd")]) as seen:
                self.assertIn(b"answers %d" % status, decode(seen.url, status=69).errors)
                self.assertEqual(seen.count, 1)
        # Those of content delivery networks among them.
        again = [408, 425, 429, 500, 502, 503, 504, 507, 508, 509, *range(520, 531), 599]
        with web([*(reply(f"{status} Later") for status in again), stream(event("a")),
                  none]) as seen:
            self.assertEqual(decode(seen.url).records, [record("a")])
        self.assertEqual(seen.count, len(again) + 2)

    def test_statuses_that_are_given(self):
        with web([reply("404 Soon"), none]) as seen:
            decode("--retry-statuses", "404,503", seen.url)
        self.assertEqual(seen.count, 2)
        with web([later()]) as seen:
            decode("--retry-statuses", "none", seen.url, status=69)

    def test_a_first_line_that_is_cut_off(self):
        # What is cut off within its first line is no less a stream.
        whole = b"\xef\xbb\xbfevent: x\ndata: a\n\n"
        asked = []

        def answer(client, request):
            asked.append(request.path[1:])
            name, end = asked[-1].split("/")
            way = {"stream": stream, "cut": cut}[name](whole[:int(end)])
            (way if asked.count(asked[-1]) == 1 else none)(client, request)

        paths = [f"{name}/{end}" for name in ["stream", "cut"] for end in range(len(whole))]
        with web(answer) as seen:
            for records, path in each_of(seen, paths):
                with self.subTest(path):
                    self.assertEqual((records, asked.count(path)), ([], 2))


class Clocks(Files):
    """--idle-timeout, --connect-timeout, --max-time."""

    def test_stalls(self):
        with web([silence, held(), held(event("a", 1)), none]) as seen:
            done = decode(*IDLE, "--stats", "--all", seen.url)
        self.assertEqual(events(done.records), [record("a", 1)])
        self.assertEqual((done.stats["stalls"], done.stats["connection_attempts"],
                          done.stats["reconnections"], seen.count), (3, 4, 3, 4))
        states = [each["connection"] for each in connections(done.records)]
        self.assertEqual(states.count("stalled"), 3)
        self.assertIn(b"stalled", done.errors)

    def test_our_own_output_is_no_stall(self):
        def floods(client, request):
            client.head()
            for number in range(5000):
                client.say(event("x" * 1000, number))

        with web([floods, none]) as seen, \
                decoding("--stats", *IDLE, seen.url) as tool:
            until(tool.is_blocked)
            time.sleep(1)
            self.assertEqual([each["id"] for each in tool.records()],
                             [str(each) for each in range(5000)])
            self.assertEqual(tool.status(), 0)
        self.assertEqual((tool.stats()["stalls"], seen.count), (0, 2))

    def test_memory(self):
        def floods(client, request):
            client.head()
            for _ in range(30):
                client.say(event("x" * 1000, 1) * 1000)

        with web([floods, none]) as seen, decoding("--stats", seen.url) as tool:
            until(tool.is_blocked)
            for _ in range(25_000):
                tool.output.readline()
            self.assertLess(tool.peak_kib(), 32 << 10)

    def test_connect_timeout(self):
        with unanswered() as port:
            with decoding("--stats", "--connect-timeout", "200ms", "--retries", "1",
                          f"http://127.0.0.1:{port}/") as tool:
                self.assertEqual(tool.status(), 69)
                self.assertGreaterEqual(tool.elapsed, 0.39)
                self.assertLess(tool.elapsed, 8)

    def test_max_time(self):
        with unanswered() as nowhere, web(silence) as mute, web(held(event("a"))) as open, \
                web(later("Retry-After: 600")) as busy:
            for url, status in [(f"http://127.0.0.1:{nowhere}/", 69), (mute.url, 69),
                                (open.url, 0), (busy.url, 69)]:
                # A stream has the time to come.
                limit = 0.3 if status else 2
                with self.subTest(url), \
                        decoding("--stats", "--max-time", f"{limit}s", url) as tool:
                    self.assertEqual(tool.status(), status, tool.errors)
                    self.assertGreaterEqual(tool.elapsed, limit - 0.01)
                    self.assertLess(tool.elapsed, limit + 8)


class Stops(Files):
    """SIGTERM, SIGINT, SIGHUP and SIGPIPE."""

    def test_in_every_phase(self):
        def withheld_refusal(client, request):
            client.head("503 Later", "text/plain")
            client.hold()

        # Nothing of this ends by itself while the test waits.
        patient = ["--stats", "--connect-timeout", "1000s", "--idle-timeout", "1000s"]
        with unanswered() as nowhere, web(silence) as mute, web(held()) as empty, \
                web(held(event("a", 1))) as open, web(later("Retry-After: 600")) as busy, \
                web(withheld_refusal) as refusing, ExitStack() as stack:
            phases = {"connecting": (f"http://127.0.0.1:{nowhere}/", "0"), "head": (mute.url, "0"),
                      "body": (empty.url, "0"), "receiving": (open.url, "1"),
                      "waiting": (busy.url, "0"), "refusal": (refusing.url, "0"),
                      "TLS": (mute.url.replace("http", "https"), "0")}
            tools = []
            for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
                for name, (url, id) in phases.items():
                    state = self.file(f"{name}-{number}",
                                      '{"url":"%s","last_event_id":"0"}\n' % url)
                    tool = stack.enter_context(decoding(*patient, "--state", state, url))
                    tools.append((name, number, tool, state, url, id))
            for seen in [mute, empty, open, busy, refusing]:
                until(lambda: seen.count == 3)
            resting(*(tool.process for _, _, tool, *_ in tools))
            for name, number, tool, state, url, id in tools:
                with self.subTest(name, signal=number):
                    self.assertIsNone(tool.process.poll(), "it ended before")
                    tool.process.send_signal(number)
                    self.assertEqual(tool.status(), 0, tool.errors)
                    self.assertEqual(json.loads(state.read_text()),
                                     {"url": url, "last_event_id": id})

    def test_a_reader_that_leaves(self):
        def answer(client, request):
            client.head()
            client.say(event("a"))
            until(lambda: left)
            for _ in range(100):
                client.say(event("b"))
                time.sleep(0.01)
            client.hold()

        left = False
        with web([answer]) as seen, decoding(seen.url) as tool:
            self.assertEqual(tool.record(), record("a"))
            tool.output.close()
            left = True
            self.assertEqual(tool.status(), -signal.SIGPIPE, tool.errors)
            self.assertEqual(tool.errors, b"")

    def test_a_full_device(self):
        with web([held(event("a", 1))]) as seen, open("/dev/full", "wb") as full:
            with decoding(seen.url, stdout=full) as tool:
                self.assertEqual(tool.status(), 74)


class Numbered:
    """A server of numbered events, which goes on behind Last-Event-ID and cuts at random."""

    def __init__(self, count, chance):
        self.count, self.chance = count, chance

    def __call__(self, client, request):
        first = int(request.id or 0) + 1
        if first > self.count:
            return none(client, request)
        client.head()
        at = first
        while at <= self.count and self.chance.random() > 0.05:
            burst = self.chance.choice([1, 1, 3, 50])
            client.say(b"".join(event(f"d{each}", each)
                                for each in range(at, min(at + burst, self.count + 1))))
            at += burst
            time.sleep(self.chance.random() * 0.004)
        # Now and then in the middle of the next.
        if at <= self.count:
            whole = event(f"d{at}", at)
            client.say(whole[:self.chance.randrange(len(whole))])


class ExactlyOnce(Files):
    """--exactly-once."""

    def lines(self, path):
        data = path.read_bytes()
        self.assertTrue(data.endswith(b"\n"))
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def test_kills(self):
        chance = random.Random(seed())
        count = 4000
        output, state = self.folder / "output", self.folder / "state"
        kills = 0
        with web(Numbered(count, chance)) as seen:
            command = ["--exactly-once", "--output", output, "--state", state,
                       "--state-interval", chance.choice(["1ms", "20ms"]), seen.url]
            while kills < 20:
                before = seen.count
                with decoding(*command) as tool:
                    until(lambda: seen.count > before or tool.process.poll() is not None)
                    time.sleep(chance.random() * 0.12)
                    if tool.process.poll() is not None:
                        break
                    tool.process.kill()
                    tool.status()
                    kills += 1
            decode(*command)
        self.assertGreater(kills, 3)
        # Some of them had something to go on from.
        self.assertGreater(len(set(seen.ids)), 3)
        self.assertEqual(self.lines(output),
                         [record(f"d{each}", each) for each in range(1, count + 1)])
        source, kept = lines(state.read_bytes())
        self.assertEqual(source, {"url": seen.url, "last_event_id": str(count),
                                  "output": str(output)})
        size = output.stat().st_size
        self.assertEqual([kept[name] for name in ["output", "length", "end"]],
                         [str(output), size, size])

    def test_what_stands_behind_the_length_goes(self):
        output = self.file("output", "before\n")
        state = self.folder / "state"
        command = ["-d", "--exactly-once", "--output", output, "--state", state]
        with web([held(event("a", 1)), stream(event("b", 2)), none]) as seen:
            with decoding(*command, "--state-interval", "1ms", seen.url) as tool:
                until(lambda: state.exists() and b'"1"' in state.read_bytes())
                tool.process.kill()
            self.assertEqual(output.read_text(), 'before\n"a"\n')
            with output.open("a") as file:
                file.write('"b"\n"half')
            decode(*command, seen.url)
        self.assertEqual(output.read_text(), 'before\n"a"\n"b"\n')
        self.assertEqual(seen.ids, [None, "1", "2"])

    def test_events_without_an_id_come_again(self):
        output, state = self.folder / "output", self.folder / "state"
        command = ["-d", "--output", output, "--state", state, "--exactly-once"]
        with web([stream(event("a", 1), event("b"), event("c")),
                  stream(event("b"), event("c"), event("d", 4)), none]) as seen:
            decode(*command, "-n", "3", seen.url)
            self.assertEqual(output.read_text(), '"a"\n"b"\n"c"\n')
            source, kept = lines(state.read_bytes())
            self.assertEqual(source["last_event_id"], "1")
            # Whether they come again is for the server to know: what was written stays.
            self.assertEqual((kept["length"], kept["end"]), (12, 12))
            decode(*command, seen.url)
        self.assertEqual(output.read_text(), '"a"\n"b"\n"c"\n"b"\n"c"\n"d"\n')
        self.assertEqual(seen.ids, [None, "1", "4"])

    def test_one_output_of_two_urls_in_turn(self):
        output, state = self.folder / "output", self.folder / "state"
        command = ["-d", "--exactly-once", "--state", state, "--output", output, "-n", "1"]
        answers = [stream(event("a", 1), event("b", 2)), stream(event("b", 2))]
        with web(answers) as one, web(answers) as other:
            for seen in [one, other, one, other]:
                decode(*command, seen.url)
        # What the other has written is not cut off as if it were a killed run's.
        self.assertEqual(output.read_text(), '"a"\n"a"\n"b"\n"b"\n')

    def test_two_runs_with_one_output(self):
        output, state = self.folder / "output", self.folder / "state"
        with web([held(event("a", 1))]) as seen:
            command = ["-d", "--exactly-once", "--state", state, "--output", output, seen.url]
            with decoding(*command, "--state-interval", "10ms"):
                until(state.exists)
                decode(*command, status=73)

    def test_a_file_that_is_too_short(self):
        output = self.file("output", "x")
        with web([]) as seen:
            state = self.file("state", "".join(json.dumps(each) + "\n" for each in [
                {"url": seen.url, "last_event_id": "1", "output": str(output)},
                {"output": str(output), "length": 9, "head": "0", "tail": "0"}]))
            decode("--exactly-once", "--output", output, "--state", state, seen.url, status=78)
        self.assertEqual(output.read_text(), "x")

    def test_usage(self):
        for options in [[], ["--output", self.folder / "o"], ["--state", self.folder / "s"]]:
            with self.subTest(options):
                decode("--exactly-once", *options, "http://127.0.0.1:1/", status=64)

    def test_output_appends(self):
        output = self.file("output", "before\n")
        with web([stream(event("a", 1)), none]) as seen:
            self.assertEqual(decode("-d", "--output", output, seen.url).output, b"")
        self.assertEqual(output.read_text(), 'before\n"a"\n')

    def test_output_of_two_urls(self):
        output, state = self.folder / "output", self.folder / "state"
        chance = random.Random(seed())
        with web(Numbered(500, chance)) as one, web(Numbered(500, chance)) as other:
            command = ["--exactly-once", "--tag-source", "--output", output, "--state", state,
                       "--state-interval", "5ms", one.url, other.url]
            for _ in range(8):
                with decoding(*command) as tool:
                    time.sleep(0.02 + chance.random() * 0.08)
                    tool.process.kill()
                    tool.status()
            decode(*command)
        for seen in [one, other]:
            self.assertEqual([each["data"] for each in self.lines(output)
                              if each["source"] == seen.url],
                             [f"d{each}" for each in range(1, 501)])


class Polls(Files):
    """--poll."""

    def polled(self, *values, type=JSON):
        body = (json.dumps(values) if type == JSON
                else "".join(json.dumps(value) + "\n" for value in values))
        return reply("200 OK", body.encode(), type=type)

    def test_alone(self):
        with web([self.polled({"id": "1", "data": "a"}, {"id": "2", "event": "x", "data": "b"}),
                  self.polled(), none,
                  self.polled({"id": "3", "data": "c"}, type="application/x-ndjson")]) as seen:
            done = decode("-n", "3", "--poll", seen.url + "poll?k=1")
        self.assertEqual(done.records, [record("a", 1), record("b", 2, "x"), record("c", 3)])
        self.assertEqual([request.query for request in seen.requests],
                         [[("k", "1")], *[[("k", "1"), ("since", "2")]] * 3])
        for request in seen.requests:
            self.assertEqual((request.method, request.path, request.id), ("GET", "/poll", None))
            self.assertIn(JSON, request.one("Accept"))

    def test_values_with_a_cursor(self):
        values = [{"at": {"seq": 7}, "v": 1.50}, {"at": {"seq": 8}}, {"at": {"seq": "9 &"}},
                  {"at": {"seq": 10}}]
        with web([self.polled(*values[:2]), self.polled(values[2]),
                  self.polled(values[3])]) as seen:
            done = decode("-d", "-n", "4", "--poll", seen.url, "--poll-cursor", ".at.seq",
                          "--poll-param", "after it")
        self.assertEqual(done.records, values)
        self.assertEqual([request.query for request in seen.requests],
                         [[], [("after it", "8")], [("after it", "9 &")]])

    def test_with_state(self):
        state = self.folder / "state"
        with web([self.polled({"id": 1, "data": "a"}),
                  self.polled({"id": 2, "data": "b"})]) as seen:
            for _ in range(2):
                decode("-n", "1", "--state", state, "--poll", seen.url)
        self.assertEqual([request.query for request in seen.requests], [[], [("since", "1")]])
        self.assertEqual(json.loads(state.read_text())["last_event_id"], "2")

    def test_failures(self):
        with web([later(), hangs_up, self.polled({"id": "1", "data": "a"})]) as seen:
            self.assertEqual(decode("-n", "1", "--poll", seen.url).records, [record("a", 1)])
        with web([reply("404 No")]) as seen:
            decode("--poll", seen.url, status=69)

    def test_an_empty_answer_is_no_busy_loop(self):
        with web(self.polled()) as seen:
            decode("--poll", seen.url, "--max-time", "1500ms", "--backoff", "100ms..200ms",
                   options=[])
        self.assertLess(seen.count, 45)
        self.assertGreater(seen.count, 2)

    def falls_back(self, path, poll):
        """A stream that is withheld twice, polls, and the stream that is back."""
        told = ["Stream-Poll: poll"]
        streams = iter([held(fields=told), held(fields=told), stream(event("c", 3)), none])

        def answer(client, request):
            if request.path == poll:
                since = dict(request.query).get("since")
                if since == "2":
                    time.sleep(0.05)
                    return self.polled()(client, request)
                return self.polled({"id": str(int(since or 0) + 1), "data": "p"})(client, request)
            next(streams)(client, request)

        with web(answer) as seen:
            done = decode(*IDLE, "--poll-for", "1s", seen.url + path)
        self.assertEqual(done.records, [record("p", 1), record("p", 2), record("c", 3)])
        targets = [request.path for request in seen.requests]
        self.assertEqual(targets[:3], [f"/{path}", f"/{path}", poll])
        self.assertEqual(targets[-2:], [f"/{path}"] * 2)
        polls = [request for request in seen.requests if request.path == poll]
        self.assertGreater(len(polls), 3)
        self.assertEqual([dict(request.query).get("since") for request in polls[:3]],
                         [None, "1", "2"])
        self.assertEqual([request.id for request in seen.requests if request.path != poll],
                         [None, None, "2", "3"])
        self.assertIn(b"withheld", done.errors)
        self.assertIn(b"poll", done.errors)

    def test_falling_back_and_forth(self):
        self.falls_back("a/events", "/a/poll")

    def test_falling_back_to_another_url(self):
        with web(self.polled({"id": "1", "data": "p"})) as poll, web(held()) as seen:
            done = decode(*IDLE, "-n", "1", "--poll", poll.url + "there", seen.url + "stream")
        self.assertEqual(done.records, [record("p", 1)])
        self.assertEqual((seen.count, poll.count), (2, 1))

    def test_a_byte_is_enough(self):
        with web([held(), held(b":\n"), held(), none]) as seen:
            decode(*IDLE, seen.url + "events")
        self.assertEqual([request.path for request in seen.requests], ["/events"] * 4)

    def test_no_answer_is_not_withheld(self):
        with web([silence, silence, silence, none]) as seen:
            decode(*IDLE, seen.url + "events")
        self.assertEqual([request.path for request in seen.requests], ["/events"] * 4)

    def test_nothing_to_fall_back_to(self):
        # No server said so, or it named another.
        for fields in [[], ["Stream-Poll: http://127.0.0.1:1/poll"], ["Stream-Poll: http://["]]:
            with self.subTest(fields), web([held(fields=fields)] * 3 + [none]) as seen:
                decode(*IDLE, seen.url + "events")
                self.assertEqual([request.path for request in seen.requests], ["/events"] * 4)

    def test_the_query_goes_with_it(self):
        told = held(fields=["Stream-Poll: /poll"])
        with web([told, told, self.polled({"id": "7", "data": "p"}),
                  self.polled({"id": "8", "data": "q"})]) as seen:
            done = decode(*IDLE, "-n", "2", "--query", "key=k",
                          seen.url + "events?channel=a&since=5&channel=b")
        self.assertEqual(done.records, [record("p", 7), record("q", 8)])
        channels = [("channel", "a"), ("channel", "b")]
        self.assertEqual([sorted(request.query) for request in seen.requests[2:]],
                         [[*channels, ("key", "k"), ("since", since)] for since in ["5", "7"]])

    def test_a_poll_that_fails_leads_back_to_the_stream(self):
        told = held(fields=["Stream-Poll: poll"])
        page = reply("200 OK", b"<html>", type="text/html")
        for answer in [reply("404 No"), reply("401 No"), page, later(), hangs_up,
                       reply("200 OK", b'{"error":"no"}', type=JSON)]:
            with self.subTest(answer), web([told, told, answer, stream(event("a", 1)),
                                            none]) as seen:
                done = decode(*IDLE, seen.url + "events")
                self.assertEqual(done.records, [record("a", 1)])
                self.assertEqual([request.path for request in seen.requests],
                                 ["/events"] * 2 + ["/poll"] + ["/events"] * 2)
        # One that failed for good is not asked again.
        with web([told, told, reply("404 No"), told, told, told, none]) as seen:
            decode(*IDLE, seen.url + "events")
        self.assertEqual([request.path for request in seen.requests],
                         ["/events"] * 2 + ["/poll"] + ["/events"] * 4)

    def test_an_answer_that_does_not_advance(self):
        with web(self.polled({"id": "1", "data": "a"})) as seen:
            decode("-q", "--poll", seen.url, "--max-time", "1500ms", "--backoff", "100ms..200ms",
                   options=[])
        self.assertLess(seen.count, 45)
        self.assertGreater(seen.count, 2)


class Telling(Files):
    """What goes on: counters, metrics, records, diagnostics, systemd."""

    TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    @classmethod
    def setUpClass(cls):
        """Three runs at once with different words for the same."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.metrics = Path(folder.name, "feed.prom")
        cls.before = time.time()
        told = {"all": ["--all", "-v", "--stats", "--metrics-file", cls.metrics],
                "quiet": ["-q"], "json": ["-v", "--log-format", "json"]}
        with ExitStack() as stack:
            cls.seen = {name: stack.enter_context(web(
                [stream(event("a", 1), event("b", 2)), later(),
                 held(event("b", 2), event("c", 3)), none])) for name in told}
            tools = {name: stack.enter_context(
                decoding("--dedup", *IDLE, *options, cls.seen[name].url))
                for name, options in told.items()}
            cls.outputs = {name: tool.records() for name, tool in tools.items()}
            cls.statuses = {name: tool.status() for name, tool in tools.items()}
            cls.errors = {name: tool.errors for name, tool in tools.items()}
            cls.stats = tools["all"].stats()

    def test_they_end(self):
        self.assertEqual(self.statuses, {"all": 0, "quiet": 0, "json": 0}, self.errors)
        for name in ["quiet", "json"]:
            self.assertEqual(self.outputs[name],
                             [record("a", 1), record("b", 2), record("c", 3)])

    def test_counters(self):
        stats = self.stats
        wanted = {"connection_attempts": 4, "reconnections": 3, "duplicates": 1, "gaps": 0,
                  "stalls": 1, "bytes_received": 2 * len(event("a", 1) + event("b", 2))}
        self.assertEqual({name: stats.get(name) for name in wanted}, wanted)
        self.assertIn(stats["events"], [3, 4])
        self.assertEqual(stats["records_out"], 3)

    def test_metrics(self):
        text = self.metrics.read_text()
        values = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name.partition("{")[0]] = float(value)
        wanted = {"connection_attempts_total": 4, "reconnections_total": 3, "duplicates_total": 1,
                  "gaps_total": 0, "stalls_total": 1,
                  "bytes_received_total": 2 * len(event("a", 1) + event("b", 2)),
                  "connection_duration_seconds_count": 2, "time_to_reconnect_seconds_count": 1}
        self.assertEqual({name: values.get(f"streamutils_{name}") for name in wanted}, wanted)
        for name in ["events_total", "connection_duration_seconds_sum",
                     "time_to_reconnect_seconds_sum", "last_event_timestamp_seconds"]:
            self.assertIn(f"streamutils_{name}", values)
        self.assertGreaterEqual(values["streamutils_last_event_timestamp_seconds"],
                                self.before - 1)
        self.assertLessEqual(values["streamutils_last_event_timestamp_seconds"], time.time() + 1)
        self.assertGreaterEqual(values["streamutils_connection_duration_seconds_sum"], 0.69)
        self.assertLess(values["streamutils_connection_duration_seconds_sum"],
                        self.stats["elapsed_seconds"])
        labels = '{tool="sse-decode",name="feed"}'
        for line in [f"streamutils_connection_attempts_total{labels} 4",
                     "# TYPE streamutils_connection_duration_seconds histogram",
                     "# TYPE streamutils_last_event_timestamp_seconds gauge"]:
            self.assertIn(line + "\n", text)

    def test_connection_records(self):
        records = self.outputs["all"]
        for each in connections(records):
            self.assertEqual(each["source"], self.seen["all"].url)
            self.assertRegex(each["time"], self.TIME)
        self.assertEqual(
            [each.get("connection") or each["data"] for each in records],
            ["connecting", "open", "a", "b", "retrying", "connecting", "retrying", "connecting",
             "open", "resumed", "c", "stalled", "retrying", "connecting", "closed"])
        by = {state: [each for each in connections(records) if each["connection"] == state]
              for state in ["open", "retrying", "resumed", "closed"]}
        self.assertEqual([each["status"] for each in by["open"]], [200, 200])
        self.assertEqual([each["last_event_id"] for each in by["resumed"]], ["2"])
        for each in by["retrying"]:
            self.assertIsInstance(each["wait_ms"], int)
            self.assertNotEqual(each["reason"], "")
        self.assertEqual(by["closed"][0]["status"], 204)

    def test_they_do_not_count(self):
        with web([stream(event("a", 1), event("b", 2))]) as seen:
            done = decode("--all", "-n", "1", seen.url)
        self.assertEqual(events(done.records), [record("a", 1)])

    def test_diagnostics(self):
        url, text = self.seen["all"].url, self.errors["all"].decode()
        for wanted in [f"{url}: connecting", f"{url}: open 200 text/event-stream",
                       "resumed after id 2", "stalled: "]:
            self.assertIn(wanted, text)
        self.assertRegex(text, re.escape(url) + r": the stream ended; retrying in [\d.]+ s\n")
        self.assertEqual(self.errors["quiet"], b"")
        self.assertEqual({json.loads(line)["level"] for line in self.errors["json"].splitlines()},
                         {"info", "warning"})

    def test_the_address_that_cannot_be_reached_is_named(self):
        with reserved() as port:
            done = decode("--retries", "0", f"http://127.0.0.1:{port}/", status=69)
        self.assertIn(f"127.0.0.1:{port}".encode(), done.errors)
        done = decode("--retries", "0", "http://nowhere.invalid/", status=69)
        self.assertIn(b"nowhere.invalid", done.errors)

    @contextmanager
    def systemd(self, name):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("\0" + name[1:] if name.startswith("@") else name)
            listener.settimeout(PATIENCE_SECONDS)
            yield listener

    def left(self, listener):
        """What was said that nobody has read."""
        said = []
        listener.setblocking(False)
        try:
            while True:
                said += listener.recv(4096).decode().split("\n")
        except BlockingIOError:
            return said
        finally:
            listener.settimeout(PATIENCE_SECONDS)

    def test_notify(self):
        for name in [str(self.folder / "notify"), f"@streamutils-{os.getpid()}"]:
            opens = threading.Event()

            def answer(client, request):
                opens.wait(PATIENCE_SECONDS)
                held(event("a", 1))(client, request)

            with self.subTest(name), self.systemd(name) as listener, \
                    web([later(), answer]) as seen, \
                    decoding("--notify", seen.url, NOTIFY_SOCKET=name,
                             WATCHDOG_USEC="1000000") as tool:
                until(lambda: seen.count == 2)
                # Nothing is open yet.
                self.assertEqual([each for each in self.left(listener)
                                  if not each.startswith("STATUS=")], [])
                opens.set()
                self.assertEqual(tool.record(), record("a", 1))
                said, at = [], []
                while len(at) < 4:
                    said += listener.recv(4096).decode().split("\n")
                    if "WATCHDOG=1" in said[-2:]:
                        at.append(time.monotonic())
                # In time, and not much too often; a busy machine may make one late.
                gaps = [other - one for one, other in zip(at, at[1:])]
                self.assertLess(statistics.median(gaps), 0.95)
                self.assertGreater(sum(gaps) / len(gaps), 0.25)
                self.assertEqual(said.count("READY=1"), 1)
                self.assertTrue(set(said) <= {"READY=1", "WATCHDOG=1", ""} or
                                any(each.startswith("STATUS=") for each in said), said)
                tool.stop()
                said = []
                while "STOPPING=1" not in said:
                    said += listener.recv(4096).decode().split("\n")
                self.assertEqual(tool.status(), 0)

    def test_ready_is_the_first_stream(self):
        name = str(self.folder / "notify")
        with self.systemd(name) as listener, web(later()) as seen, \
                decoding("--notify", seen.url, NOTIFY_SOCKET=name) as tool:
            until(lambda: seen.count > 3)
            tool.stop()
            self.assertEqual(tool.status(), 0)
            said = self.left(listener)
        self.assertNotIn("READY=1", said)
        self.assertNotIn("WATCHDOG=1", said)

    def test_a_watchdog_for_somebody_else(self):
        name = str(self.folder / "notify")
        with self.systemd(name) as listener, web(held(event("a"))) as seen, \
                decoding("--notify", seen.url, NOTIFY_SOCKET=name, WATCHDOG_USEC="100000",
                         WATCHDOG_PID="1") as tool:
            tool.record()
            # So long that it would have said it four times.
            time.sleep(0.2)
            tool.stop()
            self.assertEqual(tool.status(), 0)
            said = self.left(listener)
        self.assertIn("READY=1", said)
        self.assertNotIn("WATCHDOG=1", said)

    def test_without_systemd(self):
        with web([stream(event("a")), none]) as seen:
            self.assertEqual(decode("--notify", seen.url).records, [record("a")])
