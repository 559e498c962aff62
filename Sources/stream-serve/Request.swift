import StreamCodec
import StreamTool

/// A request as the server looks at it.
struct Request {
    let method: String
    let target: RequestTarget
    let head: HTTPHead
    /// The 1 of HTTP/1.1.
    let minor: Int
    /// Behind the prefix: `/events`.
    let path: String

    var isHead: Bool { method == "HEAD" }
    var reads: Bool { method == "GET" || method == "HEAD" }

    /// RFC 9112, section 9.3.
    var keepsAlive: Bool {
        if head.hasToken("close", in: "Connection") { return false }
        return minor >= 1 || head.hasToken("keep-alive", in: "Connection")
    }

    /// The path behind `prefix`; nil when it is another one.
    static func path(_ path: String, behind prefix: String) -> String? {
        guard !prefix.isEmpty else { return path }
        guard path.hasPrefix(prefix) else { return nil }
        let rest = path.dropFirst(prefix.count)
        return rest.isEmpty || rest.first == "/" ? String(rest) : nil
    }

    /// A page of another origin sent it: RFC 6454, section 7.
    var foreignOrigin: String? {
        guard let origin = head.first("Origin") else { return nil }
        guard let host = head.first("Host") else { return origin }
        let isOurs = ["http://", "https://"].contains {
            origin.isEqualIgnoringCase($0 + host)
        }
        return isOurs ? nil : origin
    }

    /// gzip is accepted, and not with weight 0; `*` means it where it is not named: RFC 9110,
    /// section 12.5.3.
    var acceptsGzip: Bool {
        var accepts: Bool?
        for element in HTTPHead.elements(head.joined("Accept-Encoding") ?? "") {
            let parts = element.utf8.split(separator: UInt8(ascii: ";")).map {
                String(decoding: $0.trimmed, as: UTF8.self)
            }
            guard let name = parts.first else { continue }
            let isZero = parts.dropFirst().contains { part in
                guard part.lowercased().hasPrefix("q=") else { return false }
                return part.dropFirst(2).allSatisfy { $0 == "0" || $0 == "." }
            }
            if name.isEqualIgnoringCase("gzip") { return !isZero }
            if name == "*" { accepts = !isZero }
        }
        return accepts ?? false
    }
}

/// A request that cannot be served, and the answer to it.
struct RequestProblem: Error {
    var status: String
    var reason: String
    var fields = ""
    /// What it counts as.
    var refusal: Refusal?
    /// Where in a body it is; nil: nowhere.
    var line: Int?
    /// Everything of the request was read, so that another one may follow.
    var keepsConnection = false

    /// Nothing more comes.
    static let ended = RequestProblem(
        status: "503 Service Unavailable", reason: "the stream is at its end",
        fields: "Retry-After: 5\r\n")

    static func bad(_ reason: String) -> RequestProblem {
        RequestProblem(status: "400 Bad Request", reason: reason)
    }
}

extension Request {
    private static let maxCount = 1000

    /// The filter that `channel` and `event` name.
    func filter(maxSubscriptions: Int) throws(RequestProblem) -> Filter {
        var filter = Filter()
        let channels = target.values("channel")
        let events = target.values("event")
        if channels.count + events.count > maxSubscriptions {
            throw .bad("more than \(maxSubscriptions) channels and events")
        }
        if !channels.isEmpty {
            filter.channels = []
            for text in channels where !text.isEmpty {
                filter.channels?.append(try Self.pattern(text))
            }
        }
        if !events.isEmpty { filter.events = events.map { Array($0.utf8) } }
        return filter
    }

    private static func pattern(_ text: String) throws(RequestProblem) -> ChannelPattern {
        do throws(ChannelPattern.ParseError) {
            return try ChannelPattern(text)
        } catch {
            throw .bad("channel: \(error.description)")
        }
    }

    /// A duration in nanoseconds, or what it is when it is not given.
    func duration(_ name: String, or standard: UInt64) throws(RequestProblem) -> UInt64 {
        guard let text = target.first(name) else { return standard }
        do throws(UsageError) {
            return try Value.duration(text)
        } catch {
            throw .bad("\(name): \(error.message)")
        }
    }

    /// A whole number from 1 on, bounded; `standard` when it is not given.
    func count(_ name: String, or standard: Int) throws(RequestProblem) -> Int {
        guard let text = target.first(name) else { return standard }
        guard let count = Int(text), count >= 1, text.first != "+" else {
            throw .bad("\(name): expected a whole number from 1")
        }
        return min(count, Self.maxCount)
    }
}

extension String {
    var isChannelName: Bool { Array(utf8).isChannelName }

    /// A name cannot hold a line break, which would end its field.
    var isEventName: Bool { !utf8.contains { $0 == 0x0A || $0 == 0x0D } }

    /// As the contents of a JSON string.
    var jsonContents: [UInt8] {
        var queue = ByteQueue(capacity: utf8.count + 16)
        Array(utf8).withUnsafeBufferPointer { queue.append(escaping: $0) }
        return Array(queue.bytes)
    }
}

extension [UInt8] {
    /// It is a channel's name, and stands in JSON as it is.
    var isChannelName: Bool { withUnsafeBufferPointer { $0.isChannelName } }
}

extension UnsafeBufferPointer<UInt8> {
    var isChannelName: Bool {
        ChannelPattern.isName(self)
            && !contains { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }
    }
}
