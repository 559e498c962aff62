import CLinux
import Glibc
import StreamCodec

/// Standard output. What is appended to `buffer` is written by `flush`, which a tool calls
/// before it waits for input, and by `drain`, which it calls after each record.
package struct Output: ~Copyable {
    /// The buffer is written at this size even when more input is there.
    private static let full = 256 << 10
    /// How long another process may take to end the last line of a file.
    private static let patience: UInt64 = 300_000_000

    package var buffer = ByteQueue(capacity: 64 << 10)
    private var compressed = ByteQueue()
    private var deflater: GzipDeflater?
    private var isFinished = false
    /// It goes behind the end of a file, where nothing needs no gzip member.
    private var isAppended = false
    /// Something was compressed that a reader cannot inflate yet.
    private var needsSync = false
    private let report: Report
    /// Set once a tool must not wait for the reader.
    private var target: EagerTarget?

    init(gzipLevel: Int?, report: Report) throws {
        self.report = report
        if let gzipLevel {
            do throws(GzipError) {
                deflater = try GzipDeflater(level: gzipLevel)
            } catch {
                throw Failure(.systemError, error.description)
            }
        }
    }

    /// Writes when much has gathered, unless the tool must not wait.
    @inline(__always)
    package mutating func drain() throws {
        if buffer.count >= Self.full && target == nil { try write(.none) }
    }

    /// Writes everything: nothing waits in the buffer while the tool waits.
    @inline(__always)
    package mutating func flush() throws {
        if !buffer.isEmpty || needsSync || !compressed.isEmpty { try write(.sync) }
    }

    /// From now on `writeAvailable` never waits for the reader.
    package mutating func beEager() {
        target = target ?? EagerTarget()
    }

    /// For a tool that waits for a peer, which may be silent for long: from now on a wait throws
    /// ReaderGone once the reader of a pipe or socket has left, not the next write only.
    package mutating func watchReader() {
        beEager()
        report.watchesReader = target?.hasReader ?? false
    }

    /// What is written goes behind the end of a file, which is made when there is none, instead of
    /// to standard output. Its descriptor is 1 from now on. A last line without an end gets one,
    /// unless the file is for this one alone: then `endLastLine` is the caller's.
    ///
    /// As long as the process runs, the file is not for one that needs it `alone`, nor for any
    /// other when this one does.
    package mutating func append(to path: String, alone: Bool = false) throws {
        let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        guard descriptor >= 0, dup2(descriptor, 1) == 1 else {
            throw Failure(.cannotCreate, errno: errno, path)
        }
        close(descriptor)
        name = path
        isAppended = true
        var status = stat()
        guard fstat(1, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        if isCompressed {
            // Members of two processes would be torn into each other.
            try lock(alone: true)
            try appendMember(to: path)
            return
        }
        if try beginsAsGzip(path) {
            throw Failure(
                .badConfiguration,
                "\(path): gzip, behind which nobody could read lines (see --gzip)")
        }
        // Who has the file alone knows how much of it counts, and ends the line after that.
        // Whoever else has it writes whole lines, or is ending this one.
        if !alone && endsInHalfALine(path) && flock(1, LOCK_EX | LOCK_NB) == 0 {
            _ = try endLastLine(of: path, report)
        }
        try lock(alone: alone)
    }

    private mutating func appendMember(to path: String) throws {
        let (wasCut, isInLine) = try endLastMember(of: path)
        if wasCut { report.warn("\(path): its last gzip member had no end, which it has now") }
        if isInLine {
            buffer.append("\n")
            report.warn("\(path): its last line had no end, which it has now")
        }
    }

    private func lock(alone: Bool) throws {
        // One that only ends the line before has it for a moment.
        let end = monotonicNanoseconds() + (alone ? 0 : Self.patience)
        var code: Int32
        repeat {
            if flock(1, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 { return }
            code = errno
            if code == EWOULDBLOCK && !alone { usleep(10_000) }
        } while code == EINTR || code == EWOULDBLOCK && monotonicNanoseconds() < end
        if code == EWOULDBLOCK {
            throw Failure(.cannotCreate, "\(name): another process appends to it")
        }
        // Some file systems have no locks.
        if alone { throw Failure(.cannotCreate, errno: code, name) }
    }

    /// What diagnostics call where it goes.
    private var name = "standard output"

    /// Where the next byte of the buffer will stand in all that is written. With gzip it cannot be
    /// told.
    package var position: Int { report.outputBytes + waiting }

    /// How much of it was written.
    package var written: Int { report.outputBytes }

    package var isCompressed: Bool { deflater != nil }

    /// Bytes that wait to be written.
    @inline(__always)
    package var waiting: Int { buffer.count + compressed.count }

    /// What to wait for until more can be written; nil while a write never waits.
    package var readiness: pollfd? {
        target?.descriptor.map { pollfd(fd: $0, events: Int16(POLLOUT), revents: 0) }
    }

    /// Writes as much as standard output takes without waiting. True when nothing is left.
    package mutating func writeAvailable() throws -> Bool {
        guard let target else { preconditionFailure("not eager") }
        if deflater != nil && compressed.isEmpty && (!buffer.isEmpty || needsSync) {
            deflater?.deflate(&buffer, into: &compressed, flush: .sync)
            needsSync = false
        }
        return deflater == nil
            ? try target.write(&buffer, name, report) : try target.write(&compressed, name, report)
    }

    /// What goes before the stream and is never compressed: a response head.
    package mutating func writePlain(_ head: String) throws {
        precondition(buffer.isEmpty && report.outputBytes == 0)
        compressed.append(string: head)
        try Self.send(&compressed, name, report)
    }

    /// The end of the output; also ends the gzip member. Once is enough.
    package mutating func finish() throws {
        if isFinished { return }
        isFinished = true
        if isAppended && buffer.isEmpty && compressed.isEmpty && report.outputBytes == 0 { return }
        try write(.finish)
    }

    private mutating func write(_ flush: GzipDeflater.Flush) throws {
        if deflater == nil {
            try Self.send(&buffer, name, report)
        } else {
            deflater?.deflate(&buffer, into: &compressed, flush: flush)
            needsSync = flush == .none
            try Self.send(&compressed, name, report)
        }
    }

    private static func send(
        _ queue: inout ByteQueue, _ name: String, _ report: Report
    ) throws {
        report.outputBytes += queue.count
        try writeAll(&queue, to: 1, name: name, report: report)
    }
}
