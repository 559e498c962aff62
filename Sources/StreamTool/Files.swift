import CLinux
import Glibc
import StreamCodec

/// Writes all of `queue` to a descriptor; waits where it is not ready.
package func writeAll(
    _ queue: inout ByteQueue, to descriptor: Int32, name: String, report: Report? = nil
) throws {
    while !queue.isEmpty {
        var size = queue.count
        if descriptor == 1, let report, let limit = report.outputLimit() {
            try waitForReader(until: limit, report)
            // What a pipe that is ready takes without waiting.
            size = min(size, Int(PIPE_BUF))
        }
        let written = Glibc.write(descriptor, queue.bytes.baseAddress, size)
        if written >= 0 {
            queue.consume(written)
            continue
        }
        let code = errno
        switch code {
        case EINTR: report?.serveRequest()
        case EAGAIN:
            // Somebody else made the descriptor non-blocking; it is theirs too, so it stays so.
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&ready, 1, 1000)
        case EPIPE where descriptor == 1: endByBrokenPipe()
        default: throw Failure(.inputOutput, errno: code, name)
        }
    }
}

/// Waits until standard output takes something; throws when it does not in time.
private func waitForReader(until limit: UInt64, _ report: Report) throws {
    while true {
        let now = clinux_monotonic_nanoseconds()
        var ready = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
        let left = limit > now ? limit - now : 0
        if clinux_poll(&ready, 1, Int64(clamping: left)) > 0 { return }
        if left > 0 { continue }
        if clinux_is_hurried() != 0 { endBySignal(clinux_stop_signal()) }
        throw Failure(.inputOutput, "standard output: its reader does not take it")
    }
}

/// Standard output's reader is gone while SIGPIPE is ignored, as systemd has it: end by the
/// signal all the same.
private func endByBrokenPipe() -> Never {
    endBySignal(SIGPIPE)
}

/// Ends the process by a signal's default action, so that the parent sees which.
func endBySignal(_ number: Int32) -> Never {
    clinux_restore_terminal()
    signal(number, SIG_DFL)
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, number)
    sigprocmask(SIG_UNBLOCK, &set, nil)
    kill(getpid(), number)
    _exit(128 + number)
}

/// Replaces a file so that a reader sees the old contents or the new, never half. A symbolic
/// link stays, also one that leads to nothing yet, and what is no regular file (a FIFO, a terminal)
/// is written to, as is what standard output or error goes to.
///
/// `isDurable`: it outlives a power failure. `mode` is that of a file that is new.
package func replaceFile(
    _ path: String, with text: String, isDurable: Bool = false, mode: mode_t = 0o644
) throws {
    var queue = ByteQueue()
    queue.append(string: text)
    var status = stat()
    if stat(path, &status) == 0, let descriptor = standardDescriptor(of: status) {
        try writeAll(&queue, to: descriptor, name: path)
        return
    }
    if stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
        try write(&queue, to: path, flags: O_WRONLY)
        return
    }
    let target = fileName(path)
    let temporary = "\(target).\(getpid()).tmp"
    // A process of the same number may have left one behind; a link must not lead elsewhere.
    unlink(temporary)
    do {
        try write(
            &queue, to: temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode,
            isDurable: isDurable, name: path)
        guard rename(temporary, target) == 0 else {
            throw Failure(.cannotCreate, errno: errno, path)
        }
        if isDurable { try syncDirectory(of: target) }
    } catch {
        unlink(temporary)
        throw error
    }
}

/// Standard output or error, when that is the file.
private func standardDescriptor(of file: stat) -> Int32? {
    [1, 2].first { descriptor in
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_dev == file.st_dev
            && status.st_ino == file.st_ino
    }
}

/// The path goes where standard output goes.
package func isStandardOutput(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && standardDescriptor(of: status) == 1
}

