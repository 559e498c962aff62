#!/usr/bin/env python3
"""A long run of stream-serve: soak.py DIRECTORY-OF-THE-TOOLS [--seconds N | --turns N] [--seed N]

All transports, compressed and plain, with filters: clients that stay, that lose their connection
and resume, that pass by, that read slowly, that never read, and that publish. Exit status 1 when
one that should get everything did not, when what a slow one was told it missed does not add up, or
when memory grows: after the warm-up (a quarter of the time, 30 s at least, half at most) the most
that is resident may exceed the most before it by a tenth and 6 MiB, and a line through what is
measured may not rise by more than 6 MiB over the rest of the run.

With --turns the work is stated and not the time: so many turns, of a dozen events and some
connections each, as fast as the machine has them done. Forty of them are the work of a second."""

import argparse
import bisect
import json
import os
import random
import sys
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Interop"))

from peers import PATIENCE_SECONDS  # noqa: E402
from serve_bed import Wire, processor_seconds, resident, serve  # noqa: E402
from serve_crowd import TRANSPORTS, Crowd, Feed, Member  # noqa: E402
from sse_peers import seed  # noqa: E402

CHANNELS = ["eu.trade", "eu.quote", "us.trade", "us.quote", "news"]
PATTERNS = [[], ["**"], ["eu.*"], ["*.trade"], ["news", "us.**"]]
OPTIONS = ("--channel-from .c --history 20000 --history-bytes 1M --slow-after 5s --publish"
           " --publish-rate 1000/s --max-per-address 100000 --send-buffer 16K"
           " --ping 2s --heartbeat 2s")
GROWTH, ALLOWANCE_MIB, SLOPE_MIB = 1.1, 6, 6
TURNS_A_SECOND, TURNS_PATIENCE_SECONDS = 40, 600


class Ledger:
    """What each set of patterns is to get, and how far each member is."""

    def __init__(self, feed):
        self.feed, self.lists, self.done = feed, {}, {}

    def expected(self, patterns):
        key = tuple(patterns)
        known = self.lists.setdefault(key, [])
        at = self.done.get(key, 0)
        if at < len(self.feed.log):
            part = Feed(self.feed.server)
            part.log = self.feed.log[at:]
            known += [at + n for n in part.expected(patterns)]
            self.done[key] = at + len(part.log)
        return known

    def verify(self, member):
        """Checks what came since the last time, and forgets it. How much it was."""
        if member.gaps:
            raise AssertionError(f"{member}: a gap: {member.gaps[:3]}")
        known = getattr(member, "place", None)
        new = member.seen if known is None else member.seen[1:]
        if not new:
            return 0
        expected = self.expected(member.patterns)
        if known is None:
            known = 0 if member.since == "earliest" else bisect.bisect_left(expected, new[0])
        if new != expected[known:known + len(new)]:
            at = next((i for i, n in enumerate(new) if expected[known + i:known + i + 1] != [n]))
            raise AssertionError(f"{member}: {new[at:at + 3]} and not"
                                 f" {expected[known + at:known + at + 3]}")
        member.place = known + len(new)
        del member.seen[:-1]
        return len(new)


class Sipper(Member):
    """Reads a little now and then: what it is told that it missed has to add up."""

    count = missed = told = 0

    def event(self, name, id, data, whole):
        if name == b"gap":
            gap = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
            number = gap.split(b'"missed":')[1].split(b"}")[0]
            self.missed += int(number)
            self.told += 1
            return
        super().event(name, id, data, whole)
        self.count += 1
        if not self.ended and self.seen[-1] != self.count + self.missed:
            raise AssertionError(f"{self}: {self.count} and {self.missed} missed are not"
                                 f" {self.seen[-1]}")
        del self.seen[:-1]

    def sip(self):
        if self.over:
            raise AssertionError(f"{self}: it was closed")
        try:
            data = self.socket.recv(1000)
        except BlockingIOError:
            return
        except ConnectionResetError:
            raise AssertionError(f"{self}: it was closed") from None
        self.take(data) if data else self.leave()


class Publishers:
    """POST, one after the other, each with a number; standard output has to have them all."""

    def __init__(self, server, pause):
        self.server, self.pause, self.done, self.problem = server, pause, False, None
        self.accepted = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.done:
                with Wire(self.server) as wire:
                    for _ in range(50):
                        body = json.dumps({"p": self.accepted}).encode()
                        answer = wire.ask("/publish?channel=p", "POST", body)
                        if answer.status != 200:
                            raise AssertionError(f"publishing: {answer}")
                        self.accepted += 1
                        if self.done:
                            return
                        time.sleep(self.pause)
                self.server.opened.remove(wire)
        except Exception as error:
            self.problem = error

    def stop(self):
        self.done = True
        self.thread.join(PATIENCE_SECONDS)
        if self.problem:
            raise self.problem
        lines = self.server.published(self.accepted)
        if [line["data"]["p"] for line in lines] != list(range(self.accepted)):
            raise AssertionError("standard output is not what was published")


