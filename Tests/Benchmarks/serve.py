"""stream-serve beside other servers, with clients that look at every event."""

import statistics
import subprocess
from dataclasses import replace

from measure import Bed, BenchmarkError, note
from report import Section, Target, median, spread
from servebed import Load, Server, Serving, prepare, producer

SIZE = 200
# Most of the rounds of other sections would take half an hour here.
ROUNDS, ALONE_ROUNDS = 3, 2
FEW, CLIENTS, MANY = 10, 1000, 10_000
FAN_MESSAGES = 10_000
ALONE_MESSAGES = 1_000_000
ALONE_SHARE = {"nchan": 0.05, "websockets": 0.05, "uWebSockets, by socketify": 0.2}
MANY_RATE, MANY_SECONDS = 10, 5
STEADY_RATE, STEADY_SECONDS = 100, 4
ACCEPT_SECONDS = 2
ACCEPTING = 256
# How many a second a server is offered beside slow readers: near what it can do.
BESIDE_RATE = {"nchan": 200}
BESIDE_SECONDS = 5
CHURN, CHURN_RATE, CHURN_SECONDS = 2000, 100, 10
PACKED_RATE, PACKED_SECONDS = 2000, 3
SURE_RATE, SURE_SECONDS = 40_000, 4
BURST = 10_000

OURS, BARE = "stream-serve", "C"
COMMON = ("stream-serve --listen 127.0.0.1:0 --port-file PORT_FILE --eof=stay"
          " --max-connections 20000 --max-per-address 20000")
STREAM_SERVE = Server(OURS, COMMON, peer=OURS)
BLOCKING = Server(OURS, f"{COMMON} --slow=block --buffer 1000", peer=OURS)
BLOCKING_CLOSE = Server(f"{OURS}, --buffer 100", f"{COMMON} --slow=block --buffer 100", peer=OURS,
                        transports=("sse",))
SERVERS = [
    Server(BARE, "serve_bare --port-file PORT_FILE --stay --buffer 1000"),
    Server("uWebSockets, by socketify", "python serve_uws.py PORT_FILE", peer="socketify",
           transports=("ws",), share=0.5),
    Server("Go, net/http", "serve_go PORT_FILE", peer="serve_go", transports=("sse",), share=0.5),
    Server("nchan", "nginx -e stderr -p serve -c nchan.conf", peer="nchan", share=0.05,
           is_fed=True),
    Server("websockets", "python serve_websockets.py PORT_FILE", peer="websockets",
           transports=("ws",), share=0.01),
]
NAMES = {"sse": "SSE", "ws": "WebSocket"}


class Table:
    """Loads of the servers by row; what a server could not do is in its row instead."""

    def __init__(self, bed: Bed, servers: list[Server]):
        prepare(bed)
        self.bed = bed
        self.rows = [(server, transport) for server in servers for transport in server.transports]
        self.loads: dict[str, list[Load]] = {}
        self.failures: dict[str, str] = {}

    @staticmethod
    def name(server: Server, transport: str) -> str:
        return f"{server.name}, {NAMES[transport]}"

    def measure(self, rounds: int, run) -> None:
        """The rows take turns. No round is left out: each run has a server of its own."""
        for turn in range(rounds):
            for server, transport in self.rows:
                name = self.name(server, transport)
                if self.bed.is_missing(server) or name in self.failures:
                    continue
                note(f"{name}, round {turn + 1} of {rounds}")
                try:
                    load = run(server, transport)
                except (BenchmarkError, subprocess.SubprocessError, OSError) as error:
                    # Ours, too: its rows are wanted most where not everything works yet, and its
                    # targets are then not met.
                    note(f"{name}: {error}")
                    self.failures[name] = f"fails: {str(error)[-120:]}"
                    continue
                self.loads.setdefault(name, []).append(load)

    def cells(self, server: Server, transport: str, *columns) -> list[str]:
        name = self.name(server, transport)
        if self.bed.is_missing(server):
            return [name, "not installed", *[""] * len(columns)]
        if name in self.failures:
            return [name, self.failures[name], *[""] * len(columns)]
        loads = self.loads[name]
        return [name, *(shown([column(load) for load in loads]) for column in columns),
                next((load.trouble for load in loads if load.trouble), "nothing")]

    def fill(self, section: Section, *columns) -> Section:
        section.rows += [self.cells(*row, *columns) for row in self.rows]
        return section

    def value(self, server: Server, transport: str, column) -> float | None:
        return median([column(load) for load in self.loads.get(self.name(server, transport), [])])

    def faults(self, *servers: Server) -> float | None:
        loads = [load for server in servers for transport in server.transports
                 for load in self.loads.get(self.name(server, transport), [])]
        return sum(load.faults for load in loads) if loads else None


