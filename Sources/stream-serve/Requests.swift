import StreamCodec
import StreamTool

// Requests of HTTP, one after the other on a connection: RFC 9112.
extension Worker {
    /// How long a connection may wait between two requests, in nanoseconds.
    private static let keepAlive: UInt64 = 75_000_000_000

    /// Serves the requests that are complete, as long as their answers are taken.
    func understand(_ index: Int) {
        let generation = clients.memory[index].generation
        // An answer that is sent at once comes back here: many requests are no deep recursion.
        guard let session = sessions[index], !session.isServing else { return }
        session.isServing = true
        serveRequests(index)
        session.isServing = false
        if isClient(index, generation) { holdUploads(index, session) }
    }

    private func serveRequests(_ index: Int) {
        let generation = clients.memory[index].generation
        while isClient(index, generation), let session = sessions[index] {
            if !session.output.isEmpty || clients.memory[index].flags.contains(.lingering) { break }
            switch session.phase {
            case .head:
                guard readHead(index, session) else { return }
            case .body(let upload):
                guard readBody(index, session, upload) else { return }
            case .acknowledgement, .poll, .streaming:
                return limitInput(index, session)
            }
        }
        if isClient(index, generation), let session = sessions[index] {
            limitInput(index, session)
        }
    }

    /// Requests that come before the last one is answered wait, but not any number of them.
    private func limitInput(_ index: Int, _ session: Session) {
        if session.input.count > settings.maxHead + Self.scratchSize { drop(index, .protocolError) }
    }

    /// Serves one request without body, or begins one with. False when more must come.
    private func readHead(_ index: Int, _ session: Session) -> Bool {
        do {
            let parsed: (head: HTTPHead, size: Int)?
            do throws(HTTPHeadError) {
                parsed = try HTTPHead.parse(session.input.bytes, limit: settings.maxHead)
            } catch {
                throw Self.problem(error)
            }
            guard let (head, size) = parsed else {
                if session.isBetweenRequests && !session.input.isEmpty {
                    session.isBetweenRequests = false
                    session.deadline = now + settings.headTimeout
                }
                return false
            }
            session.input.consume(size)
            session.isBetweenRequests = false
            if let refusal = session.refusal { throw Self.problem(refusal) }
            try serve(index, session, try request(head))
        } catch let problem as RequestProblem {
            answer(index, problem, keepsAlive: false)
        } catch {
            answer(index, .bad("\(error)"), keepsAlive: false)
        }
        return true
    }

    private func request(_ head: HTTPHead) throws(RequestProblem) -> Request {
        guard case .request(let method, let target, let minor) = head.start else {
            throw .bad("a response instead of a request")
        }
        let hosts = head.values("Host").count
        if hosts > 1 || (hosts == 0 && minor >= 1) { throw .bad("the request needs one Host") }
        do throws(URLError) {
            let target = try RequestTarget(target)
            return Request(
                method: method, target: target, head: head, minor: minor,
                path: Request.path(target.path, behind: settings.prefix) ?? "?")
        } catch {
            throw .bad("request target: \(error.description)")
        }
    }

    static func problem(_ error: HTTPHeadError) -> RequestProblem {
        switch error {
        case .tooLong, .tooManyFields:
            RequestProblem(
                status: "431 Request Header Fields Too Large", reason: error.description,
                refusal: .head)
        case .badVersion:
            RequestProblem(
                status: "505 HTTP Version Not Supported", reason: error.description)
        default: .bad(error.description)
        }
    }

    static func problem(_ refusal: Refusal) -> RequestProblem {
        let isFull = refusal == .full
        return RequestProblem(
            status: isFull ? "503 Service Unavailable" : "429 Too Many Requests",
            reason: isFull ? "too many connections" : "too many connections from this address",
            fields: "Retry-After: 5\r\n", refusal: refusal)
    }

    // MARK: Answering

    func answer(_ index: Int, _ problem: RequestProblem, keepsAlive: Bool, isHead: Bool = false) {
        if let refusal = problem.refusal { counters.refused[refusal.rawValue] += 1 }
        var body = ByteQueue(capacity: 256)
        body.append("{\"error\":")
        body.append(quoting: problem.reason)
        if let line = problem.line { body.append(string: ",\"line\":\(line)") }
        body.append("}\n")
        answer(
            index, problem.status, "application/json", body.bytes, fields: problem.fields,
            keepsAlive: keepsAlive, isHead: isHead)
    }

    /// Queues an answer and sends what goes.
    func answer(
        _ index: Int, _ status: String, _ type: String, _ body: UnsafeBufferPointer<UInt8>,
        fields: String = "", keepsAlive: Bool, isHead: Bool = false
    ) {
        let session = session(index)
        let hasBody = !status.hasPrefix("204")
        session.output.append(
            string: "HTTP/1.1 \(status)\r\n"
                + (hasBody ? "Content-Type: \(type)\r\nContent-Length: \(body.count)\r\n" : "")
                + (keepsAlive ? "Connection: keep-alive\r\n" : "Connection: close\r\n")
                + fields + "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\r\n")
        if !isHead && hasBody { session.output.append(body) }
        session.then = keepsAlive && ending == nil ? .goOn : .close
        session.phase = .head
        session.isBetweenRequests = true
        session.deadline = now + Self.keepAlive
        if clients.memory[index].transport != .http { setTransport(index, .http) }
        clients.memory[index].flags.insert(.hasOutput)
        if !clients.memory[index].flags.contains(.blocked) { advance(index) }
    }

