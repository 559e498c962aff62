"""ws-cat beside other clients, on a server that is faster than all of them."""

import statistics

from measure import Bed, Row, Run, note, percentile, ratios
from report import Section, Target, code, median, spread
from wsbed import Blast, Client, TLSEcho, peak_memory, peak_of_stalled

SIZE = 100
MESSAGES = 2_000_000
LARGE_SIZE = 1 << 16
LARGE_MESSAGES = 1 << 14
# The turns of a round are for the quick ones; others take 50 ms and more for one.
REQUESTS, SLOW_REQUESTS = 40, 10
RESIDENT_MESSAGES = 1_000_000
RESIDENT_GROWTH = 10
STALL_SECONDS = 3
# More than the sockets hold, so that everything stands still.
STALL_MESSAGES = 300_000

FLOOR = "C"
OURS, JSON, RECORDS = "ws-cat -t", "ws-cat -d", "ws-cat -r"
SCRIPTS = [("node-ws", "node node_ws.js"), ("websockets", "python py_websockets.py"),
           ("websocket-client", "python py_client.py")]
COMPARED = ["websocat", *(name for name, _ in SCRIPTS)]
# For each to take about a second.
RECEIVED = {"websocat": 0.25, "node-ws": 0.25, "websockets": 0.05, "websocket-client": 0.0125}
SENT = {"websocat": 0.125, "node-ws": 0.05, "websockets": 0.025, "websocket-client": 0.025}

INTO = "| cat >/dev/null"
RECEIVE = [
    Client(FLOOR, f"ws_floor recv URL {INTO}", beside=OURS),
    Client(OURS, f"ws-cat -t --no-close URL {INTO}", peer="ws-cat"),
    Client(JSON, f"ws-cat -d --no-close URL {INTO}", peer="ws-cat"),
    Client(RECORDS, f"ws-cat -r --no-close URL {INTO}", peer="ws-cat", are_records=True),
    Client("websocat", f"websocat -U -t URL {INTO}", peer="websocat", beside=OURS,
           share=RECEIVED["websocat"]),
    *(Client(name, f"{command} recv URL {INTO}", peer=name, beside=OURS, share=RECEIVED[name])
      for name, command in SCRIPTS),
]

SEND = [
    Client(FLOOR, "ws_floor send URL", "messages.jsonl", beside=OURS),
    Client(OURS, "ws-cat -t --wait 0 URL", "messages.jsonl", "ws-cat"),
    Client(JSON, "ws-cat -d --wait 0 URL", "messages.jsonl", "ws-cat"),
    # All of them close at the end of the file without a look at replies. With both directions
    # websocat is slower.
    Client("websocat", "websocat -u -t URL", "messages.jsonl", "websocat", OURS,
           share=SENT["websocat"]),
    *(Client(name, f"{command} send URL", "messages.jsonl", name, OURS, share=SENT[name])
      for name, command in SCRIPTS),
]

LARGE = [
    Client(FLOOR, f"ws_floor recv URL {INTO}"),
    Client("C, raw", f"ws_floor raw URL {INTO}", is_raw=True),
    Client(OURS, f"ws-cat -t --no-close URL {INTO}", peer="ws-cat", beside=FLOOR),
    Client("ws-cat -b", f"ws-cat -b --no-close URL {INTO}", peer="ws-cat", beside="C, raw",
           is_raw=True),
    # Its buffer has to hold a message, which would be split.
    Client("websocat -t", f"websocat -U -t -B 131072 URL {INTO}", peer="websocat", beside=FLOOR,
           share=0.25),
    Client("websocat -b", f"websocat -U -b -B 131072 URL {INTO}", peer="websocat",
           beside="C, raw", share=0.25, is_raw=True),
]

