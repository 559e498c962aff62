#!/usr/bin/env python3
"""Measures the tools and the JSON validator beside what a user would pick instead.

A full run on a full corpus replaces RESULTS.md. Anything less is printed.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

import corpus
from batch import AGGREGATES, KEYED_COUNT, aggregate, arrays, deliver
from follow import first, follow
from measure import HERE, SIMDJSON, BenchmarkError, Bed, Row, note, percentile, ratios
from report import Section, Target, code, document, machine, median, spread
from sample import sample
from serve import alone, beside, fan, idle, many, packed, resume, steady
from throughput import Throughput
from websocket import large, receive, request, resident, send

STARTS = 200
MESSAGES = 500

# The machine moves results by more than this, but a validator that is slower than it is not level.
LEVEL = 0.95
# What a longer stream may add: buffers meet the largest event later.
GROWTH_MEGABYTES = 0.5

SED_DATA = "sed -n 's/^data: //p'"
SED_FRAME = r"sed 's/.*/data: &\n/'"
MAWK_DATA = "'/^data: /{print substr($0,7)}'"
JQ_FRAME = (r"""jq -r '(if .event=="message" then "" else "event: \(.event)\n" end)"""
            r"""+"data: \(.data)\n"'""")

DECODE = "sse-decode -r"
DECODE_ROWS = [
    Row(DECODE, "sse-decode -r llm.sse", "llm.sse", writes="records.jsonl"),
    Row("sse-decode -d", "sse-decode -d llm.sse", "llm.sse", writes="data.jsonl"),
    Row("sse-decode -j", "sse-decode -j llm.sse", "llm.sse", writes="embedded.jsonl"),
    Row("sse-decode -r, log", "sse-decode -r log.sse", "log.sse", writes="log-records.jsonl"),
    Row("sse-decode -r, piped", "cat llm.sse | sse-decode -r | cat", "llm.sse",
        writes="records.jsonl"),
    Row("cat, piped", "cat llm.sse | cat", "llm.sse", "cat", DECODE),
    Row("sed", f"{SED_DATA} llm.sse", "llm.sse", "sed", DECODE, "data.jsonl"),
    Row("sed, C locale", f"env LC_ALL=C {SED_DATA} llm.sse", "llm.sse", "sed", DECODE,
        "data.jsonl"),
    Row("mawk", f"mawk {MAWK_DATA} llm.sse", "llm.sse", "mawk", DECODE, "data.jsonl"),
    Row("Node, own parser", "node node_parser.js llm.sse", "llm.sse", "node", DECODE,
        "data.jsonl"),
    Row("Node, node-eventsource", "node node_eventsource.js llm-part.sse", "llm-part.sse",
        "node-eventsource", DECODE, "data-part.jsonl"),
    Row("sed, jq", f"{SED_DATA} llm-part.sse | jq -c .", "llm-part.sse", "jq", DECODE,
        "data-part.jsonl"),
]

ENCODE = "sse-encode -r"
ENCODE_LOG = "sse-encode -d, log"
ENCODE_DATA = "sse-encode -d"
ENCODE_ROWS = [
    Row(ENCODE, "sse-encode -r records.jsonl", "records.jsonl", writes="llm.sse"),
    Row(ENCODE_DATA, "sse-encode -d data.jsonl", "data.jsonl", writes="data.sse"),
    Row(ENCODE_LOG, "sse-encode -d log.jsonl", "log.jsonl", writes="log.sse"),
    Row("jq, records", f"{JQ_FRAME} records-part.jsonl", "records-part.jsonl", "jq", ENCODE,
        "llm-part.sse"),
    Row("jq, sed, log", f"jq -c . log-part.jsonl | {SED_FRAME}", "log-part.jsonl", "jq",
        ENCODE_LOG),
    Row("mawk, log", r"""mawk '{print "data: " $0 "\n"}' log.jsonl""", "log.jsonl", "mawk",
        ENCODE_LOG, "log.sse"),
    Row("sed, log", f"{SED_FRAME} log.jsonl", "log.jsonl", "sed", ENCODE_LOG, "log.sse"),
    Row("sed, C locale, log", f"env LC_ALL=C {SED_FRAME} log.jsonl", "log.jsonl", "sed",
        ENCODE_LOG, "log.sse"),
]

VALIDATE_ROWS = [
    row for name in ["data.jsonl", "log.jsonl"] for row in [
        Row(f"ours, {name}", f"bench-json {name}", name),
        Row(f"simdjson DOM, {name}", f"simdjson_peer lines {name}", name, "simdjson",
            f"ours, {name}"),
        Row(f"simdjson parse_many, {name}", f"simdjson_peer many {name}", name, "simdjson",
            f"ours, {name}"),
    ]
]

