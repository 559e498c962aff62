import CBytes
import StreamCodec
import Testing

/// What is sent is what the other end receives, and as the RFCs say.
@Suite struct WebSocketSenderTests {
    @Test func serverFrames() throws {
        try check(
            try send([.text("Hello")], .server),
            [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
        for count in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            try check(try send([.binary(payload)], .server), frame(0x82, payload), "\(count)")
        }
        try check(try send([.ping([1]), .pong([])], .server), frame(0x89, [1]) + frame(0x8A))
    }

    @Test func clientFramesAreMasked() throws {
        for count in [0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100, 125, 126, 300, 65536] {
            let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let stream = try send([.binary(payload)], .client)
            let head = count < 126 ? 2 : count < 65536 ? 4 : 10
            let key = Array(stream[head..<(head + 4)])
            check(stream, frame(0x82, payload, key: key), "\(count)")
        }
    }

    /// Section 5.3: a fresh key for each frame. Chance alone makes some of so many equal.
    @Test func keysAreFresh() throws {
        let stream = try send(Array(repeating: .ping([]), count: 5000), .client)
        var keys: Set<[UInt8]> = []
        for start in stride(from: 0, to: stream.count, by: 6) {
            check(Array(stream[start..<(start + 2)]), [0x89, 0x80])
            keys.insert(Array(stream[(start + 2)..<(start + 6)]))
        }
        #expect(keys.count > 4990)
        // Each byte takes most of its values.
        for index in 0..<4 { #expect(Set(keys.map { $0[index] }).count > 250) }
        let other = try send([.ping([])], .client)
        #expect(!stream.starts(with: other))
    }

    @Test func closeFrames() throws {
        check(try send([.close(1005, bytes("unsaid"))], .server), frame(0x88))
        check(try send([.close(1000, [])], .server), frame(0x88, [3, 0xE8]))
        for (reason, kept) in [
            (String(repeating: "a", count: 200), 123), (String(repeating: "ö", count: 100), 122),
            ("a" + String(repeating: "ö", count: 100), 123),
            (String(repeating: "😀", count: 50), 120), (String(repeating: "€", count: 41), 123),
        ] {
            check(
                try send([.close(1011, bytes(reason))], .server),
                frame(0x88, [3, 0xF3] + bytes(reason).prefix(kept)), reason)
        }
        // What is not UTF-8 may not be sent.
        check(try send([.close(1000, [0x61, 0xFF, 0x62])], .server), frame(0x88, [3, 0xE8, 0x61]))
    }

    @Test func fragments() throws {
        let text = bytes("abcdefgh")
        try check(try send([.text(text)], .server, fragment: 8), frame(0x81, text))
        try check(
            try send([.text(text)], .server, fragment: 3),
            frame(0x01, "abc") + frame(0x00, "def") + frame(0x80, "gh"))
        try check(
            try send([.text(text)], .server, fragment: 4), frame(0x01, "abcd") + frame(0x80, "efgh")
        )
        try check(try send([.text([])], .server, fragment: 1), frame(0x81))
        // Control frames are not.
        try check(try send([.ping(text)], .server, fragment: 1), frame(0x89, text))
    }

    /// Each length and phase, in place and copied, and nothing beside it.
    @Test func masks() {
        var random = SplitMix64("masks")
        let key = (0..<4).map { _ in UInt8(random.number(0...255)) }
        let word = key.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
        for size in 0...200 {
            let plain = (0..<size).map { _ in UInt8(random.number(0...255)) }
            let masked = plain.enumerated().map { $1 ^ key[$0 % 4] }
            var copy = [UInt8](repeating: 0xAA, count: size + 2)
            copy.withUnsafeMutableBufferPointer { copy in
                plain.withUnsafeBufferPointer { plain in
                    guard let start = plain.baseAddress else { return }
                    cb_mask_copy(copy.baseAddress! + 1, start, size, word)
                }
            }
            check(copy, [0xAA] + masked + [0xAA], "\(size)")
            let cut = random.number(0...size)
            var queue = ByteQueue(capacity: 1)
            queue.append([0xAA] + plain + [0xAA])
            queue.mask(1..<(1 + cut), key: word)
            queue.mask((1 + cut)..<(1 + size), key: cb_mask_turn(word, cut))
            check(Array(queue.bytes), [0xAA] + masked + [0xAA], "\(size) cut at \(cut)")
        }
    }

    @Test func randomRoundTrips() throws {
        var random = SplitMix64("randomRoundTrips")
        for parameters in [nil] + DeflateParameters.combinations.map(Optional.some) {
            for role in [WebSocketRole.client, .server] {
                for _ in 0..<3 {
                    let events = randomEvents(&random)
                    let fragment = random.pick([nil, 1, 7, 100, 4096])
                    let stream = try send(
                        events, role, deflate: parameters, level: random.number(1...9),
                        fragment: fragment)
                    let peer: WebSocketRole = role == .client ? .server : .client
                    let chunks = random.pick([
                        [stream], cut(stream, at: random.cuts(stream, count: 20)),
                        byteByByte(stream),
                    ])
                    try check(
                        try receive(chunks, peer, deflate: parameters), events,
                        "\(role) \(String(describing: parameters))")
                }
            }
        }
    }

    private func randomEvents(_ random: inout SplitMix64) -> [WebSocketEvent] {
        var events: [WebSocketEvent] = []
        for _ in 0..<random.number(0...12) {
            let size = random.pick([0, 1, 20, 31, 32, 125, 126, 1000, 20000])
            let noise = (0..<size).map { _ in UInt8(random.number(0...255)) }
            let line = #"{"type":"trade","symbol":"€\#(random.number(0...9))","price":1.5}"#
            let text = bytes(String(repeating: line, count: size / 40 + 1))
            switch random.number(0...4) {
            case 0: events.append(.text(text))
            case 1: events.append(.binary(noise))
            case 2: events.append(.binary(text))
            case 3: events.append(.ping(Array(noise.prefix(125))))
            default: events.append(random.chance(1, in: 2) ? .text([]) : .pong([]))
            }
        }
        return events + [.close(4000, bytes("fin"))]
    }
}
