import Foundation
import Glibc
import StreamCodec
import Testing

@testable import StreamClient

/// Every wait of a test ends within so many seconds.
let patience = 60.0

struct TooLate: Error {}

/// A listener on 127.0.0.1 or on a Unix socket.
struct Listener: ~Copyable {
    let descriptor: Int32
    let port: Int

    /// Without a backlog it only has the port.
    init(backlog: Int32? = 16) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(descriptor, $0, size) == 0)
                if let backlog { precondition(listen(descriptor, backlog) == 0) }
                precondition(getsockname(descriptor, $0, &size) == 0)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    init(path: String, backlog: Int32 = 16) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        port = 0
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let descriptor = descriptor
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let size = socklen_t(MemoryLayout<sockaddr_un>.size)
                precondition(bind(descriptor, $0, size) == 0)
                precondition(listen(descriptor, backlog) == 0)
            }
        }
    }

    deinit { close(descriptor) }

    /// The next connection.
    func take() throws -> Int32 {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, Int32(patience * 1000)) == 1 else { throw TooLate() }
        let taken = accept(descriptor, nil, nil)
        _ = fcntl(taken, F_SETFD, FD_CLOEXEC)
        return taken
    }
}

/// A port of 127.0.0.1 on which nobody listens.
func freePort() -> Int {
    // Bound as long as the process lives, so that nobody else gets it.
    let listener = Listener(backlog: nil)
    _ = dup(listener.descriptor)
    return listener.port
}

/// Connects, as a tool's loop does.
func establish(
    _ transport: inout Transport, _ url: String, sees: (UInt64?) -> Void = { _ in }
) throws {
    try transport.connect(to: try ClientURL(url))
    try finish(&transport, sees: sees)
}

/// Tells `sees` each deadline before it is waited for.
func finish(_ transport: inout Transport, sees: (UInt64?) -> Void = { _ in }) throws {
    let limit = Date().addingTimeInterval(patience)
    while !(try transport.proceed()) {
        guard Date() < limit else { throw TooLate() }
        var descriptors = transport.descriptors
        let now = monotonic()
        let deadline = transport.deadline ?? 0
        sees(transport.deadline)
        let left = deadline > now ? (deadline - now) / 1_000_000 + 1 : 0
        poll(&descriptors, nfds_t(descriptors.count), Int32(min(left, 1000)))
    }
}

func monotonic() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// The error of an attempt that must fail.
func failure(
    _ options: ConnectOptions, _ url: String, sees: (UInt64?) -> Void = { _ in }
) throws -> TransportError {
    var transport = Transport(options)
    do {
        try establish(&transport, url, sees: sees)
    } catch let error as TransportError {
        #expect(transport.isConnected == false)
        #expect(transport.descriptor == -1)
        return error
    }
    Issue.record("connected to \(url)")
    throw TooLate()
}

/// Receives until there are so many bytes, or the end comes.
func receive(_ transport: inout Transport, _ count: Int) throws -> [UInt8] {
    var queue = ByteQueue()
    let limit = Date().addingTimeInterval(patience)
    while queue.count < count {
        guard Date() < limit else { throw TooLate() }
        switch try transport.receive(into: &queue, upTo: count - queue.count) {
        case .bytes: continue
        case .end: return Array(queue.bytes)
        case .wouldBlock:
            #expect(transport.mayHoldBytes == false)
            var ready = pollfd(fd: transport.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&ready, 1, 1000)
        }
    }
    return Array(queue.bytes)
}

/// Sends everything, and what comes back of it meanwhile.
func exchange(_ transport: inout Transport, _ bytes: [UInt8]) throws -> [UInt8] {
    var output = ByteQueue()
    output.append(bytes)
    var input = ByteQueue()
    let limit = Date().addingTimeInterval(patience)
    while input.count < bytes.count {
        guard Date() < limit else { throw TooLate() }
        let isSent = try transport.send(&output)
        #expect(isSent == (output.isEmpty && !transport.hasStaged))
        var found = try transport.receive(into: &input, upTo: 1 << 20)
        while found == .bytes { found = try transport.receive(into: &input, upTo: 1 << 20) }
        if found == .end { break }
        let events = Int16(POLLIN) | (isSent ? 0 : Int16(POLLOUT))
        var ready = pollfd(fd: transport.descriptor, events: events, revents: 0)
        poll(&ready, 1, 1000)
    }
    return Array(input.bytes)
}

func text(_ string: String) -> [UInt8] { Array(string.utf8) }

/// A folder that goes with the process: the tests of one run share it.
let scratch: String = {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array((parent + "/streamclient-XXXXXX").utf8CString)
    precondition(mkdtemp(&template) != nil)
    atexit { _ = try? FileManager.default.removeItem(atPath: scratch) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}()

/// A new file with these contents.
func file(_ contents: String) throws -> String {
    let path = scratch + "/" + UUID().uuidString
    try Data(contents.utf8).write(to: URL(fileURLWithPath: path))
    return path
}