    func answer(_ index: Int, _ request: Request, _ type: String, _ text: String) {
        var text = text
        text.withUTF8 {
            answer(
                index, "200 OK", type, $0, fields: fields(for: request),
                keepsAlive: request.keepsAlive, isHead: request.isHead)
        }
    }

    /// What lets a page of another origin read the answer: Fetch, section 3.3.3.
    func fields(for request: Request) -> String {
        guard let origin = request.foreignOrigin, settings.allows(origin: origin) else { return "" }
        return "Access-Control-Allow-Origin: \(origin)\r\nVary: Origin\r\n"
            + "Access-Control-Expose-Headers: Stream-Gap, Stream-Cursor\r\n"
    }

    // MARK: Routing

    private func serve(
        _ index: Int, _ session: Session, _ request: Request
    ) throws(RequestProblem) {
        session.deadline = 0
        if ending != nil && !Self.alwaysServed.contains(request.path) {
            var problem = RequestProblem.ended
            problem.fields += fields(for: request)
            throw problem
        }
        if request.path == "/publish" {
            do throws(RequestProblem) {
                return try servePublish(index, session, request)
            } catch {
                counters.publishErrors += 1
                var problem = error
                problem.fields += fields(for: request)
                throw problem
            }
        }
        if let length = request.head.first("Content-Length"), length != "0" {
            throw RequestProblem(
                status: "413 Content Too Large", reason: "this path takes no body", refusal: .body)
        }
        if request.head.first("Transfer-Encoding") != nil {
            throw RequestProblem(
                status: "413 Content Too Large", reason: "this path takes no body", refusal: .body)
        }
        do throws(RequestProblem) {
            if request.method == "OPTIONS" { return servePreflight(index, request) }
            guard Self.paths.contains(request.path) else {
                throw RequestProblem(status: "404 Not Found", reason: "there is nothing here")
            }
            guard request.reads else {
                throw RequestProblem(
                    status: "405 Method Not Allowed", reason: "the method is not GET",
                    fields: "Allow: GET, HEAD, OPTIONS\r\n")
            }
            try serve(index, request)
        } catch {
            var problem = error
            problem.fields += fields(for: request)
            answer(index, problem, keepsAlive: request.keepsAlive, isHead: request.isHead)
        }
    }

    /// Also while the clients of an ended stream get what is theirs.
    private static let alwaysServed: Set<String> = [
        "/healthz", "/readyz", "/metrics", "/stats", "/poll",
    ]

    private static let paths: Set<String> = [
        "/", "", "/events", "/ws", "/poll", "/stream", "/last", "/healthz", "/readyz", "/metrics",
        "/stats", "/echo",
    ]

    private func serve(_ index: Int, _ request: Request) throws(RequestProblem) {
        switch request.path {
        case "/events": try serveEvents(index, request)
        case "/stream": try serveLines(index, request)
        case "/ws": try serveWebSocket(index, request, echoes: false)
        case "/echo" where settings.echoesAll:
            try serveWebSocket(index, request, echoes: true)
        case "/poll": try servePoll(index, request)
        case "/last": try serveLast(index, request)
        case "/healthz": answer(index, request, "text/plain; charset=utf-8", "ok\n")
        case "/readyz": try serveReady(index, request)
        case "/metrics":
            answer(index, request, "text/plain; version=0.0.4; charset=utf-8", metricsPage())
        case "/stats" where settings.isAdmin:
            answer(index, request, "application/json", statistics())
        case "/": serveViewer(index, request)
        case "" where !settings.prefix.isEmpty:
            // Relative addresses in the page need the slash.
            answer(
                index, "308 Permanent Redirect", "text/plain; charset=utf-8",
                UnsafeBufferPointer(start: nil, count: 0),
                fields: "Location: \(settings.prefix)/\r\n", keepsAlive: request.keepsAlive)
        default: throw RequestProblem(status: "404 Not Found", reason: "there is nothing here")
        }
    }

    private func serveReady(_ index: Int, _ request: Request) throws(RequestProblem) {
        guard shared.board.ready(), ending == nil else {
            throw RequestProblem(
                status: "503 Service Unavailable", reason: "not ready", fields: "Retry-After: 1\r\n"
            )
        }
        answer(index, request, "text/plain; charset=utf-8", "ready\n")
    }

    private func servePreflight(_ index: Int, _ request: Request) {
        answer(
            index, "204 No Content", "", UnsafeBufferPointer(start: nil, count: 0),
            fields: preflightFields(request), keepsAlive: request.keepsAlive)
    }

    /// What a page of another origin may ask for: Fetch, section 3.3.
    func preflightFields(_ request: Request) -> String {
        var fields = fields(for: request) + "Allow: GET, HEAD, POST, OPTIONS\r\n"
        if request.foreignOrigin.map({ settings.allows(origin: $0) }) ?? false {
            fields += "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
            fields += "Access-Control-Allow-Headers: Content-Type, Last-Event-ID\r\n"
            fields += "Access-Control-Max-Age: 600\r\n"
        }
        return fields
    }

    private func serveViewer(_ index: Int, _ request: Request) {
        let policy =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
            + "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
        PackageResources.viewer_html.withUnsafeBufferPointer {
            answer(
                index, "200 OK", "text/html; charset=utf-8", $0,
                fields: "Content-Security-Policy: \(policy)\r\n", keepsAlive: request.keepsAlive,
                isHead: request.isHead)
        }
    }
}
