import CLinux
import Glibc
import StreamCodec
import StreamTool

/// A TCP or Unix socket without TLS, ours from the first address on.
struct PlainSocket: ~Copyable {
    /// How long a Unix socket's listener is left alone whose queue is full: connect(2) says
    /// EAGAIN then, and poll(2) does not tell when that changes.
    private static let pause: UInt64 = 10_000_000

    private var descriptor: Int32 = -1
    private var isConnected = false
    /// When to try again that address; monotonic nanoseconds.
    private var retry: UInt64?
    private var candidates: [SocketAddress]
    private var current: SocketAddress?
    /// What became of the candidates before.
    private var refusals: [(name: String, reason: String)] = []
    private let place: String

    /// Tries the addresses in order: the next one when the one before refuses.
    init(_ candidates: [SocketAddress], place: String) {
        self.place = place
        self.candidates = candidates.reversed()
    }

    /// Takes a connected socket.
    init(adopting descriptor: Int32) {
        candidates = []
        place = ""
        self.descriptor = descriptor
        isConnected = true
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        sendAtOnce()
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Goes on connecting.
    mutating func proceed() throws(TransportError) -> ConnectStep {
        if isConnected { return .connected(descriptor) }
        if descriptor >= 0 && retry == nil {
            guard let code = outcome() else { return waiting }
            if code == 0 { return finish() }
            refuse(code)
        }
        while let address = nextAddress() {
            switch begin(address) {
            case 0: return finish()
            case EINPROGRESS, EINTR: return waiting
            case EAGAIN:
                let later = monotonicNanoseconds() + Self.pause
                retry = later
                return .waiting(for: [], until: later)
            case let code: refuse(code)
            }
        }
        throw TransportError(.cannotConnect, "cannot connect to \(place): \(reason)")
    }

    private var waiting: ConnectStep {
        .waiting(
            for: [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)], until: nil)
    }

    /// Why no address took the connection; names them when there were several.
    private var reason: String {
        if refusals.count == 1 { return refusals[0].reason }
        return refusals.map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
    }

    /// The address that is to be tried now.
    private mutating func nextAddress() -> SocketAddress? {
        if retry == nil { current = candidates.popLast() }
        retry = nil
        return current
    }

    /// 0 or the error number of connect(2).
    private mutating func begin(_ address: SocketAddress) -> Int32 {
        if descriptor < 0 {
            let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            descriptor = socket(address.family, type, 0)
            if descriptor < 0 { return errno }
        }
        return address.connect(descriptor) == 0 ? 0 : errno
    }

    /// 0 or the error number of a connect that took time; nil while it still does.
    private func outcome() -> Int32? {
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&ready, 1, 0) > 0 else { return nil }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
    }

    private mutating func refuse(_ code: Int32) {
        refusals.append((current?.name ?? "", errorText(code)))
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private mutating func finish() -> ConnectStep {
        isConnected = true
        sendAtOnce()
        return .connected(descriptor)
    }

    /// Small messages do not wait for the acknowledgement of those before. A Unix socket has no
    /// such option and needs none.
    private func sendAtOnce() {
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on,
            socklen_t(MemoryLayout<Int32>.size))
    }
}
