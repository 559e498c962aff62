import StreamCodec
import Testing

@testable import stream_serve

@Suite struct FormTests {
    static let wires: [Form.Wire] = [.sse, .webSocket, .chunks, .lines]

    /// What one event is for a client.
    private func received(
        _ record: String, _ wire: Form.Wire, isRecord: Bool = false
    ) throws -> [Received] {
        let event = try pack(record) { $0.form = .records }
        return try decode(
            render(event[0], wire, isRecord: isRecord) + end(wire),
            Form(
                wire: wire, isRecord: isRecord))
    }

    private func end(_ wire: Form.Wire) -> [UInt8] { wire == .chunks ? Array("0\r\n\r\n") : [] }

    /// A payload, its text, and the same with the line ends of EventSource.
    static let payloads: [(json: String, text: String, lines: String)] = [
        ("1", "1", "1"), ("null", "null", "null"), (#""""#, "", ""), (#""a""#, "a", "a"),
        (#""a\nb""#, "a\nb", "a\nb"), (#""a\r\nb\rc""#, "a\r\nb\rc", "a\nb\nc"),
        (#""\n""#, "\n", "\n"), (#""\u000d\u000a""#, "\r\n", "\n"),
        (#""\"\\\/\t\u0001""#, "\"\\/\t\u{1}", "\"\\/\t\u{1}"),
        (#"" lead""#, " lead", " lead"), (#""é\u00e9\ud83d\ude00""#, "éé😀", "éé😀"),
        (#"{"a":"\ud800"}"#, #"{"a":"\ud800"}"#, #"{"a":"\ud800"}"#),
        (#"["a\nb",{}]"#, #"["a\nb",{}]"#, #"["a\nb",{}]"#), (#"": x""#, ": x", ": x"),
        (#""\u0000""#, "\0", "\0"), (#""data: x""#, "data: x", "data: x"),
    ]

    @Test(arguments: payloads)
    func payload(_ json: String, _ text: String, _ lines: String) throws {
        let record = "{\"data\":\(json)}"
        let packed = "{\"id\":\"e-1\",\"data\":\(json)}"
        #expect(try received(record, .sse) == [Received(id: "e-1", data: lines)])
        #expect(
            try received(record, .sse, isRecord: true) == [Received(id: "e-1", data: packed)])
        #expect(try received(record, .webSocket) == [Received(data: text)])
        for wire in [Form.Wire.chunks, .lines] {
            #expect(try received(record, wire) == [Received(data: json)])
        }
        for wire in [Form.Wire.webSocket, .chunks, .lines] {
            #expect(try received(record, wire, isRecord: true) == [Received(data: packed)])
        }
    }

    @Test func allFields() throws {
        let line =
            #"{"event":"a\"b","id":"7\u00e9","data":"x\ny","retry":250,"comment":"c\nd","#
            + #""channel":"a.b"}"#
        let event = try pack(line) { $0.form = .records }
        let block = renderText(event[0], .sse)
        #expect(block == ": c\n: d\nevent: a\"b\nid: 7é\nretry: 250\ndata: x\ndata: y\n\n")
        let record = text(event[0].record)
        #expect(record == line)
        let whole = renderText(event[0], .sse, isRecord: true)
        // EventSource hides types that a page does not ask for, so there is none.
        #expect(whole == ": c\n: d\nid: 7é\nretry: 250\ndata: \(record)\n\n")
        #expect(renderText(event[0], .lines, isRecord: true) == record + "\n")
        #expect(renderText(event[0], .lines) == "\"x\\ny\"\n")
    }

    /// The commonest events, which are written without a second look.
    @Test func plainEvents() throws {
        let event = try pack(#"{"n":1}"#)
        let isPlain = event[0].isPlain
        #expect(isPlain)
        #expect(renderText(event[0], .sse) == "id: e-1\ndata: {\"n\":1}\n\n")
        #expect(
            renderText(event[0], .chunks) == "8\r\n{\"n\":1}\n\r\n")
        #expect(
            renderText(event[0], .chunks, isRecord: true)
                == "1c\r\n{\"id\":\"e-1\",\"data\":{\"n\":1}}\n\r\n")
        #expect(render(event[0], .webSocket) == [0x81, 7] + Array(#"{"n":1}"#))
    }

    /// A carriage return between two values ends a line of SSE; a client puts the lines together
    /// again, and it is the same JSON.
    @Test func carriageReturn() throws {
        let event = try pack("[1,\r2,\r\t3]")
        let data = decodeEvents(render(event[0], .sse)).map(\.data)
        #expect(data == ["[1,\n2,\n\t3]"])
        let record = decodeEvents(render(event[0], .sse, isRecord: true)).map(\.data)
        #expect(record == ["{\"id\":\"e-1\",\"data\":[1,\n2,\n\t3]}"])
    }

    /// An event without data is nothing to who gets only data, and an empty message.
    @Test func noData() throws {
        let event = try pack(#"{"retry":5,"id":"x"}"#) { $0.form = .records }
        #expect(renderText(event[0], .sse) == "id: x\nretry: 5\n\n")
        #expect(render(event[0], .chunks).isEmpty)
        #expect(render(event[0], .lines).isEmpty)
        #expect(render(event[0], .webSocket) == [0x81, 0])
        let record = #"{"id":"x","retry":5}"#
        #expect(renderText(event[0], .lines, isRecord: true) == record + "\n")
    }

    /// Frames have three ways to tell their length.
    @Test(arguments: [0, 123, 124, 125, 126, 65_533, 65_534, 70_000]) func lengths(
        _ count: Int
    ) throws {
        let filler = String(repeating: "x", count: count)
        for wire in Self.wires {
            let data = wire == .chunks || wire == .lines ? filler.quoted : filler
            let seen = try received("{\"data\":\(filler.quoted)}", wire).map(\.data)
            #expect(seen == [data], "\(wire)")
        }
    }

    @Test func notices() throws {
        let gap = Notice(name: "gap", data: #"{"missed":3}"#, id: Array(#"a\"\u00e9"#))
        let end = Notice(name: "end", data: "{}", id: nil)
        for wire in Self.wires {
            for isRecord in [false, true] {
                var queue = ByteQueue()
                let form = Form(wire: wire, isRecord: isRecord)
                form.append(gap, to: &queue)
                form.append(end, to: &queue)
                let seen = try decode(Array(queue.bytes) + self.end(wire), form)
                let record = #"{"event":"gap","id":"a\"\u00e9","data":{"missed":3}}"#
                let expected =
                    wire == .sse
                    ? [
                        Received(type: "gap", id: "a\"é", data: #"{"missed":3}"#),
                        Received(type: "end", id: "none", data: "{}"),
                    ]
                    : [Received(data: record), Received(data: #"{"event":"end","data":{}}"#)]
                #expect(seen == expected, "\(form)")
            }
        }
    }

    @Test func transports() {
        #expect(Form(wire: .sse, isRecord: false).transport == .sse)
        #expect(Form(wire: .webSocket, isRecord: false).transport == .ws)
        #expect(Form(wire: .chunks, isRecord: false).transport == .stream)
        #expect(Form(wire: .lines, isRecord: false).transport == .stream)
        #expect(Transport.allCases.map(\.name) == ["http", "sse", "ws", "stream", "poll"])
    }

    /// Several events in one buffer, in every form, are those events.
    @Test(arguments: FeedTests.forms.filter { !$0.isCompressed })
    func manyInARow(_ form: Form) throws {
        var random = Random("many \(form)")
        let events = Events { $0.form = .records }
        var queue = ByteQueue()
        var expected: [Received] = []
        for number in 1...200 {
            let payload = random.pick(Self.payloads)
            try events.add("{\"data\":\(payload.json)}")
            form.append(events.last, to: &queue)
            let record = "{\"id\":\"e-\(number)\",\"data\":\(payload.json)}"
            switch (form.wire, form.isRecord) {
            case (.sse, let isRecord):
                expected.append(
                    Received(id: "e-\(number)", data: isRecord ? record : payload.lines))
            case (_, true): expected.append(Received(data: record))
            case (.webSocket, false): expected.append(Received(data: payload.text))
            case (_, false): expected.append(Received(data: payload.json))
            }
        }
        #expect(try decode(Array(queue.bytes) + end(form.wire), form) == expected)
    }
}
