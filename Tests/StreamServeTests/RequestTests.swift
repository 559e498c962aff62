import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

@Suite struct RequestTests {
    private func request(
        _ target: String = "/", minor: Int = 1, method: String = "GET",
        _ fields: [(String, String)] = []
    ) throws -> Request {
        let target = try RequestTarget(target)
        return Request(
            method: method, target: target,
            head: HTTPHead(
                start: .request(method: method, target: "/", minor: minor),
                fields: fields.map { (name: $0.0, value: $0.1) }), minor: minor, path: target.path)
    }

    static let paths: [(path: String, prefix: String, rest: String?)] = [
        ("/events", "", "/events"), ("/", "", "/"), ("/live/events", "/live", "/events"),
        ("/live", "/live", ""), ("/live/", "/live", "/"), ("/lively", "/live", nil),
        ("/liv", "/live", nil), ("/events", "/live", nil), ("/Live/events", "/live", nil),
        ("/live//events", "/live", "//events"), ("/a/b/ws", "/a/b", "/ws"), ("/a/ws", "/a/b", nil),
        ("/live/live", "/live", "/live"), ("/é/ws", "/é", "/ws"), ("/livé/ws", "/live", nil),
    ]

    @Test(arguments: paths)
    func behindPrefix(_ path: String, _ prefix: String, _ rest: String?) {
        #expect(Request.path(path, behind: prefix) == rest)
    }

    @Test func keepsAlive() throws {
        func keeps(_ minor: Int, _ fields: (String, String)...) throws -> Bool {
            try request(minor: minor, fields).keepsAlive
        }
        #expect(try keeps(1))
        #expect(try !keeps(0))
        #expect(try keeps(0, ("Connection", "Keep-Alive")))
        #expect(try keeps(0, ("Connection", "foo"), ("connection", "bar, keep-alive")))
        #expect(try !keeps(1, ("Connection", "close")))
        #expect(try !keeps(1, ("Connection", "keep-alive"), ("CONNECTION", "x , Close")))
        #expect(try !keeps(0, ("Connection", "keep-alive, close")))
        #expect(try keeps(1, ("Connection", "closed")))
        #expect(try keeps(1, ("Proxy-Connection", "close")))
        #expect(try keeps(2))
    }

    static let origins: [(origin: String?, host: String?, foreign: String?)] = [
        (nil, "a.example", nil), (nil, nil, nil), ("http://a.example", "a.example", nil),
        ("https://a.example", "a.example", nil), ("http://A.Example", "a.example", nil),
        ("http://a.example:8080", "a.example:8080", nil),
        ("http://a.example:8080", "a.example", "http://a.example:8080"),
        ("http://a.example", "a.example:8080", "http://a.example"),
        ("http://evil.example", "a.example", "http://evil.example"),
        ("http://a.example.evil", "a.example", "http://a.example.evil"),
        ("http://xa.example", "a.example", "http://xa.example"), ("null", "a.example", "null"),
        ("ftp://a.example", "a.example", "ftp://a.example"),
        ("a.example", "a.example", "a.example"),
        ("http://a.example", nil, "http://a.example"), ("http://[::1]:80", "[::1]:80", nil),
        ("", "a.example", ""),
    ]

    @Test(arguments: origins)
    func foreignOrigin(_ origin: String?, _ host: String?, _ foreign: String?) throws {
        var fields: [(String, String)] = []
        if let origin { fields.append(("Origin", origin)) }
        if let host { fields.append(("Host", host)) }
        #expect(try request(fields).foreignOrigin == foreign)
    }

    private func request(_ fields: [(String, String)]) throws -> Request {
        try request("/", fields)
    }

    static let encodings: [(field: String, accepts: Bool)] = [
        ("gzip", true), ("", false), ("GZIP", true), ("deflate", false), ("br, gzip", true),
        ("gzip, deflate, br, zstd", true), ("gzip;q=0.5", true), ("gzip;q=0", false),
        ("gzip; q=0.000", false), ("gzip ; Q=0.0", false), ("gzip;q=0.001", true), ("*", true),
        ("*;q=0", false), ("identity", false), ("identity, *;q=0", false), ("gzip;q=1.0", true),
        ("xgzip", false), ("gzipped", false), ("br;q=1, gzip;q=0, *", false), (" , gzip", true),
        // A coding that is named is not meant by the star: RFC 9110, section 12.5.3.
        ("*;q=0, gzip", true), ("*, gzip;q=0", false), ("*;q=0, gzip;q=0.5, br", true),
    ]

    @Test(arguments: encodings) func acceptsGzip(_ field: String, _ accepts: Bool) throws {
        #expect(try request([("Accept-Encoding", field)]).acceptsGzip == accepts)
    }

    @Test func acceptsGzipInSeveralFields() throws {
        #expect(try !request([]).acceptsGzip)
        #expect(try request([("Accept-Encoding", "br"), ("accept-encoding", "gzip")]).acceptsGzip)
        #expect(
            try !request([("Accept-Encoding", "br"), ("accept-encoding", "gzip;q=0")]).acceptsGzip)
    }

    @Test func methods() throws {
        #expect(try request(method: "GET").reads && request(method: "HEAD").reads)
        #expect(try request(method: "HEAD").isHead && !request(method: "GET").isHead)
        #expect(try !request(method: "POST").reads && !request(method: "get").reads)
    }

    // MARK: The query

    private func filter(_ query: String, most: Int = 100) throws -> Filter {
        try request("/events?" + query).filter(maxSubscriptions: most)
    }

    @Test func filters() throws {
        #expect(try filter("").isAll)
        #expect(try filter("channel=").isNothing)
        let pattern = try [ChannelPattern("a.b"), ChannelPattern("**")]
        #expect(try filter("channel=a.b&channel=**") == Filter(channels: pattern, events: nil))
        #expect(try filter("channel=a.b&channel=&channel=%2a*").channels == pattern)
        #expect(try filter("event=tick&event=a+b%22").events == [Array("tick"), Array("a b\"")])
        for query in ["channel=a..b", "channel=a*", "channel=.", "channel=%7f"] {
            #expect(throws: (any Error).self) { try filter(query) }
        }
        #expect(throws: RequestProblem.self) { try filter("channel=a&event=b&event=c", most: 2) }
        #expect(try filter("channel=a&event=b", most: 2).events?.count == 1)
    }

    @Test func durations() throws {
        func duration(_ query: String) throws -> UInt64 {
            try request("/poll?" + query).duration("wait", or: 7)
        }
        #expect(try duration("") == 7)
        #expect(try duration("wait=0") == 0)
        #expect(try duration("wait=1.5s") == 1_500_000_000)
        #expect(try duration("wait=20ms&wait=3s") == 20_000_000)
        for query in ["wait=", "wait=-1s", "wait=soon", "wait"] {
            #expect(throws: RequestProblem.self, "\(query)") { try duration(query) }
        }
    }

    @Test func counts() throws {
        func count(_ query: String) throws -> Int {
            try request("/last?" + query).count("n", or: 5)
        }
        #expect(try count("") == 5)
        #expect(try count("n=3") == 3)
        #expect(try count("n=1000000") == 1000)
        for query in ["n=0", "n=-1", "n=%2b1", "n=1.0", "n=", "n=99999999999999999999"] {
            #expect(throws: RequestProblem.self, "\(query)") { try count(query) }
        }
    }
}
