import StreamCodec
import Testing

/// A path as its steps: names and places, or a pointer's tokens.
private struct RandomPath {
    enum Step { case key(String), index(Int), token(String) }

    var steps: [Step] = []

    init(_ random: inout SplitMix64, extending start: RandomPath? = nil) {
        steps = start?.steps ?? []
        let isPointer =
            if case .token? = steps.first { true } else if steps.isEmpty {
                random.chance(1, in: 3)
            } else { false }
        for _ in 0..<random.number(start == nil ? 0...4 : 1...2) {
            if isPointer {
                steps.append(.token(random.pick(["a", "b", "0", "1", "c~d", ""])))
            } else if random.chance(1, in: 3) {
                steps.append(.index(random.number(0...2)))
            } else {
                steps.append(.key(random.pick(["a", "b", "0", "c~d", ""])))
            }
        }
    }

    var text: String {
        if steps.isEmpty { return "." }
        return steps.map { step in
            switch step {
            case .key(let key): key == "a" || key == "b" ? ".\(key)" : ".\"\(key)\""
            case .index(let index): ".[\(index)]"
            case .token(let token): "/" + token.replacing("~", with: "~0")
            }
        }.joined()
    }

    /// Where the value stands in a valid text: one step after the other, with a look at every
    /// member or element of that step's value.
    func locate(in json: UnsafeBufferPointer<UInt8>) throws -> Range<Int>? {
        var scanner = JSONScanner(json)
        scanner.skipWhitespace()
        var place = try scanner.valueRange()
        for step in steps {
            guard let inner = try child(step, of: json.slice(place)) else { return nil }
            place = (place.lowerBound + inner.lowerBound)..<(place.lowerBound + inner.upperBound)
        }
        return place
    }

    private func child(
        _ step: Step, of value: UnsafeBufferPointer<UInt8>
    ) throws -> Range<Int>? {
        var scanner = JSONScanner(value)
        var found: Range<Int>?
        switch (scanner.next, step) {
        case (UInt8(ascii: "{"), .key(let name)), (UInt8(ascii: "{"), .token(let name)):
            try scanner.enter()
            var isFirst = true
            while let key = try scanner.nextKey(isFirst: isFirst) {
                isFirst = false
                let range = try scanner.valueRange()
                var spelt = ByteQueue()
                try spelt.append(unescaping: value.slice(key))
                if Array(spelt.bytes) == bytes(name) { found = range }
            }
        case (UInt8(ascii: "["), .index(let wanted)):
            found = try element(wanted, &scanner)
        case (UInt8(ascii: "["), .token(let token)):
            found = try Int(token).flatMap { try element($0, &scanner) }
        default: break
        }
        return found
    }

    private func element(_ wanted: Int, _ scanner: inout JSONScanner) throws -> Range<Int>? {
        try scanner.enter()
        var index = 0
        var found: Range<Int>?
        while try scanner.nextElement(isFirst: index == 0) {
            let range = try scanner.valueRange()
            if index == wanted { found = range }
            index += 1
        }
        return found
    }
}

