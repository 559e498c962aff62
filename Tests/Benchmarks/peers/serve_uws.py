"""serve_uws.py PORT_FILE: standard input to WebSocket clients, with the publish of uWebSockets.

socketify brings the library. Its native loop runs here, without asyncio; a timer looks for input.
"""

import os
import sys
from pathlib import Path

from socketify import App, CompressOptions, OpCode

CHUNK = 1 << 16
TICK_MILLISECONDS = 1

app = App(lifespan=False)
unfinished = b""


def publish(_) -> None:
    global unfinished
    try:
        chunk = os.read(0, CHUNK)
    except BlockingIOError:
        return
    *lines, unfinished = (unfinished + chunk).split(b"\n")
    for line in lines:
        app.publish("all", line, OpCode.TEXT)


app.ws("/ws", {
    "compression": CompressOptions.DISABLED,
    "idle_timeout": 0,
    # More than waits for any client, as it would lose what is beyond.
    "max_backpressure": 1 << 30,
    "open": lambda socket: socket.subscribe("all"),
})
app.listen(0, lambda it: Path(sys.argv[1]).write_text(f"{it.port}\n"))
os.set_blocking(0, False)
timer = app.loop.uv_loop.create_timer(TICK_MILLISECONDS, TICK_MILLISECONDS, publish, None)
app.loop.uv_loop.run()
