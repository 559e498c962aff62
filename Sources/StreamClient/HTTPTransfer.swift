import CCurl
import Glibc
import StreamCodec
import StreamTool

/// One request after the other to a server, each with its answer as it arrives. It never waits.
/// libcurl brings names, proxies, TLS, HTTP/2 and cookies; connections are used again.
package struct HTTPTransfer: ~Copyable {
    /// How far the answer has come.
    package enum Step: Sendable {
        /// More may come.
        case waiting
        /// The answer is complete.
        case complete
        /// The connection could not be had, or did not bring the whole answer.
        case failed(TransportError)
    }

    /// The most that one piece of a body takes.
    private static let piece = 256 << 10
    /// When the library names neither a timer nor a descriptor: 100 ms, as curl_multi_fdset(3)
    /// asks for.
    private static let pause: UInt64 = 100_000_000

    private let options: ConnectOptions
    private let jar: String?
    private var handle: CurlHandle
    private let sink: UnsafeMutablePointer<ccurl_sink>
    private var place = ""
    private var hasHead = false
    private var hasReadJar = false
    /// The library was called and found nothing to do: wait for it.
    private var isIdle = false
    package private(set) var isActive = false

    /// `jar` is a file of cookies, read with the first request and written behind each answer.
    /// Loads libcurl; throws `noLibrary` where that is not to be had.
    package init(_ options: ConnectOptions, jar: String? = nil) throws(TransportError) {
        if let problem = ccurl_load() { throw TransportError(.noLibrary, String(cString: problem)) }
        handle = try CurlHandle()
        self.options = options
        self.jar = jar
        sink = .allocate(capacity: 1)
        sink.initialize(to: ccurl_sink())
    }

    deinit {
        // The library must not know the sink any more when that is gone.
        ccurl_multi_remove_handle(handle.multi, handle.easy)
        ccurl_easy_reset(handle.easy)
        sink.deallocate()
    }

    /// Begins a request; ends the one before. Throws `configuration`.
    package mutating func begin(_ request: HTTPRequest) throws(TransportError) {
        let url = request.url
        place = url.authority
        end()
        var options = options
        if !request.showsCertificate { (options.cert, options.key) = (nil, nil) }
        let proxy = options.unixSocket == nil ? Proxy(options, for: url) : nil
        let setup = CurlSetup(
            purpose: .request, options: options, url: url, proxy: proxy, place: place)
        try setup.apply(to: &handle)
        try apply(request)
        sink.pointee.count = 0
        sink.pointee.is_paused = 0
        sink.pointee.is_in_body = 0
        sink.pointee.head_count = 0
        ccurl_set_sink(handle.easy, sink)
        try handle.start()
        hasHead = false
        isIdle = false
        isActive = true
    }

    private mutating func apply(_ request: HTTPRequest) throws(TransportError) {
        var lines = ["Expect:"]
        var cookies: String?
        for (name, value) in request.fields {
            // Whatever it came from: behind a line break stands another field, or a request.
            guard name.isToken, value.utf8.allSatisfy({ $0 >= 32 && $0 != 127 || $0 == 9 }) else {
                throw TransportError(
                    .configuration,
                    "\(place): a header field\(name.isToken ? " \(name)" : "") cannot be sent:"
                        + " it has a control character")
            }
            // The library adds those of the jar.
            if name.isEqualIgnoringCase("Cookie") {
                cookies = value
            } else {
                // An empty value has a semicolon for its colon (CURLOPT_HTTPHEADER(3)).
                lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
            }
        }
        if request.url.isSecure && options.serverName != nil
            && !request.fields.contains(where: { $0.name.isEqualIgnoringCase("Host") })
        {
            lines.append("Host: \(request.url.authority)")
        }
        if let body = request.body {
            let code = body.withUnsafeBytes {
                ccurl_set_body(handle.easy, $0.baseAddress ?? UnsafeRawPointer(sink), $0.count)
            }
            if code != CURLE_OK { throw problem(code) }
        }
        var codes = [
            handle.set(CURLOPT_PATH_AS_IS, 1), handle.set(CURLOPT_HTTPHEADER, lines),
            handle.set(CURLOPT_CUSTOMREQUEST, request.method),
            handle.set(CURLOPT_NOBODY, request.method == "HEAD" ? 1 : 0),
            handle.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1),
        ]
        // Libcurl 7.88 refuses this to a handle whose last host could not be resolved, and may: it
        // is for speed only.
        _ = handle.set(CURLOPT_BUFFERSIZE, Self.piece)
        if let cookies { codes.append(handle.set(CURLOPT_COOKIE, cookies)) }
        if let jar {
            // Once, for the cookies stay: a reset of libcurl 7.88 loses the list of files.
            if !hasReadJar { codes.append(handle.set(CURLOPT_COOKIEFILE, jar)) }
            hasReadJar = true
            codes.append(handle.set(CURLOPT_COOKIEJAR, jar))
        }
        if let code = codes.first(where: { $0 != CURLE_OK && $0 != CURLE_UNKNOWN_OPTION }) {
            throw problem(code)
        }
    }

    private func problem(_ code: CURLcode) -> TransportError {
        TransportError(
            .configuration,
            "cannot connect to \(place): \(String(cString: ccurl_easy_strerror(code)))")
    }

    /// Goes on as far as it goes without waiting, and appends what came of the body to `body`:
    /// at most 512 KiB.
    package mutating func proceed(into body: inout ByteQueue) -> Step {
        precondition(isActive, "begin comes first")
        sink.pointee.body = body.reserve(2 * Self.piece)
        sink.pointee.room = 2 * Self.piece
        sink.pointee.count = 0
        let step = advance()
        body.commit(sink.pointee.count)
        isIdle = sink.pointee.count == 0 && sink.pointee.is_paused == 0
        return step
    }

    private mutating func advance() -> Step {
        if sink.pointee.is_paused != 0 {
            sink.pointee.is_paused = 0
            ccurl_continue(handle.easy)
            if sink.pointee.is_paused != 0 { return .waiting }
        }
        ccurl_multi_perform(handle.multi)
        var code = CURLE_OK
        guard ccurl_multi_result(handle.multi, &code) != 0 else { return .waiting }
        return code == CURLE_OK ? .complete : .failed(failure(code))
    }

    private func failure(_ code: CURLcode) -> TransportError {
        let error = CurlError(handle, code)
        switch code {
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
            return TransportError(.noHTTP, "\(place): no HTTP answer: \(error.reason)")
        case CURLE_WRITE_ERROR:
            return TransportError(.noHTTP, "\(place): the head of the answer has no end")
        default: break
        }
        // Behind a connection that was had, it is lost.
        let codes = [CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR]
        if sink.pointee.head_count > 0 || codes.contains(code) {
            return TransportError(.lost, "connection to \(place) lost: \(error.reason)")
        }
        return error.error(at: place)
    }

    /// The head of the answer, once. Nil before it came. Throws for what is no head of HTTP.
    package mutating func takeHead() throws(HTTPHeadError) -> HTTPHead? {
        let count = sink.pointee.head_count
        guard !hasHead, count > 0 else { return nil }
        var bytes = Array(UnsafeBufferPointer(start: ccurl_head(sink), count: count))
        // HTTP/2 and 3 have no start line; the library makes one up: `HTTP/2 200 `.
        if bytes.starts(with: "HTTP/2 ".utf8) || bytes.starts(with: "HTTP/3 ".utf8) {
            bytes.replaceSubrange(5..<6, with: "1.1".utf8)
        }
        let parsed = try bytes.withUnsafeBufferPointer { buffer throws(HTTPHeadError) in
            try HTTPHead.parse(buffer, limit: buffer.count + 1)
        }
        guard let (head, _) = parsed else { return nil }
        // An answer that only says that another comes.
        if case .response(let status, _, _) = head.start, (100..<200).contains(status) {
            return nil
        }
        hasHead = true
        return head
    }

    /// What to wait for until `proceed` finds more, and until when (monotonic nanoseconds).
    package var wanted: (descriptors: [pollfd], deadline: UInt64?) {
        guard isActive else { return ([], nil) }
        if !isIdle { return ([], 0) }
        let descriptors = [pollfd](unsafeUninitializedCapacity: 16) { buffer, count in
            count = ccurl_multi_descriptors(handle.multi, buffer.baseAddress, buffer.count)
        }
        let now = monotonicNanoseconds()
        let milliseconds = ccurl_multi_timeout(handle.multi)
        let timer = milliseconds < 0 ? nil : now + UInt64(milliseconds) * 1_000_000
        guard descriptors.isEmpty else { return (descriptors, timer) }
        return ([], min(timer ?? .max, now + Self.pause))
    }

    /// Ends the request, if there is one. Its connection is used again when the answer was
    /// complete.
    package mutating func end() {
        isActive = false
        if jar != nil {
            // What gives access to a session is for the user only.
            let mask = umask(0o077)
            ccurl_set_text(handle.easy, CURLOPT_COOKIELIST, "FLUSH")
            umask(mask)
        }
        handle.reset()
    }

    /// Ends the request, and every connection with it: something is wrong with one of them. That of
    /// HTTP/2 would outlive a request that nobody answers.
    package mutating func abandon() throws(TransportError) {
        end()
        try handle.disconnect()
    }
}
