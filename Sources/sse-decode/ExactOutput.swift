import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The file of --output under --exactly-once, which is standard output by now and locked.
struct ExactOutput {
    /// Its own name, absolute.
    let name: String
    /// The same file to read from; open for good.
    private let descriptor: Int32
    /// Bytes that stood there before this run.
    private var start = 0
    /// Bytes of this run that belong to the ids.
    var length = 0
    /// Its size, once the run has ended in order.
    private var endSize: Int?

    init(_ path: String) throws {
        name = fileName(path)
        var status = stat()
        guard fstat(1, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw UsageError("--exactly-once: \(path) is no regular file")
        }
        descriptor = clinux_open(path, O_RDONLY, 0)
        if descriptor < 0 { throw Failure(.noInput, errno: errno, path) }
        var other = stat()
        guard fstat(descriptor, &other) == 0, other.st_dev == status.st_dev,
            other.st_ino == status.st_ino
        else { throw Failure(.cannotCreate, "\(path): it was replaced just now") }
    }

    /// What the lines know of this file.
    private func place(in lines: [StateLine]) -> OutputPlace? {
        for case .output(let place) in lines where place.path == name { return place }
        return nil
    }

    private func size() throws -> Int {
        var status = stat()
        if fstat(1, &status) != 0 { throw Failure(.inputOutput, errno: errno, name) }
        return Int(status.st_size)
    }

    /// How many bytes stand behind what belongs to the ids; nil when nothing is known of the file.
    func surplus(_ lines: [StateLine]) throws -> Int? {
        try place(in: lines).map { try size() - $0.prefix.offset }
    }

    /// Cuts off what was written by a run that was killed: it comes again. Throws when the file is
    /// not the one that the lines know. `state` is for diagnostics.
    mutating func begin(_ lines: [StateLine], _ state: String, _ report: Report) throws {
        start = try cut(lines, state)
        // What the file had before it was kept may end in half a line.
        if try endLastLine(of: name, report) { start += 1 }
    }

    /// The size that is left.
    private func cut(_ lines: [StateLine], _ state: String) throws -> Int {
        let size = try size()
        guard let place = place(in: lines) else { return size }
        let length = place.prefix.offset
        guard length <= size else {
            throw Failure(
                .badConfiguration,
                "\(name): shorter than \(state) says (\(size) of \(length) bytes)")
        }
        guard try FilePrefix(of: descriptor, before: length, name) == place.prefix else {
            throw Failure(
                .badConfiguration,
                "\(name): not the file that \(state) knows: other bytes stand before byte"
                    + " \(length)")
        }
        if let end = place.end, size > end {
            throw Failure(
                .badConfiguration,
                "\(name): \(size - end) bytes at its end were not written with \(state)")
        }
        if length < size && ftruncate(1, length) != 0 {
            throw Failure(.inputOutput, errno: errno, name)
        }
        return length
    }

    mutating func end() throws {
        endSize = try size()
    }

    /// What is to be kept of it, which is on the disk then.
    func place() throws -> OutputPlace {
        if fdatasync(1) != 0 { throw Failure(.inputOutput, errno: errno, name) }
        guard let prefix = try FilePrefix(of: descriptor, before: start + length, name) else {
            throw Failure(.inputOutput, "\(name): it was cut by another process")
        }
        return OutputPlace(path: name, prefix: prefix, end: endSize)
    }
}
