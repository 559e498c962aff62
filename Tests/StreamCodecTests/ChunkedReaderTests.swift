import StreamCodec
import Testing

/// What came of a chunked body.
private struct Outcome: Equatable {
    enum End: Equatable {
        case more, end
        case error(ChunkedError)
    }

    var body: [UInt8] = []
    var end = End.more
    /// What stands behind the body, or begins with the byte that is wrong.
    var rest: [UInt8] = []
}

@Suite struct ChunkedReaderTests {
    private func read(_ reads: [[UInt8]], maxBody: Int) -> Outcome {
        var reader = ChunkedReader(maxBody: maxBody)
        var queue = ByteQueue(capacity: 1)
        var body = ByteQueue(capacity: 1)
        var outcome = Outcome()
        for read in reads {
            queue.append(read)
            if outcome.end != .more { continue }
            do throws(ChunkedError) {
                outcome.end = try reader.read(&queue, into: &body) ? .end : .more
            } catch {
                outcome.end = .error(error)
            }
            if outcome.end == .more { check(queue.isEmpty, true, "all of it is taken") }
        }
        outcome.body = Array(body.bytes)
        outcome.rest = Array(queue.bytes)
        return outcome
    }

    /// The outcome, the same in whatever pieces the bytes come.
    private func read(_ text: String, maxBody: Int = 1000) -> Outcome {
        let stream = bytes(text)
        let whole = read([stream], maxBody: maxBody)
        check(read(byteByByte(stream), maxBody: maxBody), whole, "bytes of \(text)")
        if stream.count > 1000 { return whole }
        for first in 0...stream.count {
            let cut = read(cut(stream, at: [first]), maxBody: maxBody)
            check(cut, whole, "\(text) at \(first)")
        }
        return whole
    }

    private func error(_ text: String, maxBody: Int = 1000) -> ChunkedError? {
        guard case .error(let error) = read(text, maxBody: maxBody).end else { return nil }
        return error
    }

    // MARK: Bodies

