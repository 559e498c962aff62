import StreamCodec
import Testing

/// Why a line is refused as an event record, or nil; encoding it counts.
func recordProblem(_ line: [UInt8]) -> RecordError? {
    line.withUnsafeBufferPointer { line in
        var output = ByteQueue()
        output.append("before")
        do throws(RecordError) {
            try output.append(try EventRecord(line), of: line)
            return nil
        } catch {
            check(Array(output.bytes), bytes("before"), "appended although it threw")
            return error
        }
    }
}

@Suite struct EventRecordTests {
    private func stream(_ lines: String...) throws -> String { text(try encode(records: lines)) }

    @Test func fieldsAreWrittenInOneOrder() throws {
        #expect(
            try stream(
                #" {"retry":3000,"channel":"c","data":"d","id":"7","comment":"n","event":"e"} "#)
                == ": n\nevent: e\nid: 7\nretry: 3000\ndata: d\n\n")
        #expect(try stream("{}") == "")
        #expect(try stream(#"{"channel":"c"}"#) == "")
        #expect(try stream(#"{"event":"message","data":""}"#) == "data: \n\n")
        #expect(try stream(#"{"event":"\u006dessage","data":""}"#) == "data: \n\n")
        #expect(try stream(#"{"id":""}"#) == "id: \n\n")
        #expect(try stream(#"{"data":null}"#) == "data: null\n\n")
    }

    /// A key was unescaped a second time, past its end where it then held a quote.
    @Test func anEscapedKeyIsUnescapedOnce() {
        #expect(recordProblem(bytes(#"{"ab\"\"\"":1}"#))?.reason == .unknownKey(#"ab""""#))
        #expect(recordProblem(bytes(#"{"\\u0069d":1}"#))?.reason == .unknownKey(#"\u0069d"#))
        #expect(recordProblem(bytes(#"{"\u0069d":"1"}"#)) == nil)
    }

    @Test func dataThatIsNoStringIsItsText() throws {
        #expect(
            try stream(#"{"data": {"a" : [1.0, -0,1e1000]} }"#)
                == "data: {\"a\" : [1.0, -0,1e1000]}\n\n")
        #expect(try stream("{\"data\":[1,\r2]}") == "data: [1,\ndata: 2]\n\n")
        #expect(
            try stream(#"{"data":true}"#, #"{"data":12345678901234567890123}"#)
                == "data: true\n\ndata: 12345678901234567890123\n\n")
    }

    @Test func lineBreaksMakeMoreLines() throws {
        #expect(
            try stream(#"{"data":"a\nb\rc\r\nd\n\re\u000af\u000D\u000Ag\r\u000ah"}"#)
                == "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: f\ndata: g\n"
                + "data: h\n\n")
        #expect(try stream(#"{"data":"\n"}"#) == "data: \ndata: \n\n")
        #expect(try stream(#"{"data":"a\n"}"#) == "data: a\ndata: \n\n")
        #expect(try stream(#"{"comment":"a\r\nb\n"}"#) == ": a\n: b\n: \n\n")
    }

    @Test func numbersMakeIDs() throws {
        #expect(
            try stream(#"{"id":42}"#, #"{"id":-1}"#, #"{"id":1.50}"#, #"{"id":9e99}"#)
                == "id: 42\n\nid: -1\n\nid: 1.50\n\nid: 9e99\n\n")
    }

    @Test func escapedKeysAreKeys() throws {
        #expect(
            try stream(#"{"\u0064ata":"x","\u0069d":"1","ev\u0065nt":"e"}"#)
                == "event: e\nid: 1\ndata: x\n\n")
        #expect(recordProblem(bytes(#"{"data":1,"d\u0061ta":2}"#))?.reason == .repeatedKey("data"))
    }

