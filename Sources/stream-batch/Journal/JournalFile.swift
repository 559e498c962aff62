import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The file of a journal, open for reading and for writing at its end.
struct JournalFile: ~Copyable {
    /// What every journal begins with. Version 1 had other places of files.
    static var head: StaticString { "stream-batch journal 2\n" }
    static var earlierHead: StaticString { "stream-batch journal 1\n" }
    static var headSize: Int { head.utf8CodeUnitCount }

    /// It was one, cut off or with a byte or two that changed; but not of a later version.
    static func isDamagedHead(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let head = UnsafeBufferPointer(start: head.utf8Start, count: headSize)
        let differences = bytes.indices.filter { bytes[$0] != head[$0] }
        if bytes.count < headSize {
            return differences.isEmpty
        }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        let isVersion = differences == [headSize - 2] && digits.contains(bytes[headSize - 2])
        return differences.count <= 2 && !isVersion
    }

    private(set) var path: String
    let descriptor: Int32
    /// Bytes of whole entries, and of the head.
    private(set) var size: Int

    deinit {
        close(descriptor)
    }

    private init(path: String, descriptor: Int32, size: Int) {
        self.path = path
        self.descriptor = descriptor
        self.size = size
    }

    /// The file at `path`; nil when there is none.
    static func existing(_ path: String) throws -> JournalFile? {
        let descriptor = clinux_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0)
        if descriptor < 0 {
            let code = errno
            if code == ENOENT { return nil }
            throw Failure(.cannotCreate, errno: code, path)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw Failure(.cannotCreate, "\(path): not a regular file")
        }
        return JournalFile(path: path, descriptor: descriptor, size: Int(status.st_size))
    }

    /// A new file with nothing but the head, in place of one that was left behind.
    static func new(_ path: String) throws -> JournalFile {
        unlink(path)
        let descriptor = clinux_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw Failure(.cannotCreate, errno: errno, path) }
        var file = JournalFile(path: path, descriptor: descriptor, size: 0)
        try file.append(UnsafeBufferPointer(start: head.utf8Start, count: headSize))
        return file
    }

    /// Writes all of `bytes` at the end. When that fails the file stays as it was.
    mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        var written = 0
        while written < bytes.count {
            // At an offset, so that a next attempt overwrites what could not be cut off.
            let count = pwrite(
                descriptor, bytes.baseAddress! + written, bytes.count - written, size + written)
            if count >= 0 {
                written += count
                continue
            }
            let code = errno
            if code == EINTR { continue }
            // When this fails too, what is left behind has no seal and is passed over.
            if written > 0 { ftruncate(descriptor, size) }
            throw Failure(.inputOutput, errno: code, path)
        }
        size += written
    }

    /// Cuts off what was not written to its end.
    mutating func cut(to end: Int) throws {
        if end == size { return }
        guard ftruncate(descriptor, end) == 0 else {
            throw Failure(.inputOutput, errno: errno, path)
        }
        size = end
    }

    /// Writes all of it to a new file, and closes that.
    func copy(to descriptor: Int32, _ name: String) throws {
        defer { close(descriptor) }
        var offset = 0
        var queue = ByteQueue(capacity: 1 << 20)
        while true {
            let count = pread(self.descriptor, queue.reserve(1 << 20), 1 << 20, offset)
            if count < 0 { throw Failure(.inputOutput, errno: errno, path) }
            if count == 0 { break }
            queue.commit(count)
            offset += count
            try writeAll(&queue, to: descriptor, name: name)
        }
        if fsync(descriptor) != 0 { throw Failure(.inputOutput, errno: errno, name) }
    }

    /// Waits until all that was written is on the disk.
    func sync() throws {
        if fdatasync(descriptor) != 0 { throw Failure(.inputOutput, errno: errno, path) }
    }

    mutating func move(to target: String) throws {
        guard rename(path, target) == 0 else {
            throw Failure(.cannotCreate, errno: errno, target)
        }
        path = target
    }
}

/// The folder of a journal, locked for as long as this lives; a lock ends with its process.
struct JournalFolder: ~Copyable {
    let path: String
    private let lock: Int32

    deinit {
        close(lock)
    }

    /// Makes the folder when there is none.
    init(_ path: String) throws {
        let isNew = mkdir(path, 0o700) == 0
        let code = errno
        if !isNew && code != EEXIST { throw Failure(.cannotCreate, errno: code, path) }
        if isNew { try Self.sync(path + "/..") }
        lock = try Self.lock(path)
        self.path = path
    }

    private static func lock(_ path: String) throws -> Int32 {
        // Not the folder itself: NFS locks only what is open for writing.
        let name = path + "/lock"
        let lock = clinux_open(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        if lock < 0 { throw Failure(.cannotCreate, errno: errno, name) }
        // Not flock(2): a command that is just being started would hold that for a moment more
        // than this process lives.
        var exclusive = Glibc.flock()
        exclusive.l_type = Int16(F_WRLCK)
        exclusive.l_whence = Int16(SEEK_SET)
        if fcntl(lock, F_SETLK, &exclusive) == 0 { return lock }
        let code = errno
        close(lock)
        if code != EACCES && code != EAGAIN { throw Failure(.cannotCreate, errno: code, name) }
        throw Failure(.cannotCreate, "\(path): in use by another stream-batch")
    }

    /// Gives the journal a second name, by which it stays. Returns that.
    func keepDamaged(_ file: borrowing JournalFile) throws -> String {
        var number = 1
        while true {
            let name = path + "/journal.damaged" + (number == 1 ? "" : ".\(number)")
            if link(file.path, name) == 0 { return name }
            var code = errno
            // A file system without second names.
            if code == EPERM || code == EOPNOTSUPP || code == ENOSYS {
                let copy = clinux_open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
                code = errno
                if copy >= 0 {
                    try file.copy(to: copy, name)
                    return name
                }
            }
            if code != EEXIST || number == 1000 { throw Failure(.cannotCreate, errno: code, name) }
            // A run that was cut off has done it.
            var (new, old) = (stat(), stat())
            if fstat(file.descriptor, &new) == 0, lstat(name, &old) == 0,
                new.st_dev == old.st_dev, new.st_ino == old.st_ino
            {
                return name
            }
            number += 1
        }
    }

    /// Waits until the names in the folder are on the disk.
    func sync() throws {
        try Self.sync(path)
    }

    private static func sync(_ path: String) throws {
        let descriptor = clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
        if descriptor < 0 { throw Failure(.inputOutput, errno: errno, path) }
        defer { close(descriptor) }
        // EINVAL: a file system that cannot do it for folders.
        if fsync(descriptor) != 0 && errno != EINVAL {
            throw Failure(.inputOutput, errno: errno, path)
        }
    }
}
