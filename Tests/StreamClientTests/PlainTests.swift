import Foundation
import Glibc
import StreamCodec
import Testing

@testable import StreamClient

@Suite
struct PlainTests {
    @Test func sendsAndReceives() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        #expect(transport.isConnected && !transport.isTLS)
        #expect(transport.peerAddress == "127.0.0.1:\(listener.port)")
        #expect(transport.descriptors.isEmpty && transport.deadline == nil)
        let peer = try listener.take()
        defer { close(peer) }
        var output = ByteQueue()
        output.append("hello")
        #expect(try transport.send(&output))
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(recv(peer, &buffer, 16, 0) == 5)
        #expect(Glibc.send(peer, "world", 5, 0) == 5)
        #expect(try receive(&transport, 5) == text("world"))
        var queue = ByteQueue()
        #expect(try transport.receive(into: &queue, upTo: 10) == .wouldBlock)
        transport.finishSending()
        #expect(recv(peer, &buffer, 16, 0) == 0)
        shutdown(peer, Int32(SHUT_WR))
        #expect(try receive(&transport, 1) == [])
    }

    @Test func takesNoMoreThanAsked() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        let peer = try listener.take()
        defer { close(peer) }
        #expect(Glibc.send(peer, "abcdef", 6, 0) == 6)
        #expect(try receive(&transport, 4) == text("abcd"))
        #expect(try receive(&transport, 2) == text("ef"))
    }

    @Test func descriptorsDoNotBlockAndAreClosedOnExec() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        #expect(fcntl(transport.descriptor, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(transport.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        let descriptor = transport.descriptor
        transport.close()
        #expect(fcntl(descriptor, F_GETFD) == -1 || transport.descriptor == -1)
    }

    @Test func fullPeerStopsSending() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        let peer = try listener.take()
        defer { close(peer) }
        var output = ByteQueue()
        let size = 32 << 20
        output.append([UInt8](repeating: 7, count: size))
        #expect(!(try transport.send(&output)))
        #expect(output.count < size && !output.isEmpty && !transport.hasStaged)
    }

    @Test func isUsedAgain() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        for round in 0..<3 {
            try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
            let peer = try listener.take()
            #expect(Glibc.send(peer, "\(round)", 1, 0) == 1)
            close(peer)
            #expect(try receive(&transport, 2) == text("\(round)"))
        }
    }

    @Test func adoptsASocket() throws {
        var pair: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        defer { close(pair[1]) }
        var transport = Transport(ConnectOptions())
        transport.adopt(pair[0])
        #expect(transport.isConnected && transport.peerAddress.isEmpty)
        #expect(fcntl(pair[0], F_GETFL) & O_NONBLOCK != 0)
        #expect(Glibc.send(pair[1], "x", 1, 0) == 1)
        #expect(try receive(&transport, 1) == text("x"))
    }

    @Test func unixSocket() throws {
        let path = scratch + "/plain.sock"
        let listener = Listener(path: path)
        var options = ConnectOptions()
        options.unixSocket = path
        var transport = Transport(options)
        try establish(&transport, "ws://example.org/")
        let peer = try listener.take()
        defer { close(peer) }
        #expect(Glibc.send(peer, "x", 1, 0) == 1)
        #expect(try receive(&transport, 1) == text("x"))
        options.unixSocket = scratch + "/absent.sock"
        let error = try failure(options, "ws://example.org/")
        #expect(error.kind == .cannotConnect)
        #expect(error.message.hasSuffix("absent.sock: No such file or directory"))
        options.unixSocket = String(repeating: "x", count: 200)
        #expect(try failure(options, "ws://example.org/").kind == .configuration)
    }

    /// connect(2) says EAGAIN while the queue of a Unix socket is full.
    @Test func unixSocketWithFullQueue() throws {
        let path = scratch + "/full.sock"
        let listener = Listener(path: path, backlog: 0)
        var options = ConnectOptions()
        options.unixSocket = path
        var first = Transport(options)
        try establish(&first, "ws://example.org/")
        options.timeout = 100_000_000
        #expect(try failure(options, "ws://example.org/").kind == .timeout)
        options.timeout = 60_000_000_000
        var second = Transport(options)
        try second.connect(to: try ClientURL("ws://example.org/"))
        #expect(!(try second.proceed()))
        close(try listener.take())
        try finish(&second)
        #expect(second.isConnected == true)
    }

    @Test func refused() throws {
        let port = freePort()
        let error = try failure(ConnectOptions(), "ws://127.0.0.1:\(port)/")
        #expect(error.kind == .cannotConnect)
        #expect(error.message == "cannot connect to 127.0.0.1:\(port): Connection refused")
    }

    @Test func localhostTriesBoth() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://localhost:\(listener.port)/")
        #expect(transport.peerAddress == "127.0.0.1:\(listener.port)")
        let error = try failure(ConnectOptions(), "ws://localhost:\(freePort())/")
        #expect(error.message.contains("[::1]: "))
        #expect(error.message.contains("127.0.0.1: Connection refused"))
        var options = ConnectOptions()
        options.family = .v6
        let only = try failure(options, "ws://localhost:\(listener.port)/")
        #expect(!only.message.contains("127.0.0.1"))
    }

    @Test func addressOfTheOtherFamily() throws {
        var options = ConnectOptions()
        options.family = .v6
        let error = try failure(options, "ws://127.0.0.1:80/")
        #expect(error.kind == .configuration)
        #expect(error.message.contains("IPv6"))
    }

    /// A listener whose queue is full lets the handshake of TCP wait.
    @Test func timeout() throws {
        let listener = Listener(backlog: 0)
        var fillers: [Int32] = []
        defer { for filler in fillers { close(filler) } }
        for _ in 0..<4 {
            let filler = socket(
                AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(listener.port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(filler, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            fillers.append(filler)
        }
        var options = ConnectOptions()
        options.timeout = 200_000_000
        // When it gives up is what it says itself; how soon this thread runs then is not its own.
        let start = monotonic()
        var due: UInt64?
        let error = try failure(options, "ws://127.0.0.1:\(listener.port)/") { due = $0 }
        #expect(error.kind == .timeout)
        #expect(error.message == "cannot connect to 127.0.0.1:\(listener.port) within 200ms")
        #expect(monotonic() - start >= 200_000_000)
        #expect((due ?? .max) < start + 3_000_000_000)
    }

    @Test func resetIsLost() throws {
        let listener = Listener()
        var transport = Transport(ConnectOptions())
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        let peer = try listener.take()
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            peer, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        close(peer)
        do {
            _ = try receive(&transport, 1)
            Issue.record("no error")
        } catch let error as TransportError {
            #expect(error.kind == .lost)
            #expect(error.message.hasSuffix("lost: Connection reset by peer"))
        }
        var output = ByteQueue()
        output.append("x")
        do {
            _ = try transport.send(&output)
            Issue.record("no error")
        } catch {
            #expect(error.kind == .lost)
            #expect(error.message.hasSuffix("lost: Broken pipe"))
        }
    }
}
