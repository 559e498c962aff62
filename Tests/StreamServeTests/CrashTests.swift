import StreamCodec
import Testing

@testable import stream_serve

/// Nothing that a publisher or a client says may end the server: each in a process of its own.
@Suite struct CrashTests {
    /// A line of --data is any JSON; half a surrogate pair is JSON, and no text.
    @Test func loneSurrogateOfLine() async {
        await #expect(processExitsWith: .success) {
            let events = Events()
            do throws(RecordError) {
                try events.add(#""a\ud800""#)
            } catch {
                return
            }
            _ = render(events.last, .sse)
        }
    }

    /// Strings of records, whatever they begin and end with.
    @Test(arguments: ["up", "n", #"\u0061"#, #"\""#, #"a\\"#, "", #"\ud800"#, #"a\udc00"#])
    func stringOfRecord(_ contents: String) async {
        await #expect(processExitsWith: .success) { [contents] in
            let events = Events { $0.form = .records }
            do throws(RecordError) {
                try events.add("{\"data\":\"\(contents)\"}")
            } catch {
                return
            }
            _ = render(events.last, .sse)
        }
    }

    /// The same from a client whose messages are echoed.
    @Test func loneSurrogateOfClient() async {
        await #expect(processExitsWith: .success) {
            guard let messages = PublishedMessages.reading(#""a\ud800""#) else { return }
            showAll(messages)
        }
    }

    @Test func loneSurrogateOfRecordOfClient() async {
        await #expect(processExitsWith: .success) {
            let body = #"{"data":"a\ud800"}"#
            guard let messages = PublishedMessages.reading(body, isRecords: true) else { return }
            showAll(messages)
        }
    }

    @Test func lineBreakInTypeOfClient() async {
        await #expect(processExitsWith: .success) {
            let body = #"{"event":"a\nb","data":1}"#
            guard let messages = PublishedMessages.reading(body, isRecords: true) else { return }
            showAll(messages)
        }
    }

    @Test func loneSurrogateInTypeOfClient() async {
        await #expect(processExitsWith: .success) {
            let body = #"{"event":"\udc00","data":1}"#
            guard let messages = PublishedMessages.reading(body, isRecords: true) else { return }
            showAll(messages)
        }
    }
}

/// Makes events of messages, as --echo does, and shows them in each form.
func showAll(_ messages: [Inbox.Message]) {
    let events = Events()
    for message in messages {
        events.add(message)
        for wire in FormTests.wires {
            _ = render(events.last, wire)
            _ = render(events.last, wire, isRecord: true)
        }
    }
}

extension PublishedMessages {
    /// What a client posts; nil when it is refused.
    static func reading(
        _ body: String, channel: String = "", event: String = "", isRecords: Bool = false,
        isLines: Bool = false
    ) -> [Inbox.Message]? {
        var queue = ByteQueue()
        queue.append(string: body)
        let upload = Upload(
            channel: Array(channel), event: event.jsonContents, isRecords: isRecords,
            isLines: isLines, isGzip: false, keepsAlive: true, fields: "", length: nil,
            chunks: ChunkedReader(maxBody: 1 << 20))
        do throws(RequestProblem) {
            return try read(&queue, upload, ServeOptions())
        } catch {
            return nil
        }
    }
}