def slope(samples):
    """MiB a second of the line of least squares."""
    count = len(samples)
    times, sizes = [at for at, _ in samples], [size for _, size in samples]
    middle, mean = sum(times) / count, sum(sizes) / count
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (size - mean) for at, size in samples) / spread if spread else 0


class Soak:
    def __init__(self, server, options):
        self.server, self.options = server, options
        server.clock.cancel()  # It runs longer than any test.
        self.chance = random.Random(options.seed)
        self.feed = Feed(server, random.Random(options.seed + 1), CHANNELS, size=120)
        self.ledger = Ledger(self.feed)
        self.crowd = Crowd(server)
        self.samples, self.findings = [], []
        self.kinds = {name: {"clients": 0, "connections": 0, "events": 0}
                      for name in ["steady", "resuming", "passing", "sipping", "deaf"]}
        self.steady, self.resuming, self.passing, self.sipping, self.deaf = [], [], [], [], []

    def join(self, kind, *arguments, **rest):
        self.kinds[kind]["clients"] += 1
        return self.crowd.join(*arguments, **rest)

    def begin(self):
        for transport in TRANSPORTS:
            for compress in [False, True]:
                for patterns in [PATTERNS[0], self.chance.choice(PATTERNS[1:])]:
                    self.steady.append(self.join("steady", transport, *patterns,
                                                 compress=compress, since="earliest"))
        for number in range(24):
            self.resuming.append(self.join(
                "resuming", TRANSPORTS[number % 4], *self.chance.choice(PATTERNS),
                compress=self.chance.random() < 0.4, since="earliest"))
        for transport in ["sse", "ws", "stream"]:
            self.kinds["sipping"]["clients"] += 1
            # With less, TCP gives a client up that reads a little all the time: the pieces that
            # the other end has to send are larger than the window ever is.
            sipper = Sipper(self.crowd, transport, since="earliest", receive_buffer=16384)
            self.crowd.members.append(sipper)
            self.crowd.deaf(sipper)
            self.sipping.append(sipper)

    def turn(self):
        chance = self.chance
        for member in chance.sample(self.resuming, chance.randrange(3)):
            member.again(chance.choice(["close", "reset", "half"]))
        for member in self.resuming:
            if member.over:
                member.again()
        if chance.random() < 0.5:
            self.passing.append(self.join("passing", chance.choice(TRANSPORTS),
                                          *chance.choice(PATTERNS),
                                          compress=chance.random() < 0.3))
        if len(self.passing) > 40:
            self.retire(self.passing.pop(chance.randrange(40)), "passing")
        if len(self.deaf) < 8:
            member = self.join("deaf", chance.choice(["sse", "ws", "stream"]),
                               compress=chance.random() < 0.3, receive_buffer=4096)
            self.crowd.deaf(member)
            member.until = time.monotonic() + chance.choice([1, 3, 10, 25])
            self.deaf.append(member)
        for member in [each for each in self.deaf if time.monotonic() > each.until]:
            self.deaf.remove(member)
            self.retire(member, "deaf")
        for member in self.sipping:
            member.sip()
        for _ in range(5):
            self.crowd.turn(0.005)

    def retire(self, member, kind):
        if kind != "deaf":
            self.kinds[kind]["events"] += self.ledger.verify(member)
        self.kinds[kind]["connections"] += member.connections
        member.leave(self.chance.choice(["close", "reset"]))
        self.crowd.members.remove(member)

    def verify(self):
        for kind in ["steady", "resuming", "passing"]:
            for member in getattr(self, kind):
                self.kinds[kind]["events"] += self.ledger.verify(member)
        for member in self.steady:
            if member.connections != 1 or member.over:
                raise AssertionError(f"{member} lost its connection")

    def run(self):
        self.begin()
        if self.options.turns:
            publishers = Publishers(self.server, 0.005)
            self.turns()
        else:
            publishers = Publishers(self.server, 0.02)
            self.seconds()
        publishers.stop()
        self.feed.write(len(CHANNELS) * 20)
        for member in self.resuming:
            if member.over:
                member.again()
        self.settle(self.steady + self.resuming)
        self.verify()
        self.metrics = self.server.metrics()
        self.processor = processor_seconds(self.server)
        self.end()

    def seconds(self):
        """For so long, with so many events a second."""
        self.feed.run(self.options.rate)
        start = checked = sampled = time.monotonic()
        while (elapsed := time.monotonic() - start) < self.options.seconds:
            self.turn()
            if time.monotonic() - sampled >= 0.5:
                sampled = time.monotonic()
                self.sample(elapsed)
            if time.monotonic() - checked >= 2:
                checked = time.monotonic()
                self.verify()
        self.feed.stop()

    def turns(self):
        """So much work. Places in the run are seconds in which it is done at the usual pace."""
        deadline = time.monotonic() + TURNS_PATIENCE_SECONDS
        for turn in range(self.options.turns):
            if time.monotonic() > deadline:
                raise AssertionError(f"{turn} turns in {TURNS_PATIENCE_SECONDS} s")
            self.feed.write(round(self.options.rate / TURNS_A_SECOND))
            self.turn()
            if turn % 10 == 0:
                self.sample(turn / TURNS_A_SECOND)
            if turn % 80 == 0:
                self.verify()

    def sample(self, at):
        if self.server.process.poll() is not None:
            raise AssertionError(f"it is gone: {self.server.process.returncode}")
        self.samples.append((at, resident(self.server)))

    def settle(self, members):
        last = {id(each): self.ledger.expected(each.patterns)[-1] for each in members}
        self.crowd.until(lambda: all(each.seen and each.seen[-1] >= last[id(each)]
                                     for each in members), "everybody has the last")

    def end(self):
        for kind in ["deaf", "passing"]:
            for member in list(getattr(self, kind)):
                self.retire(member, kind)
        for member in self.sipping:
            self.kinds["sipping"]["events"] += member.count
            member.leave()
        self.server.end()
        streams = [each for each in self.steady + self.resuming if each.transport != "poll"]
        self.crowd.until(lambda: all(each.over for each in streams), "the end")
        for member in streams:
            if not member.ended:
                raise AssertionError(f"{member}: it was not told of the end")
        for kind in ["steady", "resuming", "sipping"]:
            self.kinds[kind]["connections"] += sum(
                each.connections for each in getattr(self, kind))
        status = self.server.status()
        if status != 0:
            raise AssertionError(f"exit status {status}: {self.server.said()[-500:]}")

    def judge(self):
        """What memory did."""
        seconds = self.options.turns / TURNS_A_SECOND or self.options.seconds
        warm = min(max(seconds / 4, 30), seconds / 2)
        before = [size for at, size in self.samples if at <= warm]
        after = [sample for sample in self.samples if sample[0] > warm]
        if not before or len(after) < 10:
            return ["too short for a verdict on memory"]
        most, peak = max(before), max(size for _, size in after)
        rise = slope(after) * (after[-1][0] - after[0][0])
        print(f"resident MiB: {before[0]:.1f} first, {most:.1f} the most in {warm:.0f} s of"
              f" warm-up,"
              f" {peak:.1f} the most after it, {after[-1][1]:.1f} last, line rises {rise:+.1f}")
        if peak > GROWTH * most + ALLOWANCE_MIB:
            self.findings.append(f"memory grew from {most:.1f} to {peak:.1f} MiB")
        if rise > SLOPE_MIB:
            self.findings.append(f"memory rises by {rise:.1f} MiB over the run")

    def table(self):
        print(f"{'clients':<10}{'number':>9}{'connections':>13}{'events':>12}")
        for kind, row in self.kinds.items():
            print(f"{kind:<10}{row['clients']:>9}{row['connections']:>13}{row['events']:>12}")
        missed = sum(each.missed for each in self.sipping)
        told = sum(each.told for each in self.sipping)
        print(f"the sipping ones were told {told} times of {missed} events that they missed")
        total = sum(row["events"] for row in self.kinds.values())
        if total and hasattr(self, "processor"):
            print(f"{len(self.feed.log)} events in, {self.processor:.1f} s of processor time,"
                  f" {1e6 * self.processor / total:.1f} us for each one checked")
            for name, value in sorted(self.metrics.items()):
                if name.startswith(("closed_total", "dropped_total", "replays_total", "refused")):
                    print(f"  {name} {value:.0f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tools")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--turns", type=int, default=0, help="instead of a time")
    parser.add_argument("--rate", type=float, default=500, help="events a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, help="or SEED in the environment")
    options = parser.parse_args()
    if options.seed is not None:
        os.environ["SEED"] = str(options.seed)
    options.seed = seed()
    length = f"{options.turns} turns" if options.turns else f"{options.seconds:.0f} s"
    print(f"soak: {length}", flush=True)
    # Those that read a little in each turn are late where turns take long.
    patience = ("--send-timeout 20s --pong-timeout 1m" if options.turns else
                "--send-timeout 6s --pong-timeout 4s")
    with serve(f"{OPTIONS} {patience} --workers {options.workers}") as server:
        soak = Soak(server, options)
        try:
            soak.run()
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            soak.findings.append(f"{type(error).__name__}: {error}")
        soak.feed.done = True
        soak.judge()
        soak.table()
        soak.crowd.close()
    for finding in soak.findings:
        print(f"FOUND: {finding}")
    print("soak: nothing found" if not soak.findings else "soak: FAILED")
    return 1 if soak.findings else 0


if __name__ == "__main__":
    sys.exit(main())
