import Foundation

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

/// A port at which nobody listens, for the moment.
func unusedPort() throws -> Int { try WsPeer().port }

/// What the C library has and its headers show only to GNU programs.
enum SocketCalls {
    typealias Accept4 =
        @convention(c) (
            Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?, Int32
        ) -> Int32

    /// With the flags at once: a socket must not get into a child that another thread starts.
    static let accept4 = unsafeBitCast(dlsym(nil, "accept4"), to: Accept4.self)
}
