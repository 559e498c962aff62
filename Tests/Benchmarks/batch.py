"""The rows of stream-batch: arrays, a command for each batch, and aggregates by key."""

import hashlib
import json
import math
import re
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Iterator

from measure import Bed, BenchmarkError, Row, note
from report import Section, Target, spread
from sample import beside, both
from throughput import Throughput

COUNT = 1000
# What the keyed rows hold of each key at the most.
KEYED_COUNT = 100
MEAN_ERROR = 1e-9
QUANTILE_ERROR = 0.01

ARRAYS, UNCHECKED = "-n", "-n --no-validate"
# The fastest of nine ways to write it: a count of its own, and OFS instead of concatenation.
MAWK_JOIN = ("""mawk 'BEGIN{OFS=ORS="";s="["}{print s,$0;if(++n==1000){n=0;s="]\\n["}else s=","}"""
             """END{if(NR)print "]\\n"}'""")
# '[inputs]|_nwise(1000)' copies what is left for each group: minutes for a hundred megabytes.
JQ_GROUP = "jq -cn 'def b:[limit(1000;inputs)]|select(length>0)|.,b;b'"

ARRAY_ROWS = [
    *both(ARRAYS, "stream-batch -n 1000", "users.jsonl", writes="users-arrays.jsonl"),
    *both(UNCHECKED, "stream-batch -n 1000 --no-validate", "users.jsonl",
          writes="users-arrays.jsonl"),
    *both("mawk", MAWK_JOIN, "users.jsonl", "mawk", UNCHECKED, writes="users-arrays.jsonl"),
    Row("jq", f"{JQ_GROUP} users-part.jsonl", "users-part.jsonl", "jq", ARRAYS,
        "users-arrays-part.jsonl"),
    Row("-n, prices", "stream-batch -n 1000 prices.jsonl", "prices.jsonl",
        writes="prices-arrays.jsonl"),
    Row("-n --no-validate, prices", "stream-batch -n 1000 --no-validate prices.jsonl",
        "prices.jsonl", writes="prices-arrays.jsonl"),
    Row("mawk, prices", f"{MAWK_JOIN} prices.jsonl", "prices.jsonl", "mawk",
        "-n --no-validate, prices", "prices-arrays.jsonl"),
]

# Neither --block nor other flags make it faster while each thousand lines get a process, but -u
# does: output is not collected.
PARALLEL = "cat users-part.jsonl | parallel --will-cite --plain --pipe -N1000"
COUNTED = "/usr/bin/wc -l"

AGGREGATES = "-k .symbol -a count -a 'mean(.price)' -a 'p99(.price)'"
MLR = "mlr --ijsonl --ojsonl stats1 -a count,mean,p99 -f price -g symbol"
AGGREGATED, KEYED = "aggregates by key", "batches by key"
AGGREGATE_ROWS = [
    *both(AGGREGATED, f"stream-batch {AGGREGATES}", "prices.jsonl"),
    Row("mlr", f"{MLR} prices-part.jsonl", "prices-part.jsonl", "mlr", AGGREGATED),
    Row(KEYED, f"stream-batch -n {KEYED_COUNT} -k .symbol prices.jsonl", "prices.jsonl"),
]


def arrays(bed: Bed) -> Section:
    for name in ["users", "users-part", "prices"]:
        add_form(bed, array_form(name), joined(bed.directory / f"{name}.jsonl"))
    measured = Throughput(bed, ARRAY_ROWS)
    section = measured.section(
        "Batches of JSON Lines",
        "Arrays of 1000 lines. `mawk` joins lines without a look at them, and is beside"
        " `--no-validate`; `jq` reads the values and writes them anew. The lines of users.jsonl"
        f" have {width(bed, 'users.jsonl')} bytes, those of prices.jsonl"
        f" {width(bed, 'prices.jsonl')}.",
    )
    section.targets = [
        Target("stream-batch `-n 1000` from a file", 1.3, measured.rate(ARRAYS), "GB/s"),
        Target("stream-batch `-n 1000` from a file, shorter lines", 1.3,
               measured.rate("-n, prices"), "GB/s"),
        *beside(measured, UNCHECKED, "mawk", "`mawk` joining, with `--no-validate`", 1),
        Target("… × `mawk` joining, with `--no-validate`, shorter lines", 1,
               measured.ratio("-n --no-validate, prices", "mawk, prices"), "×"),
    ]
    return section


