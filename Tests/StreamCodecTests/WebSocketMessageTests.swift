import StreamCodec
import Testing

/// RFC 6455, sections 5.4 to 5.6 and 8.1: messages of fragments, and their text.
@Suite struct WebSocketMessageTests {
    @Test func emptyMessages() throws {
        try checkStream(
            frame(0x81) + frame(0x82) + frame(0x81, "x"), [.text(""), .binary([]), .text("x")])
        try checkStream(frame(0x01) + frame(0x80), [.text("")])
        try checkStream(frame(0x02) + frame(0x00) + frame(0x80), [.binary([])])
        try checkStream(frame(0x01, "a") + frame(0x80), [.text("a")])
        try checkStream(frame(0x01) + frame(0x00) + frame(0x80, "a"), [.text("a")])
    }

    @Test func strayFrames() throws {
        try checkFails(1002, frame(0x80, "a"))
        try checkFails(1002, frame(0x00, "a"))
        try checkFails(1002, frame(0x81, "a") + frame(0x80, "b"), after: [.text("a")])
        try checkFails(
            1002, frame(0x01, "a") + frame(0x80) + frame(0x80), after: [.text("a")])
        for opcode: UInt8 in [0x81, 0x82, 0x01, 0x02] {
            try checkFails(1002, frame(0x01, "a") + frame(opcode, "b"))
            try checkFails(1002, frame(0x01, "a") + frame(0x00) + frame(opcode, "b"))
        }
    }

    @Test func controlFramesBetweenFragments() throws {
        let stream =
            frame(0x01, "a") + frame(0x89, "p") + frame(0x00, "ö") + frame(0x8A, [0xFF])
            + frame(0x89) + frame(0x80, "c") + frame(0x81, "d")
        try checkStream(
            stream, [.ping(bytes("p")), .pong([0xFF]), .ping([]), .text("aöc"), .text("d")])
        // Also within a scalar.
        let smile = bytes("😀")
        for place in 0...4 {
            try checkStream(
                frame(0x01, Array(smile[..<place])) + frame(0x89, "p")
                    + frame(0x80, Array(smile[place...])),
                [.ping(bytes("p")), .text("😀")])
        }
    }

    /// What a text sends up to the byte at `fatal` has been well-formed, and with it is not.
    static let illFormed: [(text: [UInt8], fatal: Int)] = [
        // Autobahn 6.4: a code point beyond U+10FFFF within text.
        (bytes("κόσμε") + [0xF4, 0x90, 0x80, 0x80] + bytes("edited"), 11),
        ([0xFF], 0), ([0x80], 0), ([0xC0, 0x80], 0), ([0xC1], 0), ([0xC2, 0x41], 1),
        ([0xE0, 0x9F, 0xBF], 1), ([0xE0, 0xA0, 0x41], 2), ([0xED, 0xA0, 0x80], 1),
        ([0xED, 0xBF, 0xBF], 1), ([0xF0, 0x8F, 0xBF, 0xBF], 1), ([0xF0, 0x90, 0x80, 0xC0], 3),
        ([0xF5], 0), ([0xF8, 0x88], 0), (bytes("abcdefghijklmnopqrstuvwxyz€") + [0x80], 29),
        (bytes("a") + [0xE2, 0x82] + bytes("a"), 3),
    ]

    /// Fails with the byte, though the rest of the frame and of the message is still to come.
    @Test func failsWithTheFirstBadByte() throws {
        for (text, fatal) in Self.illFormed {
            let whole = frame(0x81, text + bytes("more"))
            let masked = frame(0x81, text + bytes("more"), key: WebSocketFrameTests.key)
            let fragment = frame(0x01, text)
            let fragments = text.flatMap { frame(0x00, [$0]) }
            try checkFailsAt(2 + fatal, whole)
            try checkFailsAt(6 + fatal, masked, .server)
            try checkFailsAt(2 + fatal, fragment)
            try checkFailsAt(2 + 3 * fatal + 2, frame(0x01) + fragments)
            try checkFails(1007, whole)
            try checkFails(1007, fragment)
        }
    }

    private func checkFailsAt(
        _ place: Int, _ stream: [UInt8], _ role: WebSocketRole = .client,
        deflate: DeflateParameters? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for chunks in [byteByByte(stream), cut(stream, at: [place, place + 1])] {
            var end = try WebSocketEnd(role, deflate: deflate)
            var received = 0
            for chunk in chunks where end.events.isEmpty {
                end.take(chunk)
                received += chunk.count
            }
            check(end.events.map(\.errorCode), [1007], sourceLocation: sourceLocation)
            check(received, place + 1, escaped(stream), sourceLocation: sourceLocation)
        }
    }

    /// A sequence that the message's end cuts short; that of a fragment does not.
    @Test func unfinishedText() throws {
        for scalar in ["ö", "€", "😀"] {
            let text = bytes(scalar)
            for count in 1..<text.count {
                let (start, rest) = (Array(text[..<count]), Array(text[count...]))
                try checkFails(1007, frame(0x81, start))
                try checkFails(1007, frame(0x81, bytes("abcd") + start) + frame(0x81, rest))
                try checkFails(1007, frame(0x01, start) + frame(0x80))
                try checkFails(1007, frame(0x01, start) + frame(0x80, "a"))
                try checkStream(frame(0x01, start) + frame(0x80, rest), [.text(scalar)])
            }
        }
    }

    @Test func binaryIsNeverText() throws {
        for (text, _) in Self.illFormed {
            try checkStream(frame(0x82, text), [.binary(text)])
            try checkStream(frame(0x02, text) + frame(0x80), [.binary(text)])
        }
    }