def shown(values: list[float]) -> str:
    if len(values) > 1:
        return spread(values)
    return f"{values[0]:,.0f}" if values[0] >= 100 else f"{values[0]:.3g}"


def millions(load: Load) -> float:
    return load.rate / 1e6


def fan(bed: Bed) -> Section:
    servers = [BLOCKING, BLOCKING_CLOSE, *SERVERS]
    table = Table(bed, servers)
    rounds = min(bed.rounds, ROUNDS)

    def run(server: Server, transport: str) -> Load:
        count = max(100, round(FAN_MESSAGES * server.share))
        with Serving(bed, server, producer=producer(count, SIZE)) as serving:
            return serving.run(f"--transport {transport} --connections {CLIENTS} --expect {count}"
                               " --duration 30", 30)

    table.measure(rounds, run)
    section = Section(
        "One stream to a thousand clients",
        f"{FAN_MESSAGES:,} messages of {SIZE} bytes as fast as the server takes them"
        " (fewer for the slow ones), to clients on the same machine that look at every one of"
        " them. stream-serve runs with `--slow=block --buffer 1000`. C is a server of one thread"
        " that frames each event once and sends each client what it has not got: the limit."
        " uWebSockets is fed by a timer of a millisecond. CPU time is that of the server.",
        ["server", "million deliveries/s", "CPU µs each", "wrong"])
    table.fill(section, millions, lambda load: load.cpu_each)
    for transport, name in NAMES.items():
        ours = table.value(BLOCKING, transport, millions)
        bare = table.value(SERVERS[0], transport, millions)
        section.targets += [
            Target(f"stream-serve to {CLIENTS} clients, {name}", 8, ours, "M/s"),
            Target("… × the C server", 0.5, ours / bare if ours and bare else None, "×"),
        ]
    section.targets.append(Target("… lost, doubled or out of order", 0,
                                  table.faults(BLOCKING, BLOCKING_CLOSE), "", at_least=False))
    return section


def alone(bed: Bed) -> Section:
    table = Table(bed, [BLOCKING, *SERVERS])

    def run(server: Server, transport: str) -> Load:
        count = round(ALONE_MESSAGES * ALONE_SHARE.get(server.name, 1))
        with Serving(bed, server, producer=producer(count, SIZE)) as serving:
            return serving.run(f"--transport {transport} --expect {count} --duration 30", 30)

    table.measure(min(bed.rounds, ALONE_ROUNDS), run)
    section = Section(
        "One client", f"{ALONE_MESSAGES:,} messages of {SIZE} bytes to one client, fewer where"
        " that would take long. uWebSockets waits for the timer that feeds it.",
        ["server", "million deliveries/s", "CPU µs each", "wrong"])
    table.fill(section, millions, lambda load: load.cpu_each)
    section.targets = [
        *(Target(f"stream-serve to one client, {name}", 1.3,
                 table.value(BLOCKING, transport, millions), "M/s")
          for transport, name in NAMES.items()),
        Target("… lost, doubled or out of order", 0, table.faults(BLOCKING), "", at_least=False),
    ]
    return section


def paced(bed: Bed, servers: list[Server], clients: int, rate: int, seconds: int) -> Table:
    table = Table(bed, servers)
    count = rate * seconds

    def run(server: Server, transport: str) -> Load:
        with Serving(bed, server, producer=producer(count, SIZE, rate)) as serving:
            # Those of the first second meet cold pages.
            return serving.run(f"--transport {transport} --connections {clients} --expect {count}"
                               f" --skip {rate} --duration {seconds + 15}", seconds + 15)

    table.measure(1, run)
    return table


