import StreamCodec
import Testing

/// What is wrong with a JSON text, or nil.
func jsonError(_ text: [UInt8], maxDepth: Int = JSON.defaultMaxDepth) -> JSONError? {
    text.withUnsafeBufferPointer { text in
        do throws(JSONError) {
            try JSON.validate(text, maxDepth: maxDepth)
            return nil
        } catch {
            return error
        }
    }
}

/// JSON texts with nothing, and with what is nothing, around them.
@Suite struct JSONCorpusTests {
    @Test func valid() {
        let lines = Corpus.lines("json/valid.txt")
        #expect(lines.count > 100)
        for line in lines {
            let text = Corpus.unescape(line)
            check(jsonError(text), nil, escaped(text))
            check(text.withUnsafeBufferPointer { JSON.isValid($0) }, true, escaped(text))
        }
    }

    @Test func invalid() {
        let lines = Corpus.lines("json/invalid.txt")
        #expect(lines.count > 200)
        for line in lines {
            let (offset, text) = invalidCase(line)
            check(jsonError(text)?.offset, offset, escaped(text))
            check(jsonError(text)?.description.isEmpty, false, escaped(text))
        }
    }

    /// Behind 0 to 40 blanks and inside a long array: the error stays where it is.
    @Test func invalidElsewhere() {
        for line in Corpus.lines("json/invalid.txt") {
            let (offset, text) = invalidCase(line)
            for blanks in [1, 7, 8, 15, 16, 17, 31, 32, 40, 64] {
                let moved = [UInt8](repeating: 0x20, count: blanks) + text
                check(jsonError(moved)?.offset, offset + blanks, "\(blanks) + " + escaped(text))
            }
        }
    }

    /// A look-up validates the whole text and says the same of it.
    @Test func lookUpFindsTheSameErrors() throws {
        let paths = try [".", ".a", ".[0]", "/0/a", ".a.b.c", ".x[1]"].map { try JSONPath($0) }
        for line in Corpus.lines("json/invalid.txt") {
            let (offset, text) = invalidCase(line)
            for path in paths {
                check(findError(path, text)?.offset, offset, "\(path) in " + escaped(text))
            }
        }
        for line in Corpus.lines("json/valid.txt") {
            let text = Corpus.unescape(line)
            for path in paths { check(findError(path, text), nil, "\(path) in " + escaped(text)) }
        }
    }

    /// A record with an invalid value is refused where the value is.
    @Test func recordsFindTheSameErrors() {
        for line in Corpus.lines("json/invalid.txt") {
            let (_, text) = invalidCase(line)
            let record = bytes(#"{"event":"x","data":"#) + text
            guard let error = jsonError(record) else { continue }
            let problem = recordProblem(record)
            check(problem?.offset, error.offset, escaped(record))
            check(problem?.reason, .json(error.reason), escaped(record))
        }
    }

    /// Truncated anywhere, a text in brackets is refused at its end.
    @Test func truncatedValidTexts() {
        for line in Corpus.lines("json/valid.txt") {
            let text = bytes("[") + Corpus.unescape(line) + bytes("]")
            for count in 0..<text.count {
                let start = Array(text[..<count])
                guard let error = jsonError(start) else {
                    check(true, false, "accepted " + escaped(start))
                    continue
                }
                // A sequence that was cut is ill-formed where it begins.
                check((count - 3...count).contains(error.offset), true, escaped(start))
            }
        }
    }

    private func invalidCase(_ line: [UInt8]) -> (offset: Int, text: [UInt8]) {
        let digits = line.prefix { $0 != UInt8(ascii: "\t") }
        return (Int(text(digits)) ?? -1, Corpus.unescape(Array(line[(digits.count + 1)...])))
    }

    private func findError(_ path: JSONPath, _ text: [UInt8]) -> JSONError? {
        text.withUnsafeBufferPointer { text in
            do throws(JSONError) {
                _ = try path.find(in: text)
                return nil
            } catch {
                return error
            }
        }
    }
}

/// Nicolas Seriot's JSONTestSuite, beside the repository.
@Suite struct JSONTestSuiteTests {
    static let folder =
        Corpus.folder(of: Corpus.folder(of: Corpus.tests)) + "/shared/JSONTestSuite/test_parsing"
    static let names = Corpus.names(in: folder).filter { $0.hasSuffix(".json") }

