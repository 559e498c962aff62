import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The file that --state names: how far each source has come, a JSON object a line. With
/// --exactly-once also how long the output was then.
struct Checkpoint {
    private let path: String
    private let interval: UInt64
    private let isExactlyOnce: Bool
    /// By the source's name: `{"url":…,"last_event_id":…,"length":…}`.
    private var ids: [(name: String, id: [UInt8]?)]
    /// Lines of sources that are not this run's.
    private var others: [[UInt8]] = []
    /// Bytes of the output that stood there before this run.
    private var start = 0
    /// Bytes of this run's output that belong to the ids.
    private var length = 0
    private var isChanged = false
    /// Monotonic nanoseconds.
    private var last: UInt64 = 0

    /// Nil without --state. Reads the file, and cuts the output to the length that it has.
    init?(_ settings: DecodeOptions, names: [String]) throws {
        guard let path = settings.follow.stateFile else { return nil }
        self.path = path
        interval = settings.follow.stateInterval
        isExactlyOnce = settings.follow.isExactlyOnce
        ids = names.map { ($0, nil) }
        // Another run may still be about to write both files.
        if isExactlyOnce, let output = settings.outputFile { try lock(output) }
        let recorded = try read(maxDepth: settings.common.maxDepth)
        guard isExactlyOnce, let output = settings.outputFile else { return }
        try cut(output, to: recorded)
        isChanged = true
        try save(force: true)
    }

    func id(of index: Int) -> [UInt8]? { ids[index].id }

    // MARK: Reading

    /// The length that the output had, nil when nothing was kept of it: the longest, whichever URL
    /// it was kept for, for all of that was on record.
    private mutating func read(maxDepth: Int) throws -> Int? {
        let descriptor = clinux_open(path, O_RDONLY, 0)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw Failure(.noInput, errno: errno, path)
        }
        defer { close(descriptor) }
        var queue = ByteQueue()
        while true {
            let count = Glibc.read(descriptor, queue.reserve(64 << 10), 64 << 10)
            if count < 0 { throw Failure(.inputOutput, errno: errno, path) }
            if count == 0 { break }
            queue.commit(count)
            if queue.count > 16 << 20 { throw Failure(.badConfiguration, "\(path): too long") }
        }
        var lines = LineReader(maxLine: 1 << 20)
        var length: Int?
        while case .line(let range) = lines.next(&queue, atEnd: true) {
            let line = queue.bytes(range)
            if line.isBlank { continue }
            let members = try parse(line, lines.number, maxDepth)
            if let recorded = members.length { length = max(length ?? 0, recorded) }
            if let index = ids.firstIndex(where: { $0.name == members.url }) {
                ids[index].id = members.id
            } else {
                others.append(Array(line))
            }
        }
        return length
    }

    private func parse(
        _ line: UnsafeBufferPointer<UInt8>, _ number: Int, _ maxDepth: Int
    ) throws -> (url: String, id: [UInt8]?, length: Int?) {
        do {
            let text = { (key: String) throws -> [UInt8]? in
                guard let range = try JSONPath(key).find(in: line, maxDepth: maxDepth) else {
                    return nil
                }
                let value = line.slice(range)
                guard value.first == UInt8(ascii: "\"") else { return Array(value) }
                var queue = ByteQueue()
                queue.append(replacing: value.slice(1..<(value.count - 1)))
                return Array(queue.bytes)
            }
            if let url = try text(".url") {
                let length = try text(".length").flatMap {
                    Int(String(decoding: $0, as: UTF8.self))
                }
                return (String(decoding: url, as: UTF8.self), try text(".last_event_id"), length)
            }
        } catch {
            // Told below.
        }
        throw Failure(
            .badConfiguration, "\(path):\(number): expected an object with url and last_event_id")
    }

    // MARK: The output

    /// Two runs that append to one file would ruin it. The lock goes with the process.
    private func lock(_ output: String) throws {
        if flock(1, LOCK_EX | LOCK_NB) != 0 {
            throw Failure(.cannotCreate, "\(output): another process appends to it")
        }
    }

    /// What is behind that length was written by a run that was killed, and comes again.
    private mutating func cut(_ output: String, to recorded: Int?) throws {
        var status = stat()
        guard fstat(1, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw UsageError("--exactly-once: \(output) is no regular file")
        }
        let size = Int(status.st_size)
        if let recorded {
            guard recorded <= size else {
                throw Failure(
                    .badConfiguration,
                    "\(output): shorter than \(path) says (\(size) of \(recorded) bytes)")
            }
            if recorded < size && ftruncate(1, recorded) != 0 {
                throw Failure(.inputOutput, errno: errno, output)
            }
        }
        start = recorded ?? size
    }

    // MARK: Writing

    /// All of the source's output up to the mark was written.
    mutating func take(_ mark: Mark, of index: Int) {
        if ids[index].id == mark.id && (!isExactlyOnce || length == mark.position) { return }
        ids[index].id = mark.id
        length = mark.position
        isChanged = true
    }

    /// When `save` has something to do; nil while nothing changed.
    var deadline: UInt64? { isChanged ? last + interval : nil }

    /// Writes the file, when that is due or `force` says so. What the output holds comes first.
    mutating func save(force: Bool = false) throws {
        let now = monotonicNanoseconds()
        guard isChanged, force || now >= last + interval else { return }
        if isExactlyOnce && fdatasync(1) != 0 {
            throw Failure(.inputOutput, errno: errno, "the output")
        }
        var text = ByteQueue()
        for line in others {
            text.append(line)
            text.append(UInt8(ascii: "\n"))
        }
        for (name, id) in ids where id != nil || isExactlyOnce {
            text.append("{\"url\":")
            text.append(quoting: name)
            if let id {
                text.append(",\"last_event_id\":")
                text.append(quoting: id)
            }
            if isExactlyOnce { text.append(string: ",\"length\":\(start + length)") }
            text.append("}\n")
        }
        try replaceFile(
            path, with: String(decoding: text.bytes, as: UTF8.self), isDurable: true, mode: 0o600)
        isChanged = false
        last = now
    }
}
