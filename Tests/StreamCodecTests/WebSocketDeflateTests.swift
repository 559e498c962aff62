import StreamCodec
import Testing

/// RFC 7692, sections 6 and 7.2: compressed messages.
@Suite struct WebSocketDeflateTests {
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    private var forgetful: DeflateParameters {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = true
        return parameters
    }

    private func check(
        _ stream: [UInt8], _ expected: [WebSocketEvent],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try checkStream(
            stream, expected, deflate: DeflateParameters(), sourceLocation: sourceLocation)
    }

    private func deflate(_ messages: [[UInt8]], keepsContext: Bool = true) throws -> [[UInt8]] {
        var deflater = try MessageDeflater(windowBits: 15, keepsContext: keepsContext, level: 6)
        var results: [[UInt8]] = []
        for message in messages {
            var target = ByteQueue()
            message.withUnsafeBufferPointer { deflater.deflate($0, into: &target) }
            results.append(Array(target.bytes))
        }
        return results
    }

    /// Section 7.2.3, each of its examples.
    @Test func examples() throws {
        try check(frame(0xC1, Self.hello), [.text("Hello")])
        try check(
            frame(0x41, Array(Self.hello[..<3])) + frame(0x80, Array(Self.hello[3...])),
            [.text("Hello")])
        try check(
            frame(0xC1, Self.hello) + frame(0xC1, Self.hello), [.text("Hello"), .text("Hello")])
        // The second refers to the first.
        let again: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
        try check(
            frame(0xC1, Self.hello) + frame(0xC1, again), [.text("Hello"), .text("Hello")])
        // A block without compression.
        let stored: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF] + bytes("Hello") + [0x00]
        try check(frame(0xC1, stored), [.text("Hello")])
        // A block that says it is the last one, and what may refer to it all the same.
        let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
        try check(
            frame(0xC1, final) + frame(0xC1, again), [.text("Hello"), .text("Hello")])
        // Two blocks in a message.
        let two: [UInt8] = [
            0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
        ]
        try check(frame(0xC1, two), [.text("Hello")])
        // Nothing.
        try check(frame(0xC1, [0x00]), [.text("")])
        // zlib makes the same of them.
        let deflated = try deflate([bytes("Hello"), bytes("Hello"), []])
        #expect(deflated == [Self.hello, again, [0x00]])
        #expect(
            try deflate([bytes("Hello"), bytes("Hello")], keepsContext: false)
                == [Self.hello, Self.hello])
    }

    /// In the middle of a message, at its end, with and without the empty block behind it.
    @Test func finalBlocks() throws {
        let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        let again: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
        let hello = WebSocketEvent.text("Hello")
        try check(frame(0xC1, final + Self.hello), [.text("HelloHello")])
        try check(frame(0xC1, final + final + again), [.text("HelloHelloHello")])
        try check(frame(0xC1, final) + frame(0xC1, again), [hello, hello])
        try check(frame(0xC1, final) + frame(0xC1, final), [hello, hello])
        // The empty block of the tail may say so too.
        let emptyFinal: [UInt8] = [0x00, 0x05, 0x00, 0xFA, 0xFF] + bytes("Hello") + [0x01]
        try check(frame(0xC1, emptyFinal) + frame(0xC1, again), [hello, hello])
    }

    @Test func plainAndCompressedMix() throws {
        let again: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
        try check(
            frame(0xC1, Self.hello) + frame(0x81, "plain") + frame(0x01, "a") + frame(0x80, "b")
                + frame(0xC2, again),
            [.text("Hello"), .text("plain"), .text("ab"), .binary(bytes("Hello"))])
        try check(
            frame(0x41, [0xF2, 0x48]) + frame(0x89, "p") + frame(0x00)
                + frame(0x80, Array(Self.hello[2...])),
            [.ping(bytes("p")), .text("Hello")])
        try check(frame(0xC1) + frame(0xC1, Self.hello), [.text(""), .text("Hello")])
        try check(frame(0x41) + frame(0x80) + frame(0x81), [.text(""), .text("")])
    }

    /// Reserved bit 1 is for the first frame of a message that may be compressed.
    @Test func reservedBit() throws {
        let parameters = DeflateParameters()
        try checkFails(1002, frame(0xC1, Self.hello))
        try checkFails(1002, frame(0x41, [0xF2]) + frame(0xC0), deflate: parameters)
        try checkFails(1002, frame(0x01, "a") + frame(0xC0), deflate: parameters)
        for first: UInt8 in [0xC8, 0xC9, 0xCA, 0xC0, 0xE1, 0xD1] {
            try checkFails(1002, frame(first), deflate: parameters)
        }
    }

    @Test func takeover() throws {
        let again: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
        // The server has promised to forget: what refers back refers to nothing.
        try checkFails(
            1007, frame(0xC1, Self.hello) + frame(0xC1, again), after: [.text("Hello")],
            deflate: forgetful)
        try checkStream(
            frame(0xC1, Self.hello) + frame(0xC1, Self.hello), [.text("Hello"), .text("Hello")],
            deflate: forgetful)
        // What the client has promised is nothing to what the server sends.
        var other = DeflateParameters()
        other.clientNoContextTakeover = true
        try checkStream(
            frame(0xC1, Self.hello) + frame(0xC1, again), [.text("Hello"), .text("Hello")],
            deflate: other)
        // Of two of the same, the second is short unless the first is forgotten.
        let line = bytes((0..<20).map { "\($0 * 7919)," }.joined())
        let sizes = try [DeflateParameters(), forgetful].map { parameters in
            try send([.text(line), .text(line)], .server, deflate: parameters).count
        }
        #expect(sizes[0] < sizes[1] * 7 / 10)
    }

    @Test func corruptOrUnfinished() throws {
        let parameters = DeflateParameters()
        for payload: [UInt8] in [
            [0x07], [0xFF, 0xFF], [0xF2, 0x00, 0x11, 0x00, 0x00], Array(Self.hello.dropLast(2)),
            Self.hello + [0x00, 0x00, 0xFF, 0xFF], [0x00, 0x05, 0x00, 0x00, 0x00],
        ] {
            try checkFails(1007, frame(0xC2, payload), deflate: parameters)
        }
    }

    /// The size that counts is the inflated one, and it is never exceeded.
    @Test func limit() throws {
        for size in [1, 100, 5000, 65535, 65536, 200_000] {
            let payload = [UInt8](repeating: 0x61, count: size)
            let compressed = try deflate([payload])[0]
            let stream = frame(0xC1, compressed)
            for limit in [size, size + 1] {
                try StreamCodecTests.check(
                    try receive([stream], maxMessage: limit, deflate: DeflateParameters()),
                    [.text(payload)])
            }
            for chunks in [[stream], byteByByte(stream)] {
                try StreamCodecTests.check(
                    try receive(chunks, maxMessage: size - 1, deflate: DeflateParameters())
                        .map(\.errorCode),
                    [1009])
            }
        }
        // 64 MiB in as many KiB: the receiver stops long before the end.
        let bomb = try deflate([[UInt8](repeating: 0, count: 64 << 20)])[0]
        #expect(bomb.count < 100_000)
        try StreamCodecTests.check(
            try receive([frame(0xC2, bomb)], maxMessage: 1 << 20, deflate: DeflateParameters())
                .map(\.errorCode),
            [1009])
        // Compressed, a message may be longer than it is.
        try checkStream(
            frame(0xC1, [0x00, 0x01, 0x00, 0xFE, 0xFF, 0x61, 0x00]), [.text("a")], maxMessage: 1,
            deflate: DeflateParameters())
    }

    /// Text fails after inflation, though the rest of the message is still to come.
    @Test func textIsCheckedInflated() throws {
        for (text, fatal) in WebSocketMessageTests.illFormed {
            // A stored block: a byte arrives where it is.
            let size = UInt8(text.count + 4)
            let payload = [0x00, size, 0x00, ~size, 0xFF] + text + bytes("more") + [0x00]
            let stream = frame(0xC1, payload)
            var end = try WebSocketEnd(deflate: DeflateParameters())
            var received = 0
            for byte in stream where end.events.isEmpty {
                end.take([byte])
                received += 1
            }
            StreamCodecTests.check(end.events.map(\.errorCode), [1007])
            StreamCodecTests.check(received, 2 + 5 + fatal + 1, escaped(text))
            try checkFails(1007, stream, deflate: DeflateParameters())
            try check(frame(0xC2, payload), [.binary(text + bytes("more"))])
        }
        try checkFails(
            1007, frame(0xC1, [0x00, 0x01, 0x00, 0xFE, 0xFF, 0xC3, 0x00]),
            deflate: DeflateParameters())
    }

    /// What is sent compressed has bit 1, what is not worth it has not.
    @Test func worthIt() throws {
        let text = [UInt8](repeating: 0x61, count: 1000)
        let sent = try send([.text(text)], .server, deflate: DeflateParameters())
        #expect(sent[0] == 0xC1 && sent.count < 30)
        #expect(try send([.text("a")], .server, deflate: forgetful) == frame(0x81, "a"))
        var random = SplitMix64("worthIt")
        let noise = (0..<1000).map { _ in UInt8(random.number(0...255)) }
        #expect(try send([.binary(noise)], .server, deflate: forgetful) == frame(0x82, noise))
        // Fragments of what is compressed: bit 1 on the first only.
        let pieces = try send(
            [.text(text)], .server, deflate: DeflateParameters(), fragment: 4)
        #expect(pieces[0] == 0x41 && pieces[6] == 0x00)
        // zlib cannot deflate with a window of 256 bytes.
        var small = DeflateParameters()
        small.clientMaxWindowBits = 8
        #expect(try send([.text(text)], .client, deflate: small)[0] == 0x81)
        #expect(try send([.text(text)], .server, deflate: small)[0] == 0xC1)
    }

    /// With a window of 2^9 bytes nothing farther back is referred to: an inflater that keeps no
    /// more reads it.
    @Test func windows() throws {
        var random = SplitMix64("windows")
        let block = (0..<600).map { _ in UInt8(random.number(0...255)) }
        for bits in 9...15 {
            var parameters = DeflateParameters()
            parameters.serverMaxWindowBits = bits
            let events = (0..<60).map { WebSocketEvent.binary(block + [UInt8($0)]) }
            let stream = try send(events, .server, deflate: parameters, level: 9)
            try StreamCodecTests.check(
                try receive(byteByByte(stream), deflate: parameters), events, "\(bits)")
            #expect((stream.count < 10_000) == (bits > 9), "\(bits)")
        }
    }

    @Test func truncatedAnywhere() throws {
        let events: [WebSocketEvent] = (0..<5).map { .text("message number \($0) of more than 32") }
        let stream = try send(events, .server, deflate: DeflateParameters(), fragment: 10)
        for count in 0...stream.count {
            for chunks in [[Array(stream[..<count])], byteByByte(Array(stream[..<count]))] {
                let got = try receive(chunks, deflate: DeflateParameters())
                    .filter { $0 != .cutOff }
                StreamCodecTests.check(got, Array(events.prefix(got.count)), "\(count)")
            }
        }
    }

    @Test func defectsNeverCrash() throws {
        var random = SplitMix64("defectsNeverCrash")
        let events: [WebSocketEvent] = (0..<8).map {
            .text(String(repeating: "häufig \($0) ", count: 30))
        }
        let stream = try send(events, .server, deflate: DeflateParameters())
        for _ in 0..<1000 {
            var broken = stream
            for _ in 0..<random.number(1...3) {
                broken[random.number(0...(broken.count - 1))] = UInt8(random.number(0...255))
            }
            let whole = try receive([broken], maxMessage: 500, deflate: DeflateParameters())
            try StreamCodecTests.check(
                try receive(
                    byteByByte(broken), maxMessage: 500, deflate: DeflateParameters()),
                whole, escaped(broken))
        }
    }
}
