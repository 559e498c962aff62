"""serve_websockets.py PORT_FILE: standard input to WebSocket clients, by broadcast."""

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.server import broadcast, serve

CHUNK = 1 << 16


async def main() -> None:
    async def hold(connection) -> None:
        await connection.wait_closed()

    async with serve(hold, "127.0.0.1", 0, compression=None, backlog=4096) as server:
        port = server.sockets[0].getsockname()[1]
        Path(sys.argv[1]).write_text(f"{port}\n")
        loop = asyncio.get_running_loop()
        unfinished = b""
        while chunk := await loop.run_in_executor(None, sys.stdin.buffer.raw.read, CHUNK):
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                broadcast(server.connections, line.decode())
                await asyncio.sleep(0)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
