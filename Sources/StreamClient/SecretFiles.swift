import CLinux
import Glibc
import StreamTool

/// Files whose contents may be secrets: no error repeats them. A file is read anew each time, but
/// what is no regular file can be read only once, so that is kept.
package final class SecretFiles {
    /// The longest token or password.
    private static let maxSecret = 64 << 10
    /// The largest file of header fields, or .netrc.
    package static let maxFile = 1 << 20
    /// How long something that is no regular file may keep us waiting.
    private static let patienceMilliseconds: Int32 = 10_000

    private var kept: [String: [UInt8]] = [:]

    /// The one line of a file, which may be empty, without the line feed at its end.
    func line(_ path: String) throws -> String {
        var bytes = try contents(path, limit: Self.maxSecret)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        let forbidden: Set<UInt8> = [0, UInt8(ascii: "\r"), UInt8(ascii: "\n")]
        guard !bytes.contains(where: forbidden.contains) else {
            throw Failure(.badConfiguration, "\(path): more than one line, or a NUL")
        }
        return try text(bytes, path)
    }

    /// The lines of a file, without what ends them.
    func lines(_ path: String) throws -> [String] {
        try contents(path).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { line in
                try text(Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line), path)
            }
    }

    /// The bytes of a file, at most a mebibyte. Waits 10 seconds for each piece of a pipe.
    package func contents(_ path: String, limit: Int = maxFile) throws -> [UInt8] {
        if path == "-" {
            throw UsageError("no secret, and no line to send first, is read from standard input")
        }
        if let bytes = kept[path] { return bytes }
        let descriptor = clinux_open_input(Array(path.utf8CString))
        guard descriptor >= 0 else { throw Failure(.noInput, errno: errno, path) }
        defer { close(descriptor) }
        let bytes = try Self.read(descriptor, path, limit)
        var status = stat()
        if fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
            kept[path] = bytes
        }
        return bytes
    }

    private static func read(_ descriptor: Int32, _ path: String, _ limit: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, patienceMilliseconds) == 0 {
                throw Failure(.noInput, "\(path): nothing came in 10s")
            }
            let size = Glibc.read(descriptor, &piece, piece.count)
            let code = errno
            if size == 0 { return bytes }
            if size < 0 {
                if code == EINTR && !isStopped() { continue }
                throw Failure(.noInput, errno: code, path)
            }
            bytes += piece[..<size]
            if bytes.count > limit {
                throw Failure(.badConfiguration, "\(path): more than \(limit) bytes")
            }
        }
    }

    private func text(_ bytes: [UInt8], _ path: String) throws -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.badConfiguration, "\(path): not UTF-8")
        }
        return text
    }
}
