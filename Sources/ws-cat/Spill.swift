import CLinux
import Glibc
import StreamCodec
import StreamTool

/// Lines for which there was no room, in a file, in order. The file is empty once they are sent;
/// what another run left in it is sent first. Only one run at a time has it: that is said by a lock
/// on a file beside it, which stays, for the file itself is replaced as a whole.
struct Spill: ~Copyable {
    let path: String
    private let descriptor: Int32
    private let lock: Int32
    private let end: UInt8
    private let maxLine: Int
    /// Read from the file and not taken.
    private var ahead = ByteQueue()
    private var taken = 0
    /// Where the next read begins, and how long the file is.
    private var offset = 0
    private var size = 0

    private static let step = 64 << 10

    init(path: String, _ settings: CatOptions) throws {
        var status = stat()
        if stat(path, &status) == 0 { try Self.check(status, path) }
        // By whatever name it is called, it has one lock.
        let path = Self.resolved(path)
        let lock = try Self.lock(path)
        let descriptor = clinux_open(path, O_RDWR | O_CREAT | O_APPEND, 0o600)
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            throw Failure(.cannotCreate, errno: errno, path)
        }
        try Self.check(status, path)
        self.path = path
        self.descriptor = descriptor
        self.lock = lock
        end = settings.endsLinesWithNull ? 0 : UInt8(ascii: "\n")
        maxLine = settings.common.maxLine
        size = Int(status.st_size)
    }

    deinit {
        close(descriptor)
        close(lock)
    }

    private static func check(_ status: stat, _ path: String) throws {
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.cannotCreate, "\(path): no regular file, as --overflow=spill needs")
        }
    }

    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// Held as long as the run lasts.
    private static func lock(_ path: String) throws -> Int32 {
        let lock = clinux_open("\(path).lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Failure(.cannotCreate, errno: errno, "\(path).lock") }
        if clinux_lock_byte(lock, 0) == 0 { return lock }
        let code = errno
        close(lock)
        guard code == EAGAIN || code == EACCES else {
            throw Failure(.cannotCreate, errno: code, "\(path).lock")
        }
        throw Failure(.cannotCreate, "\(path): another run spills to it")
    }

    var isEmpty: Bool { offset == size && ahead.count == taken }

    mutating func append(_ line: UnsafeBufferPointer<UInt8>) throws {
        var bytes = ByteQueue(capacity: line.count + 1)
        bytes.append(line)
        bytes.append(end)
        let count = bytes.count
        do {
            try writeAll(&bytes, to: descriptor, name: path)
        } catch {
            // Half a line would be sent as a whole one.
            _ = ftruncate(descriptor, off_t(size))
            throw error
        }
        size += count
    }

    /// The line that was appended first; nil at the end of the file.
    mutating func next() throws -> [UInt8]? {
        ahead.consume(taken)
        taken = 0
        var searched = 0
        while true {
            if let index = ahead.bytes(searched..<ahead.count).firstIndex(of: end) {
                let line = Array(ahead.bytes(0..<(searched + index)))
                taken = line.count + 1
                return line
            }
            searched = ahead.count
            if offset == size {
                // The last line of another run's file may have no end.
                guard searched > 0 else { return nil }
                taken = searched
                return Array(ahead.bytes)
            }
            guard searched <= maxLine else {
                throw Failure(
                    .badData, "\(path): line longer than \(maxLine) bytes (see --max-line)")
            }
            try readAhead()
        }
    }

    private mutating func readAhead() throws {
        offset += try Self.read(descriptor, path, offset..<size, into: &ahead)
    }

    /// Appends the first part of a range of the file, and says how long that is.
    private static func read(
        _ descriptor: Int32, _ path: String, _ range: Range<Int>, into queue: inout ByteQueue
    ) throws -> Int {
        let size = min(step, range.count)
        let count = pread(descriptor, queue.reserve(size), size, range.lowerBound)
        if count < 0 && errno == EINTR { return 0 }
        guard count > 0 else { throw Failure(.inputOutput, errno: count < 0 ? errno : EIO, path) }
        queue.commit(count)
        return count
    }

    /// Everything in it was handed over: the file is emptied.
    mutating func clear() throws {
        if size == 0 { return }
        precondition(isEmpty)
        ahead.removeAll()
        taken = 0
        guard ftruncate(descriptor, 0) == 0 else {
            throw Failure(.inputOutput, errno: errno, path)
        }
        offset = 0
        size = 0
    }

    /// Leaves `lines` and what was not taken in the file, in this order, for another run.
    mutating func leave(_ lines: borrowing ByteQueue) throws {
        ahead.consume(taken)
        taken = 0
        if lines.isEmpty && offset == ahead.count { return }
        let temporary = "\(path).\(getpid()).tmp"
        unlink(temporary)
        let copy = clinux_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard copy >= 0 else { throw Failure(.cannotCreate, errno: errno, temporary) }
        defer { close(copy) }
        do {
            var piece = ByteQueue()
            piece.append(lines.bytes)
            piece.append(ahead.bytes)
            try writeAll(&piece, to: copy, name: temporary)
            while offset < size {
                offset += try Self.read(descriptor, path, offset..<size, into: &piece)
                try writeAll(&piece, to: copy, name: temporary)
            }
            guard fsync(copy) == 0, rename(temporary, path) == 0 else {
                throw Failure(.inputOutput, errno: errno, path)
            }
        } catch {
            unlink(temporary)
            throw error
        }
    }
}
