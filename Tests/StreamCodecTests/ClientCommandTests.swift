import StreamCodec
import Testing

@Suite struct ClientCommandTests {
    private typealias Problem = ClientCommand.Problem

    /// A command with the texts that its places are of.
    private struct Read: Equatable, CustomStringConvertible {
        var kind: ClientCommand.Kind
        var ref: String?
        var channels: [String] = []
        var event: String?
        var data: String?
        var since: String?
        var count: Int?

        var description: String {
            "\(kind) ref \(ref ?? "-") \(channels) event \(event ?? "-") data \(data ?? "-") "
                + "since \(since ?? "-") n \(count ?? -1)"
        }
    }

    private func command(_ message: [UInt8], maxDepth: Int = 100) throws(Problem) -> Read {
        try message.withUnsafeBufferPointer { buffer throws(Problem) in
            let command = try ClientCommand(buffer, maxDepth: maxDepth)
            let slice = { (range: Range<Int>?) in range.map { text(message[$0]) } }
            return Read(
                kind: command.kind, ref: slice(command.ref), channels: command.channels,
                event: command.event, data: slice(command.data), since: command.since,
                count: command.count)
        }
    }

    /// What a message that is no command is answered with, and the ref.
    private func problem(_ message: [UInt8], maxDepth: Int = 100) -> [String] {
        do throws(Problem) {
            return ["\(try command(message, maxDepth: maxDepth))"]
        } catch {
            return [error.description] + (error.ref.map { [text(message[$0])] } ?? [])
        }
    }

    private func problem(_ message: String) -> [String] { problem(bytes(message)) }

    // MARK: Commands

