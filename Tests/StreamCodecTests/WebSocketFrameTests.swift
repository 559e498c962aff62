import StreamCodec
import Testing

/// RFC 6455, section 5: heads, and what may follow what.
@Suite struct WebSocketFrameTests {
    static let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    /// The examples of section 5.7.
    @Test func examples() throws {
        try checkStream([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], [.text("Hello")])
        let masked: [UInt8] = [
            0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
        ]
        try checkStream(masked, [.text("Hello")], .server)
        try checkStream(
            [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], [.text("Hello")])
        try checkStream([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], [.ping(bytes("Hello"))])
        let pong: [UInt8] = [
            0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
        ]
        try checkStream(pong, [.pong(bytes("Hello"))], .server)
        let short = [UInt8](repeating: 7, count: 256)
        try checkStream([0x82, 0x7E, 0x01, 0x00] + short, [.binary(short)])
        let long = [UInt8](repeating: 9, count: 65536)
        let stream: [UInt8] = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + long
        try check(try receive([stream]), [.binary(long)])
        try check(try receive(byteByByte(stream)), [.binary(long)])
    }

    @Test func reservedBitsFail() throws {
        for bit: UInt8 in [0x10, 0x20, 0x40] {
            for opcode: UInt8 in [0x1, 0x2, 0x8, 0x9, 0xA] {
                try checkFails(1002, frame(0x80 | bit | opcode))
            }
            try checkFails(1002, frame(0x01) + frame(0x80 | bit))
        }
    }

