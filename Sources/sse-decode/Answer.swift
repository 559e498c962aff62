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
    /// There is no Content-Type: the body shows whether it is a stream.
    case untyped
    /// A stream of another type.
    case wrongType(String)

    struct Refusal {
        var status: Int
        var isPassing: Bool
        /// Nanoseconds.
        var retryAfter: UInt64?
    }

    private static let redirects = [301, 302, 303, 307, 308]

    init(_ head: HTTPHead, _ settings: DecodeOptions, isPoll: Bool) {
        guard case .response(let status, _, _) = head.start else {
            self = .untyped
            return
        }
        switch status {
        case 200: self = Self.body(head, settings.input, isPoll: isPoll)
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

    private static func body(_ head: HTTPHead, _ input: Format, isPoll: Bool) -> Answer {
        if input != .auto && !isPoll { return .stream(input) }
        switch type(head) {
        case "text/event-stream": return .stream(.sse)
        case "application/x-ndjson", "application/ndjson", "application/jsonl",
            "application/x-jsonlines", "application/jsonlines", "application/json-lines":
            return .stream(.jsonl)
        case "application/json-seq": return .stream(.jsonSequence)
        case "application/json": return .stream(.jsonStream)
        case .some: return .wrongType(head.joined("Content-Type") ?? "")
        case nil: return .untyped
        }
    }

    /// The media type without its parameters (RFC 9110, section 8.3.1), in lower case. Of several,
    /// in one field or in more, the last that is one counts, as in browsers (Fetch, section 3.1).
    /// Nil when nothing is said.
    private static func type(_ head: HTTPHead) -> String? {
        let texts = head.values("Content-Type").flatMap { value in
            split(value).map { text in
                let bytes = text.prefix { $0 != UInt8(ascii: ";") }.trimmed
                return String(decoding: bytes, as: UTF8.self).lowercased()
            }
        }.filter { !$0.isEmpty }
        return texts.last {
            let parts = $0.split(separator: "/", omittingEmptySubsequences: false)
            return parts.count == 2 && parts.allSatisfy { String($0).isToken } && $0 != "*/*"
        } ?? texts.last
    }

    /// At the commas outside quoted strings.
    private static func split(_ value: String) -> [ArraySlice<UInt8>] {
        var isQuoted = false
        var isEscaped = false
        return Array(value.utf8).split { byte in
            defer { isEscaped = isQuoted && byte == UInt8(ascii: "\\") && !isEscaped }
            if byte == UInt8(ascii: "\"") && !isEscaped { isQuoted.toggle() }
            return byte == UInt8(ascii: ",") && !isQuoted
        }
    }

    enum Coding { case none, gzip, other(String) }

    /// What the body is compressed with. Words that are no coding, such as none and utf-8, change
    /// nothing, as in browsers.
    static func coding(_ head: HTTPHead) -> Coding {
        let codings = head.values("Content-Encoding").flatMap(HTTPHead.elements)
            .map { $0.lowercased() }.filter(Self.codings.contains)
        switch codings {
        case []: return .none
        case ["gzip"], ["x-gzip"]: return .gzip
        default: return .other(codings.joined(separator: ", "))
        }
    }

    /// RFC 9110, section 8.4.1, and those of browsers.
    private static let codings = [
        "gzip", "x-gzip", "compress", "x-compress", "deflate", "br", "zstd",
    ]
}