REQUEST = "request.json"
PLAIN = [
    Client(FLOOR, "ws_floor one URL", REQUEST, beside="ws-cat"),
    Client("ws-cat", "ws-cat -1 URL", REQUEST, "ws-cat"),
    Client("websocat", "websocat -1 URL", REQUEST, "websocat", "ws-cat"),
    *(Client(name, f"{command} one URL", REQUEST, name, "ws-cat") for name, command in SCRIPTS),
]
SECURE = [
    Client("openssl s_client", "openssl s_client -connect AUTHORITY -CAfile tls/ca.pem"
           " -verify_return_error -brief", "/dev/null", "openssl", "ws-cat, TLS"),
    Client("ws-cat, TLS", "ws-cat -1 --cacert tls/ca.pem URL", REQUEST, "ws-cat"),
    Client("websocat, TLS", "websocat -1 URL", REQUEST, "websocat", "ws-cat, TLS"),
    *(Client(f"{name}, TLS", f"{command} one URL tls/ca.pem", REQUEST, name, "ws-cat, TLS")
      for name, command in SCRIPTS[:2]),
]

# Command that receives, and command that sends.
RESIDENT = [
    (Client("ws-cat", "ws-cat -t --no-close URL", peer="ws-cat"),
     Client("ws-cat", "ws-cat -t --wait 0 URL", "messages.jsonl", "ws-cat")),
    (Client("websocat", "websocat -U -t URL", peer="websocat"),
     Client("websocat", "websocat -u -t URL", "messages.jsonl", "websocat")),
    (Client(FLOOR, "ws_floor recv URL"), Client(FLOOR, "ws_floor send URL", "messages.jsonl")),
]


class Rates:
    """Messages a second of the rows, round by round, and what is wrong with what they did."""

    def __init__(self, bed: Bed, blast: Blast, rows: list[Client], size: int, messages: int):
        self.bed, self.rows, self.size = bed, rows, size
        self.counts = {row.name: max(1, round(messages * row.share)) for row in rows}
        self.faults: dict[str, str] = {}
        for row in rows:
            if not bed.is_missing(row):
                note(f"checking {row.command}")
                self.faults[row.name] = blast.fault(row, size, self.counts[row.name])
        values = bed.rounds_of(rows, lambda row: blast.run(row, size, self.counts[row.name]))
        self.runs: dict[str, list[Run]] = {
            name: every for name, every in values.items() if None not in every}
        self.rates = {name: [self.counts[name] / run.wall for run in every]
                      for name, every in self.runs.items()}
        # What a server saw of a peer in any of the runs.
        self.faults |= blast.seen

    def ratio(self, ours: str, other: str) -> float | None:
        return median(ratios(self.rates.get(ours, []), self.rates.get(other, [])))

    def millions(self, name: str) -> float | None:
        """Messages a second, the median of the rounds."""
        rate = median(self.rates.get(name, []))
        return rate and rate / 1e6

    def missing(self, row: Row) -> str:
        return self.faults.get(row.name) or f"{row.peer} not installed"

    def cells(self, row: Client) -> list[str]:
        command = code(row.command.removesuffix(INTO).strip()
                       + (f" <{row.input}" if row.input else ""))
        if row.name not in self.runs:
            return [row.name, command, self.missing(row), *[""] * 6]
        runs, rates = self.runs[row.name], self.rates[row.name]
        ours = self.rates.get(row.beside)
        return [
            row.name, command, f"{self.counts[row.name]:,}",
            spread([rate / 1e6 for rate in rates]), spread([run.cpu for run in runs]),
            spread([run.peak / 1e6 for run in runs]), row.beside,
            spread(ratios(ours, rates)) if ours else "", self.faults.get(row.name, ""),
        ]

    def section(self, title: str, text: str) -> Section:
        header = ["row", "command", "messages", "M/s", "cpu s", "peak MB", "beside",
                  "ours is × as fast", "wrong"]
        return Section(title, text, header, [self.cells(row) for row in self.rows])


