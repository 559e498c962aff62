import StreamClient
import StreamCodec
import StreamTool

/// What a source asks for, and where: behind redirects somewhere else than it was told.
struct Asking {
    private static let maxRedirects = 10

    private let settings: DecodeOptions
    /// Where the command line points to.
    let url: ClientURL
    /// The request is a poll.
    let isPoll: Bool
    private var request: HTTPRequest?
    private var redirects = 0

    init(_ settings: DecodeOptions, _ url: ClientURL, isPoll: Bool) {
        self.settings = settings
        self.url = url
        self.isPoll = isPoll
    }

    /// A new request; secrets and the body are read anew. `id` is the last event id, or the cursor.
    mutating func begin(id: [UInt8]?) throws -> HTTPRequest {
        redirects = 0
        var (url, fields) = try settings.request.resolved(for: url)
        let id = id.flatMap { $0.isEmpty ? nil : $0 }
        let text = id.map { String(decoding: $0, as: UTF8.self) }
        if let name = isPoll ? settings.follow.pollParameter : settings.follow.idParameter, let text
        {
            url.addQuery(name: name, value: text)
        }
        let body = isPoll ? nil : try self.body()
        fields = complete(fields, hasBody: body != nil, lastEventID: isPoll ? nil : text)
        let request = HTTPRequest(
            url: url, method: isPoll ? "GET" : settings.follow.effectiveMethod, fields: fields,
            body: body)
        self.request = request
        return request
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
            try settings.request.redirected(to: next.url, from: url), hasBody: next.body != nil,
            lastEventID: id)
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

    private func body() throws -> [UInt8]? {
        guard let body = settings.follow.body else { return nil }
        guard body.utf8.first == UInt8(ascii: "@") else { return Array(body.utf8) }
        return try settings.request.files.contents(String(body.dropFirst()), limit: 64 << 20)
    }
}