STARTUP_ROWS = [
    Row("sse-encode", "sse-encode"),
    Row("sse-decode", "sse-decode"),
    Row("stream-sample -n", "stream-sample -n 1"),
    Row("stream-batch -n", "stream-batch -n 1"),
    Row("cat", "cat", peer="cat"),
    Row("jq", "jq .", peer="jq"),
]

MEMORY_ROWS = [
    Row("sse-decode -r", "sse-decode -r llm.sse", "llm.sse"),
    Row("sse-decode -d", "sse-decode -d llm.sse", "llm.sse"),
    Row("sse-encode -r", "sse-encode -r records.jsonl", "records.jsonl"),
    Row("sse-encode -d", "sse-encode -d log.jsonl", "log.jsonl"),
    Row("stream-sample -n", "stream-sample -n 1000 users.jsonl", "users.jsonl"),
    Row("stream-sample -p", "stream-sample -p 0.01 users.jsonl", "users.jsonl"),
    Row("stream-batch -n", "stream-batch -n 1000 users.jsonl", "users.jsonl"),
]
# They keep something of each of 10,000 keys, so they promise less.
KEYED_ROWS = [
    Row("", f"stream-batch {AGGREGATES} prices.jsonl", "prices.jsonl"),
    Row("", f"stream-batch -n {KEYED_COUNT} -k .symbol prices.jsonl", "prices.jsonl"),
]

LINE = '{"choices":[{"index":0,"delta":{"content":" token"}}]}\n'
EVENT = f"data: {LINE}\n"
RECORD = '{"event":"message","data":"{}"}\n'
# Command, what is written to it, how its answer ends, and the program if it is a peer.
TRICKLES = [
    ("sse-decode -r", EVENT, "\n", ""),
    ("sse-decode -d", EVENT, "\n", ""),
    ("sse-encode -r", RECORD, "\n\n", ""),
    ("sse-encode -d", LINE, "\n\n", ""),
    ("stream-sample -p 1", LINE, "\n", ""),
    ("stream-batch -n 1", LINE, "\n", ""),
    ("cat", LINE, "\n", "cat"),
    ("sed -u -n 's/^data: //p'", EVENT, "\n", "sed"),
    (f"mawk -W interactive {MAWK_DATA}", EVENT, "\n", "mawk"),
    ("jq --unbuffered -c .", LINE, "\n", "jq"),
]


def decode(bed: Bed) -> Section:
    measured = Throughput(bed, DECODE_ROWS)
    section = measured.section(
        "SSE to JSON Lines",
        "`cat` shows what the pipes allow. `sed` and `mawk` only cut a prefix off and print what"
        " follows. The target names Node's `eventsource-parser`, which is not in Debian: a parser"
        " written for this comparison stands in for it, and Debian's node-eventsource has a row of"
        " its own, its parser fed from the file instead of HTTP.",
    )
    section.targets = [
        Target("sse-decode to records from a file", 2, measured.rate(DECODE), "GB/s"),
        Target("… × `sed -n`", 2, measured.ratio(DECODE, "sed"), "×"),
        Target("… × `sed -n` in the C locale", 2, measured.ratio(DECODE, "sed, C locale"), "×"),
        Target("… × `mawk`", 1, measured.ratio(DECODE, "mawk"), "×"),
        Target("… × Node (own parser for eventsource-parser)", 5,
               measured.ratio(DECODE, "Node, own parser"), "×"),
        Target("… × `sed | jq`", 50, measured.ratio(DECODE, "sed, jq"), "×"),
        Target("… × `cat | cat`", 0.5, measured.ratio(DECODE, "cat, piped"), "×"),
        Target("… × `cat | cat`, in the same pipes", 0.5,
               measured.ratio("sse-decode -r, piped", "cat, piped"), "×"),
        Target("sse-decode `-d`", 1.3, measured.rate("sse-decode -d"), "GB/s"),
    ]
    return section


def encode(bed: Bed) -> Section:
    measured = Throughput(bed, ENCODE_ROWS)
    section = measured.section(
        "JSON Lines to SSE",
        "`sed` and `mawk` do not look whether a line is JSON; `jq` does, and writes it anew.",
    )
    section.targets = [
        Target("sse-encode from records", 1.2, measured.rate(ENCODE), "GB/s"),
        Target("sse-encode `-d`, LLM payloads", 1.4, measured.rate(ENCODE_DATA), "GB/s"),
        Target("sse-encode `-d`, log lines", 1.4, measured.rate(ENCODE_LOG), "GB/s"),
    ]
    return section