def many(bed: Bed) -> Section:
    table = paced(bed, [STREAM_SERVE, *SERVERS], MANY, MANY_RATE, MANY_SECONDS)
    section = Section(
        "Ten thousand clients",
        f"{MANY_RATE} messages of {SIZE} bytes a second to {MANY:,} clients, one run of"
        f" {MANY_SECONDS} s without its first. All clients get a message at the same time, so the"
        " last of them waits for all the others.",
        ["server", "50 % ms", "99 % ms", "CPU µs each", "wrong"])
    table.fill(section, lambda load: load.late("p50"), lambda load: load.late("p99"),
               lambda load: load.cpu_each)
    section.targets = [
        *(Target(f"stream-serve to {MANY} clients, CPU per delivery, {name}", 3.5,
                 table.value(STREAM_SERVE, transport, lambda load: load.cpu_each), "µs",
                 at_least=False) for transport, name in NAMES.items()),
        Target("… lost, doubled or out of order", 0, table.faults(STREAM_SERVE), "",
               at_least=False),
    ]
    return section


def steady(bed: Bed) -> Section:
    table = paced(bed, [STREAM_SERVE, *SERVERS], CLIENTS, STEADY_RATE, STEADY_SECONDS)
    section = Section(
        "A thousand clients, steadily",
        f"{STEADY_RATE} messages of {SIZE} bytes a second to {CLIENTS} clients, one run of"
        f" {STEADY_SECONDS} s without its first.",
        ["server", "50 % ms", "99 % ms", "CPU µs each", "wrong"])
    table.fill(section, lambda load: load.late("p50"), lambda load: load.late("p99"),
               lambda load: load.cpu_each)
    for transport, name in NAMES.items():
        for percent, limit in [("p50", 2), ("p99", 5)]:
            section.targets.append(Target(
                f"stream-serve to {CLIENTS} clients at {STEADY_RATE}/s, {percent[1:]} %, {name}",
                limit, table.value(STREAM_SERVE, transport, lambda load: load.late(percent)), "ms",
                at_least=False))
    section.targets.append(Target("… lost, doubled or out of order", 0,
                                  table.faults(STREAM_SERVE), "", at_least=False))
    return section


def idle(bed: Bed) -> Section:
    table = Table(bed, [STREAM_SERVE, *SERVERS])
    memory: dict[str, float] = {}

    def run(server: Server, transport: str) -> Load:
        with Serving(bed, server) as serving:
            # A few first, so that what the first client of all makes is not divided by the rest.
            few = serving.hold(f"--transport {transport} --connections {FEW}", 0.5)
            more = serving.hold(f"--transport {transport} --connections {MANY}", 1)
            memory[table.name(server, transport)] = (more - few) / (MANY - FEW)
        with Serving(bed, server) as serving:
            # More addresses than ports would need, as each port then rests for a minute.
            return serving.run(
                f"--transport {transport} --connections {ACCEPTING} --wave {ACCEPTING} --accepts"
                f" --addresses 100 --duration {ACCEPT_SECONDS}", ACCEPT_SECONDS)

    table.measure(1, run)
    section = Section(
        "Idle clients and new ones",
        f"What {MANY:,} clients that get nothing add to the memory of the server (PSS, all of its"
        f" processes), and how many connections a second it answers, {ACCEPTING} at a time, each"
        " closed by the client when the response head is there. The clients take most of the"
        " time of the machine in this.",
        ["server", "bytes per client", "accepts/s", "wrong"])
    for server, transport in table.rows:
        cells = table.cells(server, transport, lambda load: load.seen["accepts_per_second"])
        used = memory.get(table.name(server, transport))
        section.rows.append([cells[0], "" if used is None else f"{used:.0f}", *cells[1:]])
        if server is STREAM_SERVE:
            section.targets += [
                Target(f"stream-serve, memory of an idle client, {NAMES[transport]}", 500, used,
                       "B", at_least=False),
                Target(f"stream-serve, new clients, {NAMES[transport]}", 30_000, table.value(
                    server, transport, lambda load: load.seen["accepts_per_second"]), "/s"),
            ]
    return section


