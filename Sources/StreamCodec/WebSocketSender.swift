import CBytes

/// The frames of what we send. RFC 6455 section 5, RFC 7692 section 6.1.
@safe
package struct WebSocketSender: ~Copyable {
    /// Deflating a message of fewer bytes saves less than it costs.
    private static let minDeflated = 32
    /// What is kept of the buffer that compressed messages need, in bytes.
    private static let kept = 256 << 10

    /// A longer message is compressed, or goes out in fragments.
    private let maxPlain: Int
    private let maxFrame: Int
    private var keys = MaskingKeys()
    private var deflater: MessageDeflater?
    private var deflated = ByteQueue(capacity: 0)
    private let isClient: Bool
    private let keepsContext: Bool

    /// `level` is 1 (fastest) to 9 (smallest); `fragment` is the longest payload of a frame in
    /// bytes, at least 1. Throws when there is no memory.
    package init(
        role: WebSocketRole, deflate: DeflateParameters?, level: Int, fragment: Int?
    ) throws(GzipError) {
        isClient = role == .client
        maxFrame = fragment ?? .max
        precondition(maxFrame > 0)
        keepsContext =
            isClient
            ? deflate?.clientNoContextTakeover == false
            : deflate?.serverNoContextTakeover == false
        let bits = isClient ? deflate?.clientMaxWindowBits : deflate?.serverMaxWindowBits
        // A peer may ask for a window that zlib cannot use: then nothing is compressed, which is
        // always allowed.
        guard let bits, MessageDeflater.windowBits.contains(bits) else {
            maxPlain = maxFrame
            return
        }
        maxPlain = min(maxFrame, Self.minDeflated - 1)
        deflater = try MessageDeflater(
            windowBits: bits, keepsContext: keepsContext, level: level)
    }

    /// Appends the message to `queue` as one frame, or several when it is longer than a fragment;
    /// compressed when that was agreed on and is worth it. A ping's or pong's payload has at most
    /// 125 bytes; `appendClose` closes.
    @inline(__always)
    package mutating func append(
        _ kind: WebSocketReceiver.Kind, _ payload: UnsafeBufferPointer<UInt8>,
        to queue: inout ByteQueue
    ) {
        if (kind == .text || kind == .binary) && payload.count <= maxPlain {
            unsafe appendFrame(kind == .text ? 0x81 : 0x82, payload, to: &queue)
        } else {
            unsafe appendOther(kind, payload, to: &queue)
        }
    }

    /// Appends a Close frame: one without a body for code 1005. What does not fit of the reason is
    /// cut off at a scalar's boundary.
    package mutating func appendClose(
        _ code: UInt16, _ reason: [UInt8], to queue: inout ByteQueue
    ) {
        precondition(code == WebSocketClose.none || WebSocketClose.isAllowed(code))
        var body: [UInt8] = []
        if code != WebSocketClose.none {
            body = [UInt8(code >> 8), UInt8(code & 0xFF)] + WebSocketClose.fitting(reason)
        }
        unsafe body.withUnsafeBufferPointer { body in
            unsafe appendFrame(0x88, body, to: &queue)
        }
    }

    /// Appends one frame. `first` is its first byte.
    @inline(__always)
    private mutating func appendFrame(
        _ first: UInt8, _ payload: UnsafeBufferPointer<UInt8>, to queue: inout ByteQueue
    ) {
        let length = payload.count
        let start = unsafe queue.reserve(WebSocketFrame.maxHead + length)
        unsafe start[0] = first
        var head = unsafe WebSocketFrame.write(
            length: length, maskBit: isClient ? 0x80 : 0, to: start)
        if isClient {
            let key = keys.next()
            unsafe UnsafeMutableRawPointer(start + head).storeBytes(of: key, as: UInt32.self)
            head += 4
            if let bytes = payload.baseAddress {
                unsafe cb_mask_copy(start + head, bytes, length, key)
            }
        } else if let bytes = payload.baseAddress {
            unsafe (start + head).update(from: bytes, count: length)
        }
        queue.commit(head + length)
    }

    /// Anything but a message in one plain frame.
    @inline(never)
    private mutating func appendOther(
        _ kind: WebSocketReceiver.Kind, _ payload: UnsafeBufferPointer<UInt8>,
        to queue: inout ByteQueue
    ) {
        switch kind {
        case .text, .binary:
            let opcode: UInt8 = kind == .text ? 0x01 : 0x02
            guard deflater != nil && payload.count >= Self.minDeflated else {
                return unsafe appendFragments(opcode, payload, to: &queue)
            }
            unsafe appendCompressed(opcode, payload, to: &queue)
        case .ping, .pong:
            precondition(payload.count <= WebSocketFrame.maxControlPayload)
            unsafe appendFrame(kind == .ping ? 0x89 : 0x8A, payload, to: &queue)
        case .close:
            preconditionFailure("appendClose closes")
        }
    }

    private mutating func appendCompressed(
        _ opcode: UInt8, _ payload: UnsafeBufferPointer<UInt8>, to queue: inout ByteQueue
    ) {
        var compressed = ByteQueue(capacity: 0)
        swap(&compressed, &deflated)
        unsafe deflater!.deflate(payload, into: &compressed)
        if compressed.count >= payload.count && !keepsContext {
            // The peer forgets each message, so that it need not know what was tried.
            unsafe appendFragments(opcode, payload, to: &queue)
        } else {
            // Reserved bit 1, on the first frame only.
            unsafe appendFragments(opcode | 0x40, compressed.bytes, to: &queue)
        }
        if compressed.count > Self.kept { compressed = ByteQueue(capacity: 0) }
        compressed.removeAll()
        swap(&compressed, &deflated)
    }

    /// Appends a message as frames of at most `maxFrame` bytes, the first with this opcode.
    private mutating func appendFragments(
        _ opcode: UInt8, _ payload: UnsafeBufferPointer<UInt8>, to queue: inout ByteQueue
    ) {
        var first = opcode
        var offset = 0
        while payload.count - offset > maxFrame {
            let piece = unsafe payload.slice(offset..<(offset + maxFrame))
            unsafe appendFrame(first, piece, to: &queue)
            offset += maxFrame
            first = 0
        }
        unsafe appendFrame(first | 0x80, payload.slice(offset..<payload.count), to: &queue)
    }
}