def validate(bed: Bed) -> Section:
    values = bed.rounds_of(VALIDATE_ROWS, lambda row: bed.json_from(row.command))
    loaded, alone = {}, {}
    for row in VALIDATE_ROWS:
        if row.name not in values:
            continue
        for value in values[row.name]:
            theirs = values[row.beside][0] if row.beside else value
            if value["bytes"] != bed.size(row) or value["lines"] != theirs["lines"]:
                raise BenchmarkError(f"{row.command}: counted {value}, not {bed.size(row)} bytes"
                                     f" and {theirs['lines']} lines")
        loaded[row.name] = [value["bytes"] / 1e9 / (value["load_seconds"]
                            + value["validate_seconds"]) for value in values[row.name]]
        alone[row.name] = [value["bytes"] / 1e9 / value["validate_seconds"]
                           for value in values[row.name]]

    section = Section(
        "JSON validation alone",
        "Times from inside the process. simdjson parses line by line into a DOM with one parser;"
        " `parse_many` uses a second thread. Built with"
        f" `{' '.join(SIMDJSON)}`.",
        ["row", "command", "GB/s with loading", "GB/s without", "ours is × as fast",
         "… without loading"])
    for row in VALIDATE_ROWS:
        if row.name not in values:
            section.rows.append([row.name, code(row.command), "simdjson not installed", "", "", ""])
            continue
        compared = [spread(ratios(rates[row.beside], rates[row.name])) if row.beside else ""
                    for rates in (loaded, alone)]
        section.rows.append([row.name, code(row.command), spread(loaded[row.name]),
                             spread(alone[row.name]), *compared])
    for name in ["data.jsonl", "log.jsonl"]:
        for rates, how in [(loaded, "with loading"), (alone, "without loading")]:
            ratio = median(ratios(rates[f"ours, {name}"], rates.get(f"simdjson DOM, {name}", [])))
            section.targets.append(
                Target(f"JSON validation × simdjson's DOM, {name}, {how}", LEVEL, ratio, "×"))
    return section


