import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The file that --state names. Several processes may keep their lines in it at the same time, but
/// a line belongs to one process. Who may write is said by locks on a file beside it, which stays:
/// the file itself is replaced as a whole.
struct StateFile {
    private static let maxSize = 16 << 20
    private static let maxLine = 1 << 20
    /// How long another process may take to write the file.
    private static let patience: UInt64 = 10_000_000_000

    /// As the user calls it.
    let path: String
    private let maxDepth: Int
    /// Open for good: the locks go with the process.
    private let lock: Int32

    init(_ path: String, maxDepth: Int) throws {
        self.path = path
        self.maxDepth = maxDepth
        if isStandardOutput(path) { throw UsageError("--state: \(path) is the output") }
        var status = stat()
        if stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
            throw UsageError("--state: \(path) is no regular file")
        }
        lock = clinux_open(fileName(path) + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        if lock < 0 { throw Failure(.cannotCreate, errno: errno, "\(path).lock") }
    }

    // MARK: Locks

    /// From now on the line is this process's.
    func claim(_ key: RequestKey) throws {
        let text = Array("\(key.url)\n\(key.request ?? "")".utf8)
        let hash = text.withUnsafeBufferPointer { XXH64.hash($0, seed: 0) }
        // Byte 0 is the file's.
        if clinux_lock_byte(lock, Int64(1 + hash >> 2)) == 0 { return }
        throw lockFailure("another process keeps the place of \(key.url) there")
    }

    private func lockFailure(_ reason: String) -> Failure {
        let code = errno
        guard code == EAGAIN || code == EACCES else {
            return Failure(.cannotCreate, errno: code, "\(path).lock")
        }
        return Failure(.cannotCreate, "\(path): \(reason)")
    }

    /// While nobody else writes the file.
    func exclusively<Result>(_ body: () throws -> Result) throws -> Result {
        let deadline = monotonicNanoseconds() + Self.patience
        while clinux_lock_byte(lock, 0) != 0 {
            if errno != EAGAIN || monotonicNanoseconds() > deadline {
                throw lockFailure("another process has it locked")
            }
            usleep(1000)
        }
        defer { _ = clinux_unlock_byte(lock, 0) }
        return try body()
    }

    // MARK: Contents

    /// All lines, each as it stands there, too. Nothing when there is no such file.
    func read() throws -> [(line: StateLine, raw: [UInt8])] {
        var queue = try contents()
        var reader = LineReader(maxLine: Self.maxLine)
        var lines: [(line: StateLine, raw: [UInt8])] = []
        while true {
            switch reader.next(&queue, atEnd: true) {
            case .more: return lines
            case .tooLong:
                throw Failure(
                    .badConfiguration,
                    "\(path):\(reader.number): longer than \(Self.maxLine) bytes")
            case .line(let range):
                let raw = queue.bytes(range)
                if raw.isBlank { continue }
                guard let line = StateLine(raw, maxDepth: maxDepth) else {
                    throw Failure(
                        .badConfiguration,
                        "\(path):\(reader.number): expected an object with url or output")
                }
                lines.append((line, Array(raw)))
            }
        }
    }

    private func contents() throws -> ByteQueue {
        var queue = ByteQueue()
        let descriptor = clinux_open(path, O_RDONLY, 0)
        if descriptor < 0 {
            if errno == ENOENT { return queue }
            throw Failure(.noInput, errno: errno, path)
        }
        defer { close(descriptor) }
        while true {
            let bytes = try readBytes(descriptor, at: queue.count, 64 << 10, path)
            if bytes.isEmpty { return queue }
            queue.append(bytes)
            if queue.count > Self.maxSize {
                throw Failure(
                    .badConfiguration, "\(path): longer than \(Self.maxSize) bytes")
            }
        }
    }

    /// Replaces the file; it is on the disk then.
    func write(_ text: borrowing ByteQueue) throws {
        try replaceFile(
            path, with: String(decoding: text.bytes, as: UTF8.self), isDurable: true, mode: 0o600)
    }
}
