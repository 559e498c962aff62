import StreamCodec
import Testing

/// An event record as somebody may write it, and as it must come back.
private struct RandomRecord {
    var event: Text?
    var id: Text?
    var data: Text?
    /// The spelling of the record.
    var line: [UInt8] = []

    init(_ random: inout SplitMix64) {
        var members: [[UInt8]] = []
        if random.chance(1, in: 2) {
            let isPlain = random.chance(1, in: 5)
            let event: Text =
                isPlain ? Array("message".unicodeScalars) : random.text(lineBreaks: false)
            self.event = event
            members.append(bytes("\"event\":") + random.quoted(event))
        }
        if random.chance(1, in: 2) {
            if random.chance(1, in: 4) {
                let number = String(random.number(-9...99999))
                id = Array(number.unicodeScalars)
                members.append(bytes("\"id\": " + number))
            } else {
                let id = random.text(lineBreaks: false, nul: false)
                self.id = id
                members.append(bytes("\"id\":") + random.quoted(id))
            }
        }
        if random.chance(1, in: 5) { members.append(bytes("\"retry\":\(random.number(0...9999))")) }
        if random.chance(1, in: 5) {
            members.append(bytes("\"comment\":") + random.quoted(random.text()))
        }
        if random.chance(1, in: 9) { members.append(bytes("\"channel\":\"c\"")) }
        if random.chance(5, in: 6) {
            let data = random.text()
            self.data = data
            members.append(bytes("\"data\":") + random.quoted(data))
        } else if random.chance(1, in: 2) {
            var json = random.json()
            while json.first == UInt8(ascii: "\"") { json = random.json() }
            data = Array(text(json).unicodeScalars)
            members.append(bytes("\"data\":") + json)
        }
        members.shuffle(using: &random)
        let separator = random.space() + bytes(",") + random.space()
        line = random.space() + bytes("{") + members.joined(separator: separator) + bytes("}")
    }
}

/// A JSON string as the tools write it, one character after the other.
func plainlyQuoted(_ text: Text) -> String {
    var json = "\""
    for scalar in text {
        switch scalar {
        case "\"": json += "\\\""
        case "\\": json += "\\\\"
        case "\u{8}": json += "\\b"
        case "\t": json += "\\t"
        case "\n": json += "\\n"
        case "\u{C}": json += "\\f"
        case "\r": json += "\\r"
        case "\0"..."\u{F}": json += "\\u000" + String(scalar.value, radix: 16)
        case "\u{10}"..."\u{1F}": json += "\\u00" + String(scalar.value, radix: 16)
        default: json.unicodeScalars.append(scalar)
        }
    }
    return json + "\""
}

/// CR and CR LF become LF.
private func withLineFeeds(_ text: Text) -> Text {
    var result: Text = []
    for (index, scalar) in text.enumerated() {
        if scalar == "\n" && index > 0 && text[index - 1] == "\r" { continue }
        result.append(scalar == "\r" ? "\n" : scalar)
    }
    return result
}

/// The laws of CONTRACT.md, section 1, for what the tools do between reading and writing.
@Suite struct LawTests {
    /// `sse-encode -r | sse-decode -r` gives back every dispatched record.
    @Test func decodeAfterEncodeGivesTheRecordsBack() throws {
        var random = SplitMix64("decodeAfterEncode")
        for round in 0..<400 {
            let records = (0..<random.number(1...8)).map { _ in RandomRecord(&random) }
            let stream = try encode(records: records.map { text($0.line) })
            let expected = dispatched(records)
            check(decode(chunks: [stream]), expected, "round \(round)")
            let cuts = random.cuts(stream, count: 12)
            check(decode(chunks: cut(stream, at: cuts)), expected, "round \(round), \(cuts)")
            if stream.count < 3000 {
                check(decode(chunks: byteByByte(stream)), expected, "round \(round), by bytes")
            }
        }
    }

