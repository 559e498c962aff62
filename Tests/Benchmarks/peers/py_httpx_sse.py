"""Each event's data on a line: py_httpx_sse.py URL"""

import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client(timeout=30) as client, connect_sse(client, "GET", sys.argv[1]) as source:
    write = sys.stdout.write
    for event in source.iter_sse():
        write(event.data + "\n")
