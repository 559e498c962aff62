import StreamCodec
import Testing

/// Escaping and unescaping beside the simplest code that does the same.
@Suite struct JSONStringTests {
    /// Every length, at every place in a block of 16.
    @Test func escapingAtEachLengthAndAlignment() {
        var random = SplitMix64("escaping")
        for length in 0...200 {
            for alignment in 0..<16 {
                let text = random.text(length: length, lineBreaks: true)
                let expected = bytes(plainlyQuoted(text))
                let plain = bytes(text)
                let got = aligned(plain, alignment) { text in
                    var output = ByteQueue(capacity: 0)
                    output.append(quoting: text)
                    return Array(output.bytes)
                }
                check(got, expected, "length \(length) at \(alignment)")
            }
        }
    }

    @Test func unescapingAtEachLengthAndAlignment() {
        var random = SplitMix64("unescaping")
        for length in 0...200 {
            for alignment in 0..<16 {
                let contents = random.contents(length: length)
                for lineBreak in [false, true] {
                    let got = aligned(contents, alignment) { unescape($0, lineBreak: lineBreak) }
                    check(
                        got, plainlyUnescaped(contents, lineBreak: lineBreak),
                        "\(escaped(contents)) at \(alignment), breaks \(lineBreak)")
                }
            }
        }
    }

    @Test func replacingLoneSurrogates() {
        var random = SplitMix64("replacing")
        for _ in 0..<2000 {
            let contents = random.contents(length: random.length())
            var expected: [UInt8] = []
            var rest = contents
            while true {
                let part = plainlyUnescaped(rest, lineBreak: false)
                expected += part.bytes
                guard let problem = part.problem else { break }
                expected += UTF8Text.replacement
                rest = Array(rest.dropFirst(problem + 6))
            }
            var output = ByteQueue()
            contents.withUnsafeBufferPointer { output.append(replacing: $0) }
            check(Array(output.bytes), expected, escaped(contents))
        }
    }

    @Test func spellingsOfOneText() {
        var random = SplitMix64("spellings")
        for _ in 0..<2000 {
            let text = random.text()
            let contents = Array(random.quoted(text).dropFirst().dropLast())
            let plain = bytes(text)
            check(plainlyUnescaped(contents, lineBreak: false).bytes, plain, escaped(contents))
            contents.withUnsafeBufferPointer { contents in
                check(unescape(contents, lineBreak: false).bytes, plain)
                check(contents.unescapes(to: plain), true, escaped(Array(contents)))
                check(contents.unescapes(to: plain + [0x61]), false)
                if !plain.isEmpty { check(contents.unescapes(to: Array(plain.dropLast())), false) }
            }
        }
    }

