import CLinux
import Glibc
import StreamCodec
import StreamTool

/// What is in a regular file, inflated when it is compressed. The descriptor's own place in the
/// file stays where it is.
struct FileContents: ~Copyable {
    /// What the system knows a file by.
    struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
        var born: UInt64
    }

    private static let step = 256 << 10

    let identity: Identity
    /// The size of the file.
    let size: Int
    private let name: String
    private let descriptor: Int32
    private let isOurs: Bool
    private let maxRatio: Int
    let isCompressed: Bool
    private var inflater: GzipInflater?
    /// Compressed bytes that were read, and where the next ones are.
    private var raw = ByteQueue()
    private var rawOffset = 0
    /// Contents that were inflated, and where they begin.
    private var window = ByteQueue()
    private var windowStart = 0

    deinit {
        if isOurs { close(descriptor) }
    }

    /// Of a file that somebody else reads and closes.
    static func of(_ descriptor: Int32, _ name: String, maxRatio: Int) throws -> FileContents {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw Failure(.inputOutput, errno: errno, name) }
        return FileContents(descriptor, name, status, isOurs: false, maxRatio: maxRatio)
    }

    /// nil for what is no regular file, or cannot be read.
    static func open(_ operand: Operand, maxRatio: Int) -> FileContents? {
        var status = stat()
        guard !operand.path.isEmpty, stat(operand.path, &status) == 0,
            status.st_mode & S_IFMT == S_IFREG
        else { return nil }
        let descriptor = clinux_open_input(operand.path)
        if descriptor < 0 { return nil }
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            return nil
        }
        return FileContents(descriptor, operand.name, status, isOurs: true, maxRatio: maxRatio)
    }

    private init(
        _ descriptor: Int32, _ name: String, _ status: stat, isOurs: Bool, maxRatio: Int
    ) {
        self.descriptor = descriptor
        self.name = name
        self.isOurs = isOurs
        self.maxRatio = maxRatio
        size = Int(status.st_size)
        identity = Identity(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
            born: clinux_birth_time(descriptor))
        var magic: [UInt8] = [0, 0]
        isCompressed =
            pread(descriptor, &magic, 2, 0) == 2
            && magic.withUnsafeBufferPointer { GzipInflater.isGzip($0) == true }
    }

    /// The contents from `offset` on, `count` bytes; fewer at their end. Going backwards in a
    /// compressed file begins it anew.
    mutating func bytes(at offset: Int, count: Int) throws -> [UInt8] {
        if !isCompressed { return try readBytes(descriptor, at: offset, count, name) }
        if inflater == nil || offset < windowStart { try begin() }
        while windowStart + window.count < offset + count {
            let surplus = min(window.count, offset - windowStart)
            window.consume(surplus)
            windowStart += surplus
            if try !inflate() { break }
        }
        let start = min(offset - windowStart, window.count)
        return Array(window.bytes(start..<min(start + count, window.count)))
    }

    /// The last bytes before `offset`, `count` of them at most; nil when it ends before.
    mutating func block(before offset: Int, count: Int) throws -> [UInt8]? {
        let size = min(count, offset)
        let bytes = try bytes(at: offset - size, count: size)
        return bytes.count == size ? bytes : nil
    }

    /// It is compressed, and ends too early.
    mutating func isCut() throws -> Bool {
        try begin()
        while try inflate() { window.removeAll() }
        // What was asked for before is not there any more.
        windowStart = .max
        do throws(GzipError) {
            try inflater?.finish(&raw)
            return false
        } catch {
            return true
        }
    }

    private mutating func begin() throws {
        raw.removeAll()
        rawOffset = 0
        window.removeAll()
        windowStart = 0
        do throws(GzipError) {
            inflater = try GzipInflater(maxRatio: maxRatio)
        } catch {
            throw Failure(.systemError, error.description)
        }
    }

    /// False at the end, and where the file is damaged: whoever reads it will tell.
    private mutating func inflate() throws -> Bool {
        let before = window.count
        while window.count == before {
            var isHungry = true
            do throws(GzipError) {
                isHungry = try inflater?.inflate(&raw, into: &window) != true
            } catch {
                return false
            }
            if isHungry {
                let more = try readBytes(descriptor, at: rawOffset, Self.step, name)
                if more.isEmpty { return false }
                rawOffset += more.count
                raw.append(more)
            }
        }
        return true
    }
}
