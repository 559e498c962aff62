import CZlib

/// Messages as permessage-deflate sends them: raw deflate, flushed, without the flush's last four
/// bytes. RFC 7692 section 7.2.1.
@safe
package struct MessageDeflater: ~Copyable {
    /// zlib says 9 and means it; with 8 it would silently take 9, which the peer could not inflate.
    package static let windowBits = 9...15

    private var deflater: SharedDeflater
    private let keepsContext: Bool

    /// `level` is 1 (fastest) to 9 (smallest). With `keepsContext` a message may refer to those
    /// before it. Throws when there is no memory.
    package init(windowBits: Int, keepsContext: Bool, level: Int) throws(GzipError) {
        precondition(Self.windowBits.contains(windowBits))
        self.keepsContext = keepsContext
        deflater = try SharedDeflater(level: level, windowBits: windowBits)
    }

    /// Appends the message, deflated, to `target`: never empty.
    package mutating func deflate(
        _ message: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue
    ) {
        unsafe deflater.deflateMessage(message, into: &target, endsAtBoundary: false)
        if !keepsContext { deflater.reset() }
    }
}

/// What permessage-deflate receives, inflated as it arrives. RFC 7692 section 7.2.2.
@safe
package struct MessageInflater: ~Copyable {
    package enum Outcome: Equatable, Sendable {
        case inflated
        /// `target` has as many bytes as allowed, and there are more.
        case tooLong
        case corrupt
        case outOfMemory
    }

    /// Room that is made for each step at most.
    private static let step = 64 << 10

    private let stream: UnsafeMutablePointer<z_stream>
    private let keepsContext: Bool
    /// The message has sent something: what has not is an empty message.
    private var isBegun = false
    /// The last byte so far ended a block that says it is the last one.
    private var isBehindFinalBlock = false

    /// `windowBits` is what the peer deflates with. With `keepsContext` a message may refer to
    /// those before it. Throws when there is no memory.
    package init(windowBits: Int, keepsContext: Bool) throws(GzipError) {
        precondition((8...15).contains(windowBits))
        self.keepsContext = keepsContext
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // A peer with an old zlib that promised 8 deflates with 9.
        let status = unsafe zlib_inflate_raw(stream, Int32(max(windowBits, 9)))
        if status != Z_OK { throw .outOfMemory }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Appends what a part of a message's payload inflates to, until `target` has `limit` bytes.
    /// Whatever the outcome, what came before the defect is there.
    package mutating func inflate(
        _ payload: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue, limit: Int
    ) -> Outcome {
        if payload.isEmpty { return .inflated }
        isBegun = true
        return unsafe run(payload, into: &target, limit: limit, Z_NO_FLUSH)
    }

    /// Ends the message: appends what is still to come of it.
    package mutating func finish(into target: inout ByteQueue, limit: Int) -> Outcome {
        defer {
            if !keepsContext { unsafe inflateReset(stream) }
            isBegun = false
            isBehindFinalBlock = false
        }
        // Some peers leave out the empty block behind a final one, or send nothing for nothing.
        if !isBegun || isBehindFinalBlock { return .inflated }
        let outcome = unsafe SharedDeflater.tail.withUnsafeBufferPointer {
            unsafe run($0, into: &target, limit: limit, Z_BLOCK)
        }
        // The tail ended a block: bit 7. The bits below count what is left over of the last byte.
        let isBetweenBlocks = unsafe stream.pointee.data_type & 0xBF == 0x80
        return outcome == .inflated && !isBetweenBlocks && !isBehindFinalBlock ? .corrupt : outcome
    }

    private mutating func run(
        _ input: UnsafeBufferPointer<UInt8>, into target: inout ByteQueue, limit: Int,
        _ flush: Int32
    ) -> Outcome {
        var used = 0
        while true {
            // One byte more than allowed shows that there are more.
            let room = min(Self.step - 1, max(0, limit - target.count)) + 1
            let rest = unsafe input.slice(used..<input.count)
            let size = UInt32(clamping: rest.count)
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: rest.baseAddress)
            unsafe stream.pointee.avail_in = size
            unsafe stream.pointee.next_out = target.reserve(room)
            unsafe stream.pointee.avail_out = UInt32(room)
            let status = unsafe CZlib.inflate(stream, flush)
            let taken = unsafe Int(size - stream.pointee.avail_in)
            let isFull = unsafe stream.pointee.avail_out == 0
            target.commit(unsafe room - Int(stream.pointee.avail_out))
            used += taken
            if taken > 0 { isBehindFinalBlock = false }
            if target.count > limit {
                target.truncate(limit)
                return .tooLong
            }
            switch status {
            case Z_OK: break
            case Z_BUF_ERROR: return .inflated
            case Z_STREAM_END:
                // Another block follows, and may refer to what was before: the window stays.
                unsafe inflateResetKeep(stream)
                isBehindFinalBlock = true
            case Z_MEM_ERROR: return .outOfMemory
            default: return .corrupt
            }
            if used == input.count && !isFull { return .inflated }
        }
    }
}
