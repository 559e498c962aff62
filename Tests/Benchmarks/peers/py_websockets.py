"""A pipe on a WebSocket with PyPI's websockets: recv | send | one, URL, and a file of CAs."""

import asyncio
import ssl
import sys

SIZE = 1 << 16


async def receive(url: str) -> None:
    from websockets.asyncio.client import connect

    output = sys.stdout.buffer
    async with connect(url, compression=None, max_size=None, proxy=None) as connection:
        async for message in connection:
            output.write(message.encode() if isinstance(message, str) else message)
            output.write(b"\n")
    output.flush()


async def send(url: str) -> None:
    from websockets.asyncio.client import connect

    async with connect(url, compression=None, proxy=None) as connection:
        for line in sys.stdin:
            await connection.send(line[:-1])


async def one(url: str, context: ssl.SSLContext | None) -> None:
    from websockets.asyncio.client import connect

    options = {"ssl": context} if context else {}
    async with connect(url, compression=None, proxy=None, **options) as connection:
        await connection.send(sys.stdin.readline()[:-1])
        print(await connection.recv())


if __name__ == "__main__":
    mode, url, *authorities = sys.argv[1:]
    if mode == "one":
        asyncio.run(one(url, ssl.create_default_context(cafile=authorities[0])
                        if authorities else None))
    else:
        asyncio.run({"recv": receive, "send": send}[mode](url))
