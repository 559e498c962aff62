import StreamCodec
import Testing

/// Chunks go in, and what comes of them out as text.
private struct Joined {
    private var joiner: ChunkJoiner
    private var line = 0

    init(limit: Int = 4, maxSize: Int = 1000, maxWait: UInt64 = .max) {
        joiner = ChunkJoiner(limit: limit, maxSize: maxSize, maxWait: maxWait)
    }

    var deadline: UInt64? { joiner.deadline }

    mutating func restart() -> Int { joiner.restart() }

    /// `…` for a chunk that waits, the data of a whole message, `plain` or `invalid`.
    mutating func take(
        _ data: String, type: String = "", eventID: String? = nil, now: UInt64 = 0
    ) -> String {
        line += 1
        var fields = EventFields()
        fields.type = bytes(type)
        fields.id = eventID.map { bytes($0) }
        let result = bytes(data).withUnsafeBufferPointer {
            joiner.take(fields, $0, line: line, now: now)
        }
        switch result {
        case .plain: return "plain"
        case .incomplete: return "…"
        case .invalid(let reason): return reason.isEmpty ? "no reason" : "invalid"
        case .complete(let event):
            return [
                text(event.data), text(event.fields.type), event.fields.id.map { text($0) } ?? "-",
                "line \(event.line)",
            ].filter { !$0.isEmpty }.joined(separator: " ")
        }
    }

    mutating func take(
        _ id: String, _ seq: Int, of total: Int, _ data: String, now: UInt64 = 0
    ) -> String {
        take(
            #"{"type":"chunk","id":\#(id),"seq":\#(seq),"total":\#(total),"data":"\#(data)"}"#,
            now: now)
    }

    /// What came of the messages that were given up.
    mutating func remains() -> [String] {
        joiner.takeAbandoned(atEnd: true).map { text($0.data) }
    }

    /// The first lines of the messages that were given up.
    mutating func abandoned(atEnd: Bool = false, now: UInt64 = 0) -> [Int] {
        joiner.takeAbandoned(atEnd: atEnd, now: now).map(\.line)
    }
}

