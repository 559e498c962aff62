"""A pipe on a WebSocket with PyPI's websocket-client: recv | send | one, URL, a file of CAs."""

import sys

import websocket


def main(mode: str, url: str, authorities: str | None = None) -> None:
    options = {"ca_certs": authorities} if authorities else None
    connection = websocket.create_connection(url, sslopt=options)
    output = sys.stdout.buffer
    if mode == "recv":
        while True:
            opcode, data = connection.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            output.write(data)
            output.write(b"\n")
    elif mode == "send":
        for line in sys.stdin:
            connection.send(line[:-1])
    else:
        connection.send(sys.stdin.readline()[:-1])
        print(connection.recv())
    output.flush()
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
