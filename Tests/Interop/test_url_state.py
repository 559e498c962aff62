"""What a memory of sse-decode belongs to: --state, --exactly-once, --output, in every wrong use."""

import gzip
import itertools
import json
import os
import signal
import subprocess
import unittest
import zlib

from peers import ENVIRONMENT, PATIENCE_SECONDS, lines, until
from sse_peers import (SOON, Files, decode, decoding, event, held, none, record, stream, web,
                       zipped)


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def numbered(name):
    """A server of the events 1 to 3, that goes on behind the last event id."""
    def answer(client, request):
        last = int(request.id or 0)
        if last >= 3:
            return none(client, request)
        stream(*(event(f"{name}{each}", each) for each in range(last + 1, 4)))(client, request)
    return answer


class Belonging(Files):
    """A state in the hands of another run. Nothing of another's is touched, and nothing of the
    run's own is lost or comes twice."""

    def setUp(self):
        super().setUp()
        self.state, self.output = self.folder / "state", self.folder / "output"
        self.foreign = self.file("foreign", "another's\n" * 50_000)

    def once(self, *arguments, status=0, output=None, state=None):
        return decode("-d", "--exactly-once", "--output", output or self.output, "--state",
                      state or self.state, *arguments, status=status)

    def kept(self, path=None):
        return lines((path or self.state).read_bytes())

    def untouched(self):
        self.assertEqual(self.foreign.read_text(), "another's\n" * 50_000)

    def test_another_output(self):
        with web(numbered("a")) as seen:
            self.once("-n", "2", seen.url)
            before = self.state.read_bytes()
            done = self.once(seen.url, status=78, output=self.foreign)
            self.untouched()
            self.assertIn(str(self.output).encode(), done.errors)
            self.assertEqual((seen.count, self.state.read_bytes()), (1, before))
            self.once(seen.url)
        self.assertEqual(self.output.read_text(), '"a1"\n"a2"\n"a3"\n')

    def test_another_output_of_another_url(self):
        # Two services share a state.
        with web(numbered("a")) as one, web(numbered("b")) as other:
            self.once("-n", "1", one.url)
            self.once("-n", "1", other.url, output=self.foreign)
            self.once(one.url)
            self.once(other.url, output=self.foreign)
        self.assertEqual(self.output.read_text(), '"a1"\n"a2"\n"a3"\n')
        self.assertEqual(self.foreign.read_text(),
                         "another's\n" * 50_000 + '"b1"\n"b2"\n"b3"\n')

    def test_swapped_outputs(self):
        third = self.folder / "third"
        with web(numbered("a")) as one, web(numbered("b")) as other:
            self.once("-n", "1", one.url)
            self.once("-n", "1", other.url, output=third)
            self.once(one.url, output=third, status=78)
            self.once(other.url, status=78)
            # And by their names, which is known by the bytes.
            os.rename(self.output, self.folder / "aside")
            os.rename(third, self.output)
            os.rename(self.folder / "aside", third)
            self.once(one.url, status=78)
            self.once(other.url, output=third, status=78)
        self.assertEqual((self.output.read_text(), third.read_text()), ('"b1"\n', '"a1"\n'))

    def test_a_file_of_the_same_name(self):
        with web(numbered("a")) as seen:
            self.once("-n", "1", seen.url)
            for text in ["", '"a', "another's\n" * 1000]:
                with self.subTest(text[:9]):
                    self.output.write_text(text)
                    self.once(seen.url, status=78)
                    self.assertEqual(self.output.read_text(), text)

    def test_events_without_ids_stay(self):
        """They may not come again: no run may cut off what one wrote that ended in order."""
        for first in [event("a"), event("a", 1)]:
            with self.subTest(first), web([held(first, event("b")), held(event("c")),
                                           held(event("d"))]) as seen:
                for written in ['"a"\n"b"\n', '"a"\n"b"\n"c"\n', '"a"\n"b"\n"c"\n"d"\n']:
                    self.stopped_behind(written, seen.url)
            self.output.unlink()
            self.state.unlink()

    def test_a_kill_among_events_without_ids(self):
        with web([held(event("a"), event("b")), held(event("c"))]) as seen:
            for written, number in [('"a"\n"b"\n', signal.SIGKILL),
                                    ('"a"\n"b"\n"c"\n', signal.SIGTERM)]:
                self.stopped_behind(written, seen.url, number=number)

    def test_a_url_with_ids_beside_one_without(self):
        with web([held(event("a", 1)), held(event("a", 2))]) as one, \
                web([held(event("b")), held(event("b"))]) as other:
            for count in [2, 4]:
                with self.running(one.url, other.url) as tool:
                    until(lambda: len(lines_of(self.output)) == count)
                    tool.process.send_signal(signal.SIGTERM)
                    self.assertEqual(tool.process.wait(PATIENCE_SECONDS), 0)
        self.assertEqual(sorted(lines_of(self.output)), ['"a"', '"a"', '"b"', '"b"'])
        self.assertEqual(one.requests[1].id, "1")

    def test_what_is_held_back_comes_again(self):
        """A stop is no reason to write it out of its order, or to miss what was on its way."""
        events = [event(f'{{"n":{n}}}', id) for id, n in enumerate([1, 2, 4, 3, 5], 1)]
        with web([held(*events[:3]), stream(*events[2:]), none]) as seen:
            self.stopped_behind('{"n":1}\n{"n":2}\n', "--reorder", ".n", "--max-wait", "100s",
                                seen.url, errors=b"")
            self.once("--reorder", ".n", seen.url)
        self.assertEqual(self.output.read_text(), "".join(f'{{"n":{n}}}\n' for n in range(1, 6)))
        self.assertEqual(seen.requests[1].id, "2")

    def running(self, *arguments):
        return decoding("-d", "--exactly-once", "--output", self.output, "--state", self.state,
                        "--state-interval", "0", *arguments)

    def stopped_behind(self, written, *arguments, number=signal.SIGTERM, errors=None):
        """Runs until the output is that, and has been kept, and then no longer."""
        with self.running(*arguments) as tool:
            until(lambda: self.output.exists() and self.output.read_text() == written)
            tool.rests()
            tool.process.send_signal(number)
            status = tool.process.wait(PATIENCE_SECONDS)
            self.assertEqual(status, 0 if number == signal.SIGTERM else -number)
            if errors is not None:
                self.assertEqual(tool.process.stderr.read(), errors)

    def test_what_another_has_appended(self):
        with web(numbered("a")) as seen:
            self.once("-n", "1", seen.url)
            with self.output.open("a") as file:
                file.write("a note\n")
            done = self.once(seen.url, status=78)
            self.assertIn(b"7 bytes", done.errors)
        self.assertEqual(self.output.read_text(), '"a1"\na note\n')

    def test_a_run_without_exactly_once_between(self):
        with web(numbered("a")) as seen:
            self.once("-n", "1", seen.url)
            decode("-d", "-n", "1", "--output", self.output, "--state", self.state, seen.url)
            self.once(seen.url, status=78)
        self.assertEqual(self.output.read_text(), '"a1"\n"a2"\n')

    def test_a_state_of_an_earlier_version(self):
        with web(numbered("a")) as seen:
            self.file("state", '{"url":"%s","last_event_id":"1","length":9}\n' % seen.url)
            self.once(seen.url, status=78, output=self.foreign)
            self.untouched()
            # Its id is as good as ever.
            self.assertEqual(decode("-d", "--state", self.state, seen.url).records, ["a2", "a3"])

    def test_several_names_of_one_output(self):
        link = self.folder / "link"
        link.symlink_to("output")
        with web(numbered("a")) as seen:
            self.once("-n", "1", seen.url, output=link)
            self.once("-n", "1", seen.url, output=f"{self.folder}/./output")
            self.once(seen.url)
        self.assertEqual(self.output.read_text(), '"a1"\n"a2"\n"a3"\n')

    # What tells requests apart.

    def test_other_values_of_the_query(self):
        with web(numbered("a")) as seen:
            for query in ["?topic=x", "?topic=y", ""]:
                decode("-n", "2", "--state", self.state, f"{seen.url}{query}")
            decode("-n", "2", "--state", self.state, "--query", "topic=z", seen.url)
            decode("-n", "1", "--state", self.state, f"{seen.url}?topic=y")
        self.assertEqual(seen.ids, [None, None, None, None, "2"])
        self.assertEqual([each["url"].partition("?")[2] for each in self.kept()],
                         ["topic=…", "", "", "topic=…"])
        for secret in ["=x", "=y", "=z"]:
            self.assertNotIn(secret, self.state.read_text())

    def test_two_urls_in_another_order(self):
        def topics(client, request):
            topic = dict(request.query)["topic"]
            if request.id is None:
                stream(event(topic, f"{topic}-1"))(client, request)
            else:
                self.assertEqual(request.id, f"{topic}-1")
                none(client, request)

        with web(topics) as seen:
            urls = [f"{seen.url}?topic={each}" for each in "xy"]
            decode("--state", self.state, *urls)
            decode("--state", self.state, *urls[::-1])
        self.assertEqual(sorted(filter(None, seen.ids)), ["x-1"] * 2 + ["y-1"] * 2)

    def test_methods_bodies_and_users(self):
        body = self.file("body", "1")
        requests = [[], ["-X", "POST"], ["-X", "REPORT"], ["--body", "x"], ["--body", "y"],
                    ["--body", f"@{body}"]]
        with web([stream(event("a", each)) for each, _ in enumerate(requests)]) as seen:
            for request in requests:
                decode("-n", "1", "--state", self.state, *request, seen.url)
        self.assertEqual(seen.ids, [None] * len(requests))
        self.assertEqual(len(self.kept()), len(requests))

    def test_a_secret_that_is_renewed(self):
        token = self.file("token", "one")
        with web([stream(event("a", 1)), none]) as seen:
            for text in ["one", "other"]:
                token.write_text(text)
                decode("-n", "1", "--state", self.state, "--query", f"token=@{token}", seen.url)
        self.assertEqual(seen.ids, [None, "1"])

    def test_a_query_in_a_state_of_an_earlier_version(self):
        with web([]) as seen:
            text = '{"url":"%s?topic=…","last_event_id":"1"}\n' % seen.url
            self.file("state", text)
            decode("--state", self.state, f"{seen.url}?topic=x", status=78)
        self.assertEqual(self.state.read_text(), text)

    # Several at once.

    def test_two_runs_with_one_state(self):
        with web(held(event("a", 1))) as one, web(held(event("b", 7))) as other, \
                decoding("--state", self.state, "--state-interval", "1ms", one.url) as first, \
                decoding("--state", self.state, "--state-interval", "1ms", other.url) as second:
            until(lambda: self.state.exists()
                  and {each["last_event_id"] for each in self.kept()} == {"1", "7"})
            # The same place is for one of them.
            decode("--state", self.state, one.url, status=73)
            for tool in [first, second]:
                tool.stop()
                self.assertEqual(tool.status(), 0, tool.errors)
        self.assertEqual({each["url"]: each["last_event_id"] for each in self.kept()},
                         {one.url: "1", other.url: "7"})

    def test_another_appends_to_the_output(self):
        with web(held(event("a", 1))) as seen, web(stream(event("b", 1))) as other:
            command = ["-d", "--exactly-once", "--output", self.output, "--state", self.state,
                       "--state-interval", "1ms", seen.url]
            with decoding(*command):
                until(lambda: self.state.exists() and b'"1"' in self.state.read_bytes())
                for options in [[], ["-z"], ["--state", self.folder / "other"]]:
                    decode("-d", "--output", self.output, *options, other.url, status=73)
                # A filter, too.
                decode("-d", "--output", self.output, input=event("c"), status=73)
        self.assertEqual((self.output.read_text(), other.count), ('"a"\n', 0))

    # Where it cannot be kept.

    def test_what_cannot_be_written_is_told_first(self):
        folder = self.folder / "locked"
        folder.mkdir()
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        with web([]) as seen:
            for state, status in [(self.folder / "missing/state", 73), (folder, 64), (fifo, 64),
                                  ("/dev/stdout", 64), ("/dev/null", 64)]:
                with self.subTest(state):
                    decode("--state", state, seen.url, status=status)
            if os.geteuid() != 0:
                folder.chmod(0o500)
                decode("--state", folder / "state", seen.url, status=73)
            with (self.folder / "direct").open("w") as file:
                command = ["sse-decode", "--state", file.name, seen.url]
                done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE,
                                      env=ENVIRONMENT, timeout=PATIENCE_SECONDS)
                self.assertEqual(done.returncode, 64, done.stderr)
        self.assertEqual(seen.count, 0)

    def test_a_link_to_nothing_yet(self):
        self.state.symlink_to("there")
        with web([stream(event("a", 1)), none]) as seen:
            for _ in range(2):
                decode("-n", "1", "--state", self.state, seen.url)
        self.assertTrue(self.state.is_symlink())
        self.assertEqual(self.kept(self.folder / "there")[0]["last_event_id"], "1")
        self.assertEqual(seen.ids, [None, "1"])
        # And one that leads to the output.
        with web([]) as seen:
            (self.folder / "other").symlink_to("new")
            decode("--state", self.folder / "other", "--output", self.folder / "new", seen.url,
                   status=64)


