import StreamClient
import StreamCodec
import StreamTool

/// How a connection came to its end, or why there was none.
enum Ending: Error {
    /// The peer sent a Close; 1005 when it had no code.
    case closed(code: UInt16, reason: [UInt8])
    /// It could not be had, or broke without a Close.
    case broken(TransportError)
    /// Another status than 101.
    case refused(Refusal)
    /// An answer, or a request, that is no WebSocket handshake.
    case handshake(String)
    /// Frames that break the protocol, or our limits.
    case violation(WebSocketError)
    /// Nothing came for too long.
    case silent(String)
    /// Our Close was not answered.
    case unanswered

    /// What the process ends with, unless it connects again.
    var status: ExitStatus {
        switch self {
        case .closed(let code, _):
            switch code {
            case 1000, 1001, 1005: .success
            case 1002, 1003, 1007, 1009, 1010: .protocolError
            case 1008: .noPermission
            default: .unavailable
            }
        case .broken(let error): error.status
        case .refused(let refusal): refusal.isForbidden ? .noPermission : .unavailable
        case .handshake, .violation: .protocolError
        case .silent, .unanswered: .unavailable
        }
    }

    /// True when a new connection may do better.
    func allowsReconnect(_ settings: CatOptions) -> Bool {
        switch self {
        case .closed(let code, let reason):
            if settings.finalCodes.contains(where: { $0.contains(Int(code)) }) { return false }
            return !Self.refusing.contains(code) || Self.asksForPatience(code, reason)
                || settings.retryCodes.contains { $0.contains(Int(code)) }
        case .broken(let error): return error.isPassing || error.mayBeReplaced
        case .refused(let refusal): return settings.retryStatuses.contains(refusal.status)
        case .handshake, .violation: return false
        case .silent, .unanswered: return true
        }
    }

    /// Codes that say that no second try will do: RFC 6455, section 7.4.1.
    private static let refusing: [UInt16] = [1002, 1003, 1007, 1008, 1009, 1010]

    /// There is no code for a client that is too fast: servers close with 1008, and the reason says
    /// what status 429 would.
    private static func asksForPatience(_ code: UInt16, _ reason: [UInt8]) -> Bool {
        guard code == 1008 else { return false }
        let text = String(decoding: reason, as: UTF8.self).lowercased()
        let phrases: [String] = [
            "too many", "too fast", "rate limit", "ratelimit", "rate exceeded", "throttl",
            "slow down", "try again later",
        ]
        return phrases.contains { text.holds($0) }
    }

    /// The least time to stay away, nanoseconds, that the peer asked for.
    var retryAfter: UInt64? {
        if case .refused(let refusal) = self { refusal.retryAfter } else { nil }
    }

    /// The code that RFC 6455 has for it: 1006 when there was no Close.
    var code: UInt16 {
        switch self {
        case .closed(let code, _): code
        case .violation(let error): error.code
        default: WebSocketClose.lost
        }
    }

    var description: String {
        switch self {
        case .closed(let code, let reason):
            "the peer closed with \(code)"
                + (WebSocketClose.name(code).map { " (\($0))" } ?? "")
                + (reason.isEmpty ? "" : ": \(String(decoding: reason, as: UTF8.self))")
        case .broken(let error): error.message
        case .refused(let refusal): refusal.description
        case .handshake(let reason): "handshake failed: \(reason)"
        case .violation(let error): "the peer broke the protocol: \(error.reason)"
        case .silent(let reason): reason
        case .unanswered: "the peer did not answer the close"
        }
    }
}

/// An answer that is no upgrade.
struct Refusal {
    var status: Int
    var reason: String
    /// The head of the body.
    var body: String
    var retryAfter: UInt64?

    var isForbidden: Bool { status == 401 || status == 403 || status == 407 }

    var description: String {
        "the server answers \(status)" + (reason.isEmpty ? "" : " \(reason)")
            + (body.isEmpty ? "" : ": \(body)")
    }
}
