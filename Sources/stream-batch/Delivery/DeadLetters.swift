import CLinux
import Glibc
import StreamCodec
import StreamTool

/// What is known of a part of a batch that cannot be delivered.
struct DeadLetter {
    var batch: Batch
    var part: Part
    var attempts: Int
    var ending: Ending
    /// The last line of the command's standard error.
    var errorLine: String

    init(_ batch: Batch, _ piece: Piece) {
        self.batch = batch
        part = piece.part
        attempts = piece.state.attempts
        ending = piece.ending
        errorLine = piece.errorLine
    }

    /// `exit status 1: no such table`
    var reason: String { errorLine.isEmpty ? "\(ending)" : "\(ending): \(errorLine)" }
}

/// --dead-letter: what cannot be delivered, each as a JSON object, appended to a file.
struct DeadLetterFile {
    let path: String
    private let descriptor: Int32
    private let form: Form
    private let maxDepth: Int
    private let run: String

    /// `run`: what BATCH_RUN says of batches that do not say it themselves.
    init(path: String, form: Form, maxDepth: Int, run: String) throws {
        self.path = path
        self.form = form
        self.maxDepth = maxDepth
        self.run = run
        descriptor = try Self.open(path)
    }

    private static func open(_ path: String) throws -> Int32 {
        let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        if descriptor < 0 { throw Failure(.cannotCreate, errno: errno, path) }
        return descriptor
    }

    /// On the disk when it returns. When it throws, the file is as it was: half a line would spoil
    /// the next.
    func append(_ letter: DeadLetter) throws {
        try lock()
        defer { flock(descriptor, LOCK_UN) }
        var line = ByteQueue(capacity: 512)
        // A disk that was full, or a power failure, may have left half a letter.
        if endsInHalfALine(path) { line.append("\n") }
        append(letter, to: &line)
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        do {
            try writeAll(&line, to: descriptor, name: path)
            try sync(descriptor, path)
        } catch {
            // When that fails, too, the first error is the one to hear.
            if isFile { _ = ftruncate(descriptor, status.st_size) }
            throw error
        }
    }

    /// Nobody else appends to the file, and it is the one that has the name: one that was moved
    /// away, to be delivered again, gets nothing more.
    private func lock() throws {
        while true {
            while flock(descriptor, LOCK_EX) != 0 && errno == EINTR {}
            var held = stat()
            guard fstat(descriptor, &held) == 0, held.st_mode & S_IFMT == S_IFREG else { return }
            var named = stat()
            if stat(path, &named) == 0 && named.st_ino == held.st_ino
                && named.st_dev == held.st_dev
            {
                return
            }
            flock(descriptor, LOCK_UN)
            let new = try Self.open(path)
            dup2(new, descriptor)
            _ = clinux_close_on_exec(descriptor)
            close(new)
        }
    }

    private func append(_ letter: DeadLetter, to line: inout ByteQueue) {
        line.append("{\"time\":\"")
        line.append(rfc3339: realtimeNanoseconds())
        line.append("\",\"run\":")
        line.append(quoting: letter.batch.run.isEmpty ? run : letter.batch.run)
        line.append(",\"seq\":")
        line.append(decimal: letter.batch.seq)
        if !letter.batch.key.isEmpty {
            line.append(",\"key\":")
            line.append(letter.batch.key)
        }
        line.append(",\"count\":")
        line.append(decimal: letter.part.count)
        line.append(",\"part\":")
        line.append(quoting: letter.part.name)
        line.append(",\"from\":\"")
        line.append(rfc3339: letter.batch.from)
        line.append("\",\"to\":\"")
        line.append(rfc3339: letter.batch.to)
        line.append("\"")
        line.append(",\"attempts\":")
        line.append(decimal: letter.attempts)
        line.append(",\"error\":")
        line.append(quoting: letter.ending.description)
        switch letter.ending {
        case .status(let status): line.append(string: ",\"status\":\(status)")
        case .signal(let signal): line.append(string: ",\"signal\":\(signal)")
        default: break
        }
        if !letter.errorLine.isEmpty {
            line.append(",\"stderr\":")
            line.append(quoting: letter.errorLine)
        }
        appendContent(letter, to: &line)
        line.append("}\n")
    }

    /// The lines, verbatim where that gives JSON.
    private func appendContent(_ letter: DeadLetter, to line: inout ByteQueue) {
        if letter.batch.summary != nil {
            line.append(",\"batch\":")
            var summary = ByteQueue()
            form.append(letter.batch, to: &summary, forCommand: true)
            // Without the record separator of json-seq and the line feed.
            if summary[0] == 0x1E { summary.consume(1) }
            summary.truncate(summary.count - 1)
            line.append(summary.bytes)
            return
        }
        letter.part.lines(of: letter.batch.lines).withUnsafeBufferPointer { lines in
            if allLines(lines, { JSON.isValid($0, maxDepth: maxDepth) }) {
                append("items", lines, to: &line) { $0.append($1) }
            } else if UTF8Text.isValid(lines) {
                append("raw", lines, to: &line) { $0.append(quoting: $1) }
            } else {
                append("raw_base64", lines, to: &line) { $0.append(quoting: Base64.encode($1)) }
            }
        }
    }

    private func allLines(
        _ lines: UnsafeBufferPointer<UInt8>, _ isTrue: (UnsafeBufferPointer<UInt8>) -> Bool
    ) -> Bool {
        var result = true
        lines.forEachLine { result = result && isTrue($0) }
        return result
    }

    private func append(
        _ name: StaticString, _ lines: UnsafeBufferPointer<UInt8>, to queue: inout ByteQueue,
        _ append: (inout ByteQueue, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        queue.append(",\"")
        queue.append(name)
        queue.append("\":[")
        lines.forEachLine { line in
            append(&queue, line)
            queue.append(UInt8(ascii: ","))
        }
        // A batch has a line at least.
        queue.truncate(queue.count - 1)
        queue.append(UInt8(ascii: "]"))
    }
}

/// Waits until what was written is on the disk, where there is one: a FIFO or a terminal has none.
func sync(_ descriptor: Int32, _ path: String) throws {
    if fsync(descriptor) == 0 { return }
    let code = errno
    if code != EINVAL && code != EROFS && code != ENOTSUP {
        throw Failure(.inputOutput, errno: code, path)
    }
}