def deliver(bed: Bed) -> Section:
    check_delivery(bed)
    rows = delivery_rows(bed)
    measured = Throughput(bed, rows)
    section = Section(
        "A command for each batch",
        "A process for each 1000 lines. `spawn` starts as many, one after the other, with"
        " posix_spawn and wait4 and /dev/null as input: nothing is read or written. `true` does"
        " not read its batch, which GNU `parallel` takes for a failure, so it is given `wc -l`"
        " only. `parallel` reads no file with `--pipe`; the `cat` before it costs next to nothing.",
        ["row", "command", "batches", "wall s", "ms a batch", "cpu s", "peak MB", "beside",
         "ours is × as fast"])
    for row in rows:
        cells = measured.cells(row)
        if row.name not in measured.runs:
            section.rows.append([*cells[:2], "", *cells[2:]])
            continue
        count = batches(bed, row.input)
        walls = [run.wall * 1000 / count for run in measured.runs[row.name]]
        name, command, _, wall, cpu, peak, other, ratio = cells
        section.rows.append([name, command, str(count), wall, spread(walls), cpu, peak, other,
                             ratio])
    section.targets = [
        *(Target(f"stream-batch `-n 1000 -j {jobs} -- {name}`{shape} × the time of spawning alone",
                 1.3, measured.ratio(f"spawn {name}{shape}", f"-j {jobs}, {name}{shape}"), "×",
                 at_least=False)
          for name, shape in [("true", ""), ("true", ", prices"), ("wc -l", "")]
          for jobs in [1, 2]),
        *(Target(f"… × GNU `parallel --pipe -N1000 -j {jobs}`", 4,
                 measured.ratio(f"-j {jobs}, wc -l", f"parallel -j {jobs}"), "×")
          for jobs in [1, 2]),
    ]
    return section


def delivery_rows(bed: Bed) -> list[Row]:
    rows = []
    for name, command, form, shape, input in [
            ("true", "/bin/true", "", "", "users-part.jsonl"),
            ("true", "/bin/true", "", ", prices", "prices-part.jsonl"),
            # As lines, which is what parallel gives it.
            ("wc -l", COUNTED, "-f lines ", "", "users-part.jsonl")]:
        alone, ours = f"spawn {name}{shape}", f"-j 1, {name}{shape}"
        rows += [Row(f"-j {jobs}, {name}{shape}",
                     f"stream-batch -n 1000 {form}-j {jobs} {input} -- {command}", input)
                 for jobs in [1, 2]]
        rows.append(Row(alone, f"spawn {batches(bed, input)} {command}", input, beside=ours))
    rows += [Row(f"parallel -j {jobs}", f"{PARALLEL} -u -j{jobs} {COUNTED}", "users-part.jsonl",
                 "parallel", f"-j {jobs}, wc -l") for jobs in [1, 2]]
    return rows


def check_delivery(bed: Bed) -> None:
    """Throws unless commands get what they should, and as many are started."""
    name = "users-part.jsonl"
    lines = bed.forms[name]["lines"]
    counts = [min(COUNT, lines - start) for start in range(0, lines, COUNT)]
    add_form(bed, "counts", (b"%d\n" % count for count in counts))
    add_form(bed, "echoes", (b"\n" for _ in counts))
    add_form(bed, array_form("users-part"), joined(bed.directory / name))
    for jobs in ["-j 1", "-j 2 --keep-order"]:
        ours = f"stream-batch -n 1000 {jobs}"
        bed.check(Row("", f"{ours} {name} -- cat", name, writes="users-arrays-part.jsonl"))
        bed.check(Row("", f"{ours} -f lines {name} -- cat", name, writes=name))
        bed.check(Row("", f"{ours} -f lines {name} -- {COUNTED}", name, writes="counts"))
        # It does not read, as true does not, but leaves a trace.
        bed.check(Row("", f"{ours} {name} -- /bin/echo", name, writes="echoes"))
    bed.check(Row("", f"{PARALLEL} -k -j2 cat", name, "parallel", writes=name))
    bed.check(Row("", f"{PARALLEL} -u -j1 {COUNTED}", name, "parallel", writes="counts"))


