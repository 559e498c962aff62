#!/usr/bin/env python3
"""Writes the corpus as the first inputs of the fuzz targets: seeds.py TARGET DIRECTORY

The targets take their decisions from the end of an input, so that each seed gets a tail.
"""

import gzip
import random
import sys
import zlib
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


def json_streams():
    values = list(texts())
    yield from values
    for start in range(0, len(values), 4):
        some = values[start : start + 4]
        yield b"\n".join(some)
        yield b"[" + b",\n".join(some) + b"]"
        yield b"".join(b"\x1e" + value + b"\n" for value in some)


def members():
    for stream in streams():
        member = gzip.compress(stream, mtime=0)
        yield member
        yield member + member
        yield stream


def frame(first, payload, masked):
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    if not masked:
        return bytes([first]) + length + payload
    key = bytes([0x37, 0xFA, 0x21, 0x3D])
    length = bytes([length[0] | 0x80]) + length[1:]
    return bytes([first]) + length + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def frames():
    deflate = zlib.compressobj(wbits=-15)
    for masked in (False, True):
        for text in ("Hello", "κόσμε€😀" * 20, ""):
            plain = text.encode()
            small = (deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4] or b"\0"
            half = len(plain) // 2
            whole = frame(0x81, plain, masked) + frame(0x82, plain, masked)
            pieces = frame(0x01, plain[:half], masked) + frame(0x89, b"ping", masked)
            pieces += frame(0x80, plain[half:], masked)
            packed = frame(0xC1, small, masked) + frame(0x41, small[:3], masked)
            packed += frame(0x80, small[3:], masked)
            close = frame(0x88, b"\x03\xe8bye", masked)
            yield from (whole + close, pieces + close, packed + close)
            yield plain * 10
def handshakes():
    request = (
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
    )
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    )
    extensions = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n"
    for head in (request, response):
        yield head + b"\r\n"
        yield head + extensions + b"\r\n\x81\x05Hello"
        yield head.replace(b"\r", b"") + b"\n"
        yield head + b" folded\r\nX : y\r\n\r\n"
    yield response + b"Sec-WebSocket-Protocol: chat\r\n\r\n"
    yield b"HTTP/1.1 302\r\nLocation: wss://example.com/a/../b?c#d\r\n\r\n"
    yield b"wss://us%65r:p%40ss@Example.COM:8443/a/./b?c=d&e\n../f?g#h"
    yield b"https://[2001:db8::192.0.2.1]:443?a b\n//[::1]/x"
    yield b"ws://h/%zz\nhttp://127.0.0.1/..//c"


def requests():
    head = b"POST /publish?channel=a%2Eb&event=x+y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield head + b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
    yield head + b"1;a=\"b\"\r\nx\r\n10 ; c\r\n0123456789abcdef\r\n0\r\nA: b\r\nC:\r\n\r\n"
    yield b"GET http://h:1/events?channel=**&channel=*.b&since=10&records HTTP/1.1\r\n\r\n0\r\n\r\n"
    yield b"/a%C3%A4/../b?c=%E2%82%AC&=d&e"
    yield b"a\r\n0123456789\r\n00\r\n\r\n"
    yield b"1 ;\r\nx\r\n0 ;a\r\nA: b\r\n\r\n"
    yield b"0 ;\r\n\r\n"
    yield b'{"type":"subscribe","channel":["a.*","b\\u002ec"],"since":10,"ref":1.5}'
    yield b'{"type":"unsubscribe","channel":"a","ref":null}'
    yield b'{"type":"publish","channel":"c","event":"e","data":{"a":[1,"\\ud800"]},"ref":"x"}'
    yield b'{"type":"ping","r\\u0065f":true}'
    yield b'{"type":"history","channel":"**","since":"30s","n":100}'
    yield b"a.**.b\na.b\na.x.y.b\na.b.c\n.\n"
    yield b"**.*.a.**.b.*\na.a.b.b.c\n\nb.a.b.c"
    # Nearly right: chance seldom finds these where another reader would take them.
    yield from (b"0 \r\n\r\n", b"0\n\r\n", b"0\r\n\n", b"1\r\nx\n0\r\n\r\n", b"0;\n\r\n\r\n")
    yield from (b"0\r\nA : b\r\n\r\n", b"0\r\nA\r\n\r\n", b"00000000000000000\r\n\r\n")
    yield b'{"type":"ping","ref":"\xff"}'
    yield from (b"/a%2Fb", b"/%00?%C3=%A4", b"http://u@h/a", b"a.*b\na..b\n.a\na.\n")


SEEDS = {
    "fuzz-json": texts,
    "fuzz-json-stream": json_streams,
    "fuzz-sse": streams,
    "fuzz-gzip": members,
    "fuzz-websocket": frames,
    "fuzz-handshake": handshakes,
    "fuzz-request": requests,
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
