import StreamClient
import StreamCodec
import StreamTool

/// What a source asks for, and where: behind redirects somewhere else than it was told.
struct Asking {
    private static let maxRedirects = 10

    private let settings: DecodeOptions
    /// What is sent with it that may be secret.
    private let own: RequestOptions
    /// Where the command line points to.
    let url: ClientURL
    /// The request is a poll.
    let isPoll: Bool
    /// The server is the one that the user's secrets are for.
    private let isTrusted: Bool
    private var request: HTTPRequest?
    private var redirects = 0

    /// `stream` is the stream that a poll stands in for, whose server the user's secrets are for.
    init(
        _ settings: DecodeOptions, _ url: ClientURL, isPoll: Bool, for stream: ClientURL? = nil
    ) {
        self.settings = settings
        self.url = url
        self.isPoll = isPoll
        isTrusted =
            settings.follow.trustsPoll || stream.map { url.isSameOrigin(as: $0) } ?? true
        own = isTrusted ? settings.request : settings.request.forAnotherOrigin
    }

    /// A new request; secrets and the body are read anew. `id` is the last event id, or the cursor.
    mutating func begin(id: [UInt8]?) throws -> HTTPRequest {
        redirects = 0
        var (url, fields) = try own.resolved(for: url)
        let id = id.flatMap { $0.isEmpty ? nil : $0 }
        if let id {
            let text = String(decoding: id, as: UTF8.self)
            if isPoll {
                // The last poll's place may stand there, or where the user has them begin.
                url.setQuery(name: settings.follow.pollParameter, value: text)
            } else if let name = settings.follow.idParameter {
                url.setQuery(name: name, value: text)
            }
        }
        let body = isPoll ? nil : try settings.body()
        fields = complete(
            fields, hasBody: body != nil, lastEventID: isPoll ? nil : id.map(Self.fieldValue))
        var request = HTTPRequest(
            url: url, method: isPoll ? "GET" : settings.follow.effectiveMethod, fields: fields,
            body: body)
        request.showsCertificate = isTrusted
        self.request = request
        return request
    }

    /// An id as the value of a field, where no control character can be (RFC 9110, section 5.5):
    /// percent-encoded. A stream cannot make an id with a line break, but a poll or a file can.
    private static func fieldValue(_ id: [UInt8]) -> String {
        var queue = ByteQueue()
        for byte in id {
            if byte >= 32 && byte != 127 || byte == 9 {
                queue.append(byte)
            } else {
                queue.append(string: byte < 16 ? "%0" : "%")
                queue.append(string: String(byte, radix: 16, uppercase: true))
            }
        }
        return String(decoding: queue.bytes, as: UTF8.self)
    }

    /// The request that a redirect leads to: RFC 9110, section 15.4.
    mutating func follow(_ location: String?, status: Int) throws -> HTTPRequest {
        guard let old = request, let location, !location.isEmpty else {
            throw Failure(.protocolError, "\(url.redacted): the redirect has no Location")
        }
        redirects += 1
        if redirects > Self.maxRedirects {
            throw Failure(
                .protocolError, "\(url.redacted): more than \(Self.maxRedirects) redirects")
        }
        var next = old
        do throws(URLError) {
            next.url = try old.url.resolving(location)
        } catch {
            throw Failure(
                .protocolError, "\(url.redacted): the redirect cannot be followed: \(error)")
        }
        if old.url.isSecure && !next.url.isSecure {
            throw Failure(
                .protocolError, "\(url.redacted): the redirect leads from TLS to plain text")
        }
        if status == 303 || (old.method == "POST" && (status == 301 || status == 302)) {
            next.method = old.method == "HEAD" ? "HEAD" : "GET"
            next.body = nil
        }
        let id = old.fields.first { $0.name == "Last-Event-ID" }?.value
        next.fields = complete(
            try own.redirected(to: next.url, from: url), hasBody: next.body != nil,
            lastEventID: id)
        next.showsCertificate = isTrusted && next.url.isSameOrigin(as: url)
        request = next
        return next
    }

    /// The user's fields and those that a stream is asked for with.
    private func complete(
        _ fields: [RequestOptions.Field], hasBody: Bool, lastEventID: String?
    ) -> [RequestOptions.Field] {
        var all: [RequestOptions.Field] = [
            ("Accept", accept), ("Cache-Control", "no-cache"), ("Accept-Encoding", "gzip"),
            ("User-Agent", "streamutils/\(suiteVersion)"),
        ]
        if hasBody { all.append(("Content-Type", "application/json")) }
        all.removeAll { ours in fields.contains { $0.name.isEqualIgnoringCase(ours.name) } }
        if let lastEventID { all.append(("Last-Event-ID", lastEventID)) }
        return all + fields
    }

    private var accept: String {
        if isPoll { return "application/json, application/x-ndjson" }
        switch settings.input {
        case .auto, .sse: return "text/event-stream"
        case .jsonl: return "application/x-ndjson, application/jsonl"
        case .jsonStream: return "application/json"
        case .jsonSequence: return "application/json-seq"
        }
    }
}
