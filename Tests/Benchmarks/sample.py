"""The rows of stream-sample, each command on the file and behind a pipe."""

from measure import Bed, Row
from report import Section, Target
from throughput import Throughput


def both(name: str, command: str, input: str, peer: str = "", beside: str = "", **written
         ) -> list[Row]:
    """The command on the file, and in the same pipe as the row that it is beside."""
    return [
        Row(name, f"{command} {input}", input, peer, beside, **written),
        Row(piped(name), f"cat {input} | {command}", input, peer, piped(beside), **written),
    ]


def piped(name: str) -> str:
    return name and f"{name}, piped"


SHARE, COUNT, KEY = "-p", "-n", "-p --key"
LATEST = "--latest --every"

JQ_BY_KEY = "jq -c 'select((.user.id|explode|add)%100==0)'"
# 028f5c is a hundredth of 1000000: all hashes that begin with less are a hundredth of them.
MLR_BY_KEY = """mlr --ijsonl --ojsonl filter 'md5($user["id"]) < "028f5c"'"""

ROWS = [
    *both(SHARE, "stream-sample -p 0.01", "users.jsonl", samples=0.01),
    *both("mawk", "mawk 'rand()<0.01'", "users.jsonl", "mawk", SHARE, samples=0.01),
    *both("wc -l", "wc -l", "users.jsonl", "wc", SHARE),
    *both(COUNT, "stream-sample -n 1000", "users.jsonl", samples=1000),
    *both("shuf", "shuf -n 1000", "users.jsonl", "shuf", COUNT, samples=1000),
    *both(KEY, "stream-sample -p 0.01 --key .user.id", "users.jsonl", writes="users-key.jsonl"),
    *both("mlr", MLR_BY_KEY, "users-part.jsonl", "mlr", KEY, writes="users-md5-part.jsonl"),
    *both("jq", JQ_BY_KEY, "users-part.jsonl", "jq", KEY, writes="users-sum-part.jsonl"),
    *both(LATEST, "stream-sample --latest .symbol --every 1s", "prices.jsonl"),
    Row("--latest --every --time",
        "stream-sample --latest .symbol --every 1s --time .t prices.jsonl", "prices.jsonl",
        writes="prices-every.jsonl"),
    Row("--latest", "stream-sample --latest .symbol prices.jsonl", "prices.jsonl",
        writes="prices-latest.jsonl"),
    Row("--nth", "stream-sample --nth 100 users.jsonl", "users.jsonl", writes="users-nth.jsonl"),
    Row("mawk, nth", "mawk 'NR%100==1' users.jsonl", "users.jsonl", "mawk", "--nth",
        "users-nth.jsonl"),
    Row("--distinct", "stream-sample --distinct .user.id users.jsonl", "users.jsonl",
        writes="users-distinct.jsonl"),
    Row("--change", "stream-sample --change .price --by .symbol prices.jsonl", "prices.jsonl",
        writes="prices-change.jsonl"),
    Row("-n --weight", "stream-sample -n 1000 --weight .bytes users.jsonl", "users.jsonl",
        samples=1000),
    # A chart holds all its lines, so it is one of the part.
    Row("--lttb", "stream-sample --lttb 1000 -y .price prices-part.jsonl", "prices-part.jsonl",
        samples=1000),
    Row("--rate", "stream-sample --rate 1000/s users.jsonl", "users.jsonl"),
]

# When the clock ends the intervals, what is written differs from run to run; but the newest lines
# of that are the newest of all.
NEWEST = Row(
    "", "stream-sample --latest .symbol --every 1s prices.jsonl | stream-sample --latest .symbol",
    "prices.jsonl", writes="prices-latest.jsonl")


def sample(bed: Bed) -> Section:
    bed.check(NEWEST)
    measured = Throughput(bed, ROWS)
    section = measured.section(
        "Samples of JSON Lines",
        "`mawk`, `shuf` and `wc` take lines for text, as `-p` and `-n` do. `mlr` and `jq` have no"
        " sampling by key; like `--key` the filters here take all lines of a key or none, about a"
        " hundredth of the keys: `mlr` by its MD5, `jq`, which has no hash, by the sum of its code"
        " points. Piped rows are beside piped ones, as the pipe itself is slower than a file.",
    )
    section.targets = [
        Target("stream-sample `-p` from a file", 3.2, measured.rate(SHARE), "GB/s"),
        *beside(measured, SHARE, "mawk", "`mawk 'rand()<0.01'`", 1),
        *(Target(f"… × the time of {text}", 1.5, measured.ratio(peer, ours), "×", at_least=False)
          for peer, ours, text in [
              ("wc -l", SHARE, "`wc -l`"),
              (piped("wc -l"), piped(SHARE), "`wc -l`, in the same pipe"),
          ]),
        Target("stream-sample `-n` from a file", 2, measured.rate(COUNT), "GB/s"),
        *beside(measured, COUNT, "shuf", "`shuf -n 1000`", 2),
        Target("stream-sample `-p --key` from a file", 1.2, measured.rate(KEY), "GB/s"),
        *beside(measured, KEY, "mlr", "`mlr` by key", 20),
        *beside(measured, KEY, "jq", "`jq` by key", 15),
        Target("stream-sample `--latest --every 1s`, 10,000 keys", 0.7, measured.rate(LATEST),
               "GB/s"),
    ]
    return section


def beside(measured: Throughput, ours: str, peer: str, text: str, limit: float) -> list[Target]:
    return [
        Target(f"… × {text}", limit, measured.ratio(ours, peer), "×"),
        Target(f"… × {text}, in the same pipe", limit,
               measured.ratio(piped(ours), piped(peer)), "×"),
    ]
