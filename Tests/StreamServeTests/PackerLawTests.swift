import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

/// What holds for every event, however it came.
@Suite struct PackerLawTests {
    private func string(_ random: inout Random, isField: Bool) -> String {
        var pieces = ["a", "message", "é", #"\u00e9"#, #"\ud83d\ude00"#, #"\""#, #"\\"#, ":", " "]
        if !isField { pieces += [#"\n"#, #"\r"#, #"\r\n"#, #"\u000a"#, #"\u0000"#, "data: "] }
        return (0..<random.below(5)).map { _ in random.pick(pieces) }.joined()
    }

    private func value(_ random: inout Random) -> String {
        switch random.below(6) {
        case 0: "{\"a\":[\(random.below(9)), null]}"
        case 1: random.pick(["1", "-0.5e3", "true", "null", "{}", "[ ]"])
        case 2: "{\"t\":\"\(string(&random, isField: true))\",\"k\":\"x\"}"
        case 3: "[1,\r2]"
        default: "\"\(string(&random, isField: false))\""
        }
    }

    private func line(_ random: inout Random) -> String {
        func space(_ random: inout Random) -> String { random.pick(["", "", " ", "\t", " \r "]) }
        var members: [String] = []
        if random.oneIn(2) { members.append("\"event\":\"\(string(&random, isField: true))\"") }
        if random.oneIn(2) {
            members.append(
                random.oneIn(3)
                    ? "\"id\":\(random.below(99))"
                    : "\"id\":\"\(string(&random, isField: true))\"")
        }
        if !random.oneIn(4) { members.append("\"data\":" + value(&random)) }
        if random.oneIn(4) { members.append("\"retry\":\(random.below(5000))") }
        if random.oneIn(4) { members.append("\"comment\":\"\(string(&random, isField: false))\"") }
        if random.oneIn(3) {
            members.append("\"channel\":\"" + random.pick(["a", "a.b", "é"]) + "\"")
        }
        members.shuffle(using: &random)
        return "{" + members.map { space(&random) + $0 + space(&random) }.joined(separator: ",")
            + "}"
    }

    /// The record is valid, has what the line had, and sse-encode -r makes of it what clients of
    /// /events get.
    private func check(_ event: StoredEvent, _ hint: String) throws {
        #expect(JSON.isValid(event.record), "\(hint)")
        let expected = encoded(event.record)
        #expect(expected?.text == renderText(event, .sse), "\(hint)")
        let fields = try EventRecord(event.record)
        let places = event.fields
        let isSame =
            fields.event == places.event && fields.id == places.id && fields.data == places.data
            && fields.retry == places.retry && fields.comment == places.comment
            && fields.channel == event.head.pointee.channel.range
        #expect(isSame, "\(hint)")
    }

    @Test func recordsAreWhatSSEEncodeWrites() throws {
        var random = Random("records")
        let events = Events { $0.form = .records }
        for _ in 0..<3000 {
            let line = line(&random)
            try events.add(line)
            try check(events.last, "\(line.debugDescription), seed \(Seed.value)")
            // Nothing is lost or changed on the way but where the members stand.
            guard let direct = Array(line).withUnsafeBufferPointer({ encoded($0) }) else {
                Issue.record("\(line)")
                continue
            }
            let hasID = direct.text.contains("id: ")
            let isSame = !hasID || direct.text == renderText(events.last, .sse)
            #expect(isSame, "\(line.debugDescription), seed \(Seed.value)")
        }
    }

    /// A line of --data is sent as it is, a string with its quotes.
    @Test func dataIsWhatSSEEncodeWrites() throws {
        var random = Random("data")
        let events = Events()
        for number in 1...2000 {
            let line = value(&random)
            try events.add(line)
            let hint = "\(line.debugDescription), seed \(Seed.value)"
            #expect(JSON.isValid(events.last.record), "\(hint)")
            var block = ByteQueue()
            block.append(string: "id: e-\(number)\n")
            Array(line).withUnsafeBufferPointer { block.appendData($0) }
            block.appendBlockEnd()
            let expected = text(block.bytes)
            #expect(renderText(events.last, .sse) == expected, "\(hint)")
            #expect(renderText(events.last, .lines) == line + "\n", "\(hint)")
        }
    }

    @Test func textIsWhatSSEEncodeWrites() throws {
        var random = Random("text")
        let events = Events { $0.form = .text }
        let pieces = ["a", "\"", "\\", "é", "\u{1}", "\0", "\r", "\t", ":", " ", "{}", "😀"]
        for _ in 0..<1000 {
            let line = (0..<random.below(8)).map { _ in random.pick(pieces) }.joined()
            try events.add(line)
            try check(events.last, "\(line.debugDescription), seed \(Seed.value)")
            let json = text(events.last.json)
            #expect(json == line.quoted, "\(line.debugDescription)")
        }
    }

    /// White space around a value is part of the line, and of nothing else.
    @Test(arguments: [" \"a\"", "\"a\" ", "\t\"a\"\t", " {} ", "\t1\t"]) func spacesAround(
        _ line: String
    ) throws {
        let events = try pack(line)
        #expect(JSON.isValid(events[0].record))
        #expect(renderText(events[0], .sse) == "id: e-1\ndata: \(line)\n\n")
        #expect(decodeLines(render(events[0], .lines)) == [Received(data: line)])
        let message = try decodeMessages(render(events[0], .webSocket), isCompressed: false)
        #expect(message == [Received(data: line)])
    }
}
