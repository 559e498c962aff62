import Glibc

/// Where a socket connects to.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var size: socklen_t = 0
    /// As diagnostics have it: `127.0.0.1`, `[::1]`, a path.
    let name: String

    var family: Int32 { Int32(storage.ss_family) }

    /// A numeric address, `127.0.0.1`, `::1` or `fe80::1%eth0`; nil for anything else. Asks
    /// nobody.
    init?(numeric host: String, port: Int) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
            return nil
        }
        defer { freeaddrinfo(list) }
        size = first.pointee.ai_addrlen
        memcpy(&storage, first.pointee.ai_addr, Int(size))
        name = first.pointee.ai_family == AF_INET6 ? "[\(host)]" : host
    }

    /// A Unix domain socket's; nil when the path is too long for one.
    init?(path: String) {
        var address = sockaddr_un()
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path),
            !bytes.contains(0)
        else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        size = socklen_t(MemoryLayout<sockaddr_un>.size)
        memcpy(&storage, &address, Int(size))
        name = path
    }

    /// connect(2).
    func connect(_ descriptor: Int32) -> Int32 {
        withUnsafePointer(to: storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, size)
            }
        }
    }

    /// The peer of a connected socket: `127.0.0.1:80`, `[::1]:80`, or empty when it has no name.
    static func peer(of descriptor: Int32) -> String {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: 128)
        var port = [CChar](repeating: 0, count: 16)
        let status = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getpeername(descriptor, address, &size) == 0 else { return Int32(-1) }
                return getnameinfo(
                    address, size, &host, socklen_t(host.count), &port, socklen_t(port.count),
                    NI_NUMERICHOST | NI_NUMERICSERV)
            }
        }
        guard status == 0, Int32(storage.ss_family) != AF_UNIX else { return "" }
        let name = text(host)
        let number = text(port)
        return Int32(storage.ss_family) == AF_INET6 ? "[\(name)]:\(number)" : "\(name):\(number)"
    }

    /// What stands before the NUL.
    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
