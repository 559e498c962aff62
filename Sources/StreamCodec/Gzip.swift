import CZlib

/// What is wrong with a gzip stream. RFC 1952.
package enum GzipError: Error, Equatable, CustomStringConvertible {
    case corrupt(String)
    case truncated
    case ratio(limit: Int)
    case outOfMemory

    package var description: String {
        switch self {
        case .corrupt(let reason): "corrupt gzip data: \(reason)"
        case .truncated: "gzip data ends too early"
        case .ratio(let limit):
            "gzip data inflates to more than \(limit) times its size (see --max-ratio)"
        case .outOfMemory: "out of memory for gzip"
        }
    }
}

/// A gzip stream, concatenated members too, as the bytes it stands for.
@safe
package struct GzipInflater: ~Copyable {
    /// What a small input may blow up to, unless an option says otherwise.
    package static let defaultMaxRatio = 250
    /// Output that is never suspicious, whatever its ratio: 64 MiB.
    package static let alwaysAccepted = 64 << 20
    /// Room that is made for each step.
    private static let step = 256 << 10

    private enum State { case member, betweenMembers, garbage }

    // zlib keeps the address of its stream, so the stream must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var state = State.member
    private var received = 0
    private var produced = 0
    private let maxRatio: Int

    package init(maxRatio: Int = defaultMaxRatio) throws(GzipError) {
        self.maxRatio = maxRatio
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe zlib_inflate_gzip(stream)
        if status != Z_OK { throw .outOfMemory }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// True when the bytes begin a gzip member; nil while there are too few to tell.
    package static func isGzip(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool? {
        if unsafe bytes.count >= 1 && bytes[0] != 0x1F { return false }
        if bytes.count < 2 { return nil }
        return unsafe bytes[1] == 0x8B
    }

    /// True once something followed the last member that is no member: it is left out.
    package var sawGarbage: Bool { state == .garbage }

    /// Inflates from `source` into `target`, one bounded step. False when it needs more input.
    package mutating func inflate(
        _ source: inout ByteQueue, into target: inout ByteQueue
    ) throws(GzipError) -> Bool {
        if state == .betweenMembers {
            guard try beginMember(&source) else { return false }
        }
        if state == .garbage {
            source.removeAll()
            return false
        }
        if source.isEmpty { return false }
        let input = unsafe source.bytes
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        unsafe stream.pointee.avail_in = UInt32(clamping: input.count)
        unsafe stream.pointee.next_out = target.reserve(Self.step)
        unsafe stream.pointee.avail_out = UInt32(Self.step)
        let given = unsafe Int(stream.pointee.avail_in)
        let status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
        let used = unsafe given - Int(stream.pointee.avail_in)
        let written = unsafe Self.step - Int(stream.pointee.avail_out)
        source.consume(used)
        target.commit(written)
        received += used
        produced += written
        switch status {
        case Z_STREAM_END:
            state = .betweenMembers
        case Z_OK, Z_BUF_ERROR:
            break
        case Z_MEM_ERROR:
            throw .outOfMemory
        default:
            let reason = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
            throw .corrupt(reason ?? "status \(status)")
        }
        if produced > Self.alwaysAccepted && produced / maxRatio > received {
            throw .ratio(limit: maxRatio)
        }
        return used > 0 || written > 0
    }

    /// Call at the end of the input: throws when a member is not complete.
    package mutating func finish(_ source: inout ByteQueue) throws(GzipError) {
        if state == .member { throw .truncated }
        if state == .betweenMembers && !source.isEmpty { state = .garbage }
    }

    /// Behind a member: another one, padding, or garbage. False when more input must tell.
    private mutating func beginMember(_ source: inout ByteQueue) throws(GzipError) -> Bool {
        // Zeros are what tapes and block devices pad with; gzip skips them silently.
        while !source.isEmpty && source[0] == 0 { source.consume(1) }
        guard let isMember = unsafe Self.isGzip(source.bytes) else { return false }
        if isMember {
            unsafe inflateReset(stream)
            state = .member
        } else {
            state = .garbage
        }
        return true
    }
}

/// Bytes as one gzip member.
@safe
package struct GzipDeflater: ~Copyable {
    package enum Flush {
        /// As it compresses best: what was given may stay inside for long.
        case none
        /// Everything given can be inflated from what was written.
        case sync
        /// The end of the member.
        case finish
    }

    private static let step = 64 << 10
    private let stream: UnsafeMutablePointer<z_stream>

    /// `level` is 1 (fastest) to 9 (smallest).
    package init(level: Int) throws(GzipError) {
        precondition((1...9).contains(level))
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe zlib_deflate_gzip(stream, Int32(level))
        if status != Z_OK { throw .outOfMemory }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Deflates all of `source` into `target`.
    package mutating func deflate(
        _ source: inout ByteQueue, into target: inout ByteQueue, flush: Flush
    ) {
        let mode =
            switch flush {
            case .none: Z_NO_FLUSH
            case .sync: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        var isFull = true
        // zlib counts in 32 bits; a queue of 4 GiB takes more than one turn.
        while isFull || !source.isEmpty {
            let input = unsafe source.bytes
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(clamping: input.count)
            unsafe stream.pointee.next_out = target.reserve(Self.step)
            unsafe stream.pointee.avail_out = UInt32(Self.step)
            let given = unsafe Int(stream.pointee.avail_in)
            let status = unsafe CZlib.deflate(stream, mode)
            precondition(status != Z_STREAM_ERROR)
            source.consume(unsafe given - Int(stream.pointee.avail_in))
            isFull = unsafe stream.pointee.avail_out == 0
            target.commit(unsafe Self.step - Int(stream.pointee.avail_out))
            if status == Z_STREAM_END { return }
        }
    }
}
