import Foundation
import Synchronization

/// A TCP socket that does not block and that no child inherits.
func makeSocket() -> Int32 {
    socket(
        AF_INET,
        Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
}

func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

/// Waits for an event of poll(2) on a socket.
func awaitEvent(_ event: Int32, _ descriptor: Int32, until limit: Double, _ what: String) throws {
    while true {
        let left = limit - now()
        if left <= 0 || descriptor < 0 { throw WsTimeout(what: what) }
        var ready = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        if poll(&ready, 1, Int32(min(left, 60) * 1000) + 1) > 0 { return }
    }
}

/// Ports that are bound, so that nobody else gets them, and at which nobody listens yet.
private let reserved = Mutex<[Int: Int32]>([:])

/// A port at which nobody listens until a WsPeer does.
func unusedPort() throws -> Int {
    let descriptor = makeSocket()
    let port = try bindLoopback(descriptor, 0)
    reserved.withLock { $0[port] = descriptor }
    return port
}

/// The socket that has a port which was unused until now, or a new one.
func socketAt(_ port: Int) throws -> (descriptor: Int32, port: Int) {
    let kept = reserved.withLock { $0.removeValue(forKey: port) }
    if let kept { return (kept, port) }
    let descriptor = makeSocket()
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
    return (descriptor, try bindLoopback(descriptor, port))
}

private func bindLoopback(_ descriptor: Int32, _ port: Int) throws -> Int {
    var address = loopback(port)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let failure = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, size) | getsockname(descriptor, $0, &size)
        }
    }
    guard failure == 0 else { throw SpawnError(code: errno) }
    return Int(UInt16(bigEndian: address.sin_port))
}

/// What the C library has and its headers show only to GNU programs.
enum SocketCalls {
    typealias Accept4 =
        @convention(c) (
            Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?, Int32
        ) -> Int32

    /// With the flags at once: a socket must not get into a child that another thread starts.
    static let accept4 = unsafeBitCast(dlsym(nil, "accept4"), to: Accept4.self)
}

extension WsConnection {
    /// The next frame that is no ping, or nil when none comes within this time; of a kind, when
    /// that is given, and others are passed over.
    func frameWithin(seconds: Double, kind: WsFrame.Kind? = nil) throws -> WsFrame? {
        let limit = now() + seconds
        do {
            while let frame = try next(within: max(0, limit - now())) {
                if kind == nil || frame.kind == kind { return frame }
            }
            return nil
        } catch is WsTimeout {
            return nil
        }
    }
}
