#!/usr/bin/env python3
"""Seeded event streams, log lines and prices to measure on, and what the tools must make of them.

Everything is generated here, the expected outputs too, so that no tool is its own judge.
"""

import argparse
import hashlib
import json
import os
import random
import string
from itertools import accumulate, chain, product
from pathlib import Path
from typing import Callable, Iterator

from events import llm_event, log_event, tick, user_event

HERE = Path(__file__).resolve().parent
DEFAULT_SEED = 20260301
DEFAULT_SIZE = 512 << 20
SIZE_HELP = "bytes of each stream, twice as many of users.jsonl, such as 8M (default 512M)"
DEFAULT_DIRECTORY = HERE.parents[1] / ".build" / "bench"

# A pool of this many different events is more than a branch predictor learns by heart, and small
# enough to be made in seconds; the streams are its blocks in ever new orders.
POOL_EVENTS = 100_000
BLOCK_EVENTS = 250

USERS = 100_000
SYMBOLS = 10_000
TICKS_A_MILLISECOND = 50
FIRST_MILLISECOND = 1_772_000_000_000

# The forms that a command reads. Of the others only the size and the digest are kept.
FILES = {
    "llm.sse", "records.jsonl", "data.jsonl", "log.sse", "log.jsonl",
    "llm-part.sse", "records-part.jsonl", "log-part.jsonl",
    "users.jsonl", "users-part.jsonl", "prices.jsonl", "prices-part.jsonl",
}
# The slow peers and the memory comparison read the first eighth.
PART = 8


def make(directory: Path, size: int, seed: int) -> dict[str, dict]:
    """The size and SHA-256 of every form by name; the files are written unless they are there."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / "corpus.json"
    identity = {
        "seed": seed, "size": size,
        "generator": [hashlib.sha256((HERE / source).read_bytes()).hexdigest()
                      for source in ["corpus.py", "events.py"]],
    }
    if stamp.exists():
        known = json.loads(stamp.read_text())
        if known["identity"] == identity and is_complete(directory, known["forms"]):
            return known["forms"]
    stamp.unlink(missing_ok=True)

    rng = random.Random(seed)
    forms = write_forms(directory, size, shuffled(pool(rng, llm_event), "llm.sse", size, rng))
    forms |= write_forms(directory, size, shuffled(pool(rng, log_event), "log.jsonl", size, rng))
    forms |= write_forms(directory, 2 * size, user_blocks(2 * size, rng))
    forms |= write_forms(directory, size, price_blocks(size, rng))
    stamp.write_text(json.dumps({"identity": identity, "forms": forms}, indent=1) + "\n")
    return forms


def is_complete(directory: Path, forms: dict[str, dict]) -> bool:
    return all(
        (directory / name).exists() and (directory / name).stat().st_size == forms[name]["bytes"]
        for name in FILES
    )


def part_of(name: str) -> str:
    stem, extension = name.split(".")
    return f"{stem}-part.{extension}"


class Form:
    def __init__(self, directory: Path, name: str):
        self.file = open(directory / name if name in FILES else os.devnull, "wb")
        self.digest = hashlib.sha256()
        self.size = self.lines = 0

    def write(self, block: bytes) -> None:
        self.file.write(block)
        self.digest.update(block)
        self.size += len(block)
        self.lines += block.count(b"\n")

    def close(self) -> dict:
        self.file.close()
        return {"bytes": self.size, "lines": self.lines, "sha256": self.digest.hexdigest()}


def write_forms(directory: Path, size: int, blocks: Iterator[dict[str, bytes]]
                ) -> dict[str, dict]:
    """All blocks, and of each form the part in which the leading one has an eighth of `size`."""
    first = next(blocks)
    leading = next(iter(first))
    forms = {name: Form(directory, name) for name in chain(first, map(part_of, first))}
    for block in chain([first], blocks):
        is_part = forms[leading].size < size // PART
        for name, text in block.items():
            forms[name].write(text)
            if is_part:
                forms[part_of(name)].write(text)
    return {name: form.close() for name, form in forms.items()}


def shuffled(blocks: list[dict[str, bytes]], leading: str, size: int, rng: random.Random
             ) -> Iterator[dict[str, bytes]]:
    """Blocks in random order until the leading form has its size."""
    written = 0
    while written < size:
        block = rng.choice(blocks)
        written += len(block[leading])
        yield block


def pool(rng: random.Random, make_event: Callable[[random.Random], dict[str, str]]
         ) -> list[dict[str, bytes]]:
    blocks = []
    for _ in range(POOL_EVENTS // BLOCK_EVENTS):
        events = [make_event(rng) for _ in range(BLOCK_EVENTS)]
        blocks.append({
            name: "".join(event[name] for event in events).encode() for name in events[0]
        })
    return blocks


def user_blocks(size: int, rng: random.Random) -> Iterator[dict[str, bytes]]:
    """Log lines of users, and those of them that hundredths and first lines are made of."""
    users = [b"usr_%012x" % rng.getrandbits(48) for _ in range(USERS)]
    weights = zipf(USERS)
    # A hundredth of the users, as stream-sample, mlr and jq choose it.
    by_hash = {user for user in users if xxh64(b'"%b"' % user) < int(0.01 * 2**64)}
    by_md5 = {user for user in users if hashlib.md5(user).hexdigest() < "028f5c"}
    by_sum = {user for user in users if sum(user) % 100 == 0}
    unseen = set(users)
    blocks = [block["users.jsonl"].splitlines(keepends=True) for block in pool(rng, user_event)]
    written = count = 0
    while written < size:
        # Drawn anew for each block: the pool alone has too few lines for so many users.
        drawn = rng.choices(users, cum_weights=weights, k=BLOCK_EVENTS)
        lines = [line % user for line, user in zip(rng.choice(blocks), drawn)]
        chosen = {name: [] for name in ["users-key.jsonl", "users-md5.jsonl", "users-sum.jsonl",
                                        "users-distinct.jsonl"]}
        for line, user in zip(lines, drawn):
            if user in by_hash:
                chosen["users-key.jsonl"].append(line)
            if user in by_md5:
                chosen["users-md5.jsonl"].append(spaced(line))
            if user in by_sum:
                chosen["users-sum.jsonl"].append(line)
            if user in unseen:
                unseen.remove(user)
                chosen["users-distinct.jsonl"].append(line)
        chosen["users-nth.jsonl"] = lines[-count % 100::100]
        block = {"users.jsonl": lines} | chosen
        written += sum(map(len, lines))
        count += len(lines)
        yield {name: b"".join(part) for name, part in block.items()}


def price_blocks(size: int, rng: random.Random) -> Iterator[dict[str, bytes]]:
    """Ticks of symbols, those with another price, and the newest of each second and of all."""
    blocks = tick_blocks(rng)
    prices: dict[str, str] = {}
    newest: dict[str, bytes] = {}  # of this second, in their order
    before: dict[str, bytes] = {}  # of the seconds that are over
    written = count = 0
    while written < size:
        every = b""
        if count % (1000 * TICKS_A_MILLISECOND) == 0:
            every = b"".join(newest.values())
            before = followed(before, newest)
            newest = {}
        lines, changed = [], []
        for symbol, price, template in rng.choice(blocks):
            line = template % (FIRST_MILLISECOND + count // TICKS_A_MILLISECOND)
            count += 1
            lines.append(line)
            if prices.get(symbol) != price:
                prices[symbol] = price
                changed.append(line)
            # At the end, not where the symbol was.
            newest.pop(symbol, None)
            newest[symbol] = line
        written += sum(map(len, lines))
        yield {"prices.jsonl": b"".join(lines), "prices-change.jsonl": b"".join(changed),
               "prices-every.jsonl": every, "prices-latest.jsonl": b""}
    yield {"prices-every.jsonl": b"".join(newest.values()),
           "prices-latest.jsonl": b"".join(followed(before, newest).values())}


def followed(before: dict[str, bytes], newest: dict[str, bytes]) -> dict[str, bytes]:
    return {symbol: line for symbol, line in before.items() if symbol not in newest} | newest


def tick_blocks(rng: random.Random) -> list[list[tuple[str, str, bytes]]]:
    names = ["".join(letters) for letters in product(string.ascii_uppercase, repeat=3)]
    cents = {name: 200 + int(rng.lognormvariate(8, 1.5)) for name in rng.sample(names, SYMBOLS)}
    # Each symbol at least once.
    drawn = list(cents)
    drawn += rng.choices(drawn, cum_weights=zipf(SYMBOLS), k=POOL_EVENTS - SYMBOLS)
    rng.shuffle(drawn)
    ticks = [tick(rng, symbol, cents[symbol]) for symbol in drawn]
    return [ticks[start:start + BLOCK_EVENTS] for start in range(0, POOL_EVENTS, BLOCK_EVENTS)]


def zipf(count: int) -> list[float]:
    """Cumulative weights by Zipf's law, but none is more than about a hundredth of them all."""
    return list(accumulate(1 / (rank + 10) for rank in range(count)))


