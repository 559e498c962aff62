import CBytes

/// Which end of a connection we are: a client masks what it sends, a server does not.
package enum WebSocketRole: Sendable {
    case client, server
}

/// What a peer did that ends the connection. RFC 6455 section 7.1.7.
package struct WebSocketError: Error, Equatable, CustomStringConvertible {
    /// The code for our Close frame: 1002 protocol error, 1007 text that is not UTF-8, 1009 too
    /// big, 1011 out of memory.
    package var code: UInt16
    /// In plain words; fits the 123 bytes of a Close frame's reason.
    package var reason: String

    package init(code: UInt16, reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { reason }

    static func violation(_ reason: String) -> WebSocketError {
        WebSocketError(code: WebSocketClose.protocolError, reason: reason)
    }

    static func tooBig(limit: Int) -> WebSocketError {
        WebSocketError(code: WebSocketClose.tooBig, reason: "message longer than \(limit) bytes")
    }

    static let notUTF8 = WebSocketError(
        code: WebSocketClose.invalidPayload, reason: "text that is not UTF-8")
}

/// The head of a frame. RFC 6455 section 5.2.
package struct WebSocketFrame: Equatable, Sendable {
    package enum Opcode: UInt8, Sendable {
        case continuation = 0x0
        case text = 0x1
        case binary = 0x2
        case close = 0x8
        case ping = 0x9
        case pong = 0xA

        var isControl: Bool { rawValue & 0x8 != 0 }
    }

    /// What the head may say, by what came before it.
    package struct Rules: Sendable {
        /// The peer is a client.
        var isMasked: Bool
        /// permessage-deflate was agreed on.
        var allowsCompression: Bool
        /// A fragmented message has begun and not ended.
        var isInMessage: Bool
        /// The longest payload of a data frame in bytes. A compressed one has none: its length says
        /// nothing of what it inflates to.
        var limit: Int
        /// The longest message, for the error.
        var maxMessage: Int
    }

    /// What a head takes at most: two bytes, a 64-bit length, a masking key.
    static let maxHead = 14
    /// The longest payload of a control frame in bytes. RFC 6455 section 5.5.
    package static let maxControlPayload = 125

    package var isFinal: Bool
    /// Reserved bit 1: this begins a compressed message. RFC 7692 section 6.
    package var isCompressed: Bool
    package var opcode: Opcode
    /// The masking key as its bytes lie in memory, turned by what was unmasked already.
    package var key: UInt32?
    /// Bytes of payload, or what is left of them.
    package var length: Int

    /// The head at the start of `bytes` and its size, or nil while part of it is still to come.
    /// Throws what the first byte that is wrong deserves, so that the cuts make no difference.
    package static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, _ rules: Rules
    ) throws(WebSocketError) -> (frame: WebSocketFrame, size: Int)? {
        guard bytes.count >= 1 else { return nil }
        var frame = try unsafe first(bytes[0], rules)
        guard bytes.count >= 2 else { return nil }
        let second = unsafe bytes[1]
        guard (second & 0x80 != 0) == rules.isMasked else {
            throw .violation(rules.isMasked ? "frame without a mask" : "masked frame from a server")
        }
        let short = Int(second & 0x7F)
        if frame.opcode.isControl && short > maxControlPayload {
            throw .violation("control frame of more than \(maxControlPayload) bytes")
        }
        guard let length = try unsafe length(short, bytes) else { return nil }
        if !frame.opcode.isControl && !frame.isCompressed && length > rules.limit {
            throw .tooBig(limit: rules.maxMessage)
        }
        frame.length = length
        var size = short == 126 ? 4 : short == 127 ? 10 : 2
        if rules.isMasked {
            guard let start = bytes.baseAddress, bytes.count >= size + 4 else { return nil }
            frame.key = unsafe UnsafeRawPointer(start + size).loadUnaligned(as: UInt32.self)
            size += 4
        }
        return (frame, size)
    }

    /// What the first byte says.
    private static func first(
        _ byte: UInt8, _ rules: Rules
    ) throws(WebSocketError) -> WebSocketFrame {
        guard byte & 0x30 == 0 else { throw .violation("reserved bit 2 or 3 is set") }
        guard let opcode = Opcode(rawValue: byte & 0x0F) else {
            throw .violation("reserved opcode \(byte & 0x0F)")
        }
        let isFinal = byte & 0x80 != 0
        let isCompressed = byte & 0x40 != 0
        if isCompressed && !rules.allowsCompression {
            throw .violation("compressed message, which was not agreed on")
        }
        if isCompressed && (opcode.isControl || opcode == .continuation) {
            throw .violation("reserved bit 1 is set where no message begins")
        }
        if opcode.isControl {
            if !isFinal { throw .violation("control frame in fragments") }
        } else if opcode == .continuation {
            if !rules.isInMessage { throw .violation("continuation of no message") }
        } else if rules.isInMessage {
            throw .violation("new message within a fragmented one")
        }
        return WebSocketFrame(
            isFinal: isFinal, isCompressed: isCompressed, opcode: opcode, key: nil, length: 0)
    }

    /// The length, which must be written in the shortest way; nil while part of it is to come.
    private static func length(
        _ short: Int, _ bytes: UnsafeBufferPointer<UInt8>
    ) throws(WebSocketError) -> Int? {
        guard short > 125 else { return short }
        let size = short == 126 ? 2 : 8
        guard bytes.count >= 2 + size else { return nil }
        var length: UInt64 = 0
        for index in 2..<(2 + size) {
            length = unsafe length << 8 | UInt64(bytes[index])
        }
        guard length <= UInt64(Int64.max) else {
            throw .violation("frame length with its top bit set")
        }
        guard length > (size == 2 ? 125 : 0xFFFF) else {
            throw .violation("frame length that is not written in the shortest way")
        }
        return Int(length)
    }

    /// Writes the length behind the first byte of a head, and returns the head's size without a
    /// key. `start` has room for `maxHead` bytes.
    @inline(__always)
    static func write(
        length: Int, maskBit: UInt8, to start: UnsafeMutablePointer<UInt8>
    ) -> Int {
        if length <= 125 {
            unsafe start[1] = maskBit | UInt8(truncatingIfNeeded: length)
            return 2
        }
        if length <= 0xFFFF {
            unsafe start[1] = maskBit | 126
            unsafe start[2] = UInt8(truncatingIfNeeded: length >> 8)
            unsafe start[3] = UInt8(truncatingIfNeeded: length)
            return 4
        }
        unsafe start[1] = maskBit | 127
        for index in 0..<8 {
            unsafe start[2 + index] = UInt8(truncatingIfNeeded: length >> (56 - 8 * index))
        }
        return 10
    }
}