def beside(bed: Bed) -> Section:
    """The others' share of what is offered, with slow readers and without."""
    # The others keep what slow readers do not take for ever, or wait for them.
    nchan = next(it for it in SERVERS if it.name == "nchan")
    table = Table(bed, [STREAM_SERVE, replace(nchan, transports=("ws",))])
    loads: dict[tuple[str, bool], list[Load]] = {}
    rates: dict[str, int] = {}

    def run(server: Server, transport: str) -> Load:
        name = table.name(server, transport)
        rate = BESIDE_RATE.get(server.name, 5000)
        rates[name] = rate
        count = rate * BESIDE_SECONDS
        for are_slow in [False, True]:
            # The same fast clients both times, so the slow ones are all that is added.
            clients = CLIENTS if are_slow else CLIENTS * 9 // 10
            slow = " --slow 0.1 --slow-rate 20000" if are_slow else ""
            with Serving(bed, server, producer=producer(count, SIZE, rate)) as serving:
                load = serving.run(f"--transport {transport} --connections {clients} --expect"
                                   f" {count} --skip {rate}{slow} --duration"
                                   f" {BESIDE_SECONDS + 15}", BESIDE_SECONDS + 15)
            loads.setdefault((name, are_slow), []).append(load)
        return load

    table.measure(1, run)
    section = Section(
        "Slow readers beside others",
        f"{CLIENTS * 9 // 10} clients alone, and with {CLIENTS // 10} more that read 20 kB/s, at a"
        " rate near what the server can do: what the fast ones get, and how late. One run each.",
        ["server", "messages/s offered", "fast clients' deliveries/s, alone", "beside slow ones",
         "99 % ms, alone", "beside slow ones", "wrong"])
    for server, transport in table.rows:
        name = table.name(server, transport)
        if name not in table.loads:
            section.rows.append([*table.cells(server, transport), "", "", "", ""])
            continue
        both = [loads[name, are_slow] for are_slow in (False, True)]
        section.rows.append([
            name, f"{rates[name]:,}",
            *(f"{statistics.median(load.rate for load in each):,.0f}" for each in both),
            *(f"{statistics.median(load.late('p99') for load in each):.1f}" for each in both),
            next((load.trouble for each in both for load in each if load.trouble), "nothing")])
        if server is STREAM_SERVE:
            alone_rate, slow_rate = (statistics.median(load.rate for load in each)
                                     for each in both)
            section.targets.append(Target(
                f"stream-serve, what slow readers cost the others, {NAMES[transport]}", 5,
                (1 - slow_rate / alone_rate) * 100, "%", at_least=False))
            untold = sum(load.faults for each in both for load in each)
            section.targets.append(Target("… lost, doubled or out of order", 0, untold, "",
                                          at_least=False))
    return section


