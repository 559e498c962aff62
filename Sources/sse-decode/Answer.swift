import StreamClient
import StreamCodec
import StreamTool

/// What the head of an answer means for a stream: HTML 9.2.3.
enum Answer {
    /// The body is to be read.
    case stream(Format)
    /// 204: there is nothing, and nothing will come.
    case over
    case redirect(location: String?)
    /// A refusal, whose body says why.
    case refusal(Refusal)
    /// A stream of another type.
    case wrongType(String?)

    struct Refusal {
        var status: Int
        var isPassing: Bool
        /// Nanoseconds.
        var retryAfter: UInt64?
    }

    private static let redirects = [301, 302, 303, 307, 308]

    init(_ head: HTTPHead, _ settings: DecodeOptions, isPoll: Bool) {
        guard case .response(let status, _, _) = head.start else {
            self = .wrongType(nil)
            return
        }
        let type = head.first("Content-Type")
        switch status {
        case 200: self = Self.body(type, settings.input, isPoll: isPoll)
        // A poll that found nothing.
        case 204 where isPoll: self = .stream(.jsonStream)
        case 204: self = .over
        case let code where Self.redirects.contains(code) && settings.follow.follows(isPoll):
            self = .redirect(location: head.first("Location"))
        default:
            self = .refusal(
                Refusal(
                    status: status,
                    isPassing: settings.follow.retryStatuses.contains(status),
                    retryAfter: head.first("Retry-After").flatMap {
                        RetryAfter.wait($0, now: realtimeNanoseconds())
                    }))
        }
    }

    private static func body(_ type: String?, _ input: Format, isPoll: Bool) -> Answer {
        let essence = type.map(essence) ?? ""
        if input != .auto && !isPoll { return .stream(input) }
        switch essence {
        case "text/event-stream": return .stream(.sse)
        case "application/x-ndjson", "application/ndjson", "application/jsonl",
            "application/x-jsonlines", "application/jsonlines", "application/json-lines":
            return .stream(.jsonl)
        case "application/json-seq": return .stream(.jsonSequence)
        case "application/json": return .stream(.jsonStream)
        default: return .wrongType(type)
        }
    }

    /// A media type without its parameters, in lower case: RFC 9110, section 8.3.1.
    private static func essence(_ type: String) -> String {
        let bytes = type.utf8.prefix { $0 != UInt8(ascii: ";") }.trimmed
        return String(decoding: bytes, as: UTF8.self).lowercased()
    }
}
