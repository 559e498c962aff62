/// The codes of Close frames. RFC 6455 section 7.4 and the IANA registry.
package enum WebSocketClose {
    package static let normal: UInt16 = 1000
    package static let goingAway: UInt16 = 1001
    package static let protocolError: UInt16 = 1002
    /// Stands for a Close frame without a code; never on the wire.
    package static let none: UInt16 = 1005
    /// Stands for a connection that was lost without a Close frame; never on the wire.
    package static let lost: UInt16 = 1006
    package static let invalidPayload: UInt16 = 1007
    package static let tooBig: UInt16 = 1009
    package static let internalError: UInt16 = 1011

    /// The longest reason in bytes: a control frame's payload without the code.
    package static let maxReason = WebSocketFrame.maxControlPayload - 2

    /// True for a code that a Close frame may carry, to us or from us. RFC 6455 section 7.4.2.
    package static func isAllowed(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// What a registered code means, in words for people; nil for another.
    package static func name(_ code: UInt16) -> String? {
        switch code {
        case 1000: "normal closure"
        case 1001: "going away"
        case 1002: "protocol error"
        case 1003: "unsupported data"
        case 1005: "no code"
        case 1006: "connection lost"
        case 1007: "invalid payload"
        case 1008: "policy violation"
        case 1009: "message too big"
        case 1010: "extension missing"
        case 1011: "internal error"
        case 1012: "service restart"
        case 1013: "try again later"
        case 1014: "bad gateway"
        case 1015: "TLS handshake failed"
        case 3000: "unauthorized"
        case 3003: "forbidden"
        case 3008: "timeout"
        default: nil
        }
    }

    /// The part of `reason` that a Close frame takes: whole scalars, at most `maxReason` bytes.
    static func fitting(_ reason: [UInt8]) -> [UInt8] {
        let cut = Array(reason.prefix(maxReason))
        let end = unsafe cut.withUnsafeBufferPointer { unsafe UTF8Text.firstIllFormed(in: $0) }
        return Array(cut.prefix(end ?? cut.count))
    }
}