def resume(bed: Bed) -> Section:
    """Everything here is only right or wrong."""
    section = Section(
        "Nothing lost",
        f"{CHURN} times a second one of {CLIENTS} clients, chosen at random, closes and comes back"
        f" with the id of its last event, for {CHURN_SECONDS} s at {CHURN_RATE} messages a second;"
        f" {SURE_RATE:,} messages a second to one client; {BURST:,} at once to one client; with"
        " the defaults of stream-serve.",
        ["server", "deliveries", "50 % ms", "99 % ms", "wrong"])
    cases = [
        (f"{CHURN} reconnects a second", CHURN_RATE * CHURN_SECONDS, CHURN_RATE, "",
         f"--connections {CLIENTS} --churn {CHURN} --addresses 20", CHURN_SECONDS, [STREAM_SERVE]),
        (f"{SURE_RATE} a second to one client", SURE_RATE * SURE_SECONDS, SURE_RATE, "--burst 40",
         "", SURE_SECONDS, None),
        (f"{BURST} at once to one client", BURST, 0, "", "", 5, None),
    ]
    peers = [it for it in SERVERS if it.name in ("nchan", "websockets")]
    for name, count, rate, paces, clients, seconds, servers in cases:
        table = Table(bed, servers or [STREAM_SERVE, *peers])

        def run(server: Server, transport: str) -> Load:
            feed = producer(count, SIZE, rate, paces)
            with Serving(bed, server, producer=feed) as serving:
                return serving.run(f"--transport {transport} --expect {count} {clients}"
                                   f" --duration {seconds + 10}", seconds + 10)

        table.measure(1, run)
        for server, transport in table.rows:
            cells = table.cells(server, transport, lambda load: load.seen["deliveries"],
                                lambda load: load.late("p50"), lambda load: load.late("p99"))
            load = (table.loads.get(cells[0]) or [None])[0]
            if load:
                cells[1] = f"{load.seen['deliveries']:,}"
            section.rows.append([f"{cells[0]}, {name}", *cells[1:]])
        for transport in NAMES:
            section.targets.append(Target(
                f"stream-serve, {name}: lost, doubled, out of order or skipped, {NAMES[transport]}",
                0, table.value(STREAM_SERVE, transport,
                               lambda load: load.faults + load.seen["gap_missed"]), "",
                at_least=False))
        if rate == CHURN_RATE:
            section.targets.append(Target(
                "stream-serve, reconnects with resume", CHURN * 0.95, table.value(
                    STREAM_SERVE, "sse",
                    lambda load: load.seen["reconnects"] / load.seen["seconds"]), "/s"))
    return section


def packed(bed: Bed) -> Section:
    table = Table(bed, [STREAM_SERVE])
    count = PACKED_RATE * PACKED_SECONDS
    loads: dict[tuple[str, bool], list[Load]] = {}

    def run(server: Server, transport: str) -> Load:
        for is_packed in [False, True]:
            asked = {"sse": "--gzip", "ws": "--deflate"}[transport] if is_packed else ""
            with Serving(bed, server,
                         producer=producer(count, SIZE, PACKED_RATE, "--trades")) as serving:
                load = serving.run(f"--transport {transport} --connections {CLIENTS} --expect"
                                   f" {count} --skip {PACKED_RATE} {asked} --duration"
                                   f" {PACKED_SECONDS + 10}", PACKED_SECONDS + 10)
            loads.setdefault((transport, is_packed), []).append(load)
        return load

    table.measure(2, run)
    section = Section(
        "Compressed",
        f"{PACKED_RATE} trades of about {SIZE} bytes a second, no two alike, to {CLIENTS} clients:"
        " as they are, then with gzip or permessage-deflate. The clients look into every event of"
        " every hundredth; of the others only frames and bytes are counted. Two runs each.",
        ["form", "CPU µs each", "bytes each", "99 % ms", "wrong"])
    for transport in NAMES:
        both = []
        for is_packed in [False, True]:
            runs = loads.get((transport, is_packed), [])
            form = NAMES[transport] + (", compressed" if is_packed else "")
            if not runs:
                section.rows.append([form, table.failures.get(
                    table.name(STREAM_SERVE, transport), "not installed"), "", "", ""])
                continue
            both.append(runs)
            section.rows.append([
                form, spread([load.cpu_each for load in runs]),
                spread([load.bytes_each for load in runs]),
                spread([load.late("p99") for load in runs]),
                next((load.trouble for load in runs if load.trouble), "nothing")])
        plain, small = both if len(both) == 2 else ([], [])
        cpu, size = (
            statistics.median(map(column, small)) / statistics.median(map(column, plain))
            if small else None
            for column in (lambda load: load.cpu_each, lambda load: load.bytes_each))
        section.targets += [
            Target(f"stream-serve, CPU of compressed {NAMES[transport]} × plain", 1.3, cpu, "×",
                   at_least=False),
            Target("… bytes × plain", 0.4, size, "×", at_least=False),
            Target("… lost, doubled or out of order", 0,
                   sum(load.faults for load in small) if small else None, "", at_least=False),
        ]
    return section
