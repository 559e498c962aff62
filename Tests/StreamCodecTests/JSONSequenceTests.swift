import StreamCodec
import Testing

@Suite struct JSONSequenceTests {
    /// `^` stands for the record separator.
    private func expect(
        _ input: String, _ expected: [String], maxValue: Int = 1 << 20, maxDepth: Int = 64
    ) {
        JSONFormat.sequence.expect(
            separated(input), expected.map { $0.split(separator: "^").joined(separator: "\\x1e") },
            maxValue: maxValue, maxDepth: maxDepth)
    }

    private func separated(_ input: String) -> String {
        String(input.map { $0 == "^" ? "\u{1E}" : $0 })
    }

    @Test(
        arguments: [
            ("", []), ("^", []), ("^^ ^\n^", []), ("\n ^", []),
            ("^{}\n^[1, 2]\n", ["1:{}", "2:[1, 2]"]),
            ("^{}^[]^\"a\"", ["1:{}", "1:[]", "1:\"a\""]),
            ("^1\n^true \n^null\r\n^-2 ^3\t", ["1:1", "2:true", "3:null", "4:-2", "4:3"]),
            ("^{\n \"a\":\n1}\n^ \n{} \r\n\n^", [#"1:{\x0a "a":\x0a1}"#, "5:{}"]),
            ("\u{FEFF}^{}\n", ["1:{}"]),
            // Cut off: RFC 7464, section 2.4.
            (
                "^1^2\n^true^null",
                [
                    "1!1@1 unexpectedEnd", "1:2", "2!true@4 unexpectedEnd",
                    "2!null@4 unexpectedEnd",
                ]
            ),
            ("^{\"a\":1\n^{\"b\":2}\n", [#"1!{"a":1@6 unexpectedEnd"#, #"2:{"b":2}"#]),
            ("^\"abc\n^1\n", [#"1!"abc@4 unexpectedEnd"#, "2:1"]),
            ("^{\"a\":[1}\n{\n^2\n", [#"1!{"a":[1}\x0a{@7 commaOrBracket"#, "3:2"]),
            ("^nul\n^2\n", ["1!nul@3 unexpectedEnd", "2:2"]),
            ("^1 2\n^3\n", ["1!1 2@2 trailing", "2:3"]),
            ("^{}{}\n^3\n", ["1!{}{}@2 trailing", "2:3"]),
            // What stands behind no separator.
            ("{}\n{}\n^1\n", ["1!{}@0 value", "2!{}@0 value", "3:1"]),
            ("abc^1\n", ["1!abc@0 value", "1:1"]),
            ("^{}\n1\n 2 ^3\n", ["1:{}", "2!1@0 trailing", "3!2 @0 trailing", "3:3"]),
            ("abc", ["1!abc@0 value"]),
        ] as [(String, [String])])
    func texts(_ input: String, _ expected: [String]) {
        expect(input, expected)
    }

    @Test(
        arguments: [
            (3, "^[1]\n^[12]\n^1234^123\n", ["1:[1]", "2>[12", "3>123", "3:123"]),
            (3, "abcd\nef\n^1\n", ["1!abc@0 value", "3:1"]),
            (3, "abc\nd^1\n", ["1!abc@0 value", "2!d@0 value", "2:1"]),
            (4, "^{}   \n^1\n", ["1>{}  ", "2:1"]), (4, "^{}  \n^1\n", ["1:{}", "2:1"]),
            (0, "^{}\n^", ["1>"]),
        ] as [(Int, String, [String])])
    func tooLong(_ maxValue: Int, _ input: String, _ expected: [String]) {
        expect(input, expected, maxValue: maxValue)
    }

    @Test func depth() {
        expect(
            "^[[]]\n^[[[]]]\n^1\n", ["1:[[]]", "2![[[]]]@2 depth(limit: 2)", "3:1"], maxDepth: 2)
    }

    /// An event is there as soon as its line feed is.
    @Test func textsFlowAtTheirLineFeeds() {
        var queue = ByteQueue()
        var reader = JSONSequenceReader(maxValue: 1000)
        for text in ["{\n\"a\":\n1}", "12", "\"a\""] {
            queue.append(string: "\u{1E}" + text)
            #expect(reader.next(&queue) == .more)
            queue.append("\n")
            #expect(reader.next(&queue) == .value(0..<text.utf8.count))
            #expect(reader.next(&queue) == .more)
        }
    }

    /// A text of many lines is searched once, also when it is no JSON.
    @Test func longTextInSmallReads() {
        let unit = bytes("{\"a\": [1, \"\\\"\"]},\n")
        for isValid in [true, false] {
            var queue = ByteQueue()
            var reader = JSONSequenceReader(maxValue: 8 << 20)
            queue.append(isValid ? "\u{1E}[" : "\u{1E}]")
            let count = (2 << 20) / unit.count
            for _ in 0..<count {
                queue.append(unit)
                check(reader.next(&queue), .more)
            }
            queue.append("1]\n\u{1E}")
            let size = 1 + count * unit.count + 2
            switch reader.next(&queue) {
            case .value(let range): check(isValid ? range : nil, 0..<size)
            case .invalid(let range, _): check(isValid ? nil : range, 0..<size)
            case .tooLong, .more: Issue.record("nothing came")
            }
            check(reader.next(&queue), .more)
        }
    }

    /// Any texts, laid out in any way, come back as they were spelt.
    @Test func randomTexts() {
        var random = SplitMix64("randomJSONSequence")
        for _ in 0..<1000 {
            var input: [UInt8] = []
            var expected: [String] = []
            for _ in 0..<random.number(0...6) {
                var value = random.json()
                if random.chance(1, in: 2) { value = random.laidOut(value) }
                expected.append(escaped(value))
                input += [0x1E] + random.layout() + value + bytes(random.pick(["\n", "\r\n", " "]))
            }
            for chunks in [
                [input], byteByByte(input), cut(input, at: random.cuts(input, count: 9)),
            ] {
                let values = JSONFormat.sequence.read(chunks).map { result in
                    String(result.drop { $0.isNumber }.dropFirst())
                }
                check(values, expected, escaped(input))
            }
        }
    }
}
