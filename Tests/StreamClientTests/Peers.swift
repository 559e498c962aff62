import Foundation
import Glibc
import Testing

/// A peer in Python, which says its port and lives as long as this, ten minutes at the most.
final class Peer {
    let port: Int
    private let process = Process()

    init(_ arguments: [String]) throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", program] + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        port = try #require(Int(line.trimmingCharacters(in: .newlines)))
    }

    deinit {
        // Threads of the test's pool have SIGTERM blocked, and so have their children.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

/// tls DIR CERT [CLIENT-CA]: an echo over TLS. `connect` and `socks5`, [USER:PASSWORD]: proxies.
private let program = #"""
    import base64, os, signal, socket, ssl, sys, threading
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.alarm(600)
    mode, arguments = sys.argv[1], sys.argv[2:]

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def join(one, other):
        threading.Thread(target=pump, args=(one, other), daemon=True).start()
        pump(other, one)

    def take(connection, count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("end")
            data += more
        return data

    def tls(connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{arguments[0]}/{arguments[1]}.pem", f"{arguments[0]}/key.pem")
        if len(arguments) > 2:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(f"{arguments[0]}/{arguments[2]}.pem")
        channel = context.wrap_socket(connection, server_side=True)
        while data := channel.recv(65536):
            if data.startswith(b"reset"):
                connection.close(); os.close(channel.detach()); return
            if data.startswith(b"end"):
                channel.unwrap(); return
            channel.sendall(data)

    def connect(connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += take(connection, 1)
        wanted = base64.b64encode(arguments[0].encode()) if arguments else b""
        if b"Basic " + wanted not in head and wanted:
            connection.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n"
                b"Content-Length: 0\r\n\r\n")
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        if port == "9":
            connection.sendall(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")
            return
        join(connection, dial(host, connection, b"HTTP/1.1 200 OK\r\n\r\n", int(port)))

    def dial(host, connection, answer, port):
        upstream = socket.create_connection(("127.0.0.1", port))
        connection.sendall(answer)
        return upstream

    def socks5(connection):
        _, count = take(connection, 2)
        methods = take(connection, count)
        if arguments:
            if 2 not in methods:
                connection.sendall(b"\x05\xff"); return
            connection.sendall(b"\x05\x02")
            take(connection, 1)
            user = take(connection, take(connection, 1)[0]).decode()
            password = take(connection, take(connection, 1)[0]).decode()
            if f"{user}:{password}" != arguments[0]:
                connection.sendall(b"\x01\x01"); return
            connection.sendall(b"\x01\x00")
        else:
            connection.sendall(b"\x05\x00")
        kind = take(connection, 4)[3]
        size = {1: 4, 4: 16}.get(kind) or take(connection, 1)[0]
        host = take(connection, size)
        port = int.from_bytes(take(connection, 2), "big")
        if port == 9:
            connection.sendall(b"\x05\x05\x00\x01" + bytes(6)); return
        join(connection, dial(host, connection, b"\x05\x00\x00\x01" + bytes(6), port))

    def serve(connection):
        try:
            globals()[mode](connection)
        except (OSError, ssl.SSLError):
            pass
        connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    """#

/// Certificates of an authority of our own: ca.pem, server.pem (localhost, 127.0.0.1,
/// example.test), expired.pem, client.pem, one key.pem for all, and other.pem, a stranger's.
enum Certificates {
    static let directory: String = {
        let script = """
            set -e; cd '\(scratch)'
            openssl ecparam -name prime256v1 -genkey -noout -out key.pem
            openssl ecparam -name prime256v1 -genkey -noout -out other-key.pem
            ca() { openssl req -x509 -new -key $1 -subj "/CN=$2" -days 30 -out $2.pem; }
            ca key.pem ca; ca other-key.pem other
            printf 'subjectAltName=DNS:localhost,DNS:example.test,IP:127.0.0.1' > names
            leaf() {
                openssl req -new -key key.pem -subj "/CN=$1" -out $1.csr
                openssl x509 -req -in $1.csr -CA ca.pem -CAkey key.pem -set_serial $RANDOM \\
                    -days $2 -extfile names -out $1.pem
            }
            leaf server 30; leaf client 30; leaf expired -1
            openssl pkey -in key.pem -pubout -outform der | openssl dgst -sha256 -binary \\
                | openssl base64 -A > pin
            openssl pkey -in key.pem -aes256 -passout pass:x -out locked.pem
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script]
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { preconditionFailure("\(error)") }
        process.waitUntilExit()
        precondition(process.terminationStatus == 0, "openssl")
        return scratch
    }()

    static func path(_ name: String) -> String { directory + "/" + name }
}