def receive(bed: Bed) -> Section:
    with Blast(bed) as blast:
        measured = Rates(bed, blast, RECEIVE, SIZE, blast.scaled(MESSAGES))
    section = measured.section(
        "WebSocket messages received",
        f"Text messages of {SIZE} bytes, JSON, from a server on loopback that sends prepared"
        f" frames; every command ends in `{INTO}`. Millions a second by wall time of the whole"
        " process, its start in it; slower ones get fewer messages. `C` is the least that a"
        " client can do: `ws_floor.c`, no look at UTF-8, no options. `ws-cat -t` does the work"
        " of websocat; `-d` looks whether a message is JSON and `-r` makes records. Before"
        " anything is timed the output is compared with what was sent.",
    )
    section.targets = [
        Target("ws-cat `-t`, messages received", 10, measured.millions(OURS), "M/s"),
        Target("… × the C client", 0.5, measured.ratio(OURS, FLOOR), "×"),
        *(Target(f"… × {name}", 8, measured.ratio(OURS, name), "×") for name in COMPARED),
    ]
    return section


def send(bed: Bed) -> Section:
    with Blast(bed) as blast:
        measured = Rates(bed, blast, SEND, SIZE, blast.scaled(MESSAGES))
    section = measured.section(
        "WebSocket messages sent",
        f"A file with lines of {SIZE} bytes, JSON, as text messages to a server on loopback that"
        " discards and counts them, in every run. Slower ones get the first lines of the file.",
    )
    section.targets = [
        Target("ws-cat `-t`, messages sent", 8, measured.millions(OURS), "M/s"),
        Target("… × the C client", 0.5, measured.ratio(OURS, FLOOR), "×"),
        *(Target(f"… × {name}", 8, measured.ratio(OURS, name), "×") for name in COMPARED),
    ]
    return section


def large(bed: Bed) -> Section:
    with Blast(bed) as blast:
        measured = Rates(bed, blast, LARGE, LARGE_SIZE, blast.scaled(LARGE_MESSAGES))
    section = Section(
        "Large WebSocket messages",
        f"Messages of 64 KiB received, {LARGE_MESSAGES * LARGE_SIZE >> 20} MiB of them in a full"
        f" run and a quarter for websocat; every command ends in `{INTO}`. `-t` has text and"
        " newlines, `-b` bytes only. The time is compared for as many messages.",
        ["row", "command", "MiB", "GB/s", "cpu s", "peak MB", "beside", "× the time", "wrong"])
    for row in LARGE:
        cells = measured.cells(row)
        if row.name in measured.runs:
            rates = measured.rates[row.name]
            cells[2] = str(measured.counts[row.name] * LARGE_SIZE >> 20)
            cells[3] = spread([rate * LARGE_SIZE / 1e9 for rate in rates])
        section.rows.append(cells)
    section.targets = [
        Target(f"ws-cat `{option}`, messages of 64 KiB, × the time of the C client", 1.5,
               measured.ratio(floor, f"ws-cat {option}"), "×",
               at_least=False)
        for option, floor in [("-t", FLOOR), ("-b", "C, raw")]
    ]
    return section


