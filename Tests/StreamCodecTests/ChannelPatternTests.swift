import StreamCodec
import Testing

@Suite struct ChannelPatternTests {
    private func matches(_ pattern: String, _ name: String) throws -> Bool {
        let pattern = try ChannelPattern(pattern)
        return bytes(name).withUnsafeBufferPointer { pattern.matches($0) }
    }

    private func isName(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { ChannelPattern.isName($0) }
    }

    private func error(_ text: String) -> String? {
        do throws(ChannelPattern.ParseError) {
            _ = try ChannelPattern(text)
            return nil
        } catch {
            return error.description
        }
    }

    // MARK: Patterns

    @Test(arguments: [
        "a", "a.b", "*", "**", "a.*", "*.a", "a.**", "**.a", "a.**.b", "*.*", "**.**", "*.**",
        "ä.😀",
        "a b", "a-b_c:d/e", "0", "%", "a\\b", "?", String(repeating: "a", count: 255),
        "*" + String(repeating: ".*", count: 127),
    ])
    func valid(_ text: String) throws {
        let pattern = try ChannelPattern(text)
        #expect(pattern.description == text)
        #expect(pattern.isExact == !text.contains("*"))
        #expect(isName(bytes(text)) == pattern.isExact)
    }

    @Test(arguments: [
        ("", "channel '' is empty"),
        (".", "channel '.' has an empty level"), ("..", "channel '..' has an empty level"),
        (".a", "channel '.a' has an empty level"), ("a.", "channel 'a.' has an empty level"),
        ("a..b", "channel 'a..b' has an empty level"), ("*.", "channel '*.' has an empty level"),
        ("a*", "channel 'a*' has a * that is not a whole level: * or **"),
        ("*a", "channel '*a' has a * that is not a whole level: * or **"),
        ("a.b*c.d", "channel 'a.b*c.d' has a * that is not a whole level: * or **"),
        ("***", "channel '***' has a * that is not a whole level: * or **"),
        ("**a", "channel '**a' has a * that is not a whole level: * or **"),
        ("a\n", "channel 'a?' has a control character"),
        ("a.\0", "channel 'a.?' has a control character"),
        ("\u{7F}", "channel '?' has a control character"),
        ("a\tb", "channel 'a?b' has a control character"),
        ("ä.", "channel '??.' has an empty level"),
    ])
    func invalid(_ text: String, _ expected: String) {
        #expect(error(text) == expected)
        #expect(!isName(bytes(text)))
    }

    @Test func tooLong() {
        let shown = String(repeating: "a", count: 80)
        for count in [256, 1000] {
            let text = String(repeating: "a", count: count)
            #expect(error(text) == "channel '\(shown)...' is longer than 255 bytes")
            #expect(!isName(bytes(text)))
        }
        // Bytes, not characters.
        #expect(error(String(repeating: "ä", count: 127)) == nil)
        #expect(error(String(repeating: "ä", count: 128)) != nil)
    }

    @Test func namesAreText() {
        for name: [UInt8] in [[0xFF], [0x61, 0xC3], [0xC0, 0xAE], [0xED, 0xA0, 0x80]] {
            #expect(!isName(name))
        }
        #expect(isName([0xC3, 0xA4]))
    }

    @Test func equality() throws {
        let patterns = try ["a.*", "a.**", "a.*", "a.b"].map { try ChannelPattern($0) }
        #expect(Set(patterns).count == 3 && patterns[0] == patterns[2])
        // Bytes count: these two are equal as Strings.
        #expect(try ChannelPattern("\u{E4}") != ChannelPattern("a\u{308}"))
    }

    // MARK: Matching

