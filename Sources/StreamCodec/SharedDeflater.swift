import CZlib

/// One compressor whose window many receivers share: what it writes is raw deflate (RFC 1951) in
/// pieces that end on a byte boundary.
///
/// A receiver takes every piece from a boundary on. One that leaves pieces out goes on behind
/// another boundary, and so does one whose own window took in bytes that the others did not get.
@safe
package struct SharedDeflater: ~Copyable {
    /// Room that is made for each step at most.
    private static let step = 64 << 10
    /// 00 00 FF FF, with which a flush ends: an empty stored block (RFC 1951 section 3.2.4)
    /// behind its three bits of header.
    static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    // zlib keeps the address of its stream, so the stream must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    /// CRC-32 and length of all that `deflate` was given (RFC 1952 section 2.3.1).
    package private(set) var tally = GzipTally()
    /// Nothing that comes may refer to what was, so that a receiver can begin here: no distance
    /// (RFC 1951 section 3.2.5) reaches back across this point. True at the start.
    package private(set) var isAtBoundary = true

    /// `level` is 1 (fastest) to 9 (smallest). Raw deflate, as RFC 1951 has it, with a window of
    /// 2^`windowBits` bytes, 15 at most (section 2). Throws when there is no memory.
    package init(level: Int, windowBits: Int = 15) throws(GzipError) {
        precondition((1...9).contains(level) && (9...15).contains(windowBits))
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe zlib_deflate_raw(stream, Int32(level), Int32(windowBits))
        if status != Z_OK { throw .outOfMemory }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// CRC-32 of all that `deflate` was given. RFC 1952 section 2.3.1.
    package var crc: UInt32 { tally.crc }

    /// Length in bytes of all that `deflate` was given. RFC 1952 section 2.3.1 has its low half.
    package var length: UInt64 { tally.length }

    /// Appends `bytes`, which must not be empty, deflated, to `target`, ended by a sync flush; by
    /// a full flush when `endsAtBoundary`, behind which receivers can begin. Both end with an
    /// empty stored block (RFC 1951 section 3.2.4), on a byte boundary.
    package mutating func deflate(
        _ bytes: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue, endsAtBoundary: Bool
    ) {
        unsafe tally.add(bytes)
        unsafe run(bytes, into: &target, endsAtBoundary: endsAtBoundary)
    }

    /// The same as the payload of a permessage-deflate message, without the last four bytes
    /// 00 00 FF FF: RFC 7692 section 7.2.1. It is never empty. An empty message is the byte 00
    /// (section 7.2.3.6) and changes nothing, whatever `endsAtBoundary` says. `tally` does not
    /// count messages.
    package mutating func deflateMessage(
        _ bytes: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue, endsAtBoundary: Bool
    ) {
        if bytes.isEmpty { return target.append(0) }
        let start = target.count
        unsafe run(bytes, into: &target, endsAtBoundary: endsAtBoundary)
        let end = target.count - Self.tail.count
        precondition(end > start)
        precondition(unsafe target.bytes(end..<target.count).isEqual(to: Self.tail))
        target.truncate(end)
    }

    /// Forgets the window: what comes refers to nothing before.
    mutating func reset() {
        unsafe deflateReset(stream)
        isAtBoundary = true
    }

    private mutating func run(
        _ bytes: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue, endsAtBoundary: Bool
    ) {
        precondition(!bytes.isEmpty)
        let flush = endsAtBoundary ? Z_FULL_FLUSH : Z_SYNC_FLUSH
        // Bytes that do not shrink are stored in blocks, with 5 bytes of header each, and the
        // flush adds 5. A flush that fills its room to the last byte would be made once more.
        let room = min(Self.step, bytes.count + bytes.count >> 8 + 64)
        var given = 0
        var isFull = true
        while isFull || given < bytes.count {
            // zlib counts in 32 bits; 4 GiB take more than one turn.
            let rest = unsafe bytes.slice(given..<bytes.count)
            let size = UInt32(clamping: rest.count)
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: rest.baseAddress)
            unsafe stream.pointee.avail_in = size
            unsafe stream.pointee.next_out = target.reserve(room)
            unsafe stream.pointee.avail_out = UInt32(room)
            let status = unsafe CZlib.deflate(
                stream, Int(size) == rest.count ? flush : Z_NO_FLUSH)
            // Never Z_BUF_ERROR: there is input, or output that found no room.
            precondition(status == Z_OK)
            given += unsafe Int(size - stream.pointee.avail_in)
            isFull = unsafe stream.pointee.avail_out == 0
            target.commit(unsafe room - Int(stream.pointee.avail_out))
        }
        isAtBoundary = endsAtBoundary
    }
}