    @Test(.enabled(if: !names.isEmpty, "needs ../shared/JSONTestSuite beside the repository"))
    func accepted() {
        let names = Self.names.filter { $0.hasPrefix("y_") }
        #expect(names.count > 90)
        for name in names { check(jsonError(Corpus.read("\(Self.folder)/\(name)")), nil, name) }
    }

    @Test(.enabled(if: !names.isEmpty, "needs ../shared/JSONTestSuite beside the repository"))
    func refused() {
        let names = Self.names.filter { $0.hasPrefix("n_") }
        #expect(names.count > 180)
        for name in names {
            check(jsonError(Corpus.read("\(Self.folder)/\(name)")) != nil, true, name)
        }
    }

    /// RFC 8259 leaves these open; we take every number and lone surrogate escape verbatim and
    /// refuse what is not UTF-8, a byte order mark inside the value, and no nesting of 500.
    @Test(.enabled(if: !names.isEmpty, "needs ../shared/JSONTestSuite beside the repository"))
    func implementationDefined() {
        for name in Self.names where name.hasPrefix("i_") {
            let text = Corpus.read("\(Self.folder)/\(name)")
            let isUTF8 = text.withUnsafeBufferPointer { UTF8Text.isValid($0) }
            let isAccepted = isUTF8 && !text.starts(with: UTF8Text.byteOrderMark)
            check(jsonError(text) == nil, isAccepted, name)
        }
    }
}

@Suite struct JSONDepthTests {
    @Test func manyOpenBracketsAreRefused() {
        for opener in ["[", #"{"a":"#] {
            let text = bytes(String(repeating: opener, count: 100_000))
            let error = jsonError(text)
            #expect(error?.offset == 1024 * opener.utf8.count)
            #expect(error?.reason == .depth(limit: 1024))
            // Without a limit the text just ends too early, and nothing overflows.
            let endless = jsonError(text, maxDepth: .max)
            #expect(endless?.offset == text.count)
            #expect(endless?.reason == .unexpectedEnd)
        }
    }

    @Test(arguments: [1, 2, 63, 64, 65, 128, 129, 1023, 1024, 1025])
    func closersMatchAtEachLevel(_ depth: Int) {
        var random = SplitMix64("closersMatchAtEachLevel \(depth)")
        let isObject = (0..<depth).map { _ in random.chance(1, in: 2) }
        let openers = isObject.map { $0 ? #"{"":"# : "[" }.joined()
        let text = bytes(openers + "0" + isObject.reversed().map { $0 ? "}" : "]" }.joined())
        if depth > JSON.defaultMaxDepth {
            let offset = isObject.prefix(1024).reduce(0) { $0 + ($1 ? 4 : 1) }
            check(jsonError(text)?.offset, offset)
            check(jsonError(text)?.reason, .depth(limit: 1024))
        } else {
            check(jsonError(text), nil)
        }
        check(jsonError(text, maxDepth: depth), nil)
        check(jsonError(text, maxDepth: depth - 1)?.reason, .depth(limit: depth - 1))
        for place in (text.count - depth)..<text.count {
            var wrong = text
            let isBrace = wrong[place] == UInt8(ascii: "}")
            wrong[place] = isBrace ? UInt8(ascii: "]") : UInt8(ascii: "}")
            let error = jsonError(wrong, maxDepth: depth)
            check(error?.offset, place)
            check(error?.reason, isBrace ? .commaOrBrace : .commaOrBracket, "at \(place)")
        }
    }

    /// Up and down across the 64 levels that one word holds.
    @Test func risingAndFallingDepth() {
        var random = SplitMix64("risingAndFallingDepth")
        for _ in 0..<20 {
            var text = bytes("[")
            var open = [false]
            for _ in 0..<3000 {
                if open.count < 60 || (open.count < 200 && random.chance(1, in: 2)) {
                    open.append(random.chance(1, in: 2))
                    text += bytes(open.last == true ? #"{"a":"# : "[")
                } else {
                    text += bytes("0")
                    while open.count > 60 && random.chance(2, in: 3) {
                        text += bytes(open.removeLast() ? "}" : "]")
                    }
                    text += bytes(open.last == true ? #","b":"# : ",")
                }
            }
            text += bytes("0" + open.reversed().map { $0 ? "}" : "]" }.joined())
            check(jsonError(text), nil, escaped(text))
        }
    }
}