    @Test(arguments: [
        ("a", "a", true), ("a", "b", false), ("a", "a.b", false), ("a.b", "a.b", true),
        ("a.b", "a", false), ("ab", "a", false), ("a", "ab", false), ("a.b", "a.c", false),
        ("*", "a", true), ("*", "a.b", false), ("*", "ä", true), ("*.*", "a.b", true),
        ("*.*", "a", false), ("a.*", "a.b", true), ("a.*", "a", false), ("a.*", "a.b.c", false),
        ("a.*", "b.b", false), ("*.b", "a.b", true), ("a.*.c", "a.b.c", true),
        ("a.*.c", "a.c", false), ("**", "a", true), ("**", "a.b.c", true), ("a.**", "a", true),
        ("a.**", "a.b", true), ("a.**", "a.b.c", true), ("a.**", "ab", false),
        ("a.**", "b.a", false), ("**.a", "a", true), ("**.a", "b.a", true),
        ("**.a", "a.b.a", true), ("**.a", "a.b", false), ("**.a", "ba", false),
        ("a.**.b", "a.b", true), ("a.**.b", "a.x.y.b", true), ("a.**.b", "a.b.x", false),
        ("a.**.b", "a", false), ("*.**", "a", true), ("*.**", "a.b", true),
        ("**.*", "a", true), ("**.*.*", "a", false), ("**.a.**", "x.a.y", true),
        ("**.a.**", "x.y", false), ("**.a.*.b.**", "a.x.a.y.b.z", true),
        ("**.a.b.**.c", "a.a.b.x.c", true), ("**.a.b.**.c", "a.a.b.x.c.d", false),
        // The name of a channel is never a pattern.
        ("a.b", "a.*", false), ("a.b", "**", false),
    ])
    func examples(_ pattern: String, _ name: String, _ expected: Bool) throws {
        #expect(try matches(pattern, name) == expected)
    }

    /// An event without a channel has no level.
    @Test(arguments: [
        ("**", true), ("**.**", true), ("*", false), ("a", false), ("*.**", false),
        ("**.*", false), ("a.**", false), ("**.a", false),
    ])
    func withoutChannel(_ pattern: String, _ expected: Bool) throws {
        #expect(try matches(pattern, "") == expected)
        let pattern = try ChannelPattern(pattern)
        #expect(pattern.matches(UnsafeBufferPointer(start: nil, count: 0)) == expected)
    }

    /// By the definition, and exponential.
    private func slowly(_ pattern: ArraySlice<String>, _ name: ArraySlice<String>) -> Bool {
        guard let level = pattern.first else { return name.isEmpty }
        let rest = pattern.dropFirst()
        if level == "**" {
            return (0...name.count).contains { slowly(rest, name.dropFirst($0)) }
        }
        guard let first = name.first else { return false }
        return (level == "*" || level == first) && slowly(rest, name.dropFirst())
    }

    @Test func likeTheDefinition() throws {
        var random = SplitMix64("channel patterns")
        var hits = 0
        for _ in 0..<20_000 {
            let some = random.chance(1, in: 2) ? ["a"] : ["a", "b", "ab"]
            let levels = (0..<random.number(1...7)).map { _ in
                random.pick(some + ["*", "**", "**"])
            }
            let name = (0..<random.number(0...9)).map { _ in random.pick(some) }
            let expected = slowly(levels[...], name[...])
            hits += expected ? 1 : 0
            let pattern = levels.joined(separator: ".")
            let got = try matches(pattern, name.joined(separator: "."))
            check(got, expected, "\(pattern) and \(name.joined(separator: "."))")
        }
        #expect(hits > 2000 && hits < 18_000)
    }

    /// A name that is none may come too; its empty levels are levels.
    @Test func namesThatAreNone() throws {
        for (pattern, name, expected) in [
            ("*", ".", false), ("*.*", ".", true), ("*", "a.", false), ("a.*", "a.", true),
            ("**", "...", true), ("*", "*", true), ("*.a", ".a", true), ("a", "a.", false),
            ("**.a", "..a", true), ("**.a", "a.", false),
        ] {
            try check(matches(pattern, name), expected, "\(pattern) and \(name)")
        }
    }

    /// Each name that almost matches, against patterns that could try every way to share it out.
    @Test(arguments: [
        "**.a.**.a.**.a.**.a.**.a.**.b", "**.*.**.*.**.*.**.*.**.*.**.b",
        "**" + String(repeating: ".**", count: 84), "**" + String(repeating: ".*.**", count: 50),
        "**" + String(repeating: ".a.**", count: 50) + ".b",
        "**" + String(repeating: ".a", count: 120) + ".b",
        "**" + String(repeating: ".*", count: 120) + ".b",
        "*.**" + String(repeating: ".a", count: 60) + ".**" + String(repeating: ".a", count: 60),
    ])
    func stepsAreFew(_ text: String) throws {
        let pattern = try ChannelPattern(text)
        for (levels, isShort) in [(128, true), (20_000, false)] {
            let name = bytes((0..<levels).map { _ in "a" }.joined(separator: "."))
            check(isName(name), isShort)
            var steps = 0
            let got = name.withUnsafeBufferPointer { pattern.matches($0, steps: &steps) }
            #expect(got == !text.hasSuffix("b"))
            let limit = (levels + 1) * (text.split(separator: ".").count + 1)
            #expect(steps <= limit, "\(steps) steps, at most \(limit)")
        }
    }
}
