import StreamCodec
import Testing

@Suite struct JSONPathTests {
    /// The text of what the path finds, or nil.
    private func find(_ path: String, _ json: String) throws -> String? {
        let path = try JSONPath(path)
        return try bytes(json).withUnsafeBufferPointer { json in
            try path.find(in: json).map { text(json.slice($0)) }
        }
    }

    @Test(arguments: [
        (".", #" {"a": 1} "#, #"{"a": 1}"#), (".", "  5 ", "5"), (".", "null", "null"),
        (".user.id", #"{"user":{"id":7}}"#, "7"),
        (".items[0].price", #"{"items":[{"price":1.50}]}"#, "1.50"),
        (".items[1]", #"{"items":[1, [2, 3] ]}"#, "[2, 3]"),
        (".a[0][1][0]", #"{"a":[[0,[9]]]}"#, "9"),
        (".a.[0]", #"{"a":[4]}"#, "4"), (".[1]", "[1,2,3]", "2"),
        (".[0].a", #"[{"a":""}]"#, "\"\""),
        (#"."odd key""#, #"{"odd key":1}"#, "1"),
        (#"."a.b"."c[0]""#, #"{"a.b":{"c[0]":true}}"#, "true"),
        (#".["x"].y"#, #"{"x":{"y":[]}}"#, "[]"),
        (#".a["b"][0]"#, #"{"a":{"b":[{}]}}"#, "{}"), (#".["a"]["b"]"#, #"{"a":{"b":1}}"#, "1"),
        (".\"\"", #"{"":1}"#, "1"), (".ä", #"{"ä":1}"#, "1"),
        (#"."\u00e4""#, #"{"ä":1}"#, "1"),
        (".ä", #"{"\u00e4":1}"#, "1"), (#"."\"""#, #"{"\"":1}"#, "1"),
        (".id", #"{"\u0069d":1}"#, "1"),
        ("/user/id", #"{"user":{"id":7}}"#, "7"), ("/items/1", #"{"items":["a","b"]}"#, #""b""#),
        ("/items/1", #"{"items":{"1":"k"}}"#, #""k""#), ("/", #"{"":1}"#, "1"),
        ("/a//b", #"{"a":{"":{"b":2}}}"#, "2"),
        ("/a~1b", #"{"a/b":1}"#, "1"), ("/m~0n", #"{"m~n":1}"#, "1"), ("/~01", #"{"~1":1}"#, "1"),
        ("/~10", #"{"/0":1}"#, "1"), ("/a.b[0]", #"{"a.b[0]":1}"#, "1"),
        ("/c%d", #"{"c%d":1}"#, "1"),
        ("/0", "[5]", "5"), ("/01", #"{"01":1}"#, "1"), ("/a/", #"{"a":{"":0}}"#, "0"),
        ("/ ", #"{" ":7}"#, "7"),
        (".a", #"{"a":1,"a":2}"#, "2"), (".a.b", #"{"a":{"b":1,"b":3},"c":0}"#, "3"),
        (".a", #"{"a":null}"#, "null"),
        (".a", #"{"a":""}"#, "\"\""), (".a", #"{"b":1,"\u0061":{"x":[1,2]}}"#, #"{"x":[1,2]}"#),
        (".n", #"{"n":12345678901234567890.0e-5}"#, "12345678901234567890.0e-5"),
    ])
    func found(_ path: String, _ json: String, _ expected: String) throws {
        #expect(try find(path, json) == expected)
    }

    @Test(arguments: [
        (".a", "{}"), (".a", "[]"), (".a", "5"), (".a", #""a""#), (".a", "null"),
        (".a.b", #"{"a":5}"#),
        (".a.b", #"{"a":"b"}"#), (".a[0]", #"{"a":{"0":1}}"#), (".[0]", "[]"), (".[3]", "[1,2,3]"),
        (".[0]", #"{"0":1}"#), (".A", #"{"a":1}"#), (".a.b.c", #"{"a":[{"b":{"c":1}}]}"#),
        ("/01", "[1,2]"), ("/-", "[1,2]"), ("/-1", "[1,2]"), ("/a/0", #"{"a":"xyz"}"#),
        ("/", "[1]"),
        (".a", #"{"b":{"a":1}}"#), (".a.b", #"{"a":{"b":1},"a":{}}"#),
        (".a.b", #"{"a":{"b":1},"a":2}"#),
        (".a", #"{"a\u0000":1,"":2,"aa":3}"#), (".a", #"{"\ud800":1}"#),
    ])
    func absent(_ path: String, _ json: String) throws {
        #expect(try find(path, json) == nil)
    }

    /// A key is compared by what it stands for, not by how it is spelt.
    @Test func backslashesInKeys() throws {
        #expect(try find(#"."a\\b""#, #"{"a\\b":1}"#) == "1")
        #expect(try find(#"."a\\\\b""#, #"{"a\\b":1}"#) == nil)
        #expect(try find(#"/a\nb"#, #"{"a\nb":1}"#) == nil)
        #expect(try find(#"/a\nb"#, #"{"a\\nb":1}"#) == "1")
        #expect(try find(#"."a\nb""#, #"{"a\u000ab":1}"#) == "1")
    }

    @Test(arguments: [
        "", "a", "user.id", " .a", "..", ".a.", ".a..b", ".[", ".[]", ".[a]", ".[-1]", ".[0",
        ".a[0]b",
        #".""#, #"."a"#, #"."a"b"#, #".["a"#, #".["a""#, #".["a"x]"#, ".[1.5]",
        ".[9223372036854775808]",
        ".[+1]", ".[01]", "/~", "/a~2b", "/a~", "/~~0", #"."\x""#, #"."\ud800""#, "[0]", "$.a",
        ".[ ]",
        // Other filters of jq's are no keys: they would find nothing, without a word.
        #".a // "x""#, ".a//.b", ".a | .b", ".a?", ".a, .b", ".a b", #".a"b"#, ".*", ".a | length",
        "..a", ".a ", ".map(.x)",
    ])
    func refused(_ path: String) {
        #expect(throws: JSONPath.ParseError.self) { try JSONPath(path) }
    }

    @Test func errorsSayWhatWasExpected() {
        for path in ["", "a", "..", ".[x]", ".[0", "/~2", #"."a"#, ".[0]x"] {
            let error = #expect(throws: JSONPath.ParseError.self) { try JSONPath(path) }
            #expect(error?.description.isEmpty == false)
        }
    }

    @Test func descriptionIsTheText() throws {
        #expect(try JSONPath(".a[0]").description == ".a[0]")
        #expect(try JSONPath(".a") == JSONPath(".a"))
        #expect(try JSONPath(".a") != JSONPath(".b"))
    }

    /// Found values are where a reader that builds trees finds them: each value of a random
    /// JSON text, by its own path, in both notations.
    @Test func randomArrays() throws {
        var random = SplitMix64("randomArrays")
        for _ in 0..<300 {
            let items = (0..<random.number(1...6)).map { _ in text(random.json(depth: 3)) }
            let json = "{\"x\":0,\"a\" : [" + items.joined(separator: " ,") + "],\"y\":[1]}"
            for (index, item) in items.enumerated() {
                try check(find(".a[\(index)]", json), item, json)
                try check(find("/a/\(index)", json), item, json)
            }
            try check(find(".a[\(items.count)]", json), nil, json)
        }
    }

    @Test func depthCountsWhatThePathEntered() throws {
        let json = bytes(#"{"a":[[[1]]]}"#)
        for path in [".", ".a", ".a[0]", ".a[0][0]", ".b"] {
            let path = try JSONPath(path)
            json.withUnsafeBufferPointer { json in
                #expect(throws: Never.self) { _ = try path.find(in: json, maxDepth: 4) }
                #expect(throws: JSONError.self) { _ = try path.find(in: json, maxDepth: 3) }
            }
        }
    }
}