@Suite struct JSONPathsTests {
    /// A JSON text with few different keys, so that they repeat and paths lead somewhere.
    private func json(_ random: inout SplitMix64, depth: Int = 5) -> [UInt8] {
        let kind = random.number(0...(depth > 0 ? 9 : 2))
        if kind < 2 { return random.json(depth: 0) }
        if kind == 2 { return bytes(random.pick(["{}", "[]", "0", #""a""#])) }
        let isObject = kind < 7
        var text = bytes(isObject ? "{" : "[") + random.space()
        for index in 0..<random.number(0...4) {
            if index > 0 { text += random.space() + bytes(",") + random.space() }
            if isObject {
                text += random.quoted(
                    Array(random.pick(["a", "b", "0", "c~d", ""]).unicodeScalars))
                text += random.space() + bytes(":") + random.space()
            }
            text += json(&random, depth: depth - 1)
        }
        return text + random.space() + bytes(isObject ? "}" : "]")
    }

    private func randomPaths(_ random: inout SplitMix64) -> [RandomPath] {
        var paths: [RandomPath] = []
        for _ in 0..<random.pick([0, 1, 2, 3, 8, 64]) {
            switch random.number(0...3) {
            case 0 where !paths.isEmpty: paths.append(random.pick(paths))
            case 1 where !paths.isEmpty:
                paths.append(RandomPath(&random, extending: random.pick(paths)))
            default: paths.append(RandomPath(&random))
            }
        }
        return paths
    }

    /// What one path finds or why not.
    private func find(
        _ path: JSONPath, _ json: [UInt8], maxDepth: Int
    ) -> Result<Range<Int>?, JSONError> {
        json.withUnsafeBufferPointer { json in
            Result { () throws(JSONError) in try path.find(in: json, maxDepth: maxDepth) }
        }
    }

    /// The same for all of them at once.
    private func find(
        _ paths: inout JSONPaths, _ json: [UInt8], maxDepth: Int
    ) -> Result<[Range<Int>?], JSONError> {
        json.withUnsafeBufferPointer { json in
            Result { () throws(JSONError) in
                try paths.find(in: json, maxDepth: maxDepth)
                return paths.found
            }
        }
    }

    /// Valid or not: together the paths find what each finds alone.
    private func compare(
        _ paths: [JSONPath], _ together: inout JSONPaths, _ json: [UInt8],
        maxDepth: Int = JSON.defaultMaxDepth
    ) {
        let what = "\(paths) in \(escaped(json))"
        switch find(&together, json, maxDepth: maxDepth) {
        case .success(let found):
            check(jsonError(json, maxDepth: maxDepth), nil, what)
            check(found.count, paths.count, what)
            for (path, range) in zip(paths, found) {
                check(find(path, json, maxDepth: maxDepth), .success(range), "\(path): " + what)
            }
        case .failure(let error):
            check(jsonError(json, maxDepth: maxDepth), error, what)
            for path in paths {
                check(find(path, json, maxDepth: maxDepth), .failure(error), "\(path): " + what)
            }
        }
    }

    /// On random texts, whole and with a byte changed, one look-up after the other.
    @Test func togetherAsAlone() throws {
        var random = SplitMix64("togetherAsAlone")
        for _ in 0..<150 {
            let randoms = randomPaths(&random)
            let paths = try randoms.map { try JSONPath($0.text) }
            var together = JSONPaths(paths)
            #expect(together.isEmpty == paths.isEmpty)
            for _ in 0..<10 {
                var json = random.space() + json(&random) + random.space()
                compare(paths, &together, json)
                compare(paths, &together, json, maxDepth: random.number(0...5))
                try json.withUnsafeBufferPointer { json in
                    try together.find(in: json)
                    for (path, found) in zip(randoms, together.found) {
                        try check(
                            found, path.locate(in: json), "\(path.text) in \(escaped(Array(json)))")
                    }
                }
                guard !json.isEmpty else { continue }
                let place = random.number(0...(json.count - 1))
                json[place] = random.pick(bytes("{}[]\",: 0a\\\u{0}") + [0xFF])
                compare(paths, &together, json)
                compare(paths, &together, Array(json[..<place]))
            }
        }
    }

    @Test func corpus() throws {
        let paths = try [".", ".a", ".a", ".a.b", ".[0]", "/0", "/0/a", ".a[0]", ".[1][0]", "/a/b"]
            .map { try JSONPath($0) }
        var together = JSONPaths(paths)
        for line in Corpus.lines("json/valid.txt") {
            compare(paths, &together, Corpus.unescape(line))
        }
        for line in Corpus.lines("json/invalid.txt") {
            let text = line.drop { $0 != UInt8(ascii: "\t") }.dropFirst()
            compare(paths, &together, Corpus.unescape(Array(text)))
        }
    }

    @Test(arguments: [
        ([".a", ".a.b"], #"{"a":{"b":1}}"#, [#"{"b":1}"#, "1"]),
        // The last of equal keys counts, and what an earlier one held is not found.
        ([".a", ".a.b"], #"{"a":{"b":1},"a":{}}"#, ["{}", nil]),
        ([".a.b", ".a", ".a.c"], #"{"a":{"b":1},"a":{"c":2}}"#, [nil, #"{"c":2}"#, "2"]),
        ([".a", ".a"], #"{"a":1,"a":2}"#, ["2", "2"]), ([".", ".x"], "7", ["7", nil]),
        (["/0", ".[0]", "/1"], "[5,6]", ["5", "5", "6"]),
        (["/0", #"."0""#, ".[0]"], #"{"0":5}"#, ["5", "5", nil]),
        ([".b", ".a"], #"{"a":1,"b":2}"#, ["2", "1"]),
    ])
    func found(_ paths: [String], _ json: String, _ expected: [String?]) throws {
        var together = JSONPaths(try paths.map { try JSONPath($0) })
        try bytes(json).withUnsafeBufferPointer { json in
            try together.find(in: json)
            #expect(together.found.map { $0.map { text(json.slice($0)) } } == expected)
            // Nothing stays from one text to the next.
            try bytes("null").withUnsafeBufferPointer { try together.find(in: $0) }
            #expect(together.found.allSatisfy { $0 == nil || $0 == 0..<4 })
        }
    }

    @Test func asManyAsThereAreBits() throws {
        let paths = try (0..<JSONPaths.limit).map { try JSONPath(".[\($0)]") }
        var together = JSONPaths(paths)
        let json = bytes("[" + (0..<64).map { "\($0 % 10)" }.joined(separator: ",") + "]")
        try json.withUnsafeBufferPointer { try together.find(in: $0) }
        #expect(together.found == (0..<64).map { (2 * $0 + 1)..<(2 * $0 + 2) })
    }
}
