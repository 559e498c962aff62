#!/usr/bin/env python3
"""Writes the corpus as the first inputs of the fuzz targets: seeds.py TARGET DIRECTORY

The targets take their decisions from the end of an input, so that each seed gets a tail.
"""

import gzip
import random
import sys
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[1] / "Corpus"
sys.path.insert(0, str(CORPUS))
import check  # noqa: E402

TAIL = 8


def streams():
    for path in sorted(CORPUS.glob("sse/*.txt")):
        for case in check.sse_cases(str(path)):
            yield case["input"]
    for path in sorted(CORPUS.glob("samples/*.sse")):
        yield path.read_bytes()[:2000]


def texts():
    for line in check.read(str(CORPUS / "json/valid.txt")):
        yield check.unescape(line)
    for line in check.read(str(CORPUS / "json/invalid.txt")):
        yield check.unescape(line.partition("\t")[2])
    for path in sorted(CORPUS.glob("samples/*.jsonl")):
        yield from path.read_bytes().splitlines()[:20]


def members():
    for stream in streams():
        member = gzip.compress(stream, mtime=0)
        yield member
        yield member + member
        yield stream


SEEDS = {
    "fuzz-json": texts,
    "fuzz-sse": streams,
    "fuzz-gzip": members,
    "fuzz-roundtrip": lambda: [*streams(), *texts()],
}


def main():
    target, directory = sys.argv[1], Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    tails = random.Random(1)
    for number, seed in enumerate(dict.fromkeys(SEEDS[target]())):
        (directory / f"seed-{number}").write_bytes(seed + tails.randbytes(TAIL))


if __name__ == "__main__":
    main()