def whole_lines(text):
    return text + b"\n" if text and not text.endswith(b"\n") else text


class HalfALine(Files):
    """--output behind what a killed run, or a full disk, left."""

    def setUp(self):
        super().setUp()
        self.output = self.file("output", '"before"\n"hal')

    def check(self, errors, *added):
        self.assertEqual(self.output.read_text(), '"before"\n"hal\n' + "".join(added))
        self.assertEqual(errors.count(b"its last line had no end, which it has now"), 1)

    def test_behind_a_pipe(self):
        done = decode("-d", "--output", self.output, input=event("a"))
        self.check(done.errors, '"a"\n')
        done = decode("-d", "--output", self.output, input=event("b"))
        self.assertEqual(done.errors, b"")
        self.check(b"its last line had no end, which it has now", '"a"\n', '"b"\n')

    def test_behind_a_url(self):
        with web([stream(event("a", 1)), none]) as seen:
            self.check(decode("-d", "--output", self.output, seen.url).errors, '"a"\n')

    def test_exactly_once(self):
        command = ["-d", "--output", self.output, "--state", self.folder / "state",
                   "--exactly-once"]
        with web([stream(event("a", 1)), none, stream(event("b", 2)), none]) as seen:
            self.check(decode(*command, seen.url).errors, '"a"\n')
            # What stands behind the place that is kept is cut off first.
            self.assertNotIn(b"no end", decode(*command, seen.url).errors)
        self.check(b"its last line had no end, which it has now", '"a"\n', '"b"\n')

    def test_a_full_disk(self):
        # Blocks of 1024 bytes, as bash counts them.
        limited = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$@"', "bash"]
        self.output.write_bytes(b"")
        text = "x" * 300
        done = subprocess.run([*limited, "sse-decode", "-q", "-d", "--output", self.output],
                              input=event(text) * 4, capture_output=True, env=ENVIRONMENT,
                              timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(self.output.stat().st_size, 1024)
        decode("-d", "--output", self.output, input=event("a"))
        whole = f'"{text}"\n'
        self.assertEqual(self.output.read_text(), (whole * 4)[:1024] + '\n"a"\n')

    def test_what_another_writes_is_let_alone(self):
        with web([held(event("a", 1))]) as seen:
            with decoding("-d", "--output", self.output, seen.url) as tool:
                until(lambda: self.output.read_bytes().endswith(b'"a"\n'))
                with self.output.open("a") as file:
                    file.write("half of a wri")
                done = decode("-d", "--output", self.output, input=event("b"))
                self.assertEqual(done.errors, b"")
                tool.process.kill()
        self.assertTrue(self.output.read_bytes().endswith(b'half of a wri"b"\n'))

    def test_all_at_once(self):
        command = ["sse-decode", "-d", "--output", self.output]
        tools = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=ENVIRONMENT) for _ in range(20)]
        for tool in tools:
            tool.stdin.write(event("a"))
            tool.stdin.close()
        errors = b"".join(tool.stderr.read() for tool in tools)
        for tool in tools:
            tool.stderr.close()
        self.assertEqual({tool.wait() for tool in tools}, {0}, errors)
        self.check(errors, '"a"\n' * 20)


