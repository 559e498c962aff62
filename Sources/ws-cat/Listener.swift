import CLinux
import Glibc
import StreamClient
import StreamTool

/// A socket on which peers may connect.
struct Listener {
    let descriptor: Int32
    let port: Int

    /// The first descriptor that systemd passes (sd_listen_fds(3)).
    private static let firstPassed: Int32 = 3

    /// Listens at `[HOST]:PORT`, or takes the socket that systemd passes for `fd:`.
    init(_ text: String) throws {
        if text == "fd:" {
            let pid = getenv("LISTEN_PID").flatMap { Int(String(cString: $0)) }
            let count = getenv("LISTEN_FDS").flatMap { Int(String(cString: $0)) }
            guard pid == Int(getpid()), let count, count >= 1 else {
                throw UsageError("--listen=fd: needs a socket from systemd (LISTEN_FDS)")
            }
            descriptor = Self.firstPassed
            _ = clinux_close_on_exec(descriptor)
            port = Int(clinux_local_port(descriptor))
            return
        }
        let (host, port) = try Self.split(text)
        let descriptor = clinux_listen(host, UInt16(port))
        guard descriptor >= 0 else {
            if errno == EINVAL {
                throw UsageError("--listen: '\(host)' is no numeric address (or localhost, or *)")
            }
            throw Failure(.unavailable, errno: errno, "cannot listen at \(text)")
        }
        self.descriptor = descriptor
        self.port = Int(clinux_local_port(descriptor))
    }

    /// `127.0.0.1:8080`, `[::1]:8080`, `:8080`, `8080`, `localhost:8080`, `*:8080`.
    private static func split(_ text: String) throws -> (host: String, port: Int) {
        var host = text[..<(text.lastIndex(of: ":") ?? text.startIndex)]
        let port = text.split(separator: ":", omittingEmptySubsequences: false).last ?? ""
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw UsageError("--listen: expected [HOST]:PORT, an IPv6 address in brackets")
        }
        let name = host.isEmpty || host == "localhost" ? "127.0.0.1" : host == "*" ? "::" : host
        guard let number = UInt16(port), port.first != "+" else {
            throw UsageError("--listen: expected [HOST]:PORT, not '\(text)'")
        }
        return (String(name), Int(number))
    }

    /// A peer that has connected, or nil.
    func accept() throws -> Int32? {
        let peer = clinux_accept(descriptor)
        if peer >= 0 { return peer }
        switch errno {
        // accept(2): what went wrong with the peer's connection is told here.
        case EAGAIN, EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET,
            EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM:
            return nil
        case let code: throw Failure(.systemError, errno: code, "accept")
        }
    }
}