    @Test(arguments: [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"), ("000\r\n\r\n", ""),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"), ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ("1;a\r\nx\r\n0\r\n\r\n", "x"), ("1;a=b;c=\"d ;\u{E4}\"\r\nx\r\n0;e\r\n\r\n", "x"),
        ("1 ;a\r\nx\r\n0\r\n\r\n", "x"), ("1\t ; a = b\r\nx\r\n0 ; e \r\n\r\n", "x"),
        ("1;\r\nx\r\n0;\r\n\r\n", "x"),
        ("0\r\nA: b\r\n\r\n", ""), ("0\r\nA:\r\nB-c: \td\u{E4}\r\n\r\n", ""),
        ("1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n", "x"),
    ])
    func bodies(_ stream: String, _ body: String) {
        for rest in ["", "\r\n", "GET / HTTP/1.1\r\n"] {
            let outcome = read(stream + rest)
            check(outcome, Outcome(body: bytes(body), end: .end, rest: bytes(rest)), stream)
        }
        // No end before the last byte, and what has come of the body is there at once.
        for count in 0..<stream.utf8.count {
            let outcome = read([Array(bytes(stream)[..<count])], maxBody: 1000)
            check(outcome.end, .more, "\(count) bytes of \(stream)")
            check(bytes(body).starts(with: outcome.body), true, stream)
        }
    }

    @Test func readsNothingBehindTheEnd() throws {
        var reader = ChunkedReader(maxBody: 10)
        var queue = ByteQueue()
        var body = ByteQueue()
        queue.append(bytes("0\r\n\r\n5\r\nhello\r\n"))
        for _ in 0..<3 {
            let isAtEnd = try reader.read(&queue, into: &body)
            #expect(isAtEnd)
        }
        #expect(text(queue.bytes) == "5\r\nhello\r\n")
        #expect(body.count == 0)
    }

    @Test func appendsToTheBody() throws {
        var reader = ChunkedReader(maxBody: 2)
        var queue = ByteQueue()
        var body = ByteQueue()
        body.append("before ")
        queue.append(bytes("2\r\nab\r\n0\r\n\r\n"))
        let isAtEnd = try reader.read(&queue, into: &body)
        #expect(isAtEnd)
        #expect(text(body.bytes) == "before ab")
    }

    @Test func lengthOfTheBody() {
        let chunks = { (sizes: [Int]) in
            sizes.map {
                String($0, radix: 16) + "\r\n" + String(repeating: "x", count: $0) + "\r\n"
            }
            .joined() + "0\r\n\r\n"
        }
        #expect(read(chunks([10]), maxBody: 10).end == .end)
        #expect(read(chunks([3, 3, 4]), maxBody: 10).end == .end)
        #expect(read(chunks([]), maxBody: 0).end == .end)
        for sizes in [[11], [3, 3, 5], [10, 1], [4096]] {
            #expect(error(chunks(sizes), maxBody: 10) == .tooLong(limit: 10))
        }
        // At the size, before the data; however large it is.
        #expect(read("5\r\nhello\r\n6", maxBody: 10).body == bytes("hello"))
        #expect(error("5\r\nhello\r\n6", maxBody: 10) == .tooLong(limit: 10))
        #expect(error("b", maxBody: 10) == .tooLong(limit: 10))
        for size in [
            "7FFFFFFFFFFFFFFF", "8000000000000000", "FFFFFFFFFFFFFFFF", "10000000000000001",
        ] {
            #expect(error(size + "\r\n", maxBody: 10) == .tooLong(limit: 10))
        }
        #expect(error("7FFFFFFFFFFFFFFF\r\nx", maxBody: .max) == nil)
        #expect(error("8000000000000000\r\nx", maxBody: .max) == .tooLong(limit: .max))
        #expect(error("FFFFFFFFFFFFFFFF\r\nx", maxBody: .max) == .tooLong(limit: .max))
        #expect(error("1\r\nx\r\n7FFFFFFFFFFFFFFF", maxBody: .max) == .tooLong(limit: .max))
    }

    // MARK: Errors

    @Test(arguments: [
        "\r\n", "\n", "\0", "x", "0x5\r\n", "+5\r\n", "-5\r\n", " 5\r\n", "5 \r\nhello", ";a\r\n",
        " ;a\r\n", "5 5\r\n", "5g\r\n", "5,5\r\n", "5\u{E4}\r\n", "5\t\r\n", "5\nhello\n", "5\0",
        "00000000000000005\r\n", "GET / HTTP/1.1\r\n", "5\r\nhello\r\n\r\n", "5 x;a\r\n",
        "5\r\nhello\r\n 0\r\n", "1\r\n\r\r\n\n",
    ])
    func badSize(_ stream: String) {
        #expect(error(stream) == .badSize)
    }

    @Test(arguments: [
        "5\r\nhello0\r\n", "5\r\nhellox\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\r\n", "5\r\nhello!\r\n0\r\n\r\n",
    ])
    func badEnd(_ stream: String) {
        #expect(error(stream) == .badEnd)
    }

    /// What one side takes for the end of a line and the other does not hides a request.
    @Test(arguments: [
        "5\rhello", "5\r\rhello", "0\r\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n", "5;a\r;b\r\n",
        "5;a\r\r\nhello", "0\r\n\rX", "0\r\n\r\r\n", "0\r\nA: b\n\r\n", "0\r\nA: b\rC: d\r\n\r\n",
        "0\r\nA: b\r\r\n", "0;a\n\r\n", "0\r\nA:\n",
    ])
    func badLineEnd(_ stream: String) {
        #expect(error(stream) == .badLineEnd)
    }

    @Test(arguments: ["5;a\0", "5;\u{1B}[m", "5;a\u{7F}", "0\r\nA: \0", "0\r\nA: \u{B}"])
    func controlCharacter(_ stream: String) {
        #expect(error(stream) == .controlCharacter)
    }

    @Test(arguments: [
        "0\r\n\n", "0\r\n: a\r\n", "0\r\n A: b\r\n", "0\r\nA : b\r\n", "0\r\nA\r\n", "0\r\nA\n",
        "0\r\nA: b\r\n c\r\n", "0\r\nGET / HTTP/1.1\r\n", "0\r\n\u{E4}: b\r\n", "0\r\n\0",
        "0\r\nA: b\r\n\n",
    ])
    func badTrailer(_ stream: String) {
        #expect(error(stream) == .badTrailer)
    }

    /// The byte that is wrong stays, so that asking again says the same.
    @Test func errorsStay() throws {
        for stream in ["5\r\nhellox", "x", "FFFF", "0\r\n\n", "5;\n"] {
            var reader = ChunkedReader(maxBody: 10)
            var queue = ByteQueue()
            var body = ByteQueue()
            queue.append(bytes(stream))
            let expected = error(stream, maxBody: 10)
            for _ in 0..<3 {
                do throws(ChunkedError) {
                    _ = try reader.read(&queue, into: &body)
                    Issue.record("no error")
                } catch {
                    check(error, expected!)
                }
            }
        }
    }

    @Test func descriptionsAreHarmless() {
        for error: ChunkedError in [
            .tooLong(limit: 7), .badSize, .badEnd, .badLineEnd, .controlCharacter,
            .extensionsTooLong, .badTrailer, .trailersTooLong(limit: 7),
        ] {
            #expect(error.description.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        }
        #expect(ChunkedError.tooLong(limit: 7).description == "the body is longer than 7 bytes")
    }

    // MARK: Limits

    /// All trailers and the blank line have 8 KiB.
    @Test func lengthOfTrailers() {
        let trailers = { (count: Int) in
            "0\r\n" + String(repeating: "A: 1234\r\n", count: 100) + "B:"
                + String(repeating: "x", count: count - 906) + "\r\n\r\n"
        }
        #expect(read(trailers(8192) + "x") == Outcome(end: .end, rest: bytes("x")))
        for count in [8193, 20_000] {
            #expect(error(trailers(count)) == .trailersTooLong(limit: 8192))
        }
        let many = "0\r\n" + String(repeating: "A:\r\n", count: 3000)
        #expect(error(many) == .trailersTooLong(limit: 8192))
    }

    /// 8 KiB and one for each byte that came before.
    @Test func lengthOfExtensions() {
        let chunk = { (body: Int, extensions: Int) in
            String(body, radix: 16) + ";" + String(repeating: "x", count: extensions - 1) + "\r\n"
                + String(repeating: "d", count: body) + "\r\n"
        }
        #expect(read(chunk(0, 8192)).end == .end)
        #expect(error(chunk(0, 8193)) == .extensionsTooLong)
        #expect(read(chunk(100, 8192) + chunk(0, 100)).end == .end)
        #expect(error(chunk(100, 8192) + chunk(0, 101)) == .extensionsTooLong)
        #expect(error("1" + String(repeating: " ", count: 9000)) == .extensionsTooLong)
        // Small chunks with large extensions cannot go on for ever; signed large ones can.
        let small = String(repeating: chunk(1, 100), count: 1000)
        #expect(error(small, maxBody: 1 << 20) == .extensionsTooLong)
        let signed = String(repeating: chunk(4096, 85), count: 300) + "0\r\n\r\n"
        #expect(read([bytes(signed)], maxBody: 2 << 20).end == .end)
    }

    // MARK: By chance

    private func encoded(_ body: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var stream: [UInt8] = []
        var rest = body[...]
        let space = { (random: inout SplitMix64) in random.pick(["", "", " ", "\t "]) }
        while true {
            let size = rest.isEmpty ? 0 : random.number(1...max(1, min(rest.count, 300)))
            var line = String(size, radix: 16, uppercase: random.chance(1, in: 2))
            line = String(repeating: "0", count: random.number(0...2)) + line
            for _ in 0..<random.number(0...2) {
                line += space(&random) + ";" + space(&random)
                line += random.pick(["a", "a=b", "n=\"v; \"", "x = y", ""])
            }
            stream += bytes(line + "\r\n")
            if size == 0 { break }
            stream += rest.prefix(size) + bytes("\r\n")
            rest = rest.dropFirst(size)
        }
        for _ in 0..<random.number(0...2) { stream += bytes("Name-\(random.next()): a b\r\n") }
        return stream + bytes("\r\n")
    }

    @Test func roundTrip() {
        var random = SplitMix64("chunks")
        for _ in 0..<1000 {
            let body = bytes(random.text())
            let rest = bytes(random.pick(["", "\r\n", "GET", "0\r\n\r\n"]))
            let stream = encoded(body, &random) + rest
            let expected = Outcome(body: body, end: .end, rest: rest)
            let reads = cut(stream, at: random.cuts(stream, count: 20))
            check(read(reads, maxBody: body.count), expected, escaped(stream))
            guard !body.isEmpty else { continue }
            let shorter = read(reads, maxBody: body.count - 1)
            check(shorter.end, .error(.tooLong(limit: body.count - 1)), escaped(stream))
        }
    }

    /// One byte more, less or another: the same outcome in whatever pieces, and never more of a
    /// body than its limit.
    @Test func nearlyChunks() {
        var random = SplitMix64("nearly chunks")
        for _ in 0..<2000 {
            var stream = encoded(bytes(random.text(length: 9, lineBreaks: true)), &random)
            for _ in 0..<random.number(1...3) {
                let place = random.number(0...(stream.count - 1))
                let strange = random.pick(bytes("\r\n\0 ;:0aF9x\t\u{7F}"))
                switch random.number(0...2) {
                case 0: stream[place] = strange
                case 1: stream.insert(strange, at: place)
                default: stream.remove(at: place)
                }
            }
            let limit = random.number(0...40)
            let whole = read([stream], maxBody: limit)
            check(read(byteByByte(stream), maxBody: limit), whole, escaped(stream))
            let reads = cut(stream, at: random.cuts(stream, count: 5))
            check(read(reads, maxBody: limit), whole, escaped(stream))
            check(whole.body.count <= limit, true, escaped(stream))
        }
    }
}