/// What a gzip member has held so far, as its trailer tells it: RFC 1952 section 2.3.1. With it
/// a receiver of a shared stream has a member of its own around the pieces that all receive.
package struct GzipTally: Sendable, Equatable {
    /// In bytes. It stands first so that the struct is 12 bytes, and 4 more are left to its owner.
    package var length: UInt64
    package var crc: UInt32

    package init(crc: UInt32 = 0, length: UInt64 = 0) {
        self.crc = crc
        self.length = length
    }

    /// Takes in bytes that were sent to this receiver alone. RFC 1952 section 2.3.1.
    package mutating func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        // zlib's answer to no address is the checksum of nothing.
        guard let start = bytes.baseAddress else { return }
        crc = unsafe UInt32(crc32_z(UInt(crc), start, bytes.count))
        length += UInt64(bytes.count)
    }

    /// Takes in what lies between two points of a shared stream, each given by its tally.
    ///
    /// The CRC-32 (RFC 1952 section 8) of A and then B is that of A moved over the length of B,
    /// which is linear, and then XORed with that of B. So the CRC-32 of B is not needed for
    /// itself: it is `to`, XORed with `from` moved.
    package mutating func add(from: GzipTally, to: GzipTally) {
        precondition(from.length <= to.length)
        // Releases of zlib before 1.2.12 leave the second CRC-32 out when nothing is between.
        if from.length == to.length { return }
        let size = to.length - from.length
        crc = UInt32(crc32_combine(UInt(crc ^ from.crc), UInt(to.crc), Int(size)))
        length += size
    }

    /// The ten bytes that begin a member: deflate, no flags, no time, from Unix.
    /// RFC 1952 section 2.3.
    package static func appendHeader(to target: inout ByteQueue) {
        target.append([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3])
    }

    /// Appends `bytes`, which may be empty, as they are: stored blocks (RFC 1951 section 3.2.4) of
    /// at most 65535 bytes, none of them final. They can stand between any two pieces. In place of
    /// a piece, with the bytes that it stands for, they leave the receiver's window what it is;
    /// any others move it, and the piece that follows must begin behind a boundary.
    package static func appendStored(
        _ bytes: UnsafeBufferPointer<UInt8>, to target: inout ByteQueue
    ) {
        var start = 0
        while start < bytes.count {
            let end = min(start + 0xFFFF, bytes.count)
            let size = UInt16(end - start)
            target.append(0x00)
            target.append(littleEndian: size)
            target.append(littleEndian: ~size)
            unsafe target.append(bytes.slice(start..<end))
            start = end
        }
    }

    /// Ends the member: a final empty block with fixed codes (RFC 1951 section 3.2.6), which is
    /// the bits 1, 01 and 0000000, and the trailer, CRC-32 and length modulo 2^32 (RFC 1952
    /// section 2.3.1).
    package func appendEnd(to target: inout ByteQueue) {
        target.append(0x03)
        target.append(0x00)
        target.append(littleEndian: crc)
        target.append(littleEndian: UInt32(truncatingIfNeeded: length))
    }
}

extension ByteQueue {
    /// The number's bytes, the lowest first, as RFC 1951 and RFC 1952 (section 2.1) have them.
    fileprivate mutating func append(littleEndian number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
