import Glibc
import StreamCodec

/// The bytes of a file before a place in it: what a file is known again by, whatever its name, its
/// inode and its device are then.
package struct FilePrefix: Equatable, Sendable {
    /// How many bytes `head` and `tail` stand for, at most.
    package static let headSize = 4 << 10
    package static let tailSize = 64 << 10

    /// How many bytes there are.
    package var offset: Int
    /// XXH64 of the first of them, and of the last.
    package var head: UInt64
    package var tail: UInt64

    package init(offset: Int, head: UInt64, tail: UInt64) {
        self.offset = offset
        self.head = head
        self.tail = tail
    }

    /// Of a file that is read as it is, compressed or not; nil when it is shorter. `name` is for
    /// diagnostics.
    package init?(of descriptor: Int32, before offset: Int, _ name: String) throws {
        let head = try readBytes(descriptor, at: 0, min(offset, Self.headSize), name)
        let size = min(offset, Self.tailSize)
        let tail = try readBytes(descriptor, at: offset - size, size, name)
        guard head.count == min(offset, Self.headSize), tail.count == size else { return nil }
        self.init(
            offset: offset, head: head.withUnsafeBufferPointer { XXH64.hash($0, seed: 0) },
            tail: tail.withUnsafeBufferPointer { XXH64.hash($0, seed: 0) })
    }
}

/// So many bytes of a file from `offset` on; fewer at its end. Its own place stays where it is.
package func readBytes(
    _ descriptor: Int32, at offset: Int, _ count: Int, _ name: String
) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var size = 0
    while size < count {
        let got = bytes.withUnsafeMutableBytes {
            pread(descriptor, $0.baseAddress! + size, count - size, offset + size)
        }
        let code = errno
        if got < 0 && code == EINTR { continue }
        if got < 0 { throw Failure(.inputOutput, errno: code, name) }
        if got == 0 { break }
        size += got
    }
    return Array(bytes.prefix(size))
}