    /// A text with backslashes is not the contents that look like it.
    @Test func escapesAreNotTakenLiterally() {
        for (contents, text) in [(#"a\\b"#, #"a\\b"#), (#"a\nb"#, #"a\nb"#), (#"\""#, #"\""#)] {
            bytes(contents).withUnsafeBufferPointer {
                check($0.unescapes(to: bytes(text)), false, contents)
            }
        }
        bytes(#"a\\\\b"#).withUnsafeBufferPointer { #expect($0.unescapes(to: bytes(#"a\\b"#))) }
    }

    @Test(arguments: [
        (#"a\nb"#, "a|b"), (#"a\rb"#, "a|b"), (#"a\r\nb"#, "a|b"), (#"a\n\rb"#, "a||b"),
        (#"\u000a"#, "|"), (#"\u000A\u000a"#, "||"), (#"\u000d\u000a"#, "|"), (#"\r\u000a"#, "|"),
        (#"\u000D\n"#, "|"), (#"\r\r\n"#, "||"), (#"\r\\n"#, #"|\n"#), (#"\r\u000d"#, "||"),
        (#"\r\u000b"#, "|\u{B}"), (#"\r"#, "|"), (#"\\r\\n"#, #"\r\n"#),
    ])
    func lineBreaks(_ contents: String, _ expected: String) {
        let result = bytes(contents).withUnsafeBufferPointer { unescape($0, lineBreak: true) }
        let expected = expected.split(separator: "|", omittingEmptySubsequences: false)
        #expect(result == Unescaped(bytes: bytes(expected.joined(separator: "<>"))))
    }

    @Test(
        arguments: [
            (#"\ud83d\ude00"#, "😀", nil), (#"\uD83D\uDE00"#, "😀", nil),
            (#"\ud800\udc00"#, "𐀀", nil),
            (#"\udbff\udfff"#, "\u{10FFFF}", nil), (#"\ud83d"#, "", 0), (#"ab\ud83dc"#, "ab", 2),
            (#"\ude00"#, "", 0), (#"x\ude00\ud83d"#, "x", 1), (#"\ud83d\n"#, "", 0),
            (#"\ud83d\ud83d\ude00"#, "", 0), (#"\ud83d\\ude00"#, "", 0), (#"\ud83d\u0041"#, "", 0),
            (#"\ud7ff\ue000"#, "\u{D7FF}\u{E000}", nil),
        ] as [(String, String, Int?)])
    func surrogates(_ contents: String, _ before: String, _ offset: Int?) {
        bytes(contents).withUnsafeBufferPointer {
            let result = unescape($0, lineBreak: false)
            #expect(text(result.bytes) == before)
            #expect(result.problem == offset)
        }
    }

    private func unescape(
        _ contents: UnsafeBufferPointer<UInt8>, lineBreak: Bool
    ) -> Unescaped {
        var output = ByteQueue(capacity: 0)
        var problem: Int?
        do throws(LoneSurrogate) {
            try output.append(unescaping: contents, lineBreak: lineBreak ? "<>" : nil)
        } catch {
            problem = error.offset
        }
        return Unescaped(bytes: Array(output.bytes), problem: problem)
    }

    /// Calls `body` with the bytes at this distance from a multiple of 16, and other specials
    /// right before and behind them.
    private func aligned<Result>(
        _ bytes: [UInt8], _ alignment: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: bytes.count + 64, alignment: 16)
        defer { block.deallocate() }
        for index in block.indices { block[index] = UInt8(ascii: index % 2 == 0 ? "\\" : "\"") }
        block[(16 + alignment)...].copyBytes(from: bytes)
        let copy = UnsafeRawBufferPointer(block)[(16 + alignment)...].prefix(bytes.count)
        return body(UnsafeRawBufferPointer(rebasing: copy).bindMemory(to: UInt8.self))
    }
}

private struct Unescaped: Equatable {
    var bytes: [UInt8] = []
    /// Where a lone surrogate stands.
    var problem: Int?
}

/// JSON string contents as text, one escape after the other.
private func plainlyUnescaped(_ contents: [UInt8], lineBreak: Bool) -> Unescaped {
    var result = Unescaped()
    var isAfterReturn = false
    var offset = 0
    while offset < contents.count {
        let (units, size) = firstUnits(contents[offset...])
        guard let scalar = scalar(units) else {
            result.problem = offset
            return result
        }
        offset += size
        if lineBreak && (scalar == "\n" || scalar == "\r") {
            if scalar == "\r" || !isAfterReturn { result.bytes += bytes("<>") }
        } else {
            result.bytes += Array(UTF8.encode(scalar)!)
        }
        isAfterReturn = scalar == "\r"
    }
    return result
}

private func scalar(_ units: [UInt16]) -> Unicode.Scalar? {
    var decoder = UTF16()
    var iterator = units.makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
    return scalar
}

/// The code units of the first character and how many bytes it takes.
private func firstUnits(_ rest: ArraySlice<UInt8>) -> (units: [UInt16], size: Int) {
    let first = rest.startIndex
    guard rest[first] == UInt8(ascii: "\\") else {
        let size = 1 + rest.dropFirst().prefix { $0 & 0xC0 == 0x80 }.count
        return (Array(text(rest.prefix(size)).utf16), size)
    }
    switch rest[first + 1] {
    case UInt8(ascii: "b"): return ([8], 2)
    case UInt8(ascii: "f"): return ([12], 2)
    case UInt8(ascii: "n"): return ([10], 2)
    case UInt8(ascii: "r"): return ([13], 2)
    case UInt8(ascii: "t"): return ([9], 2)
    case UInt8(ascii: "u"):
        let high = UInt16(text(rest.dropFirst(2).prefix(4)), radix: 16)!
        let next = rest.dropFirst(6)
        guard high & 0xFC00 == 0xD800, next.starts(with: bytes("\\u")),
            let low = UInt16(text(next.dropFirst(2).prefix(4)), radix: 16), low & 0xFC00 == 0xDC00
        else { return ([high], 6) }
        return ([high, low], 12)
    default: return ([UInt16(rest[first + 1])], 2)
    }
}

extension SplitMix64 {
    /// Valid JSON string contents with many escapes, lone surrogates now and then.
    fileprivate mutating func contents(length: Int) -> [UInt8] {
        var contents: [UInt8] = []
        while contents.count < length {
            switch number(0...9) {
            case 0...2: contents += bytes(pick([#"\\"#, #"\""#, #"\/"#]))
            case 3: contents += bytes(pick([#"\b"#, #"\f"#, #"\t"#]))
            case 4: contents += bytes(pick([#"\n"#, #"\r"#, #"\r\n"#, #"\u000a"#, #"\u000D"#]))
            case 5: contents += unicodeEscape(UInt16(number(0...0xD7FF)))
            case 6:
                let wide: Unicode.Scalar = pick(["😀", "𐀀"])
                for unit in UTF16.encode(wide)! { contents += unicodeEscape(unit) }
            case 7 where chance(1, in: 20):
                contents += unicodeEscape(UInt16(number(0xD800...0xDFFF)))
            case 7: contents += bytes(pick(["ä", "€", "😀", "/", "n", "u", "u0041"]))
            default:
                for _ in 0..<number(1...20) { contents.append(UInt8(number(0x5D...0x7E))) }
            }
        }
        return contents
    }
}