    @Test func eachKind() throws {
        for (message, expected) in [
            (#"{"type":"ping"}"#, Read(kind: .ping)),
            (#" { "ref" : 7 , "type" : "ping" } "# + "\n", Read(kind: .ping, ref: "7")),
            (
                #"{"type":"subscribe","channel":"a.*","since":"earliest","ref":"x"}"#,
                Read(kind: .subscribe, ref: #""x""#, channels: ["a.*"], since: "earliest")
            ),
            (
                #"{"channel":["a", "b.**"],"type":"subscribe","since":10}"#,
                Read(kind: .subscribe, channels: ["a", "b.**"], since: "10")
            ),
            (
                #"{"type":"unsubscribe","channel":"a"}"#,
                Read(kind: .unsubscribe, channels: ["a"])
            ),
            (
                #"{"type":"publish","channel":"c","event":"e","data":{"a": [1 ]},"ref":null}"#,
                Read(
                    kind: .publish, ref: "null", channels: ["c"], event: "e",
                    data: #"{"a": [1 ]}"#)
            ),
            (#"{"type":"publish","data":null}"#, Read(kind: .publish, data: "null")),
            (#"{"type":"publish","data":"\n"}"#, Read(kind: .publish, data: #""\n""#)),
            (
                #"{"type":"publish","data":1,"event":""}"#,
                Read(kind: .publish, event: "", data: "1")
            ),
            (#"{"type":"history"}"#, Read(kind: .history)),
            (
                #"{"type":"history","channel":["a"],"since":"30s","n":100,"ref":true}"#,
                Read(kind: .history, ref: "true", channels: ["a"], since: "30s", count: 100)
            ),
            (
                #"{"type":"history","n":0,"since":"a-1"}"#,
                Read(kind: .history, since: "a-1", count: 0)
            ),
        ] as [(String, Read)] {
            try check(command(bytes(message)), expected, message)
        }
    }

    @Test func escapes() throws {
        let message =
            #"{"t\u0079pe":"p\u0075blish","channel":"\u00e4\/\"b","\u0065vent":"\ud83d\ude00","#
            + #""data":"\ud800","r\u0065f":"\ud800\n"}"#
        let expected = Read(
            kind: .publish, ref: #""\ud800\n""#, channels: ["ä/\"b"], event: "😀",
            data: #""\ud800""#)
        #expect(try command(bytes(message)) == expected)
        // A key is unescaped once.
        #expect(
            problem(#"{"\\u0074ype":"ping"}"#) == [#"unknown member '\\u0074ype' in a command"#])
    }

    @Test(arguments: [
        "0", "-1", "1.50", "1e3", "123456789012345678901234567890", "true", "false", "null",
        #""""#, #""a b""#, #""\u0000\"""#, "\"ä\u{2028}\"",
    ])
    func refs(_ ref: String) throws {
        for message in [#"{"type":"ping","ref":\#(ref)}"#, #"{"ref": \#(ref) ,"type":"ping"}"#] {
            #expect(try command(bytes(message)).ref == ref)
        }
        #expect(problem(#"{"type":"p","ref":\#(ref)}"#).last == ref)
    }

    @Test func lengthOfRef() throws {
        let ref = { "\"" + String(repeating: "x", count: $0 - 2) + "\"" }
        #expect(try command(bytes(#"{"type":"ping","ref":\#(ref(256))}"#)).ref == ref(256))
        let long = problem(#"{"type":"ping","ref":\#(ref(257))}"#)
        #expect(long == ["'ref' is longer than 256 bytes of JSON"])
    }

    // MARK: Problems

    @Test(arguments: [
        ("", "no JSON at byte 0: expected more, the JSON text ends here"),
        ("ping", "no JSON at byte 0: expected a JSON value"),
        ("{\"type\":\"ping\"}}", "no JSON at byte 15: expected the end of the message"),
        ("{\"type\":\"ping\"", "no JSON at byte 14: expected more, the JSON text ends here"),
        ("{\"type\":\"ping\",}", "no JSON at byte 15: expected '\"' to begin an object key"),
        (
            "{\"type\":\"a\nb\"}",
            "no JSON at byte 10: control character in string, expected it escaped"
        ),
        ("[]", "expected a command, a JSON object"), ("1", "expected a command, a JSON object"),
        ("\"ping\"", "expected a command, a JSON object"),
        ("{}", "'type' is missing: subscribe, unsubscribe, publish, ping, history"),
        (#"{"data":1}"#, "'type' is missing: subscribe, unsubscribe, publish, ping, history"),
        (#"{"type":null}"#, "'type' must be a string"),
        (#"{"type":["ping"]}"#, "'type' must be a string"),
        (#"{"type":"\udc00"}"#, "'type' holds half a surrogate pair"),
        (
            #"{"type":"PING"}"#,
            "unknown type 'PING', expected subscribe, unsubscribe, publish, ping, history"
        ),
        (
            #"{"type":"\u001b[m\n"}"#,
            "unknown type '?[m?', expected subscribe, unsubscribe, publish, ping, history"
        ),
        (#"{"type":"ping","Ref":1}"#, "unknown member 'Ref' in a command"),
        (#"{"type":"ping","":1}"#, "unknown member '' in a command"),
        (#"{"type":"ping","\udc00":1}"#, #"unknown member '\udc00' in a command"#),
        (#"{"type":"ping","type":"ping"}"#, "'type' stands twice"),
        (#"{"type":"publish","data":null,"d\u0061ta":1}"#, "'data' stands twice"),
    ])
    func problems(_ message: String, _ expected: String) {
        #expect(problem(message) == [expected])
    }

    @Test(arguments: [
        (#""type":"publish""#, "'data' is missing for publish"),
        (#""type":"publish","channel":"a","event":"b""#, "'data' is missing for publish"),
        (#""type":"subscribe""#, "'channel' is missing for subscribe"),
        (#""type":"unsubscribe""#, "'channel' is missing for unsubscribe"),
        (#""type":"ping","data":1"#, "'data' has no meaning for ping"),
        (#""type":"ping","n":1"#, "'n' has no meaning for ping"),
        (#""event":"e","type":"history""#, "'event' has no meaning for history"),
        (
            #""type":"unsubscribe","channel":"a","since":"1""#,
            "'since' has no meaning for unsubscribe"
        ),
        (#""type":"publish","since":1"#, "'since' has no meaning for publish"),
        (#""type":"subscribe","channel":"a","n":1"#, "'n' has no meaning for subscribe"),
        (#""type":"publish","data":1,"channel":["a"]"#, "'channel' must be a string for publish"),
        (#""type":"subscribe","channel":1"#, "'channel' must be a string or an array of strings"),
        (
            #""type":"subscribe","channel":null"#,
            "'channel' must be a string or an array of strings"
        ),
        (#""type":"subscribe","channel":[1]"#, "'channel' must be a string or an array of strings"),
        (
            #""type":"subscribe","channel":["a",["b"]]"#,
            "'channel' must be a string or an array of strings"
        ),
        (
            #""type":"subscribe","channel":["a","\ud800"]"#,
            "'channel' must be a string or an array of strings"
        ),
        (#""type":"subscribe","channel":[]"#, "'channel' must not be an empty array"),
        (#""type":"subscribe","channel":"\ud800x""#, "'channel' holds half a surrogate pair"),
        (#""type":"publish","data":1,"event":2"#, "'event' must be a string"),
        (#""type":"publish","data":1,"event":"\ud800""#, "'event' holds half a surrogate pair"),
        (#""type":"history","since":true"#, "'since' must be a string or a whole number"),
        (#""type":"history","since":-1"#, "'since' must be a string or a whole number"),
        (#""type":"history","since":1.0"#, "'since' must be a string or a whole number"),
        (#""type":"history","n":"1""#, "'n' must be a whole number of at most 9 digits"),
        (#""type":"history","n":-1"#, "'n' must be a whole number of at most 9 digits"),
        (#""type":"history","n":1e2"#, "'n' must be a whole number of at most 9 digits"),
        (#""type":"history","n":1000000000"#, "'n' must be a whole number of at most 9 digits"),
    ])
    func problemsWithRef(_ members: String, _ expected: String) {
        #expect(problem("{\(members)}") == [expected])
        #expect(problem(#"{"ref":"r",\#(members)}"#) == [expected, #""r""#])
        #expect(problem(#"{\#(members),"ref":"r"}"#) == [expected, #""r""#])
    }

    @Test(arguments: ["\\n", "\\r", "\\u0000", "\\u000A"]) func events(_ escape: String) {
        let got = problem(#"{"type":"publish","data":1,"ref":5,"event":"a\#(escape)b"}"#)
        #expect(got == ["'event' must not hold a line break or NUL", "5"])
    }

    @Test func badRefs() {
        #expect(
            problem(#"{"type":"ping","ref":[1]}"#) == ["'ref' must not be an array or an object"])
        #expect(
            problem(#"{"type":"ping","ref":{}}"#) == ["'ref' must not be an array or an object"])
        #expect(problem(#"{"type":"ping","ref":1,"ref":2}"#) == ["'ref' stands twice", "1"])
        #expect(problem(#"{"type":"x","data":{"ref":1}}"#).count == 1)
    }

    /// The first of several things is told; that the message is no JSON goes before all.
    @Test func firstProblem() {
        #expect(problem(#"{"x":1,"type":1,"ref":2}"#) == ["unknown member 'x' in a command", "2"])
        #expect(problem(#"{"ref":2,"x":1,"type":1"#).first?.hasPrefix("no JSON at byte 23") == true)
        #expect(problem(#"{"ref":2,"x":1,"type":1"#).last == "2")
        #expect(problem(#"[{"ref":2}"#).count == 1)
    }

    @Test func depth() {
        let message = bytes(#"{"ref":1,"type":"publish","data":[[[]]]}"#)
        #expect(problem(message, maxDepth: 4).count == 1)
        #expect(problem(message, maxDepth: 3) == ["nested deeper than 3 levels", "1"])
        let deep =
            bytes(#"{"type":"subscribe","channel":"#) + bytes(String(repeating: "[", count: 99))
        let closed = deep + bytes(String(repeating: "]", count: 99) + "}")
        #expect(problem(closed) == ["'channel' must be a string or an array of strings"])
    }

    /// The answer repeats the ref in a text message, which is UTF-8.
    @Test func refThatIsNotText() {
        for broken: [UInt8] in [[0xFF], [0xC3], [0xED, 0xA0, 0x80]] {
            let message = bytes(#"{"type":"ping","ref":""#) + broken + bytes(#""}"#)
            let got = problem(message)
            #expect(got == ["no JSON at byte 22: invalid UTF-8"])
            let elsewhere = bytes(#"{"ref":1,"type":""#) + broken + bytes(#""}"#)
            #expect(problem(elsewhere) == ["no JSON at byte 17: invalid UTF-8", "1"])
        }
    }

    // MARK: By chance

    /// Commands in any spelling and order are read; cut anywhere they are none.
    @Test func roundTrip() throws {
        var random = SplitMix64("commands")
        for _ in 0..<500 {
            let channel = random.text(length: random.number(0...20), lineBreaks: true)
            let event = random.text(length: random.number(0...20), lineBreaks: false, nul: false)
            let data = random.json()
            let ref = random.quoted(random.text(length: random.number(0...9), lineBreaks: true))
            let members = [
                ("type", random.quoted(Array("publish".unicodeScalars))),
                ("channel", random.quoted(channel)), ("event", random.quoted(event)),
                ("data", data), ("ref", ref),
            ].shuffled(using: &random)
            var message = random.space() + bytes("{")
            for (index, (key, value)) in members.enumerated() {
                message += bytes(index == 0 ? "" : ",") + random.space()
                message += random.quoted(Array(key.unicodeScalars)) + random.space() + bytes(":")
                message += random.space() + value + random.space()
            }
            message += bytes("}")
            let got = try command(message)
            check(got.kind, .publish)
            check(got.channels.map(bytes), [bytes(channel)], escaped(message))
            check(got.event.map(bytes), bytes(event), escaped(message))
            check(got.data.map(bytes), data, escaped(message))
            check(got.ref.map(bytes), ref, escaped(message))
            for _ in 0..<10 {
                let count = random.number(0...(message.count - 1))
                let words = problem(Array(message[..<count]))[0]
                check(words.hasPrefix("no JSON at byte "), true, words)
            }
        }
    }
}