def aggregate(bed: Bed) -> Section:
    check_aggregates(bed)
    check_keyed(bed)
    measured = Throughput(bed, AGGREGATE_ROWS)
    section = measured.section(
        "Aggregates by key",
        "Count, mean and 99 % quantile of a number for each of 10,000 keys; `mlr` keeps all"
        " numbers of the part for its quantile. Before, both are compared with the numbers of"
        f" the part: the counts are equal, means within {MEAN_ERROR:g} of them, quantiles within"
        f" {QUANTILE_ERROR:.0%} of a true one. Batches by key are arrays of {KEYED_COUNT}.",
    )
    section.targets = [
        Target("stream-batch, count, mean and p99 by key", 0.5, measured.rate(AGGREGATED), "GB/s"),
        Target("… × `mlr stats1`", 20, measured.ratio(AGGREGATED, "mlr"), "×"),
    ]
    return section


def check_aggregates(bed: Bed) -> None:
    name = "prices-part.jsonl"
    text = (bed.directory / name).read_bytes()
    prices: dict[str, list[float]] = defaultdict(list)
    for symbol, price in re.findall(rb'"symbol":"([^"]+)","price":([0-9.]+)', text):
        prices[symbol.decode()].append(float(price))
    for values in prices.values():
        values.sort()
    for command, peer in [(f"stream-batch {AGGREGATES} {name}", ""), (f"{MLR} {name}", "mlr")]:
        if peer and bed.versions[peer] is None:
            continue
        note(f"checking {command}")
        seen = set()
        for line in bed.output(command).splitlines():
            # The key is first, then what was asked for, in this order.
            value = json.loads(line)
            found = list(value.values()) if isinstance(value, dict) else []
            if len(found) != 4 or not is_right(found, prices.get(found[0], [])):
                raise BenchmarkError(f"{command}: wrote {line[:200].decode()}, which is wrong")
            seen.add(found[0])
        if seen != set(prices):
            raise BenchmarkError(f"{command}: wrote {len(seen)} keys, not {len(prices)}")


def is_right(found: list, values: list[float]) -> bool:
    """Whether count, mean and quantile are those of the sorted values."""
    _, count, mean, quantile = found
    if count != len(values) or not values:
        return False
    true = math.fsum(values) / count
    # However a quantile is defined, it lies between these.
    low, high = values[99 * (count - 1) // 100], values[min(count - 1, 99 * count // 100)]
    return (abs(mean - true) <= MEAN_ERROR * abs(true)
            and low * (1 - QUANTILE_ERROR) <= quantile <= high * (1 + QUANTILE_ERROR))


def check_keyed(bed: Bed) -> None:
    command = f"stream-batch -n {KEYED_COUNT} -k .symbol prices-part.jsonl"
    note(f"checking {command}")
    lines: dict[bytes, list[bytes]] = defaultdict(list)
    with open(bed.directory / "prices-part.jsonl", "rb") as file:
        for line in file:
            lines[line.split(b'"', 6)[5]].append(line[:-1])
    expected = [b"[" + b",".join(every[start:start + KEYED_COUNT]) + b"]"
                for every in lines.values() for start in range(0, len(every), KEYED_COUNT)]
    # Those that the end of the input closes have no order that was promised.
    if sorted(bed.output(command).splitlines()) != sorted(expected):
        raise BenchmarkError(f"{command}: wrote other batches than the {len(expected)} expected")


def joined(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while lines := list(islice(file, COUNT)):
            yield b"[" + b"".join(lines)[:-1].replace(b"\n", b",") + b"]\n"


def array_form(name: str) -> str:
    return f"{name.replace('-part', '')}-arrays{'-part' if '-part' in name else ''}.jsonl"


def add_form(bed: Bed, name: str, blocks: Iterator[bytes]) -> None:
    """Makes known what a row has to write."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    bed.forms[name] = {"bytes": size, "sha256": digest.hexdigest()}


def batches(bed: Bed, name: str) -> int:
    return -(-bed.forms[name]["lines"] // COUNT)


def width(bed: Bed, name: str) -> int:
    return round(bed.forms[name]["bytes"] / bed.forms[name]["lines"])
