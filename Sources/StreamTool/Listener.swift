import CLinux
import Glibc

/// A socket on which peers may connect.
package struct Listener: Sendable {
    package let descriptor: Int32
    /// 0 for a Unix socket.
    package let port: Int
    /// What diagnostics call it.
    package let name: String
    /// The file of a Unix socket, which goes with it.
    private var path: String?
    private var isOurs = true

    /// The first descriptor that systemd passes (sd_listen_fds(3)).
    private static let firstPassed: Int32 = 3

    /// Listens at `[HOST]:PORT`, or takes the first socket that systemd passes for `fd:`.
    package init(_ text: String) throws {
        if text == "fd:" {
            let passed = try Self.passed()
            self = passed[0]
            return
        }
        let (host, port) = try Self.split(text)
        let descriptor = clinux_listen(host, UInt16(port))
        guard descriptor >= 0 else {
            if errno == EINVAL {
                throw UsageError("--listen: '\(host)' is no numeric address (or localhost, or *)")
            }
            throw Failure(Self.status(errno), errno: errno, "cannot listen at \(text)")
        }
        self.init(descriptor: descriptor, name: text)
    }

    private init(descriptor: Int32, name: String, path: String? = nil) {
        self.descriptor = descriptor
        self.name = name
        self.path = path
        port = Int(clinux_local_port(descriptor))
    }

    /// All that a server should listen at: as `init`, and `unix:PATH`; `fd:` is every socket that
    /// systemd passes.
    package static func all(_ texts: [String]) throws -> [Listener] {
        var listeners: [Listener] = []
        for text in texts {
            if text == "fd:" {
                listeners += try passed()
            } else if text.hasPrefix("unix:") {
                listeners.append(try atPath(String(text.dropFirst("unix:".count))))
            } else {
                listeners.append(try Listener(text))
            }
        }
        return listeners
    }

    private static func passed() throws -> [Listener] {
        let pid = getenv("LISTEN_PID").flatMap { Int(String(cString: $0)) }
        let count = getenv("LISTEN_FDS").flatMap { Int32(String(cString: $0)) }
        guard pid == Int(getpid()), let count, (1...1024).contains(count) else {
            throw UsageError("--listen=fd: needs a socket from systemd (LISTEN_FDS)")
        }
        return (firstPassed..<firstPassed + count).map { descriptor in
            _ = clinux_close_on_exec(descriptor)
            var listener = Listener(descriptor: descriptor, name: "fd:\(descriptor)")
            listener.isOurs = false
            return listener
        }
    }

    /// A port below 1024, or a directory, may be for others.
    private static func status(_ code: Int32) -> ExitStatus {
        code == EACCES || code == EPERM ? .noPermission : .unavailable
    }

    /// A socket that nobody listens at any more is replaced.
    private static func atPath(_ path: String) throws -> Listener {
        let descriptor = clinux_listen_unix(path)
        guard descriptor >= 0 else {
            if errno == EINVAL {
                throw UsageError("--listen: no path, or too long a one: '\(path)'")
            }
            throw Failure(Self.status(errno), errno: errno, "cannot listen at unix:\(path)")
        }
        return Listener(descriptor: descriptor, name: "unix:\(path)", path: path)
    }

    /// Refuses who comes from now on. A socket of systemd's goes on listening for the next run.
    package func stop() {
        if isOurs { shutdown(descriptor, Int32(SHUT_RD)) }
        if let path { unlink(path) }
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
        if !port.isEmpty, port.allSatisfy(\.isNumber), UInt16(port) == nil {
            throw UsageError("--listen: a port is at most 65535, not \(port)")
        }
        guard let number = UInt16(port), port.first != "+" else {
            throw UsageError("--listen: expected [HOST]:PORT, not '\(text)'")
        }
        return (String(name), Int(number))
    }

    /// A peer that has connected, or nil.
    package func accept() throws -> Int32? {
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
