import StreamCodec
import Testing

@Suite struct RequestTargetTests {
    /// Path and parameters on one line each, or the error.
    private func read(_ target: String) -> [String] {
        do throws(URLError) {
            let target = try RequestTarget(target)
            return [target.path] + target.parameters.map { "\($0.name)=\($0.value)" }
        } catch {
            return ["error: \(error)"]
        }
    }

    @Test(arguments: [
        ("/", ["/"]), ("/events", ["/events"]), ("/a/b.c/", ["/a/b.c/"]), ("//h/a", ["//h/a"]),
        ("/a/../b/.", ["/a/../b/."]), ("/a:b@c;d", ["/a:b@c;d"]), ("/a+b", ["/a+b"]),
        ("/%65vents%20%C3%A4", ["/events ä"]), ("/ä", ["/ä"]), ("/a%25", ["/a%"]),
        ("/a%3Fb", ["/a?b"]), ("/a%EF%BF%BD", ["/a\u{FFFD}"]),
    ])
    func paths(_ target: String, _ expected: [String]) {
        #expect(read(target) == expected)
    }

    @Test(arguments: [
        ("/?", ["/"]), ("/?&&", ["/"]), ("/?a", ["/", "a="]), ("/?a=", ["/", "a="]),
        ("/?=", ["/", "="]), ("/?=a", ["/", "=a"]), ("/?a=b=c", ["/", "a=b=c"]),
        ("/?b=1&a=2&b=3", ["/", "b=1", "a=2", "b=3"]), ("/?a=b?c/d", ["/", "a=b?c/d"]),
        ("/?a+b=c+d", ["/", "a b=c d"]), ("/?a%2Bb=c%2bd", ["/", "a+b=c+d"]),
        ("/?a%26b%3Dc=%26", ["/", "a&b=c=&"]), ("/?%C3%A4=%F0%9F%98%80", ["/", "ä=😀"]),
        ("/?a=%2Fx%2f", ["/", "a=/x/"]), ("/?a;b=c", ["/", "a;b=c"]), ("/?a=ä", ["/", "a=ä"]),
        ("/x?channel=a.*&channel=**", ["/x", "channel=a.*", "channel=**"]),
    ])
    func queries(_ target: String, _ expected: [String]) {
        #expect(read(target) == expected)
    }

    /// RFC 9112, section 3.2.2.
    @Test(arguments: [
        ("http://h/a?b", ["/a", "b="]), ("HTTPS://h:1/a", ["/a"]), ("http://h", ["/"]),
        ("http://h?b=c", ["/", "b=c"]), ("http://[::1]:8080/", ["/"]), ("http://h//a", ["//a"]),
        ("http:///a", ["error: the target names no host"]),
        ("http://:80/a", ["error: the target names no host"]),
        ("http://", ["error: the target names no host"]),
        ("http://?a", ["error: the target names no host"]),
        ("http://u@h/a", ["error: userinfo in the target"]),
        ("http://u:p@h/a", ["error: userinfo in the target"]),
        ("http://h/a@b", ["/a@b"]), ("/http://h/a", ["/http://h/a"]),
    ])
    func absoluteForm(_ target: String, _ expected: [String]) {
        #expect(read(target) == expected)
    }

    @Test(arguments: [
        "", "*", "a", "?a", "h:443", "example.com:80", "ws://h/", "ftp://h/", "http:/a", "http:a",
        "mailto:a", "%2Fa", "%2F",
    ])
    func noPath(_ target: String) {
        #expect(read(target) == ["error: the target does not begin with /"])
    }

    @Test(arguments: ["/%", "/%2", "/%zz", "/%2z", "/%%41", "/?a=%", "/?%4=b", "/?a=%u0041"])
    func badEncoding(_ target: String) {
        #expect(read(target) == ["error: a % without two hexadecimal digits in the target"])
    }

    @Test(arguments: [
        "/%00", "/\0", "/a%0Ab", "/?a=%0d", "/?%7f=a", "/?a=\u{7F}", "/?a=%1B", "/\u{1}", "/%09",
        "/?a\t",
    ])
    func controlCharacters(_ target: String) {
        #expect(read(target) == ["error: a control character in the target"])
    }