/// A file's own name behind all symbolic links, also of one that is not there yet; absolute as soon
/// as its directory is there.
package func fileName(_ path: String) -> String {
    var path = path
    // As many links as Linux follows.
    for _ in 0..<40 {
        if let resolved = realPath(path) { return resolved }
        guard let target = linkTarget(path) else { break }
        let directory = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? ""
        path = target.utf8.first == UInt8(ascii: "/") ? target : directory + target
    }
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let name = end.map { path[path.utf8.index(after: $0)...] } ?? path[...]
    guard let directory = realPath(end.map { String(path[...$0]) } ?? ".") else { return path }
    return directory == "/" ? "/\(name)" : "\(directory)/\(name)"
}

/// Nil when there is nothing.
private func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}

private func linkTarget(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func write(
    _ queue: inout ByteQueue, to path: String, flags: Int32, mode: mode_t = 0o644,
    isDurable: Bool = false, name: String? = nil
) throws {
    let name = name ?? path
    let descriptor = clinux_open(path, flags, mode)
    guard descriptor >= 0 else { throw Failure(.cannotCreate, errno: errno, name) }
    defer { close(descriptor) }
    try writeAll(&queue, to: descriptor, name: name)
    if isDurable && fsync(descriptor) != 0 { throw Failure(.inputOutput, errno: errno, name) }
}

/// The name is in the directory, which is written for itself (fsync(2)).
private func syncDirectory(of path: String) throws {
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = clinux_open(directory, O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else { throw Failure(.inputOutput, errno: errno, directory) }
    defer { close(descriptor) }
    // Some file systems have no such thing (EINVAL).
    if fsync(descriptor) != 0 && errno != EINVAL {
        throw Failure(.inputOutput, errno: errno, directory)
    }
}

/// The file ends in half a line, which what is appended must not become a part of.
package func endsInHalfALine(_ path: String) -> Bool {
    var status = stat()
    // A FIFO must not get a reader by this.
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0
    else { return false }
    let descriptor = clinux_open(path, O_RDONLY, 0)
    if descriptor < 0 { return false }
    defer { close(descriptor) }
    var last: UInt8 = 0
    return pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != UInt8(ascii: "\n")
}

/// Ends the last line of the file that standard output appends to, where it has no end: its writer
/// was killed, or the disk was full. True when a line end was written, which is in no counter.
package func endLastLine(of path: String, _ report: Report) throws -> Bool {
    guard endsInHalfALine(path) else { return false }
    var lineFeed = ByteQueue()
    lineFeed.append("\n")
    try writeAll(&lineFeed, to: 1, name: path)
    report.warn("\(path): its last line had no end, which it has now")
    return true
}

/// Rejected lines, each as a JSON object, appended to a file.
struct RejectsFile {
    private let path: String
    private let descriptor: Int32

    init(path: String) throws {
        self.path = path
        // They are data, which only its owner may read unless the file was made otherwise.
        descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        if descriptor < 0 { throw Failure(.cannotCreate, errno: errno, path) }
        // Whoever has the file locked ends the line, or writes whole ones.
        guard endsInHalfALine(path), flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return }
        defer { flock(descriptor, LOCK_UN) }
        guard endsInHalfALine(path) else { return }
        var lineFeed = ByteQueue()
        lineFeed.append("\n")
        try writeAll(&lineFeed, to: descriptor, name: path)
    }

    func append(_ place: Place, _ reason: String, raw: UnsafeBufferPointer<UInt8>) throws {
        var line = ByteQueue(capacity: 2 * raw.count + 256)
        line.append("{\"input\":")
        line.append(quoting: place.input)
        line.append(string: ",\"line\":\(place.line),\"error\":")
        line.append(quoting: (place.byte.map { "byte \($0): " } ?? "") + reason)
        if UTF8Text.isValid(raw) {
            line.append(",\"raw\":")
            line.append(quoting: raw)
        } else {
            line.append(",\"raw_base64\":")
            line.append(quoting: Base64.encode(raw))
        }
        line.append("}\n")
        try writeAll(&line, to: descriptor, name: path)
    }

    func close() throws {
        if Glibc.close(descriptor) != 0 { throw Failure(.inputOutput, errno: errno, path) }
    }
}