    @Test func reservedOpcodesFail() throws {
        for opcode: UInt8 in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            for first in [opcode, 0x80 | opcode] {
                try checkFails(1002, frame(0x81, "a") + frame(first), after: [.text("a")])
            }
        }
    }

    /// Each length in each of the three ways to write it.
    @Test func shortestLength() throws {
        for count in [0, 1, 125, 126, 127, 65535, 65536, 65537] {
            let payload = [UInt8](repeating: 0x61, count: count)
            for size in [0, 2, 8] where size > 0 || count < 126 {
                if size == 2 && count > 65535 { continue }
                let isShortest = size == (count < 126 ? 0 : count < 65536 ? 2 : 8)
                for opcode: UInt8 in [0x81, 0x82] {
                    let stream = frame(opcode, payload, lengthBytes: size)
                    let events = try receive([stream])
                    if isShortest {
                        check(events, [opcode == 0x81 ? .text(payload) : .binary(payload)])
                    } else {
                        check(events.map(\.errorCode), [1002], "\(count) in \(size)")
                        try check(try receive(byteByByte(Array(stream.prefix(20)))), events)
                    }
                }
            }
        }
    }

    @Test func topBitOfALongLength() throws {
        try checkFails(1002, [0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 1], maxMessage: .max)
        try checkFails(1009, [0x82, 0x7F, 0x7F, 255, 255, 255, 255, 255, 255, 255])
        // As much as fits is only never complete.
        try checkStream(
            [0x82, 0x7F, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1], [.cutOff],
            maxMessage: .max)
    }

    @Test func controlFrames() throws {
        let longest = [UInt8](repeating: 0x41, count: 125)
        for opcode: UInt8 in [0x8, 0x9, 0xA] {
            try checkFails(1002, frame(opcode))
            try checkFails(1002, [0x80 | opcode, 126, 0, 126])
            try checkFails(1002, [0x80 | opcode, 127])
        }
        try checkStream(frame(0x89, longest), [.ping(longest)])
        try checkStream(frame(0x8A, longest), [.pong(longest)])
        // Neither is text.
        try checkStream(frame(0x89, [0xFF]), [.ping([0xFF])])
        // The limit of messages is none for them.
        try checkStream(
            frame(0x89, [1, 2]) + frame(0x81), [.ping([1, 2]), .text("")], maxMessage: 0)
    }

    @Test func maskedByRole() throws {
        for opcode: UInt8 in [0x81, 0x82, 0x88, 0x89, 0x8A] {
            try checkFails(1002, frame(opcode, key: Self.key))
            try checkFails(1002, frame(opcode), .server)
        }
        let fragments = frame(0x01, "a", key: Self.key)
        try checkFails(1002, fragments + frame(0x80, "b"), .server)
        // A key of zeros is a mask.
        try checkStream(frame(0x81, "ab", key: [0, 0, 0, 0]), [.text("ab")], .server)
    }

    @Test func unmaskedInPlaceOnce() throws {
        var random = SplitMix64("unmaskedInPlaceOnce")
        for size in [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 125, 126, 300] {
            let payload = (0..<size).map { _ in UInt8(random.number(0...255)) }
            let key = (0..<4).map { _ in UInt8(random.number(0...255)) }
            let stream =
                frame(0x82, payload, key: key) + frame(0x02, payload, key: key)
                + frame(0x89, [1, 2, 3], key: Self.key) + frame(0x80, payload, key: Self.key)
            try checkStream(
                stream, [.binary(payload), .ping([1, 2, 3]), .binary(payload + payload)],
                .server)
        }
    }

    @Test func parseSaysSizeAndRest() throws {
        func check(_ bytes: [UInt8], _ expected: Int?) throws {
            var end = try WebSocketEnd()
            end.take(bytes)
            #expect(end.waiting == expected ?? bytes.count, "\(bytes)")
        }
        // Heads that are not complete stay; of one that is, only the payload.
        try check([], nil)
        try check([0x81], nil)
        try check([0x81, 126, 1], nil)
        try check([0x81, 127, 0, 0, 0, 0, 0, 1, 0], nil)
        try check([0x81, 3, 0x61], 1)
        // A fragment moves on as it comes.
        try check([0x01, 3, 0x61], 0)
    }

    @Test func closeCodes() throws {
        for code in UInt16.min...UInt16.max {
            let stream = frame(0x88, [UInt8(code >> 8), UInt8(code & 255)])
            let isAllowed = [1000...1003, 1007...1014, 3000...4999].contains { $0.contains(code) }
            check(WebSocketClose.isAllowed(code), isAllowed, "\(code)")
            let events = try receive([stream])
            if isAllowed {
                check(events, [.close(code, [])])
            } else {
                check(events.map(\.errorCode), [1002], "\(code)")
            }
        }
        for code: UInt16 in [1000, 1001, 1005, 1006, 1011, 1015] {
            #expect(WebSocketClose.name(code) != nil)
        }
        #expect(WebSocketClose.name(4000) == nil)
    }

    @Test func closeBodies() throws {
        try checkStream(frame(0x88), [.close(1005, [])])
        try checkFails(1002, frame(0x88, [0x03]))
        try checkStream(frame(0x88, [3, 0xE8] + bytes("gehör")), [.close(1000, bytes("gehör"))])
        try checkFails(1007, frame(0x88, [3, 0xE8, 0xFF]))
        try checkFails(1007, frame(0x88, [3, 0xE8] + Array(bytes("ö").prefix(1))))
        let longest = [UInt8](repeating: 0x61, count: 123)
        try checkStream(frame(0x88, [3, 0xE8] + longest), [.close(1000, longest)])
        try checkStream(
            frame(0x88, [3, 0xE9] + bytes("bye"), key: Self.key), [.close(1001, bytes("bye"))],
            .server)
    }

    /// Section 5.5.1: nothing counts behind it, not even what is wrong.
    @Test func nothingBehindClose() throws {
        for rest in [frame(0x81, "late"), [0xFF, 0xFF, 0xFF], [0x81]] {
            try checkStream(frame(0x88, [3, 0xE8]) + rest, [.close(1000, [])])
            try checkStream(frame(0x01, "a") + frame(0x88, [3, 0xE8]) + rest, [.close(1000, [])])
        }
    }
}