    /// Overlong, a surrogate, above the last scalar, cut short; and what a head has for such bytes.
    @Test(arguments: [
        "/%FF", "/%C0%AF", "/?a=%ED%A0%80", "/?%F4%90%80%80", "/%E2%82", "/?a=%C3&b=%A4",
        "/?a=%C3=%A4", "/%C3?%A4", "/\u{FFFD}", "/?a=\u{FFFD}",
    ])
    func notUTF8(_ target: String) {
        #expect(read(target) == ["error: the target is not UTF-8"])
    }

    @Test func fragmentsAndSlashes() {
        for target in ["/#", "/a#b", "/?a=b#c", "http://h#/a"] {
            #expect(read(target) == ["error: a fragment in the target"])
        }
        #expect(read("/a%23?b=%23") == ["/a#", "b=#"])
        // A proxy that guards /admin/x sees no such path here.
        for target in ["/admin%2Fx", "/admin%2fx", "/%2F/", "/%2Fa?b"] {
            #expect(read(target) == ["error: an encoded / in the path"])
        }
        #expect(read("/a%252Fb") == ["/a%2Fb"])
    }

    @Test func countOfParameters() throws {
        let query = { (count: Int) in (0..<count).map { "a=\($0)" }.joined(separator: "&&") }
        let target = try RequestTarget("/?" + query(100) + "&")
        #expect(target.values("a") == (0..<100).map(String.init))
        #expect(read("/?" + query(101)) == ["error: more than 100 parameters in the query"])
    }

    @Test func lookingUp() throws {
        let target = try RequestTarget("/x?a=1&b&A=2&a=3&=4")
        #expect(target.first("a") == "1" && target.values("a") == ["1", "3"] && target.has("a"))
        #expect(target.first("b") == "" && target.values("b") == [""] && target.has("b"))
        #expect(target.first("A") == "2" && target.first("") == "4")
        #expect(target.first("c") == nil && target.values("c") == [] && !target.has("c"))
    }

    // MARK: By chance

    private func encoded(
        _ text: String, keeping kept: String, _ random: inout SplitMix64
    ) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isKept = kept.unicodeScalars.contains(scalar)
            if isKept || scalar.value >= 0x80 && scalar != "\u{FFFD}" && random.chance(1, in: 4) {
                result.unicodeScalars.append(scalar)
                continue
            }
            for byte in UTF8.encode(scalar)! {
                let digits = String(byte, radix: 16, uppercase: random.chance(1, in: 2))
                result += byte < 16 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }

    private func plainText(_ random: inout SplitMix64, length: Int) -> String {
        var text = String.UnicodeScalarView()
        for scalar in random.text(length: length, lineBreaks: false) {
            if scalar.value >= 0x20 && scalar.value != 0x7F { text.append(scalar) }
        }
        return String(text)
    }

    /// What a URL of a client stands for comes out, however it was encoded.
    @Test func roundTrip() throws {
        var random = SplitMix64("request targets")
        for _ in 0..<500 {
            let path = "/" + plainText(&random, length: random.number(0...40)).filter { $0 != "/" }
            let parameters = (0..<random.number(0...5)).map { _ in
                (0..<2).map { _ in plainText(&random, length: random.number(0...20)) }
            }
            var target = encoded(path, keeping: "/abcXYZ0189-._~:+&=;", &random)
            for (index, parameter) in parameters.enumerated() {
                let name = encoded(parameter[0], keeping: "abcXYZ0189-._~:?/;", &random)
                let value = encoded(parameter[1], keeping: "abcXYZ0189-._~:?/;=", &random)
                target += (index == 0 ? "?" : "&") + name + "=" + value
            }
            if random.chance(1, in: 3) { target = "http://example.com:80" + target }
            check(
                read(target).map(bytes),
                ([path] + parameters.map { "\($0[0])=\($0[1])" }).map(bytes), target)
        }
    }

    /// Whatever comes, what is taken is text that begins with "/".
    @Test func anything() {
        var random = SplitMix64("any target")
        let pieces = [
            "/", "/", "%", "%2", "41", "%C3", "%A4", "?", "&", "=", "+", "a", "#", "http://", "\0",
            "ä", "%00", "@", ":", "%2F",
        ]
        for _ in 0..<3000 {
            let target = (0..<random.number(0...12)).map { _ in random.pick(pieces) }.joined()
            let parts = read(target)
            check(parts[0].hasPrefix("/") || parts[0].hasPrefix("error: "), true, target)
            let isClean = parts.allSatisfy { $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
            check(isClean, true, target)
        }
    }
}
