import StreamClient
import StreamCodec
import StreamTool

extension DecodeOptions {
    /// By what a state file knows a request: its method, the whole of its URL, who asks, and its
    /// body. A secret that is in a file is known by the file's name, for it may be renewed; what
    /// else may be one is hashed.
    func key(of url: ClientURL, isPoll: Bool) throws -> RequestKey {
        let method = isPoll ? "GET" : follow.effectiveMethod
        let body = isPoll ? nil : try body()
        let user = url.user ?? request.user.map { String($0.prefix { $0 != ":" }) }
        let hasQuery = url.target.utf8.contains(UInt8(ascii: "?"))
        if method == "GET" && body == nil && user == nil && !hasQuery && request.query.isEmpty {
            return RequestKey(url: url.redacted)
        }
        let hash = body.map { body in
            body.withUnsafeBufferPointer { "\(body.count) \(XXH64.hash($0, seed: 0))" }
        }
        // None of them has a NUL.
        let parts = [method, url.description, user ?? "", hash ?? ""] + request.query
        let text = SHA1.hash(Array(parts.joined(separator: "\0").utf8))
        let digits = text.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return RequestKey(url: url.redacted, request: digits)
    }

    /// The body of the request, which is read anew each time.
    func body() throws -> [UInt8]? {
        guard let body = follow.body else { return nil }
        guard body.utf8.first == UInt8(ascii: "@") else { return Array(body.utf8) }
        return try request.files.contents(String(body.dropFirst()), limit: 64 << 20)
    }

    /// Those of the streams; requests that are the same in all are told apart by their order.
    func keys(of streams: [Plan.Stream]) throws -> [RequestKey] {
        var keys: [RequestKey] = []
        for stream in streams {
            guard let url = stream.stream ?? stream.poll else { continue }
            let key = try key(of: url, isPoll: stream.stream == nil)
            var own = key
            var number = 1
            while keys.contains(own) {
                number += 1
                own.request = "\(key.request ?? "same")-\(number)"
            }
            keys.append(own)
        }
        return keys
    }
}