    private func dispatched(_ records: [RandomRecord]) -> [String] {
        var lines: [String] = []
        var waitingID: Text?
        for record in records {
            let id = record.id ?? waitingID
            waitingID = record.data == nil ? id : nil
            guard let data = record.data else { continue }
            let event = record.event ?? []
            let name = event.isEmpty ? Array("message".unicodeScalars) : event
            lines.append(
                "{\"event\":" + plainlyQuoted(name)
                    + (id.map { ",\"id\":" + plainlyQuoted($0) } ?? "")
                    + ",\"data\":" + plainlyQuoted(withLineFeeds(data)) + "}")
        }
        return lines
    }

    /// `sse-decode -r | sse-encode -r | sse-decode -r` equals one `sse-decode -r`.
    @Test(arguments: [false, true]) func decodingTwiceChangesNothing(_ all: Bool) throws {
        var random = SplitMix64("decodingTwice \(all)")
        for round in 0..<600 {
            let stream = randomStream(&random)
            let once = decode(chunks: [stream], all: all)
            let again = try encode(records: once)
            let what = "round \(round), \(escaped(stream))"
            check(decode(chunks: [again], all: all), once, what)
            check(
                decode(chunks: cut(stream, at: random.cuts(stream, count: 9)), all: all), once, what
            )
            check(decode(chunks: byteByByte(stream), all: all), once, what)
        }
    }

    /// Lines that look like an event stream, more or less.
    private func randomStream(_ random: inout SplitMix64) -> [UInt8] {
        var stream: [UInt8] = random.chance(1, in: 8) ? UTF8Text.byteOrderMark : []
        for _ in 0..<random.number(0...25) {
            if random.chance(2, in: 3) {
                stream += bytes(
                    random.pick([
                        "data", "data:", "data: ", "data:  ", "event:", "event: ", "id: ", "id:",
                        "id", "retry: ", ": ", ":", " data:", "Data: ", "data :", "datas: ",
                        "retry: 25", "event",
                    ]))
                let length = random.pick([0, 0, 1, 3, 8, 20, 70])
                stream += random.nearlyUTF8(length: length)
            }
            stream += bytes(random.pick(["\n", "\r", "\r\n"]))
        }
        return stream
    }

    /// `sse-encode -d | sse-decode -d` is the identity on valid JSON lines.
    @Test func dataModeIsTheIdentity() throws {
        var random = SplitMix64("dataMode")
        for round in 0..<400 {
            let lines = (0..<random.number(1...8)).map { _ in
                text(random.space() + random.json() + random.space())
            }
            var output = ByteQueue()
            for line in lines {
                let line = bytes(line)
                try line.withUnsafeBufferPointer { line in
                    try JSON.validate(line)
                    try output.append(EventRecord(data: .json(0..<line.count)), of: line)
                }
            }
            let stream = Array(output.bytes)
            let chunks = cut(stream, at: random.cuts(stream, count: 9))
            check(decode(chunks: [stream], as: .data), lines, "round \(round)")
            check(decode(chunks: chunks, as: .data), lines, "round \(round)")
        }
    }

    /// What sse-decode -d writes is always JSON on one line, whatever the stream.
    @Test func dataModeWritesJSON() {
        var random = SplitMix64("dataModeWritesJSON")
        for _ in 0..<300 {
            let stream = randomStream(&random)
            for line in decode(chunks: [stream], as: .data) + decode(chunks: [stream], all: true) {
                check(jsonError(bytes(line)), nil, line)
            }
        }
        let pretty = "data: {\ndata:  \"a\": 1\ndata: }\n\n"
        #expect(decode(chunks: [bytes(pretty)], as: .data) == [#"{  "a": 1 }"#])
        #expect(decode(chunks: [bytes("data: [DONE]\n\n")], as: .data) == [#""[DONE]""#])
    }

    /// JSON data that is embedded stays JSON on one line.
    @Test func embeddedJSON() {
        var output = ByteQueue()
        var fields = EventFields()
        fields.type = bytes("e")
        fields.id = []
        fields.retry = 5
        fields.comment = bytes("c\n")
        bytes("{\n\"a\":[1,\n2]}").withUnsafeBufferPointer {
            output.appendRecord(fields, data: $0, as: .json)
        }
        #expect(
            text(output.bytes)
                == #"{"event":"e","id":"","data":{ "a":[1, 2]},"retry":5,"comment":"c\n"}"# + "\n")
    }
}
