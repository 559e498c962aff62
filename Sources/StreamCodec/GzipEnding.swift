import CZlib

/// What a gzip file lacks whose last member was not written to its end (RFC 1951, 1952).
@safe
package struct GzipEnding: ~Copyable {
    /// What may be inflated behind the last whole block, which is kept: 64 MiB.
    private static let maxRest = 64 << 20
    private static let step = 64 << 10
    /// The most that one stored block has (RFC 1951, section 3.2.4).
    private static let stored = 65_535

    // zlib keeps the address of its stream, so the stream must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isInMember = false
    /// Bytes that were taken so far.
    private var offset = 0
    /// Behind the last whole block of this member, or its head: bytes up to there, how many bits
    /// of the last one belong to nothing, and that byte.
    private var boundary: (offset: Int, unused: Int, last: UInt8)?
    /// What was inflated behind the boundary.
    private var rest: [UInt8] = []
    private var last: UInt8 = 0
    /// What was inflated so far ends in half a line.
    package private(set) var isInLine = false

    package init() throws(GzipError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe zlib_inflate_gzip(stream)
        if status != Z_OK { throw .outOfMemory }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Takes the next bytes of the file. Throws for what is no gzip, a corrupt member, and for a
    /// block that inflates to very much.
    package mutating func take(_ bytes: [UInt8]) throws(GzipError) {
        var used = 0
        while used < bytes.count {
            if !isInMember { unsafe inflateReset(stream) }
            isInMember = true
            used += try inflate(bytes, from: used)
        }
    }

    /// Up to the end of the bytes, of a block, or of the room. How many bytes that took.
    private mutating func inflate(_ bytes: [UInt8], from start: Int) throws(GzipError) -> Int {
        var room = [UInt8](repeating: 0, count: Self.step)
        var (taken, written, status) = (0, 0, Z_OK)
        unsafe bytes.withUnsafeBufferPointer { input in
            unsafe room.withUnsafeMutableBufferPointer { output in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: input.baseAddress! + start)
                unsafe stream.pointee.avail_in = UInt32(clamping: input.count - start)
                unsafe stream.pointee.next_out = output.baseAddress
                unsafe stream.pointee.avail_out = UInt32(output.count)
                status = unsafe CZlib.inflate(stream, Z_BLOCK)
                taken = unsafe input.count - start - Int(stream.pointee.avail_in)
                written = unsafe output.count - Int(stream.pointee.avail_out)
            }
        }
        offset += taken
        if taken > 0 { last = bytes[start + taken - 1] }
        rest += room[..<written]
        if written > 0 { isInLine = room[written - 1] != 0x0A }
        switch status {
        case Z_STREAM_END:
            isInMember = false
            boundary = nil
            rest = []
        case Z_OK, Z_BUF_ERROR: noteBoundary()
        case Z_MEM_ERROR: throw .outOfMemory
        default:
            let reason = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
            throw .corrupt(reason ?? "status \(status)")
        }
        if rest.count > Self.maxRest { throw .corrupt("a block without an end") }
        return taken
    }

    /// `data_type` says, as inflate() in zlib.h has it, how many bits are unused, with 128 at the
    /// end of a block or of the head, and with 64 in the last block.
    private mutating func noteBoundary() {
        let type = unsafe Int(stream.pointee.data_type)
        guard type & 128 != 0, type & 64 == 0 else { return }
        boundary = (offset, type & 7, last)
        rest = []
    }

    /// At the end of the file: from where on it is to be replaced, and by what, so that all that
    /// can be inflated stays. Nil when nothing is missing.
    package func ending() -> (offset: Int, bytes: [UInt8])? {
        guard isInMember else { return nil }
        // Not even the head is there.
        guard let boundary else { return (memberStart, []) }
        var bytes: [UInt8] = []
        var start = boundary.offset
        var bits = UInt8(0)
        if boundary.unused > 0 {
            start -= 1
            bits = boundary.last & (0xFF >> UInt8(boundary.unused))
        }
        var place = 8 - boundary.unused
        var left = rest[...]
        repeat {
            let piece = left.prefix(Self.stored)
            left = left.dropFirst(piece.count)
            // One bit says whether it is the last block; two zeros that it is stored.
            if boundary.unused > 0 && bytes.isEmpty {
                if left.isEmpty { bits |= UInt8(truncatingIfNeeded: 1 << place) }
                bytes.append(bits)
                place += 3
                // The end of the head, or the second and third bit, are in another byte.
                if place > 8 { bytes.append(0) }
            } else {
                bytes.append(left.isEmpty ? 1 : 0)
            }
            let count = UInt16(piece.count)
            bytes += [count, ~count].flatMap { Self.littleEndian(UInt32($0)).prefix(2) }
            bytes += piece
        } while !left.isEmpty
        let (sum, size) = unsafe (stream.pointee.adler, stream.pointee.total_out)
        bytes += Self.littleEndian(UInt32(truncatingIfNeeded: sum))
        bytes += Self.littleEndian(UInt32(truncatingIfNeeded: size))
        return (start, bytes)
    }

    private var memberStart: Int { unsafe offset - Int(stream.pointee.total_in) }

    private static func littleEndian(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
