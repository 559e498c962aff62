"""Single events and lines, made up at random, each in the forms that tools read or write."""

import json
import random
import string

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
VENUES = ["NYSE", "NASDAQ", "LSE", "XETRA"]


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
        "time": time(rng),
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


def time(rng: random.Random) -> str:
    return "2026-03-%02dT%02d:%02d:%02d.%03dZ" % (
        rng.randint(1, 31), rng.randrange(24), rng.randrange(60), rng.randrange(60),
        rng.randrange(1000))


def user_event(rng: random.Random) -> dict[str, str]:
    """One log line of 150 to 400 bytes, with a place for the user's id."""
    while True:
        members = {
            "time": time(rng),
            "level": rng.choices(["info", "debug", "warn", "error"], [80, 12, 6, 2])[0],
            "service": rng.choice(["checkout", "search", "catalog", "login", "mail"]),
            "message": text(rng, 12).strip(),
            "user": {"id": "%b", "plan": rng.choice(["free", "free", "pro", "team", None])},
            "http": {
                "method": rng.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE"]),
                "path": f"/api/v2/{rng.choice(WORDS)}/{rng.randrange(100_000)}",
                "status": rng.choice([200, 200, 200, 204, 301, 304, 404, 500]),
            },
            "bytes": rng.randrange(100_000),
            # An integer, because jq writes 1.0 as 1.
            "microseconds": int(rng.expovariate(1 / 50_000)),
            "tags": rng.sample(["web", "beta", "eu", "retry", "cached"], rng.randrange(4)),
            "agent": rng.choice(AGENTS),
        }
        for name in ["message", "http", "tags", "agent"]:
            if rng.random() < 0.3:
                del members[name]
        line = compact(members)
        if 150 <= len(line.encode()) + 14 < 400:
            return {"users.jsonl": f"{line}\n"}


def tick(rng: random.Random, symbol: str, cents: int) -> tuple[str, str, bytes]:
    """The symbol, its price, and the line of 100 to 130 bytes with a place for the time."""
    price = f"{(cents + rng.randrange(5)) / 100:.2f}"
    line = (f'{{"t":%d,"symbol":"{symbol}-USD","price":{price},"size":{rng.randrange(1, 5000)},'
            f'"side":"{rng.choice(["buy", "sell"])}","venue":"{rng.choice(VENUES)}",'
            f'"trade":{rng.getrandbits(40)}}}\n')
    return symbol, price, line.encode()


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
