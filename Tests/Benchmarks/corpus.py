#!/usr/bin/env python3
"""Seeded event streams and log lines to measure on, and what the tools must make of them.

Everything is generated here, the expected outputs too, so that no tool is its own judge.
"""

import argparse
import hashlib
import json
import os
import random
import string
from pathlib import Path
from typing import Callable

DEFAULT_SEED = 20260301
DEFAULT_SIZE = 512 << 20
DEFAULT_DIRECTORY = Path(__file__).resolve().parents[2] / ".build" / "bench"

# A pool of this many different events is more than a branch predictor learns by heart, and small
# enough to be made in seconds; the streams are its blocks in ever new orders.
POOL_EVENTS = 100_000
BLOCK_EVENTS = 250

# The forms that a command reads. Of the others only the size and the digest are kept.
FILES = {
    "llm.sse", "records.jsonl", "data.jsonl", "log.sse", "log.jsonl",
    "llm-part.sse", "records-part.jsonl", "log-part.jsonl",
}
# The slow peers and the memory comparison read the first eighth.
PART = 8

WORDS = """the of and to in is that for it as was with be on not by this are or from at which an
have has but had they you were their one all we can her would there been if more when will no
about time up out so said what its into than them only some could new other these two may then do
first any my now such like our over even most after also made many before must through where much
your well down should because each just those people how too little state good very make world
still own see work long get here between both life being under never day same another know while
last might us great old year off come since against go came right used take three stream event
function return value token answer because, however, example: (note) model. data; 3.14 42 2026
""".split()
ACCENTED = "café naïve Zürich Straße déjà señor Übung façade smörgåsbord œuvre Žižek".split()
CJK = "東京 世界 你好 数据 こんにちは ストリーム 안녕하세요 漢字 模型 令牌 日本語 처리".split()
EMOJI = "😀 🎉 🚀 ❤️ 👍🏽 🇩🇪 ✨ 🤖 👩‍💻 🔥".split()
MARKUP = ['"quoted"', "\n", "\n\n", "- **bold**", "`x = \\d+`", "```\n", "\tindent", "C:\\temp"]

AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0 Safari/537.36",
    "curl/7.88.1",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
]