def startup(bed: Bed) -> Section:
    # Few runs in a turn, so that the rows share what the machine does meanwhile.
    turns = max(1, STARTS // bed.rounds)
    runs = bed.rounds_of(STARTUP_ROWS, lambda row: bed.run(row.command, turns))
    section = Section(
        "Start-up", f"{turns * bed.rounds} runs on empty input, from posix_spawn to wait4.",
        ["command", "median ms", "99 % ms", "peak MB"])
    for row in STARTUP_ROWS:
        if row.name not in runs:
            section.rows.append([code(row.command), "not installed", "", ""])
            continue
        every = [run for turn in runs[row.name] for run in turn]
        milliseconds = [run.wall * 1000 for run in every]
        middle = statistics.median(milliseconds)
        section.rows.append([code(row.command), f"{middle:.2f}",
                             f"{percentile(milliseconds, 99):.2f}",
                             f"{max(run.peak for run in every) / 1e6:.1f}"])
        if not row.peer:
            section.targets.append(
                Target(f"{row.name} start-up on empty input", 1, middle, "ms", at_least=False))
    return section


def memory(bed: Bed) -> Section:
    section = Section(
        "Memory",
        "Peak resident set on a stream and on its first eighth, the larger of two runs each. The"
        " rows of stream-batch by key have no target: they hold a batch or quantiles for each.",
        ["command", "MB on an eighth", "MB on the whole"])
    for row in MEMORY_ROWS + KEYED_ROWS:
        note(f"memory of {row.command}")
        part_command = row.command.replace(row.input, corpus.part_of(row.input))
        part, whole = (max(run.peak for run in bed.run(command, 2)) / 1e6
                       for command in [part_command, row.command])
        section.rows.append([code(row.command), f"{part:.1f}", f"{whole:.1f}"])
        if row in KEYED_ROWS:
            continue
        section.targets += [
            Target(f"{row.name} peak memory", 8, whole, "MB", at_least=False),
            Target(f"{row.name} growth from an eighth of the stream", GROWTH_MEGABYTES,
                   whole - part, "MB", at_least=False),
        ]
    return section


def trickle(bed: Bed) -> Section:
    section = Section(
        "A trickle",
        f"{MESSAGES} messages, one at a time: from writing one into the command's input to having"
        " its output. The time of this program and of two wake-ups is in it, as `cat` shows.",
        ["command", "50 % µs", "99 % µs", "most µs"])
    for command, message, end, peer in TRICKLES:
        if peer and bed.versions[peer] is None:
            section.rows.append([code(command), "not installed", "", ""])
            continue
        note(f"trickling into {command}")
        seconds = bed.latencies(command, message.encode(), end.encode(), MESSAGES)
        if seconds is None and not peer:
            raise BenchmarkError(f"{command}: no output for a line while the input stays open")
        if seconds is None:
            section.rows.append([code(command), "no output while the input is open", "", ""])
            continue
        late = percentile(seconds, 99)
        section.rows.append([code(command), *(
            f"{value * 1e6:.0f}" for value in [statistics.median(seconds), late, max(seconds)])])
        if not peer:
            section.targets.append(Target(f"{command} trickled line, 99 %", 1, late * 1000, "ms",
                                          at_least=False))
    return section


SECTIONS = {"decode": decode, "encode": encode, "sample": sample, "batch": arrays,
            "deliver": deliver, "aggregate": aggregate, "validate": validate, "startup": startup,
            "memory": memory, "trickle": trickle, "follow": follow, "follow-trickle": first,
            "ws-receive": receive, "ws-send": send,
            "ws-large": large, "ws-request": request, "ws-memory": resident,
            "serve-fan": fan, "serve-alone": alone, "serve-many": many, "serve-steady": steady,
            "serve-idle": idle, "serve-slow": beside, "serve-resume": resume,
            "serve-packed": packed}


def main() -> None:
    options = parse_options()
    names = options.only or list(SECTIONS)
    ours = ["sse-encode", "sse-decode", "stream-sample", "stream-batch", "ws-cat"]
    ours += ["sse-decode-url"] if {"follow", "follow-trickle"} & set(names) else []
    ours += ["bench-json"] if "validate" in names else []
    ours += ["stream-serve"] if any(name.startswith("serve-") for name in names) else []
    for tool in ours:
        if not (options.tools / tool).exists():
            raise BenchmarkError(f"{tool} is not in {options.tools}; build it first")

    load = os.getloadavg()[0]
    note(f"corpus of {options.size} bytes, seed {options.seed}")
    forms = corpus.make(options.corpus, options.size, options.seed)
    bed = Bed(options.corpus.resolve(), options.tools, forms, options.rounds)
    conditions = describe(options, forms, load)
    results = document([SECTIONS[name](bed) for name in names], conditions, bed.versions)

    is_full = not options.only and options.size >= corpus.DEFAULT_SIZE
    output = options.output or (HERE / "RESULTS.md" if is_full else None)
    if output:
        output.write_text(results)
    else:
        print(results, end="")


def describe(options: argparse.Namespace, forms: dict[str, dict], load: float) -> list[str]:
    locale = next((os.environ[name] for name in ["LC_ALL", "LC_CTYPE", "LANG"]
                   if os.environ.get(name)), "C")
    sizes = ", ".join(f"{name} {forms[name]['bytes'] / 1e6:.0f} MB"
                      for name in sorted(corpus.FILES))
    return [
        f"{machine()}; load average {load:.2f} before the first run.",
        f"Corpus of `corpus.py --size {options.size} --seed {options.seed}`: {sizes}. Commands run"
        " where these files lie, which are in the page cache.",
        f"Medians of {options.rounds} rounds (least…most) after one to warm up; in each round"
        " every row has its turn. Ratios are taken round by round.",
        "GB/s are 10⁹ bytes of input by wall time of the whole process, from posix_spawn to wait4,"
        " its output on /dev/null. The cpu time of a pipeline is that of all its processes, the"
        " peak memory that of the largest.",
        f"The locale is {locale} where a command does not set another.",
        "Before anything is timed, the output of every row of which the generator knows the"
        " right one is compared with it. Lines drawn at random are counted and looked for in the"
        " input.",
    ]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION",
                        help=f"run this section only (repeatable): {', '.join(SECTIONS)}")
    parser.add_argument("--size", type=corpus.parse_size, default=corpus.DEFAULT_SIZE,
                        metavar="SIZE", help=corpus.SIZE_HELP)
    parser.add_argument("--seed", type=int, default=corpus.DEFAULT_SEED, help="default %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--tools", type=Path, metavar="DIR", help="default .build/release",
                        default=HERE.parents[1] / ".build" / "release")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="default .build/bench",
                        default=corpus.DEFAULT_DIRECTORY)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


if __name__ == "__main__":
    try:
        main()
    except (BenchmarkError, OSError) as error:
        sys.exit(f"bench: {error}")