/// Masking keys that no one can foretell, taken from the system by the block. RFC 6455 section 5.3.
@safe
struct MaskingKeys: ~Copyable {
    private static let block = 1024
    private let keys = UnsafeMutablePointer<UInt32>.allocate(capacity: block)
    private var left = 0

    deinit {
        unsafe keys.deallocate()
    }

    /// A key that was not given out before, as its bytes lie in memory.
    @inline(__always)
    mutating func next() -> UInt32 {
        if left == 0 { refill() }
        left -= 1
        return unsafe keys[left]
    }

    @inline(never)
    private mutating func refill() {
        let bytes = Self.block * MemoryLayout<UInt32>.stride
        unsafe UnsafeMutableRawPointer(keys).withMemoryRebound(to: UInt8.self, capacity: bytes) {
            unsafe cb_random($0, bytes)
        }
        left = Self.block
    }
}

extension UInt32 {
    /// This masking key as it goes on behind `size` bytes of payload.
    func turned(_ size: Int) -> UInt32 { cb_mask_turn(self, size) }
}

extension ByteQueue {
    /// Appends a server's frame with this first byte and this payload, unmasked. RFC 6455, section
    /// 5.2.
    @inline(__always)
    package mutating func appendFrame(_ first: UInt8, _ payload: UnsafeBufferPointer<UInt8>) {
        let start = unsafe reserve(WebSocketFrame.maxHead + payload.count)
        unsafe start[0] = first
        let head = unsafe WebSocketFrame.write(length: payload.count, maskBit: 0, to: start)
        if let bytes = payload.baseAddress {
            unsafe (start + head).update(from: bytes, count: payload.count)
        }
        commit(head + payload.count)
    }
}