def make(directory: Path, size: int, seed: int) -> dict[str, dict]:
    """The size and SHA-256 of every form by name; the files are written unless they are there."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = directory / "corpus.json"
    identity = {
        "seed": seed, "size": size,
        "generator": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    }
    if stamp.exists():
        known = json.loads(stamp.read_text())
        if known["identity"] == identity and is_complete(directory, known["forms"]):
            return known["forms"]
    stamp.unlink(missing_ok=True)

    rng = random.Random(seed)
    forms = write_forms(directory, pool(rng, llm_event), "llm.sse", size, rng)
    forms |= write_forms(directory, pool(rng, log_event), "log.jsonl", size, rng)
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
        self.size = 0

    def write(self, block: bytes) -> None:
        self.file.write(block)
        self.digest.update(block)
        self.size += len(block)

    def close(self) -> dict:
        self.file.close()
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}


def write_forms(directory: Path, blocks: list[dict[str, bytes]], leading: str, size: int,
                rng: random.Random) -> dict[str, dict]:
    """Blocks in random order until the leading form has its size."""
    names = list(blocks[0])
    forms = {name: Form(directory, name) for name in names + [part_of(name) for name in names]}
    while forms[leading].size < size:
        block = rng.choice(blocks)
        is_part = forms[leading].size < size // PART
        for name in names:
            forms[name].write(block[name])
            if is_part:
                forms[part_of(name)].write(block[name])
    return {name: form.close() for name, form in forms.items()}


def pool(rng: random.Random, make_event: Callable[[random.Random], dict[str, str]]
         ) -> list[dict[str, bytes]]:
    blocks = []
    for _ in range(POOL_EVENTS // BLOCK_EVENTS):
        events = [make_event(rng) for _ in range(BLOCK_EVENTS)]
        blocks.append({
            name: "".join(event[name] for event in events).encode() for name in events[0]
        })
    return blocks


def llm_event(rng: random.Random) -> dict[str, str]:
    """One event of 120 to 400 bytes in each form."""
    while True:
        event, value = anthropic_delta(rng) if rng.random() < 0.25 else openai_chunk(rng)
        data = compact(value)
        head = "" if event == "message" else f"event: {event}\n"
        sse = f"{head}data: {data}\n\n"
        if 120 <= len(sse.encode()) <= 400:
            break
    return {
        "llm.sse": sse,
        "records.jsonl": f'{{"event":"{event}","data":{compact(data)}}}\n',
        "embedded.jsonl": f'{{"event":"{event}","data":{data}}}\n',
        "data.jsonl": f"{data}\n",
        "data.sse": f"data: {data}\n\n",
    }


def openai_chunk(rng: random.Random) -> tuple[str, dict]:
    return "message", {
        "id": "chatcmpl-" + "".join(rng.choices(string.ascii_letters + string.digits, k=29)),
        "object": "chat.completion.chunk",
        "created": 1_770_000_000 + rng.randrange(1_000_000),
        "model": rng.choice(["gpt-4o-2024-08-06", "gpt-4o-mini", "llama-3.1-70b-instruct"]),
        "system_fingerprint": f"fp_{rng.getrandbits(40):010x}",
        "choices": [{
            "index": 0, "delta": {"content": text(rng, 4)}, "logprobs": None, "finish_reason": None,
        }],
    }


def anthropic_delta(rng: random.Random) -> tuple[str, dict]:
    return "content_block_delta", {
        "type": "content_block_delta", "index": rng.randrange(3),
        "delta": {"type": "text_delta", "text": text(rng, 20)},
    }


def text(rng: random.Random, most: int) -> str:
    vocabulary = rng.choices([WORDS, ACCENTED, CJK, EMOJI, MARKUP], [88, 3, 3, 1, 5])[0]
    return "".join(" " + rng.choice(vocabulary) for _ in range(rng.randint(1, most)))


def log_event(rng: random.Random) -> dict[str, str]:
    """One access log line of about 290 bytes in each form."""
    line = compact({
        "time": "2026-03-%02dT%02d:%02d:%02d.%03dZ" % (
            rng.randint(1, 31), rng.randrange(24), rng.randrange(60), rng.randrange(60),
            rng.randrange(1000)),
        "remote": f"203.0.113.{rng.randrange(256)}",
        "method": rng.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE"]),
        "path": f"/api/v2/{rng.choice(WORDS)}/{rng.randrange(100_000)}?q={rng.choice(WORDS)}",
        "status": rng.choice([200, 200, 200, 204, 301, 304, 404, 500]),
        "bytes": rng.randrange(100_000),
        "seconds": round(rng.expovariate(20), 6),
        "referer": rng.choice([None, "https://example.com/search", "https://example.org/"]),
        "agent": rng.choice(AGENTS),
        "request": f"{rng.getrandbits(128):032x}",
    })
    return {
        "log.jsonl": f"{line}\n",
        "log.sse": f"data: {line}\n\n",
        "log-records.jsonl": f'{{"event":"message","data":{compact(line)}}}\n',
    }


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parse_size(argument: str) -> int:
    """Bytes, or K, M, G in powers of 1024."""
    shift = {"K": 10, "M": 20, "G": 30}.get(argument[-1:].upper(), 0)
    return int(argument[:-1] if shift else argument) << shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY)
    parser.add_argument("--size", type=parse_size, default=DEFAULT_SIZE, metavar="SIZE",
                        help="bytes of each stream, such as 8M (default 512M)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default %(default)s")
    options = parser.parse_args()
    forms = make(options.directory, options.size, options.seed)
    print(f"seed {options.seed}")
    for name in sorted(FILES):
        print(f"{forms[name]['bytes']:>12} {name}")


if __name__ == "__main__":
    main()
