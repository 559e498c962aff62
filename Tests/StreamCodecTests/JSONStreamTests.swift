import StreamCodec
import Testing

@Suite struct JSONStreamTests {
    // MARK: What is right

    @Test(
        arguments: [
            ("", []),
            (" \n\t\r\n ", []),
            ("1", ["1:1"]),
            ("1 2\n3", ["1:1", "1:2", "2:3"]),
            ("{}{}", ["1:{}", "1:{}"]),
            ("{}[]{}", ["1:{}", "1:{}"]),
            ("\"a\"\"b\"1\"c\"true{}", ["1:\"a\"", "1:\"b\"", "1:1", "1:\"c\"", "1:true", "1:{}"]),
            ("1[2]3", ["1:1", "1:2", "1:3"]),
            ("null\r\nfalse\r\n-0.5e+7\r\n", ["1:null", "2:false", "3:-0.5e+7"]),
            (
                "{\n  \"a\": 1\n}\n{\n  \"b\": [\n    2\n  ]\n}\n",
                [
                    #"1:{\x0a  "a": 1\x0a}"#, #"4:{\x0a  "b": [\x0a    2\x0a  ]\x0a}"#,
                ]
            ),
            ("[1,2,3]", ["1:1", "1:2", "1:3"]),
            ("[]", []), (" [ \n ] ", []), ("[][]", []),
            (
                "[\n1\n,\n[2,[3]],{\"a\":[]}\n]\n[4]",
                [
                    "2:1", "4:[2,[3]]", #"4:{"a":[]}"#, "6:4",
                ]
            ),
            ("[[]]", ["1:[]"]), ("[[[1]],[]]", ["1:[[1]]", "1:[]"]),
            (#"{"a":"}]\"\\"}{"b":"\\\"{["}"#, [#"1:{"a":"}]\"\\"}"#, #"1:{"b":"\\\"{["}"#]),
            (#""a, b" "[]" "\u00e4\\""#, [#"1:"a, b""#, #"1:"[]""#, #"1:"\u00e4\\""#]),
            ("\u{FEFF}{}", ["1:{}"]), ("\u{FEFF}\n[1]", ["2:1"]), ("\u{FEFF}", []),
            (
                "{\n\"a\":\n{\n},\n\"b\":\n[\n{\n}\n]\n}",
                [
                    #"1:{\x0a"a":\x0a{\x0a},\x0a"b":\x0a[\x0a{\x0a}\x0a]\x0a}"#
                ]
            ),
            ("\"ä€😀\"", [#"1:"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80""#]),
        ] as [(String, [String])])
    func values(_ input: String, _ expected: [String]) {
        JSONFormat.stream.expect(input, expected)
    }

    // MARK: What is wrong, and what comes behind it

    @Test(
        arguments: [
            // Commas.
            ("{},{}", ["1:{}", "1!,@0 value", "1:{}"]),
            ("1,2", ["1:1", "1!,@0 value", "1:2"]),
            ("[,1]", ["1!,@0 value", "1:1"]),
            ("[1,,2]", ["1:1", "1!,@0 value", "1:2"]),
            ("[1,]2", ["1:1", "1!]@0 value", "1:2"]),
            ("[1 2,3]", ["1:1", "1!@0 commaOrBracket", "1:2", "1:3"]),
            ("[{}{}]", ["1:{}", "1!@0 commaOrBracket", "1:{}"]),
            ("[\"a\"1]", [#"1:"a""#, "1!@0 commaOrBracket", "1:1"]),
            // Brackets.
            ("{}}{}\n{}", ["1:{}", "1!}{}@0 value", "2:{}"]),
            ("[1]]\n2", ["1:1", "1!]@0 value", "2:2"]),
            ("[1},2]", ["1:1", "1!}@0 commaOrBracket", "1:2"]),
            ("[},2]", ["1!}@0 value", "1:2"]),
            (#"{"a":[1}{"b":2}"#, [#"1!{"a":[1}@7 commaOrBracket"#, #"1:{"b":2}"#]),
            (#"[{"a":[1},{"b":2}]3"#, [#"1!{"a":[1}@7 commaOrBracket"#, #"1:{"b":2}"#, "1:3"]),
            (#"[{"a":1],2]"#, [#"1!{"a":1@6 commaOrBrace"#, "1!,@0 value", "1:2", "1!]@0 value"]),
            ("[[1}]2]", ["1![1}]@2 commaOrBracket", "1!@0 commaOrBracket", "1:2"]),
            // Lines that are no JSON.
            ("hello world\n{}", ["1!hello world@0 value", "2:{}"]),
            ("nul\ntrue", ["1!nul@3 unexpectedEnd", "2:true"]),
            ("truefalse 1\n2", ["1!truefalse 1@4 trailing", "2:2"]),
            ("{}: 1\n2", ["1:{}", "1!: 1@0 value", "2:2"]),
            (
                "[1x,foo bar]",
                [
                    "1!1x@1 trailing", "1!foo@1 literal", "1!@0 commaOrBracket", "1!bar@0 value",
                ]
            ),
            ("01\n{}", ["1!01@1 trailing", "2:{}"]),
            ("\u{1E}{}\n{}", [#"1!\x1e{}@0 value"#, "2:{}"]),
            (#"{"a":x,"b":{}}{}"#, [#"1!{"a":x,"b":{}}@5 value"#, "1:{}"]),
            ("{\"a\":\"\u{1}\"}1", [#"1!{"a":"\x01"}@6 controlCharacter"#, "1:1"]),
            // What ends too early; what comes behind on the next line is found again.
            (#"{"a":1"#, [#"1!{"a":1@6 unexpectedEnd"#]),
            ("[1", ["1:1", "1!@0 unexpectedEnd"]), ("[\n", ["2!@0 unexpectedEnd"]),
            ("[1,", ["1:1", "1!@0 unexpectedEnd"]),
            ("[{", ["1!{@1 unexpectedEnd"]),
            ("\"abc", [#"1!"abc@4 unexpectedEnd"#]),
            ("\"abc\\", [#"1!"abc\@5 unexpectedEnd"#]),
            ("[-", ["1!-@1 unexpectedEnd", "1!@0 unexpectedEnd"]),
            ("{\"a\":1\n{\"b\":2}\n", [#"1!{"a":1\x0a@7 commaOrBrace"#, #"2:{"b":2}"#]),
            ("{\"a\":\"x\n{\"b\":2}\n", [#"1!{"a":"x\x0a@7 controlCharacter"#, #"2:{"b":2}"#]),
            ("{\"a\":\"x\\\n{\"b\":2}\n", [#"1!{"a":"x\\x0a@8 escape"#, #"2:{"b":2}"#]),
            ("\"abc\n1", [#"1!"abc@4 controlCharacter"#, "2:1"]),
            (
                "[{\"a\":1\n[{\"b\":2}]\n",
                [
                    #"1!{"a":1\x0a@7 commaOrBrace"#, #"2:[{"b":2}]"#, "3!@0 unexpectedEnd",
                ]
            ),
            ("[{},{}\n[{},3]\n4", ["1:{}", "1:{}", "2!@0 commaOrBracket", "2:{}", "2:3", "3:4"]),
            (
                "[\n{\"a\":1,\n{\"b\":2},\n3]",
                [
                    #"2!{"a":1,\x0a@8 name"#, #"3:{"b":2}"#, "4:3",
                ]
            ),
        ] as [(String, [String])])
    func errors(_ input: String, _ expected: [String]) {
        JSONFormat.stream.expect(input, expected)
    }

    @Test func invalidUTF8() {
        let input = bytes("{\"a\":\"") + [0xC3] + bytes("\"}[1]")
        let expected = [#"1!{"a":"\xc3"}@6 invalidUTF8"#, "1:1"]
        for chunks in [[input], byteByByte(input)] {
            check(JSONFormat.stream.read(chunks), expected)
        }
    }

    @Test func partOfAByteOrderMark() {
        #expect(JSONFormat.stream.read([[0xEF], [0xBB]]) == [#"1!\xef\xbb@0 value"#])
    }

    // MARK: Limits

    @Test(
        arguments: [
            (4, "[1,2]{\"a\":1}\"ab\"3", ["1:1", "1:2", #"1>{"a""#, #"1:"ab""#, "1:3"]),
            (4, "\"abc\"1", [#"1>"abc"#, "1:1"]), (5, "\"abc\"1", [#"1:"abc""#, "1:1"]),
            (4, "12345 1", ["1>1234", "1:1"]), (5, "12345 1", ["1:12345", "1:1"]),
            (3, "[12345,[1,[2,3],4],5]6", ["1>123", "1>[1,", "1:5", "1:6"]),
            (3, "[12345", ["1>123", "1!@0 unexpectedEnd"]), (3, "{\"a\":", [#"1>{"a"#]),
            (3, "a b c d\n1", ["1!a b@0 value", "2:1"]), (3, "a b\n1", ["1!a b@0 value", "2:1"]),
            (3, "{\"a\":\"}\\\"}\"}1", [#"1>{"a"#, "1:1"]),
            (3, "{\"a\":1\n{\"b\":2}\n3", [#"1>{"a"#, #"2>{"b"#, "3:3"]),
            (0, "1 {}\n", ["1>", "1>"]),
        ] as [(Int, String, [String])])
    func tooLong(_ maxValue: Int, _ input: String, _ expected: [String]) {
        JSONFormat.stream.expect(input, expected, maxValue: maxValue)
    }

    @Test func depth() {
        JSONFormat.stream.expect(
            "[[[]]][[[[]]],{\"a\":{\"b\":{}}},{\"a\":[]}]",
            [
                "1:[[]]", "1![[[]]]@2 depth(limit: 2)", #"1!{"a":{"b":{}}}@10 depth(limit: 2)"#,
                #"1:{"a":[]}"#,
            ], maxDepth: 2)
        let deep = bytes("[" + String(repeating: "[", count: 200_000))
        for chunks in [[deep], byteByByte(deep)] {
            let results = JSONFormat.stream.read(chunks)
            check(results.count, 1)
            check(results[0].hasSuffix("@64 depth(limit: 64)"), true)
        }
        let closed = deep + [UInt8](repeating: UInt8(ascii: "]"), count: 200_001) + bytes("1")
        check(JSONFormat.stream.read([closed]).last, "1:1")
    }

    /// Strays of each kind behind many open brackets are not looked for again and again.
    @Test func strayBracketsAreLinear() {
        let open = String(repeating: "[", count: 100_000)
        let input = bytes("{\"a\":" + open + String(repeating: "}]", count: 200_000) + "\n1")
        check(JSONFormat.stream.read([input], maxDepth: 200_000).last, "2:1")
    }

    /// A value of 4 MiB in reads of 64 bytes is searched once, and one that is too long leaves no
    /// more than the limit and a read in the queue.
    @Test func longValueInSmallReads() {
        let unit = bytes(#"{"key":"text \" of some length","b":[1,true,null, {}]},"# + "\n     ")
        let chunk = Array((unit + unit).prefix(64))
        for maxValue in [8 << 20, 100_000] {
            var queue = ByteQueue()
            var reader = JSONStreamReader(maxValue: maxValue)
            queue.append("{\"a\":[")
            var size = 6
            var tooLong = 0
            for _ in 0..<(4 << 20) / unit.count {
                for part in [unit.prefix(40), unit.dropFirst(40)] {
                    queue.append(Array(part))
                    size += part.count
                    while case .tooLong(let range) = reader.next(&queue) {
                        check(range, 0..<maxValue)
                        tooLong += 1
                    }
                    check(queue.count <= maxValue + chunk.count, true, "\(queue.count) wait")
                }
            }
            queue.append("1]}\n2 ")
            size += 3
            if maxValue == 8 << 20 { check(reader.next(&queue), .value(0..<size)) }
            check(tooLong, maxValue == 8 << 20 ? 0 : 1)
            check(reader.next(&queue), .value(0..<1))
            check(reader.line, 2 + (4 << 20) / unit.count)
            check(reader.next(&queue), .more)
        }
    }

    // MARK: Chance

    /// Any values, laid out in any way, come back as they were spelt.
    @Test func randomValues() {
        var random = SplitMix64("randomJSONStream")
        for _ in 0..<1000 {
            var input: [UInt8] = random.chance(1, in: 4) ? UTF8Text.byteOrderMark : []
            var expected: [String] = []
            for _ in 0..<random.number(0...4) {
                let isArray = random.chance(1, in: 2)
                var isFirst = true
                if isArray { input += bytes("[") + random.layout() }
                for _ in 0..<random.number(0...5) {
                    var value = random.json()
                    if random.chance(1, in: 2) { value = random.laidOut(value) }
                    if !isArray && value.first == UInt8(ascii: "[") { continue }
                    if isArray && !isFirst { input += bytes(",") }
                    isFirst = false
                    input += random.layout()
                    expected.append(escaped(value))
                    input += value + random.layout()
                    if !isArray { input += bytes(random.pick([" ", "\n", "\r\n"])) }
                }
                if isArray { input += bytes("]") }
            }
            for chunks in [
                [input], byteByByte(input), cut(input, at: random.cuts(input, count: 9)),
            ] {
                let values = JSONFormat.stream.read(chunks).map { result in
                    String(result.drop { $0.isNumber }.dropFirst())
                }
                check(values, expected, escaped(input))
            }
        }
    }

    /// Whatever comes, cuts change nothing, and nothing stays.
    @Test func randomBytes() {
        var random = SplitMix64("randomBytesJSONStream")
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "1", "-", "true", "x", "\"a\"",
            "\"a\":", "{\"a\":1}", "[1,2]", "\n{", "\n[", "\"a\\\"", "ä", "\u{1E}", "\r\n", "\n",
        ]
        for _ in 0..<3000 {
            let input = (0..<random.number(1...25)).flatMap { _ in bytes(random.pick(pieces)) }
            let maxValue = random.chance(1, in: 2) ? 1000 : random.number(0...12)
            let maxDepth = random.chance(1, in: 2) ? 64 : random.number(1...3)
            for format in [JSONFormat.stream, .sequence] {
                let whole = format.read([input], maxValue: maxValue, maxDepth: maxDepth)
                let cuts = cut(input, at: random.cuts(input, count: 5))
                for chunks in [byteByByte(input), cuts] {
                    check(
                        format.read(chunks, maxValue: maxValue, maxDepth: maxDepth), whole,
                        "\(format), \(maxValue), \(maxDepth): \(escaped(input))")
                }
            }
        }
    }
}