    /// U+FEFF, NUL and noncharacters are text, and stay.
    @Test func strangeText() throws {
        let text = "\u{FEFF}\0\u{FFFE}\u{10FFFF}\u{FEFF}"
        try checkStream(frame(0x81, text), [.text(text)])
    }

    /// RFC 6455 section 10.4: the limit counts over fragments, and before the payload came.
    @Test func limit() throws {
        let ten = bytes("0123456789")
        try checkStream(frame(0x81, ten), [.text(ten)], maxMessage: 10)
        try checkStream(
            frame(0x01, ten) + frame(0x00) + frame(0x80), [.text(ten)], maxMessage: 10)
        try checkFails(1009, [0x81, 11], maxMessage: 10)
        try checkFails(1009, [0x82, 126, 255, 255], maxMessage: 10)
        try checkFails(1009, frame(0x01, ten) + [0x80, 1], maxMessage: 10)
        try checkFails(1009, frame(0x01, "a") + frame(0x00, "b") + [0x80, 9], maxMessage: 10)
        try checkFails(1009, [0x81, 1], maxMessage: 0)
        // It is a limit of each message.
        try checkStream(
            frame(0x01, ten) + frame(0x80) + frame(0x81, ten), [.text(ten), .text(ten)],
            maxMessage: 10)
        // The head of a frame from a client is judged before its key.
        try checkFails(1009, [0x81, 0x8B], .server, maxMessage: 10)
        check(
            try receive([[0x81, 11]], maxMessage: 10),
            [.error(1009, "message longer than 10 bytes")])
    }

    /// Truncated anywhere, the events are a prefix, and the missing rest shows.
    @Test func truncatedAnywhere() throws {
        let stream =
            frame(0x81, "aö") + frame(0x01, "b") + frame(0x89, "p") + frame(0x80, "c")
            + frame(0x82, [UInt8](repeating: 5, count: 130)) + frame(0x88, [3, 0xE8])
        let whole = try receive([stream])
        check(whole.count, 5)
        var ends = 0
        for count in 0...stream.count {
            let part = Array(stream[..<count])
            var events = try receive([part])
            try check(try receive(byteByByte(part)), events)
            if events.last == .cutOff { events.removeLast() } else { ends += 1 }
            check(events, Array(whole.prefix(events.count)), "\(count)")
        }
        // Before the first and behind each message and the Close frame.
        check(ends, 5)
    }

    @Test func manyFragmentsInLinearTime() throws {
        let piece = [UInt8](repeating: 0x61, count: 63) + [0xC3]
        let next = [0xB6] + piece.dropFirst()
        var stream = frame(0x01, piece)
        for _ in 2..<65536 { stream += frame(0x00, next) }
        stream += frame(0x80, [0xB6])
        let time = try processorTime {
            let events = try receive([stream], maxMessage: 4 << 20)
            guard case .text(let text) = events.first, events.count == 1 else {
                Issue.record("no text")
                return
            }
            check(text.count, 65535 * 64 + 1)
        }
        #expect(time < .seconds(20))
    }

    @Test func longFrameInManyReadsInLinearTime() throws {
        let text = [UInt8](repeating: 0x61, count: 4 << 20)
        for (role, key) in [(WebSocketRole.client, nil), (.server, WebSocketFrameTests.key)] {
            let stream = frame(0x81, text, key: key)
            let chunks = stride(from: 0, to: stream.count, by: 64).map {
                Array(stream[$0..<min($0 + 64, stream.count)])
            }
            let time = try processorTime {
                try check(try receive(chunks, role, maxMessage: 4 << 20) == [.text(text)], true)
            }
            #expect(time < .seconds(20))
        }
    }

    /// Large messages in the queue and in fragments leave nothing wrong behind.
    @Test func largeMessagesOneAfterTheOther() throws {
        let large = [UInt8](repeating: 0x62, count: 3 << 20)
        let stream =
            frame(0x82, large) + frame(0x81, "a") + frame(0x02, large) + frame(0x80, "x")
            + frame(0x82, large) + frame(0x81, "b") + frame(0x01, "c")
        var random = SplitMix64("largeMessages")
        for _ in 0..<5 {
            let chunks = cut(stream, at: random.cuts(stream, count: 8))
            try check(
                try receive(chunks, maxMessage: 4 << 20) == [
                    .binary(large), .text("a"), .binary(large + bytes("x")), .binary(large),
                    .text("b"), .cutOff,
                ], true)
        }
    }

    @Test func garbageNeverCrashes() throws {
        var random = SplitMix64("garbageNeverCrashes")
        let firsts: [UInt8] = [0x81, 0x82, 0x01, 0x00, 0x80, 0xC1, 0x41, 0x89, 0x88]
        for _ in 0..<3000 {
            var stream = (0..<random.number(0...60)).map { _ in UInt8(random.number(0...255)) }
            let role = random.pick([WebSocketRole.client, .server])
            if !stream.isEmpty && random.chance(3, in: 4) {
                stream[0] = random.pick(firsts)
                if stream.count > 1 {
                    stream[1] = UInt8(random.number(0...20)) | (role == .server ? 0x80 : 0)
                }
            }
            let deflate = random.pick([nil, DeflateParameters()])
            let whole = try receive([stream], role, maxMessage: 100, deflate: deflate)
            try check(
                try receive(byteByByte(stream), role, maxMessage: 100, deflate: deflate), whole,
                escaped(stream))
        }
    }
}