def request(bed: Bed) -> Section:
    section = Section(
        "One WebSocket request",
        "A line out, the reply back, Close: the whole process, from posix_spawn to wait4, on"
        " loopback. With TLS the server is Python's `ssl`, one connection at a time; its"
        " certificate (P-256) is of a CA made for the run. `openssl s_client` does the TLS"
        " handshake only. websocat reads the CAs of the system even without TLS; with TLS it is"
        " given the one only, in `SSL_CERT_FILE`.",
        ["row", "command", "runs", "median ms", "99 % ms", "peak MB", "beside",
         "ours takes × as long", "wrong"])
    middles: dict[str, list[float]] = {}  # milliseconds, one of each round

    def ratio(ours: str, other: str) -> list[float]:
        return ratios(middles.get(ours, []), middles.get(other, []))

    for rows, server in [(PLAIN, Blast), (SECURE, TLSEcho)]:
        with server(bed) as place:
            faults = {row.name: place.reply_fault(row) for row in rows
                      if not bed.is_missing(row)}
            runs = bed.rounds_of(rows, lambda row: place.requests(
                row, REQUESTS if is_quick(row) else SLOW_REQUESTS))
            faults |= place.seen
        runs = {name: every for name, every in runs.items() if None not in every}
        middles |= {name: [statistics.median(run.wall * 1000 for run in turn) for turn in every]
                    for name, every in runs.items()}
        for row in rows:
            command = code(row.command + (f" <{row.input}" if row.input == REQUEST else ""))
            if row.name not in runs:
                reason = faults.get(row.name) or f"{row.peer} not installed"
                section.rows.append([row.name, command, reason, *[""] * 6])
                continue
            every = [run for turn in runs[row.name] for run in turn]
            times = [run.wall * 1000 for run in every]
            compared = ratio(row.beside, row.name)
            section.rows.append([
                row.name, command, str(len(every)), f"{statistics.median(times):.2f}",
                f"{percentile(times, 99):.2f}", f"{max(run.peak for run in every) / 1e6:.1f}",
                row.beside, spread(compared) if compared else "", faults[row.name]])
    handshakes = zip(middles.get("ws-cat, TLS", []), middles.get("openssl s_client", []))
    section.targets = [
        Target("ws-cat `-1`, request and reply", 3, median(middles.get("ws-cat", [])), "ms",
               at_least=False),
        Target("ws-cat `-1` with TLS, beyond the time of `openssl s_client`", 3,
               median([ours - theirs for ours, theirs in handshakes]), "ms", at_least=False),
        *(Target(f"{text} × the time of websocat", 1, median(ratio(ours, other)), "×",
                 at_least=False)
          for text, ours, other in [("ws-cat `-1`", "ws-cat", "websocat"),
                                    ("… with TLS", "ws-cat, TLS", "websocat, TLS")]),
    ]
    return section


def is_quick(row: Client) -> bool:
    return row.peer not in [name for name, _ in SCRIPTS]


def resident(bed: Bed) -> Section:
    """Peak resident sets, of long streams and of peers that stand still."""
    with Blast(bed) as blast:
        few = blast.scaled(RESIDENT_MESSAGES)
        many = few * RESIDENT_GROWTH
        section = Section(
            "Memory on a WebSocket",
            f"Peak resident set (VmHWM) on {few:,} messages of {SIZE} bytes received into a pipe,"
            f" on {RESIDENT_GROWTH} times as many, and after {STALL_SECONDS} s of standing still:"
            " with a server that does not read while lines are sent, and with a pipe as standard"
            " output that nobody reads while messages come.",
            ["row", f"MB on {few:,}", f"MB on {many:,}", "MB, server does not read",
             "MB, output not read"])
        present = [pair for pair in RESIDENT if not bed.is_missing(pair[0])]
        peaks: dict[str, list[float]] = {}
        for receiving, _ in present:
            note(f"memory of {receiving.command}")
            peaks[receiving.name] = [
                peak_memory(blast, receiving, SIZE, count) / 1e6 for count in [few, many]]
        note("memory of stalled ones")
        stalled = peak_of_stalled(blast, present, SIZE, STALL_MESSAGES, STALL_SECONDS)
    for receiving, _ in RESIDENT:
        name = receiving.name
        if name not in peaks:
            section.rows.append([name, f"{receiving.peer} not installed", "", "", ""])
            continue
        peaks[name] += [value / 1e6 for value in stalled[name]]
        section.rows.append(
            [name, *(f"{value:.1f}" if value else "ended" for value in peaks[name])])
    values = peaks.get("ws-cat")
    section.targets = [
        Target("ws-cat peak memory on messages received", 12, values and values[1], "MB",
               at_least=False),
        Target("ws-cat growth from a tenth of the messages", 0.5,
               values and values[1] - values[0], "MB", at_least=False),
        Target("ws-cat peak memory, server does not read", 12, values and values[2], "MB",
               at_least=False),
        Target("ws-cat peak memory, output not read", 12, values and values[3], "MB",
               at_least=False),
    ]
    return section
