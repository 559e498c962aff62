import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

@Suite struct EventPackerTests {
    /// The line's record, by each option alone.
    static let records: [(name: String, line: String, record: String)] = [
        ("", #"{"a":1}"#, #"{"id":"e-1","data":{"a":1}}"#),
        ("", "null", #"{"id":"e-1","data":null}"#),
        ("", #""x""#, #"{"id":"e-1","data":"x"}"#),
        ("--text", #"a "b" \"#, #"{"id":"e-1","data":"a \"b\" \\"}"#),
        ("--text", "", #"{"id":"e-1","data":""}"#),
        ("--text", "\u{1}\u{7F}é", #"{"id":"e-1","data":"\u0001\#u{7F}é"}"#),
        ("--event", "1", #"{"event":"a \"b\"","id":"e-1","data":1}"#),
        ("--channel", "1", #"{"id":"e-1","data":1,"channel":"x.y"}"#),
        ("--event-from", #"{"t":"tick"}"#, #"{"event":"tick","id":"e-1","data":{"t":"tick"}}"#),
        ("--event-from", #"{"t":null}"#, #"{"id":"e-1","data":{"t":null}}"#),
        ("--event-from", "[]", #"{"id":"e-1","data":[]}"#),
        ("--event-from", #"{"t":""}"#, #"{"event":"","id":"e-1","data":{"t":""}}"#),
        ("--id-from", #"{"i":"a\u0062"}"#, #"{"id":"a\u0062","data":{"i":"a\u0062"}}"#),
        ("--id-from", #"{"i":-1.50e3}"#, #"{"id":"-1.50e3","data":{"i":-1.50e3}}"#),
        ("--id-from", #"{"i":0}"#, #"{"id":"0","data":{"i":0}}"#),
        ("--id-from", #"{"i":null}"#, #"{"id":"e-1","data":{"i":null}}"#),
        ("--id-from", "5", #"{"id":"e-1","data":5}"#),
        ("--channel-from", #"{"c":"a.b"}"#, #"{"id":"e-1","data":{"c":"a.b"},"channel":"a.b"}"#),
        (
            "--channel-from", #"{"c":"a\u002e\u00e9"}"#,
            #"{"id":"e-1","data":{"c":"a\u002e\u00e9"},"channel":"a.é"}"#
        ),
        ("--channel-from", #"{"c":null}"#, #"{"id":"e-1","data":{"c":null}}"#),
        ("--records", "{}", #"{"id":"e-1"}"#),
        ("--records", #"{"comment":"x\n"}"#, #"{"id":"e-1","comment":"x\n"}"#),
        ("--records", #"{ "id" : 12 , "data" : 1 }"#, #"{"id":"12","data":1}"#),
        ("--records", #"{"id":"","data":[ ]}"#, #"{"id":"","data":[ ]}"#),
        ("--records", #"{"channel":"\u0061"}"#, #"{"id":"e-1","channel":"a"}"#),
        (
            "--records",
            #"{"channel":"c","comment":"m","retry":7,"data":"d","id":"i","event":"e"}"#,
            #"{"event":"e","id":"i","data":"d","retry":7,"comment":"m","channel":"c"}"#
        ),
    ]

    static func apply(_ name: String, to settings: inout ServeOptions) throws {
        switch name {
        case "--text": settings.form = .text
        case "--records": settings.form = .records
        case "--event": settings.event = "a \"b\""
        case "--channel": settings.channel = "x.y"
        case "--event-from": settings.eventFrom = try JSONPath(".t")
        case "--id-from": settings.idFrom = try JSONPath(".i")
        case "--channel-from": settings.channelFrom = try JSONPath(".c")
        case "--key-from": settings.keyFrom = try JSONPath(".k")
        default: break
        }
    }

    @Test(arguments: records) func option(_ name: String, _ line: String, _ expected: String) throws
    {
        let events = try pack(line) { try Self.apply(name, to: &$0) }
        #expect(text(events[0].record) == expected)
        #expect(JSON.isValid(events[0].record))
        #expect(events[0].head.pointee.size % 8 == 0 && events[0].head.pointee.size == events.size)
    }

    /// The options together, where each event names its own and where it does not.
    @Test func precedence() throws {
        func all(_ settings: inout ServeOptions) throws {
            for name in ["--event", "--channel", "--event-from", "--id-from", "--channel-from"] {
                try Self.apply(name, to: &settings)
            }
        }
        #expect(
            try record(#"{"t":"T","i":9,"c":"C"}"#, all)
                == #"{"event":"T","id":"9","data":{"t":"T","i":9,"c":"C"},"channel":"C"}"#)
        #expect(
            try record("{}", all)
                == #"{"event":"a \"b\"","id":"e-1","data":{},"channel":"x.y"}"#)
        // A record's payload wins over its members, which win over the options.
        func records(_ settings: inout ServeOptions) throws {
            try all(&settings)
            settings.event = nil
            settings.form = .records
        }
        let line = #"{"event":"r","id":"r","channel":"r","data":{"t":"T","i":9,"c":"C"}}"#
        #expect(
            try record(line, records)
                == #"{"event":"T","id":"9","data":{"t":"T","i":9,"c":"C"},"channel":"C"}"#)
        #expect(
            try record(#"{"event":"r","id":"r","channel":"r","data":{}}"#, records)
                == #"{"event":"r","id":"r","data":{},"channel":"r"}"#)
        #expect(
            try record(#"{"data":"s"}"#, records) == #"{"id":"e-1","data":"s","channel":"x.y"}"#)
    }

    @Test func numbersEvents() throws {
        let events = Events { $0.form = .records }
        events.arrival = 77
        for line in [#"{"data":1}"#, #"{"data":2,"id":"own"}"#, #"{"data":3}"#] {
            try events.add(line)
        }
        #expect((0..<3).map { text(events[$0].id) } == ["e-1", "own", "e-3"])
        #expect((0..<3).map { events[$0].head.pointee.sequence } == [1, 2, 3])
        #expect((0..<3).map { events[$0].head.pointee.hasOwnID } == [false, true, false])
        #expect(events[2].head.pointee.arrival == 77)
        #expect(events.next == 4)
    }

    /// What is refused takes no number and leaves nothing behind.
    @Test func refusedLeavesNothing() throws {
        let events = try Events {
            $0.form = .records
            $0.keyFrom = try JSONPath(".k")
        }
        try events.add(#"{"data":1}"#)
        let size = events.size
        for line in ["", "[]", "{", #"{"x":1}"#, #"{"id":"a\n"}"#, #"{"channel":""}"#] {
            #expect(throws: RecordError.self) { try events.add(line) }
        }
        #expect(events.next == 2 && events.size == size)
        try events.add(#"{"data":1}"#)
        #expect(text(events.last.id) == "e-2")
    }

    /// Why a line is refused, and where.
    static let problems: [(name: String, line: String, offset: Int, reason: RecordError.Reason)] = [
        ("--text", "ab\u{FFFD}", 2, .json(.invalidUTF8)),
        ("--event-from", #"{"t":1}"#, 5, .wrongType(key: ".t", expected: "a string")),
        ("--event-from", #"{"t":"a\nb"}"#, 6, .injection(key: "event")),
        ("--event-from", #"{"t":"a\u000d"}"#, 6, .injection(key: "event")),
        ("--event-from", #"{"t":"a\ud800"}"#, 7, .loneSurrogate(key: "event")),
        ("--id-from", #"{"i":[]}"#, 5, .wrongType(key: ".i", expected: "a string or a number")),
        ("--id-from", #"{"i":true}"#, 5, .wrongType(key: ".i", expected: "a string or a number")),
        ("--id-from", #"{"i":"a\u0000"}"#, 6, .injection(key: "id")),
        ("--id-from", #"{"i":"\n"}"#, 6, .injection(key: "id")),
        ("--id-from", #"{"i":"\udc00"}"#, 6, .loneSurrogate(key: "id")),
        ("--channel-from", #"{"c":5}"#, 5, .wrongType(key: ".c", expected: "a string")),
        ("--records", #"{"event":"a\r"}"#, 10, .injection(key: "event")),
        ("--records", #"{"id":"\u0000"}"#, 7, .injection(key: "id")),
        ("--records", #"{"data":"ab\ud800"}"#, 11, .loneSurrogate(key: "data")),
        ("--records", #"{"comment":"\ud800"}"#, 12, .loneSurrogate(key: "comment")),
        ("--records", "[]", 0, .notAnObject),
    ]

    @Test(arguments: problems)
    func refused(_ name: String, _ line: String, _ offset: Int, _ reason: RecordError.Reason) throws
    {
        var bytes = Array(line)
        // No text of Swift is not UTF-8.
        if reason == .json(.invalidUTF8) { bytes = Array("ab") + [0xFF] }
        let events = try Events { try Self.apply(name, to: &$0) }
        #expect(throws: RecordError(offset: offset, reason: reason)) { try events.add(bytes) }
    }

    /// A NUL is only in an id a problem, and data may be any JSON.
    @Test func accepted() throws {
        _ = try pack(#"{"t":"a\u0000"}"#) { try Self.apply("--event-from", to: &$0) }
        _ = try pack(#"{"data":{"x":"\ud800"}}"#) { $0.form = .records }
        _ = try pack(#"{"x":"\ud800"}"#)
    }

    @Test(arguments: [
        "", ".", "a.", ".a", "a..b", "*", "a.*", "a*b", #"\u0000"#, #"a\nb"#, #"a\"b"#, #"a\\b"#,
        #"\ud800\n"#, #"a\u007f"#, String(repeating: "x", count: 256),
    ])
    func badChannels(_ channel: String) throws {
        let expected = RecordError.Reason.message("a channel is names with dots between them")
        let record = try problem("{\"channel\":\"\(channel)\"}") { $0.form = .records }
        #expect(record?.reason == expected)
        #expect(record?.offset == 12)
        let data = try problem("{\"c\":\"\(channel)\"}") {
            try Self.apply("--channel-from", to: &$0)
        }
        #expect(data?.reason == expected)
        #expect(data?.offset == 6)
    }

    @Test func goodChannels() throws {
        for (written, name) in [
            ("a", "a"), (#"\u0061.b"#, "a.b"), ("é.😀", "é.😀"), (#"\/"#, "/"), (" a", " a"),
            (String(repeating: "x", count: 255), String(repeating: "x", count: 255)),
        ] {
            let events = try pack("{\"channel\":\"\(written)\"}") { $0.form = .records }
            #expect(text(events[0].channel) == name)
        }
    }

    // MARK: Keys

    /// Lines with the same key, and others.
    @Test func keys() throws {
        let events = try Events { try Self.apply("--key-from", to: &$0) }
        let groups = [
            [#"{"k":"ab"}"#, #"{"x":1,"k":"ab"}"#, #"{"k":"a\u0062"}"#, #"{"k":"\u0061\u0062"}"#],
            [#"{"k":"é"}"#, #"{"k":"\u00e9"}"#], [#"{"k":"😀"}"#, #"{"k":"\ud83d\ude00"}"#],
            [#"{"k":"/"}"#, #"{"k":"\/"}"#], [#"{"k":1}"#], [#"{"k":"1"}"#], [#"{"k":"a"}"#],
            [#"{"k":""}"#], [#"{"k":"\ud800"}"#], [#"{"k":true}"#],
        ]
        var seen: Set<UInt64> = [0]
        for group in groups {
            var hashes: Set<UInt64> = []
            for line in group {
                try events.add(line)
                hashes.insert(events.last.head.pointee.key)
            }
            #expect(hashes.count == 1, "\(group)")
            #expect(seen.isDisjoint(with: hashes), "\(group)")
            seen.formUnion(hashes)
        }
        for line in ["{}", "1", "[]", #"{"K":1}"#] {
            try events.add(line)
            #expect(events.last.head.pointee.key == 0)
        }
    }

    /// Of records, too; one without data has none.
    @Test func keysOfRecords() throws {
        let events = try Events {
            $0.form = .records
            $0.keyFrom = try JSONPath(".k")
        }
        try events.add(#"{"data":{"k":"a"}}"#)
        try events.add(#"{"event":"x","data":{"y":2,"k":"\u0061"}}"#)
        try events.add(#"{"comment":"x"}"#)
        #expect(events[0].head.pointee.key == events[1].head.pointee.key)
        #expect(events[0].head.pointee.key != 0)
        #expect(events[2].head.pointee.key == 0)
    }
}