def xxh64(text: bytes) -> int:
    """XXH64 with seed 0 of fewer than 32 bytes, which is what a key has here."""
    prime1, prime2, prime3, prime4, prime5 = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5)
    mask = 2**64 - 1

    def rotate(word: int, bits: int) -> int:
        return (word << bits | word >> 64 - bits) & mask

    assert len(text) < 32
    value, rest = prime5 + len(text), text
    while len(rest) >= 8:
        word = int.from_bytes(rest[:8], "little") * prime2 & mask
        value = rotate(value ^ rotate(word, 31) * prime1 & mask, 27) * prime1 + prime4 & mask
        rest = rest[8:]
    if len(rest) >= 4:
        word = int.from_bytes(rest[:4], "little")
        value = rotate(value ^ word * prime1 & mask, 23) * prime2 + prime3 & mask
        rest = rest[4:]
    for byte in rest:
        value = rotate(value ^ byte * prime5 & mask, 11) * prime1 & mask
    value = (value ^ value >> 33) * prime2 & mask
    value = (value ^ value >> 29) * prime3 & mask
    return value ^ value >> 32


def spaced(line: bytes) -> bytes:
    """The line as mlr writes it."""
    return (json.dumps(json.loads(line), ensure_ascii=False) + "\n").encode()


def parse_size(argument: str) -> int:
    """Bytes, or K, M, G in powers of 1024."""
    shift = {"K": 10, "M": 20, "G": 30}.get(argument[-1:].upper(), 0)
    return int(argument[:-1] if shift else argument) << shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY)
    parser.add_argument("--size", type=parse_size, default=DEFAULT_SIZE, metavar="SIZE",
                        help=SIZE_HELP)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default %(default)s")
    options = parser.parse_args()
    forms = make(options.directory, options.size, options.seed)
    print(f"seed {options.seed}")
    for name in sorted(FILES):
        print(f"{forms[name]['bytes']:>12} {name}")


if __name__ == "__main__":
    main()
