import CLinux
import Glibc
import StreamCodec
import StreamTool

/// How far an attempt to connect has come.
enum ConnectStep {
    case connected(Int32)
    /// Call again when a descriptor is ready, or at a point in time (monotonic nanoseconds).
    case waiting(for: [pollfd], until: UInt64?)
}

/// One byte stream to a peer, used again for each connection. Nothing in it waits.
package struct Transport: ~Copyable {
    /// What `receive` found.
    package enum Received: Sendable { case bytes, wouldBlock, end }

    /// The most that is received at once.
    private static let step = 256 << 10

    private let options: ConnectOptions
    private var plain: PlainSocket?
    private var channel: CurlChannel?
    /// When connecting has taken too long; monotonic nanoseconds.
    private var limit: UInt64 = 0
    /// Where to, as diagnostics have it: host and port, or the path, and the proxy.
    private var place = ""
    /// The channel is more than a socket: bytes go through the library.
    private var isLibrarys = false
    /// TLS bytes taken from the queue that the socket did not take yet; its address is fixed,
    /// because OpenSSL wants what it refused offered again from there (SSL_write(3)).
    private var staging = Staging()

    package private(set) var isConnected = false
    /// Bytes may have arrived that the library keeps, of which poll(2) does not tell: receive
    /// again before waiting for `descriptor`. False once `receive` said `wouldBlock`.
    package private(set) var mayHoldBytes = false
    /// Once connected: what to poll.
    package private(set) var descriptor: Int32 = -1
    /// The peer is verified, unless the options say otherwise, and what is sent encrypted.
    package private(set) var isTLS = false
    /// Once connected: the address and port of the peer, or of the proxy; empty for a Unix socket.
    package private(set) var peerAddress = ""

    package init(_ options: ConnectOptions) {
        self.options = options
    }

    /// Begins to connect; ends what was there. A Unix socket, a numeric address or `localhost`
    /// without TLS, proxy, --resolve and --interface is a socket of ours; everything else is
    /// libcurl's, which is loaded then.
    package mutating func connect(to url: ClientURL) throws(TransportError) {
        close()
        deadline = 0
        limit = monotonicNanoseconds() + options.timeout
        let host = url.host.utf8.contains(UInt8(ascii: ":")) ? "[\(url.host)]" : url.host
        place = options.unixSocket ?? "\(host):\(url.port)"
        if let addresses = try plainAddresses(for: url) {
            plain = PlainSocket(addresses, place: place)
            return
        }
        let proxy = options.unixSocket == nil ? Proxy(options, for: url) : nil
        // libcurl does not tell whether no_proxy applied.
        let exceptions =
            options.noProxy ?? Proxy.variable("no_proxy") ?? Proxy.variable("NO_PROXY") ?? ""
        if let proxy, exceptions.isEmpty { place += " through \(proxy.redacted)" }
        channel = try CurlChannel(options, to: url, proxy: proxy, place: place)
        isTLS = url.isSecure
        isLibrarys = url.isSecure || proxy?.isSecure ?? false
    }

    /// Takes an accepted socket.
    package mutating func adopt(_ descriptor: Int32) {
        close()
        plain = PlainSocket(adopting: descriptor)
        become(descriptor)
        place = peerAddress.isEmpty ? "the peer" : peerAddress
    }

    /// Goes on connecting; true once connected. Call when one of `descriptors` is ready or
    /// `deadline` came. After an error there is no connection, and `connect` may be called again.
    package mutating func proceed() throws(TransportError) -> Bool {
        if isConnected { return true }
        do throws(TransportError) {
            switch try advance() {
            case .connected(let descriptor):
                become(descriptor)
                return true
            case .waiting(let descriptors, let retry):
                guard monotonicNanoseconds() < limit else { throw late }
                self.descriptors = descriptors
                deadline = min(limit, retry ?? .max)
                return false
            }
        } catch {
            close()
            throw error
        }
    }

    /// While connecting: what to wait for.
    package private(set) var descriptors: [pollfd] = []
    /// While connecting: when to call `proceed` at the latest, monotonic nanoseconds: libcurl's
    /// timer, or the end of the time for connecting.
    package private(set) var deadline: UInt64?

    /// Appends at most `size` bytes, and not more than 256K of them, to `queue`; never waits.
    package mutating func receive(
        into queue: inout ByteQueue, upTo size: Int
    ) throws(TransportError) -> Received {
        precondition(isConnected && size > 0)
        let size = min(size, Self.step)
        if isLibrarys { return try receiveFromLibrary(into: &queue, size) }
        while true {
            let count = recv(descriptor, queue.reserve(size), size, 0)
            if count > 0 {
                queue.commit(count)
                return .bytes
            }
            if count == 0 { return .end }
            let code = errno
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { throw lost(errorText(code)) }
        }
    }

    /// Sends what the peer takes now, and consumes it; true when all went.
    package mutating func send(_ queue: inout ByteQueue) throws(TransportError) -> Bool {
        precondition(isConnected)
        if isLibrarys { return try sendByLibrary(&queue) }
        while !queue.isEmpty {
            let bytes = queue.bytes
            let count = Glibc.send(
                descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 {
                queue.consume(count)
                continue
            }
            let code = errno
            if code == EAGAIN { return false }
            if code != EINTR { throw lost(errorText(code)) }
        }
        return true
    }

    /// Bytes were taken from the queue of `send` that the socket did not take yet.
    package var hasStaged: Bool { staging.count > 0 }

    /// Tells the peer that nothing more comes, and can still receive. With TLS only `close` tells.
    package mutating func finishSending() {
        if isConnected && !isLibrarys { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    /// Ends the connection, or the attempt.
    package mutating func close() {
        plain = nil
        channel = nil
        staging.removeAll()
        isConnected = false
        mayHoldBytes = false
        isTLS = false
        isLibrarys = false
        descriptors = []
        deadline = nil
        descriptor = -1
        peerAddress = ""
    }
}

extension Transport {
    private mutating func advance() throws(TransportError) -> ConnectStep {
        if let step = try plain?.proceed() { return step }
        if let step = try channel?.proceed() { return step }
        preconditionFailure("connect comes first")
    }

    private mutating func become(_ descriptor: Int32) {
        isConnected = true
        self.descriptor = descriptor
        descriptors = []
        deadline = nil
        peerAddress = SocketAddress.peer(of: descriptor)
        mayHoldBytes = isLibrarys
    }

    private var late: TransportError {
        TransportError(.timeout, "cannot connect to \(place) within \(readable(options.timeout))")
    }

    private func lost(_ reason: String) -> TransportError {
        TransportError(.lost, "connection to \(place) lost: \(reason)")
    }

    private mutating func receiveFromLibrary(
        into queue: inout ByteQueue, _ size: Int
    ) throws(TransportError) -> Received {
        var left = size
        while left > 0 {
            switch channel?.receive(queue.reserve(left), left) {
            case .bytes(let count):
                queue.commit(count)
                left -= count
            case .wouldBlock:
                mayHoldBytes = false
                return left < size ? .bytes : .wouldBlock
            // What came before is handed out first; the library says it again, poll(2) may not.
            case .end, .none:
                mayHoldBytes = left < size
                return left < size ? .bytes : .end
            case .failed(let reason):
                mayHoldBytes = left < size
                if left < size { return .bytes }
                throw lost(reason)
            }
        }
        mayHoldBytes = true
        return .bytes
    }

    private mutating func sendByLibrary(_ queue: inout ByteQueue) throws(TransportError) -> Bool {
        while true {
            staging.fill(from: &queue)
            if staging.count == 0 { return true }
            switch channel?.send(staging.start, staging.count) {
            case .bytes(let count): staging.consume(count)
            case .wouldBlock: return false
            case .failed(let reason): throw lost(reason)
            case .end, .none: throw lost("closed")
            }
        }
    }

    /// The addresses of a connection that needs no library; nil when it does.
    private func plainAddresses(
        for url: ClientURL
    ) throws(TransportError) -> [SocketAddress]? {
        if url.isSecure { return nil }
        if let path = options.unixSocket {
            if let address = SocketAddress(path: path) { return [address] }
            throw TransportError(.configuration, "\(path): too long for a Unix socket")
        }
        guard options.resolve.isEmpty, options.interface == nil, Proxy(options, for: url) == nil
        else { return nil }
        let hosts = url.host.lowercased() == "localhost" ? ["::1", "127.0.0.1"] : [url.host]
        let all = hosts.compactMap { SocketAddress(numeric: $0, port: url.port) }
        if all.isEmpty { return nil }
        let wanted = all.filter { address in
            switch options.family {
            case .any: true
            case .v4: address.family == AF_INET
            case .v6: address.family == AF_INET6
            }
        }
        if wanted.isEmpty {
            let kind = options.family == .v4 ? "IPv4" : "IPv6"
            throw TransportError(
                .configuration, "cannot connect to \(place): not an \(kind) address")
        }
        return wanted
    }
}

/// `30s`, `250ms`
package func readable(_ nanoseconds: UInt64) -> String {
    if nanoseconds % 1_000_000_000 == 0 { return "\(nanoseconds / 1_000_000_000)s" }
    return "\(nanoseconds / 1_000_000)ms"
}