    @Test(arguments: [
        (#"{"data":1,"foo":2}"#, 10, RecordError.Reason.unknownKey("foo")),
        (#"{"Data":1}"#, 1, .unknownKey("Data")),
        (#"{ "":1}"#, 2, .unknownKey("")),
        (#"{"f\u006fo":1}"#, 1, .unknownKey("foo")),
        (#"{"a\\b":1}"#, 1, .unknownKey(#"a\b"#)),
        (#"{"\ud800":1}"#, 1, .unknownKey("\u{FFFD}")),
        (#"{"data":1,"data":1}"#, 10, .repeatedKey("data")),
        (#"{"event":"a","event":"a"}"#, 13, .repeatedKey("event")),
        (#"{"id":1, "id":1}"#, 9, .repeatedKey("id")),
        (#"{"retry":1,"retry":1}"#, 11, .repeatedKey("retry")),
        (#"{"comment":"","comment":""}"#, 14, .repeatedKey("comment")),
        (#"{"channel":"","channel":""}"#, 14, .repeatedKey("channel")),
        (#"[1]"#, 0, .notAnObject), (#"  "x""#, 2, .notAnObject), (#"5"#, 0, .notAnObject),
        (#"null"#, 0, .notAnObject),
    ])
    func keys(_ line: String, _ offset: Int, _ reason: RecordError.Reason) {
        #expect(recordProblem(bytes(line)) == RecordError(offset: offset, reason: reason))
    }

    @Test(arguments: [
        (#"{"event":1}"#, 9, "event"), (#"{"event":null}"#, 9, "event"),
        (#"{"id":null}"#, 6, "id"), (#"{"id":true}"#, 6, "id"), (#"{"id":[]}"#, 6, "id"),
        (#"{"id":{}}"#, 6, "id"), (#"{"retry":"1"}"#, 9, "retry"), (#"{"retry":-1}"#, 9, "retry"),
        (#"{"retry":1.0}"#, 9, "retry"), (#"{"retry":1e3}"#, 9, "retry"),
        (#"{"retry":9999999999999999999}"#, 9, "retry"), (#"{"comment":1}"#, 11, "comment"),
        (#"{"channel": 1}"#, 12, "channel"),
    ])
    func types(_ line: String, _ offset: Int, _ key: String) {
        let problem = recordProblem(bytes(line))
        #expect(problem?.offset == offset)
        guard case .wrongType(key, _)? = problem?.reason else {
            Issue.record("\(line): \(String(describing: problem))")
            return
        }
        #expect(problem?.description.contains(key) == true)
    }

    /// What another program put into a name must not become a field of its own.
    @Test(arguments: [
        (#"{"event":"a\nb"}"#, "event"), (#"{"event":"a\r"}"#, "event"),
        (#"{"event":"\u000adata: x"}"#, "event"), (#"{"event":"\u000D"}"#, "event"),
        (#"{"id":"\n"}"#, "id"), (#"{"id":"1\r\ndata: x"}"#, "id"), (#"{"id":"a\u0000"}"#, "id"),
        (#"{"id":"\u000A\u000a"}"#, "id"),
    ])
    func injection(_ line: String, _ key: String) {
        let offset = key.utf8.count + 5
        #expect(
            recordProblem(bytes(line)) == RecordError(offset: offset, reason: .injection(key: key)))
    }

    @Test func nulIsTextElsewhere() throws {
        #expect(
            try stream(#"{"event":"\u0000","data":"\u0000"}"#)
                == "event: \0\ndata: \0\n\n")
        #expect(
            decode(chunks: [bytes("event: \0\ndata: \0\n\n")])
                == [#"{"event":"\u0000","data":"\u0000"}"#])
    }

    @Test(arguments: [
        (#"{"data":"ab\ud800"}"#, 11, "data"), (#"{"data":"\udc00\ud800"}"#, 9, "data"),
        (#"{"comment":"\ud83dx"}"#, 12, "comment"), (#"{"event":"\uDFFF"}"#, 10, "event"),
        (#"{"id":"1\ud800\ud800"}"#, 8, "id"),
    ])
    func loneSurrogates(_ line: String, _ offset: Int, _ key: String) {
        #expect(
            recordProblem(bytes(line))
                == RecordError(offset: offset, reason: .loneSurrogate(key: key)))
    }

    /// Broken JSON is said before what else is wrong with the line.
    @Test func brokenJSONComesFirst() {
        #expect(
            recordProblem(bytes(#"{"foo":1,"data":}"#))
                == RecordError(offset: 16, reason: .json(.value)))
        #expect(
            recordProblem(bytes(#"[1"#)) == RecordError(offset: 2, reason: .json(.unexpectedEnd)))
        #expect(
            recordProblem(bytes(#"{"data":1} x"#))
                == RecordError(offset: 11, reason: .json(.trailing)))
        #expect(
            recordProblem(bytes(#"{"data":""#) + [0xFF] + bytes(#""}"#))
                == RecordError(offset: 9, reason: .json(.invalidUTF8)))
        #expect(recordProblem([]) == RecordError(offset: 0, reason: .json(.unexpectedEnd)))
    }

    @Test func messagesNameTheKey() {
        let hint = "(--data sends any JSON value as it is)"
        #expect(recordProblem(bytes("7"))?.description.hasSuffix(hint) == true)
        #expect(recordProblem(bytes(#"{"x":7}"#))?.description.hasSuffix(hint) == true)
        #expect(recordProblem(bytes(#"{"x":7}"#))?.description.contains("'x'") == true)
    }
}
