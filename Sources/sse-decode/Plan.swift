import StreamClient
import StreamCodec
import StreamTool

/// What the operands are.
struct Plan {
    /// A stream, what is polled when it is withheld, or a poll alone.
    struct Stream {
        /// The URL without what may be a secret: how it is called.
        var name: String
        var stream: ClientURL?
        var poll: ClientURL?
    }

    var streams: [Stream] = []
    var files: [Operand] = []
}

extension DecodeOptions {
    /// There is a URL: more than a filter is wanted.
    func reachesOut(_ operands: [Operand]) -> Bool {
        follow.poll != nil || operands.contains(where: \.name.isURL)
    }

    /// Throws for options that do not go together.
    func plan(_ operands: [Operand]) throws -> Plan {
        var plan = Plan()
        let poll = try follow.poll.map(url)
        for operand in operands {
            guard operand.name.isURL else {
                plan.files.append(operand)
                continue
            }
            let stream = try url(operand.name)
            plan.streams.append(Plan.Stream(name: stream.redacted, stream: stream, poll: poll))
        }
        if plan.streams.isEmpty, let poll {
            plan.streams.append(Plan.Stream(name: poll.redacted, stream: nil, poll: poll))
        }
        // URLs that differ in what is not shown only.
        for index in plan.streams.indices {
            let before = plan.streams[..<index].count {
                $0.stream?.redacted == plan.streams[index].name
            }
            if before > 0 { plan.streams[index].name += " #\(before + 1)" }
        }
        try check(plan)
        return plan
    }

    private func url(_ text: String) throws -> ClientURL {
        let url: ClientURL
        do throws(URLError) {
            url = try ClientURL(text, takesWebSocket: false)
        } catch {
            throw UsageError("\(error)")
        }
        if !url.isSecure && connect.namesPeer {
            throw UsageError(
                "--cacert, --cert, --key, --servername and --pinnedpubkey need https://: nothing"
                    + " is verified without TLS")
        }
        return url
    }

    private func check(_ plan: Plan) throws {
        if follow.isExactlyOnce && (outputFile == nil || follow.stateFile == nil) {
            throw UsageError("--exactly-once needs --output and --state")
        }
        if follow.isExactlyOnce && common.gzipLevel != nil {
            throw UsageError("--exactly-once cannot cut what --gzip writes")
        }
        if follow.isExactlyOnce && !plan.files.isEmpty {
            throw UsageError("--exactly-once is for URLs: a file cannot be resumed")
        }
        if plan.streams.count > 1 && (follow.cookieJar != nil || follow.lastEventID != nil) {
            throw UsageError("--cookie-jar and --last-event-id are for one URL")
        }
        if follow.body != nil && ["GET", "HEAD"].contains(follow.effectiveMethod) {
            throw UsageError("--body does not go with \(follow.effectiveMethod)")
        }
        let own = try request.resolved(for: plan.streams[0].stream ?? plan.streams[0].poll!)
        if own.fields.contains(where: { $0.name.isEqualIgnoringCase("Last-Event-ID") }) {
            throw UsageError("a header field Last-Event-ID: use --last-event-id")
        }
    }

    /// Options that mean nothing without a URL would be a trap.
    func checkWithoutURL() throws {
        let groups = [
            Option.requesting, askingOptions, resumingOptions, retryingOptions, pollingOptions,
            Option.connecting,
        ]
        let names = groups.flatMap(\.names).filter { $0 != "max-time" }
        if let name = names.first(where: common.given.contains) {
            throw UsageError("--\(name) needs a URL")
        }
    }
}
