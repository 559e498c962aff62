#!/usr/bin/env python3
"""Checks the corpus against readings of the specifications that share no code with the tools.

sse/*.txt   a naive event stream decoder, sentence by sentence from WHATWG HTML 9.2.6
json/*.txt  Python's own JSON reader, made strict; an offset is right when the bytes before it
            can still be completed to a valid text and the byte at it rules that out
"""

import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\", "0": b"\0"}
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u\{([0-9A-Fa-f]{1,6})\}|(.?))", re.S)


def unescape(text):
    out, at = b"", 0
    for m in ESCAPE.finditer(text):
        out += text[at:m.start()].encode()
        at = m.end()
        if m[1]:
            out += bytes([int(m[1], 16)])
        elif m[2]:
            out += chr(int(m[2], 16)).encode()
        elif m[3] in SHORT:
            out += SHORT[m[3]]
        else:
            raise ValueError(f"unknown escape {m[0]!r}")
    return out + text[at:].encode()


def read(path):
    # Only LF separates lines here; str.splitlines would also split at U+2028 and U+0085.
    with open(path, "rb") as file:
        return file.read().decode().removesuffix("\n").split("\n")


# -- event streams ---------------------------------------------------------------------------

def quote(text):
    names = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f"}
    return '"' + "".join(names.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def record(keys):
    present = {k: v for k, v in keys.items() if v is not None}
    members = (f'"{k}":{v if k == "retry" else quote(v)}' for k, v in present.items())
    return "{" + ",".join(members) + "}"


def decode(data, all_records=False, at_end=False):
    """The records written for `data`; `at_end` treats an unfinished last block as finished."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    text = data.decode("utf-8", "replace")  # CPython replaces maximal subparts
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rest = lines.pop()
    if at_end:
        lines += [rest, ""] if rest else [""]
    written, new_id = [], None
    buffer = kind = ""
    retry, comments = None, []
    for line in lines:
        if line == "":
            comment = "\n".join(comments) if comments else None
            extra = {"retry": retry, "comment": comment} if all_records else {}
            if buffer != "":
                event = {"event": kind or "message", "id": new_id, "data": buffer[:-1]}
                written.append(record(event | extra))
                new_id = None
            elif all_records and (retry is not None or comment is not None):
                written.append(record({"id": new_id} | extra))
                new_id = None
            buffer = kind = ""
            retry, comments = None, []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            comments.append(value)
        elif field == "event":
            kind = value
        elif field == "data":
            buffer += value + "\n"
        elif field == "id" and "\0" not in value:
            new_id = value
        elif field == "retry" and re.fullmatch("[0-9]{1,18}", value):
            retry = int(value)
    return written


def sse_cases(path):
    case = None
    for number, line in enumerate(read(path) + [""], 1):
        if line == "":
            if case:
                yield case
            case = None
        elif case is None:
            if not line.startswith("# "):
                raise ValueError(f"{path}:{number}: a case starts with a title")
            case = {"title": line[2:], "line": number, "input": b"", "=": [], "*": [], "+": []}
        elif line[:2] in ("= ", "* ", "+ "):
            case[line[0]].append(line[2:])
        elif case["="] or case["*"] or case["+"]:
            raise ValueError(f"{path}:{number}: input after records")
        else:
            case["input"] += unescape(line)


def check_sse(path, titles):
    for case in sse_cases(path):
        data, problems = case["input"], []
        plain = decode(data)
        want = [("=", case["="], plain)]
        want.append(("+", case["+"], decode(data, at_end=True)[len(plain):]))
        if case["*"]:
            want.append(("*", case["*"], decode(data, all_records=True)))
        for sign, expected, got in want:
            if expected != got:
                problems.append(f"{sign} expected {expected}\n      decoded {got}")
        if case["title"] in titles:
            problems.append("this title is used twice")
        titles.add(case["title"])
        for line in case["="] + case["*"] + case["+"]:
            json.loads(line)
        yield f"{path}:{case['line']}: {case['title']}", problems


# -- JSON ------------------------------------------------------------------------------------

def no_constant(name):
    raise ValueError(name)


def accepts(text):
    try:
        json.loads(text, parse_constant=no_constant)
        return not text.startswith("\ufeff")
    except ValueError:
        return False


TAILS = ["", "0", "n", "00", "000", "0000"]
TAILS = TAILS + [t + '"' for t in TAILS] + [t + '":0' for t in TAILS] + [":0", '"":0']
TAILS += [word[i:] for word in ("true", "false", "null") for i in range(1, len(word))]


def viable(text):
    """Whether some continuation makes `text` valid: a tail for its last token, then closers."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*("|\\?$)', "", text, flags=re.S)
    closers = ""
    for c in outside:
        if c in "[{":
            closers = {"[": "]", "{": "}"}[c] + closers
        elif c in "]}" and closers:
            closers = closers[1:]
    return any(accepts(text + tail + closers) for tail in TAILS)


def offset(data):
    """The offset of the first byte that cannot belong to a valid text, or None for a valid one."""
    try:
        text, end = data.decode(), len(data)
        if accepts(text):
            return None
    except UnicodeDecodeError as error:
        text, end = data[:error.start].decode(), error.start
    for i in range(len(text)):
        if not viable(text[:i + 1]):
            return len(text[:i].encode())
    return end


def check_json(path, invalid):
    for number, line in enumerate(read(path), 1):
        expected = None
        if invalid:
            head, _, line = line.partition("\t")
            expected = int(head)
        got = offset(unescape(line))
        problems = [] if got == expected else [f"expected offset {expected}, found {got}"]
        yield f"{path}:{number}: {line}", problems


def main():
    os.chdir(HERE)
    passed = failed = 0
    titles = set()
    checks = [check_sse(path, titles) for path in sorted(glob.glob("sse/*.txt"))]
    checks += [check_json("json/valid.txt", False), check_json("json/invalid.txt", True)]
    for check in checks:
        for name, problems in check:
            for problem in problems:
                print(f"{name}\n    {problem}")
            passed, failed = (passed, failed + 1) if problems else (passed + 1, failed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