@Suite struct ChunkJoinerTests {
    @Test func inOrder() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 3, "a") == "…")
        #expect(joined.take("1", 1, of: 3, "b") == "…")
        #expect(joined.take("1", 2, of: 3, "c") == "abc - line 1")
        #expect(joined.abandoned(atEnd: true) == [])
    }

    @Test func oneChunkAndEmptyPieces() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 1, "a") == "a - line 1")
        #expect(joined.take("1", 0, of: 2, "") == "…")
        #expect(joined.take("1", 1, of: 2, "") == "- line 2")
    }

    @Test func anyOrderAndMixedMessages() {
        var joined = Joined()
        #expect(joined.take("1", 2, of: 3, "c") == "…")
        #expect(joined.take("2", 1, of: 2, "y") == "…")
        #expect(joined.take("1", 0, of: 3, "a") == "…")
        #expect(joined.take("2", 0, of: 2, "x") == "xy - line 2")
        #expect(joined.take("1", 1, of: 3, "b") == "abc - line 1")
    }

    /// A form that names no message: pieces are numbered by `id`, from 1 to `total`.
    @Test func numberedPieces() {
        var joined = Joined(maxSize: 10)
        func numbered(_ id: Int, of total: Int, _ data: String) -> String {
            joined.take(#"{"type":"chunk","id":\#(id),"total":\#(total),"data":"\#(data)"}"#)
        }
        #expect([numbered(1, of: 3, "a"), numbered(2, of: 3, "b")] == ["…", "…"])
        // One with a name comes between them.
        #expect(joined.take("1", 0, of: 2, "x") == "…")
        #expect(numbered(3, of: 3, "c") == "abc - line 1")
        #expect(joined.take("1", 1, of: 2, "y") == "xy - line 3")
        #expect(numbered(1, of: 1, "d") == "d - line 6")
        // Out of order, or of another message: what came before them is given up.
        #expect([numbered(2, of: 3, "b"), numbered(1, of: 3, "a")] == ["invalid", "…"])
        #expect([numbered(3, of: 3, "c"), numbered(2, of: 3, "b")] == ["invalid", "invalid"])
        #expect([numbered(1, of: 2, "a"), numbered(2, of: 3, "b")] == ["…", "invalid"])
        #expect(joined.abandoned() == [8, 11])
        // A sender that began anew.
        #expect([numbered(1, of: 2, "a"), numbered(1, of: 2, "b")] == ["…", "…"])
        #expect(numbered(2, of: 2, "c") == "bc - line 14")
        #expect(joined.abandoned(atEnd: true) == [13])
        #expect([numbered(0, of: 2, "a"), numbered(3, of: 2, "a")] == ["invalid", "invalid"])
        // Too large: the rest is left out with it.
        #expect(numbered(1, of: 3, "123456") == "…")
        #expect([numbered(2, of: 3, "123456"), numbered(3, of: 3, "")] == ["invalid", "…"])
        #expect([numbered(1, of: 2, "a"), numbered(2, of: 2, "b")] == ["…", "ab - line 21"])
    }

    /// Key 1 and key "1" differ.
    @Test func idsAreValues() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 2, "a") == "…")
        #expect(joined.take(#""1""#, 1, of: 2, "b") == "…")
        #expect(joined.abandoned(atEnd: true) == [1, 2])
    }

    /// The id of the event comes with its last chunk.
    @Test func fields() {
        var joined = Joined()
        let first = #"{"type":"chunk","id":"m","seq":0,"total":2,"data":"a"}"#
        let second = #"{"data":"b","total":2,"seq":1,"id":"m","type":"chunk"}"#
        #expect(joined.take(first, type: "price") == "…")
        #expect(joined.take(second, type: "other", eventID: "42") == "ab price 42 line 1")
    }

    @Test func escapesInData() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 2, #"{\"a\":\"\u00e4\n"#) == "…")
        #expect(joined.take("1", 1, of: 2, #"\ud83d\ude00\"}"#) == "{\"a\":\"ä\n😀\"} - line 1")
    }

    @Test func duplicates() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 3, "a") == "…")
        #expect(joined.take("1", 1, of: 3, "b") == "…")
        #expect(joined.take("1", 1, of: 3, "b") == "…")
        #expect(joined.take("1", 2, of: 3, "c") == "abc - line 1")
        #expect(joined.abandoned(atEnd: true) == [])
    }

    /// A sender that began anew, of whose message before the first chunk did not come: its chunks
    /// were put together with those of the other.
    @Test func anotherMessageOfTheSameNumber() {
        var joined = Joined()
        #expect(joined.take("1", 1, of: 3, "b") == "…")
        #expect(joined.take("1", 0, of: 3, "x") == "…")
        #expect(joined.take("1", 1, of: 3, "y") == "…")
        #expect(joined.abandoned() == [1])
        #expect(joined.take("1", 2, of: 3, "z") == "xyz - line 3")
        #expect(joined.abandoned(atEnd: true) == [])
    }

    @Test func anotherConnection() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 2, "a") == "…")
        #expect(joined.restart() == 1)
        #expect(joined.take("1", 1, of: 2, "b") == "…")
        #expect(joined.abandoned(atEnd: true) == [2])
    }

    /// Each chunk lets its message wait anew.
    @Test func nobodyWaitsForEver() {
        var joined = Joined(maxWait: 10)
        #expect(joined.take("1", 0, of: 3, "a", now: 100) == "…")
        #expect(joined.take("2", 0, of: 2, "b", now: 105) == "…")
        #expect(joined.take("1", 1, of: 3, "c", now: 109) == "…")
        #expect(joined.deadline == 115)
        #expect(joined.abandoned(now: 114) == [])
        #expect(joined.abandoned(now: 115) == [2])
        #expect(joined.deadline == 119)
        #expect(joined.take("1", 2, of: 3, "d", now: 118) == "acd - line 1")
        #expect(joined.deadline == nil)
    }

    /// The sender began anew: its first chunk again, or another total.
    @Test func restart() {
        var joined = Joined()
        #expect(joined.take("1", 0, of: 3, "a") == "…")
        #expect(joined.take("1", 1, of: 3, "b") == "…")
        #expect(joined.take("1", 0, of: 3, "x") == "…")
        #expect(joined.abandoned() == [1])
        #expect(joined.abandoned() == [])
        #expect(joined.take("1", 2, of: 3, "z") == "…")
        #expect(joined.take("1", 1, of: 3, "y") == "xyz - line 3")
        #expect(joined.take("2", 1, of: 3, "b") == "…")
        #expect(joined.take("2", 1, of: 2, "d") == "…")
        #expect(joined.take("2", 0, of: 2, "c") == "cd - line 7")
        #expect(joined.abandoned(atEnd: true) == [6])
    }

    @Test func whatIsGivenUpIsKept() {
        var joined = Joined()
        let chunks = [2, 0].map { seq in
            #"{"type":"chunk","id":1,"seq":\#(seq),"total":3,"data":"\u0041\n"}"#
        }
        for chunk in chunks { #expect(joined.take(chunk) == "…") }
        #expect(joined.remains() == [chunks[1] + "\n" + chunks[0]])
        #expect(joined.remains() == [])
    }

    @Test func theOldestIsGivenUp() {
        var joined = Joined(limit: 2)
        #expect(joined.take("1", 0, of: 2, "a") == "…")
        #expect(joined.take("2", 0, of: 2, "b") == "…")
        #expect(joined.abandoned() == [])
        #expect(joined.take("3", 0, of: 2, "c") == "…")
        #expect(joined.abandoned() == [1])
        #expect(joined.take("2", 1, of: 2, "B") == "bB - line 2")
        #expect(joined.abandoned(atEnd: true) == [3])
        #expect(joined.abandoned(atEnd: true) == [])
    }

    @Test func theSizeIsBounded() {
        var joined = Joined(maxSize: 10)
        #expect(joined.take("1", 0, of: 3, "123456") == "…")
        #expect(joined.take("1", 1, of: 3, "7890") == "…")
        #expect(joined.take("1", 2, of: 3, "1") == "invalid")
        #expect(joined.take("2", 0, of: 11, "a") == "invalid")
        // The rest of a message that was refused is not reported again.
        #expect(joined.take("3", 0, of: 4, "12345678901") == "invalid")
        #expect(joined.take("3", 1, of: 4, "b") == "…")
        #expect(joined.take("3", 3, of: 4, "c") == "…")
        #expect(joined.abandoned(atEnd: true) == [])
    }

    @Test(arguments: [
        "[DONE]", "", "5", "null", "[]", "{}", #"{"type":"thought"}"#, #"{"type":1}"#,
        #"{"type":null}"#,
        #"{"type":"chunk""#, #"{"type":"chunk"} x"#, #"{"kind":"chunk","id":1,"seq":0}"#,
        #""chunk""#,
    ])
    func others(_ data: String) {
        var joined = Joined()
        #expect(joined.take(data) == "plain")
    }

    @Test(arguments: [
        #"{"type":"chunk"}"#, #"{"type":"chunk","id":1,"seq":0,"total":1}"#,
        #"{"type":"chunk","seq":0,"total":1,"data":""}"#,
        #"{"type":"chunk","id":"1","total":1,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"total":1,"data":5}"#,
        #"{"type":"chunk","id":1,"seq":1,"total":1,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":-1,"total":1,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"total":0,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0.0,"total":1,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":"0","total":1,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"total":9223372036854775807,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"total":99999999999999999999,"data":""}"#,
        #"{"type":"chunk","id":1,"seq":0,"total":1,"data":"\ud800"}"#,
    ])
    func invalid(_ data: String) {
        var joined = Joined()
        #expect(joined.take(data) == "invalid")
        #expect(joined.abandoned(atEnd: true) == [])
    }

    /// Any text in any pieces in any order comes back, several messages at once.
    @Test func randomMessages() {
        var random = SplitMix64("randomMessages")
        for _ in 0..<200 {
            var joined = Joined(limit: 3, maxSize: 100_000)
            var chunks: [(id: Int, seq: Int, total: Int, data: [UInt8])] = []
            var whole: [Int: String] = [:]
            for id in 0..<3 {
                let total = random.number(1...6)
                let pieces = (0..<total).map { _ in random.text(lineBreaks: true) }
                whole[id] = text(bytes(Array(pieces.joined())))
                for (seq, piece) in pieces.enumerated() {
                    chunks.append((id, seq, total, random.quoted(piece)))
                }
            }
            chunks.shuffle(using: &random)
            var left = whole
            for chunk in chunks {
                let data =
                    #"{"type":"chunk","id":"\#(chunk.id)","seq":\#(chunk.seq),"#
                    + #""total":\#(chunk.total),"data":\#(text(chunk.data))}"#
                let result = joined.take(data, type: "t")
                if result == "…" { continue }
                let expected = left.removeValue(forKey: chunk.id) ?? "none"
                check(result.hasPrefix(expected.isEmpty ? "t -" : expected + " t -"), true, data)
            }
            check(left, [:])
            check(joined.abandoned(atEnd: true), [])
        }
    }
}