class Compressed(Files):
    """-z --output."""

    def setUp(self):
        super().setUp()
        self.output = self.folder / "output.gz"

    def append(self, *data, status=0):
        return decode("-d", "-z", "--output", self.output, status=status,
                      input=b"".join(event(each) for each in data))

    def test_behind_a_member_that_was_cut_off(self):
        # At any byte of it: what can be inflated stays, and what follows can be read.
        texts = [f'"{"x" * each}{each}"\n'.encode() for each in (1, 3, 500, 7)]
        whole = b"".join(zipped(*texts)[:-1])
        for size in range(len(whole) + 1):
            before = gzip.compress(b'"before"\n')
            self.output.write_bytes(before + whole[:size])
            cat = ["gzip", "-dc", self.output]
            readable = b'"before"\n' + zlib.decompressobj(wbits=31).decompress(whole[:size])
            self.append("a")
            with self.subTest(size):
                self.assertEqual(subprocess.run(cat, capture_output=True, check=True).stdout,
                                 whole_lines(readable) + b'"a"\n')

    def test_any_blocks(self):
        data = b"".join(b'"%d"\n' % (each * each) for each in range(30_000))
        whole = gzip.compress(data)
        for size in range(20, len(whole), len(whole) // 40):
            self.output.write_bytes(whole[:size])
            cat = ["gzip", "-dc", self.output]
            # gzip itself gives up a little earlier.
            readable = zlib.decompressobj(wbits=31).decompress(whole[:size])
            self.assertTrue(data.startswith(readable))
            done = self.append("a")
            with self.subTest(size):
                self.assertIn(b"had no end", done.errors)
                self.assertEqual(subprocess.run(cat, capture_output=True, check=True).stdout,
                                 whole_lines(readable) + b'"a"\n')

    def test_half_a_line_in_a_whole_member(self):
        self.output.write_bytes(gzip.compress(b'"hal'))
        self.assertIn(b"last line had no end", self.append("a").errors)
        self.assertEqual(gzip.decompress(self.output.read_bytes()), b'"hal\n"a"\n')

    def test_a_killed_run(self):
        with web([held(event("a", 1)), stream(event("b", 2)), none]) as seen:
            with decoding("-d", "-z", "--output", self.output, seen.url) as tool:
                until(lambda: self.output.exists() and self.output.stat().st_size > 15)
                tool.process.kill()
            decode("-d", "-z", "--output", self.output, seen.url)
        self.assertEqual(gzip.decompress(self.output.read_bytes()), b'"a"\n"b"\n')

    def test_what_nobody_could_read(self):
        member = gzip.compress(b'"a"\n')
        broken = bytearray(member)
        broken[-6] ^= 1
        for content in [b"text\n", member + b"text\n", bytes(broken), bytes(broken) + member]:
            with self.subTest(content):
                self.output.write_bytes(content)
                self.append("b", status=78)
                self.assertEqual(self.output.read_bytes(), content)
        self.output.write_bytes(member)
        decode("-d", "--output", self.output, input=event("b"), status=78)
        self.assertEqual(self.output.read_bytes(), member)


class Killed(Files):
    """A SIGKILL at every system call that changes a file."""

    CALLS = ["openat", "write", "pwrite64", "ftruncate", "rename", "renameat", "renameat2",
             "fsync", "fdatasync", "flock", "unlink", "fcntl"]
    # What a run leaves behind, besides the file of one that was killed before its rename.
    FILES = {"state", "state.lock", "output", "foreign"}

    def test_at_every_call(self):
        output, state = self.folder / "output", self.folder / "state"
        foreign = self.file("foreign", "another's\n")
        with web(numbered("a")) as seen:
            command = ["sse-decode", *SOON, "-d", "--exactly-once", "--output", str(output),
                       "--state", str(state), "--state-interval", "0", seen.url]
            kills = 0
            for call in self.CALLS:
                for number in itertools.count(1):
                    for path in [output, state]:
                        path.unlink(missing_ok=True)
                    # As one that was killed before left it, too.
                    self.file("output", "before\n")
                    if not self.killed(command, call, number):
                        break
                    kills += 1
                    # Another kill behind it, of the run that puts it right.
                    self.killed(command, "fdatasync", 2)
                    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True,
                                   timeout=PATIENCE_SECONDS)
                    with self.subTest(call, number=number):
                        self.assertEqual(output.read_text(), 'before\n"a1"\n"a2"\n"a3"\n')
                        source, place = lines(state.read_bytes())
                        self.assertEqual((source["last_event_id"], place["length"]),
                                         ("3", output.stat().st_size))
                        self.assertEqual(foreign.read_text(), "another's\n")
        self.assertGreater(kills, 15)
        left = {name for name in os.listdir(self.folder) if not name.endswith(".tmp")}
        self.assertEqual(left, self.FILES)

    def killed(self, command, call, number):
        """Whether it was, on its way into this call on one of the files for this time."""
        paths = itertools.chain.from_iterable(
            ["-P", str(self.folder / name)] for name in ["output", "state", "state.lock"])
        strace = ["strace", "-qq", "-o", "/dev/null", *paths, "-e", f"trace={call}", "-e",
                  f"inject={call}:signal=KILL:when={number}"]
        done = subprocess.run([*strace, *command], env=ENVIRONMENT, capture_output=True,
                              timeout=PATIENCE_SECONDS)
        self.assertIn(done.returncode, [0, -9, 137], done.stderr)
        return done.returncode != 0


if __name__ == "__main__":
    unittest.main()
