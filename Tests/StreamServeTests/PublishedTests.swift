import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

/// What clients publish, made events.
@Suite struct PublishedTests {
    /// The records of what a client posts, with --echo; nil when it is refused.
    private func records(
        _ body: String, channel: String = "", event: String = "", isRecords: Bool = false,
        isLines: Bool = false
    ) -> [String]? {
        let read = PublishedMessages.reading(
            body, channel: channel, event: event, isRecords: isRecords, isLines: isLines)
        guard let messages = read else { return nil }
        let events = Events()
        return messages.enumerated().map { index, message in
            #expect(events.add(message) == "e-\(index + 1)")
            return text(events.last.record)
        }
    }

    @Test func values() {
        #expect(records("1") == [#"{"id":"e-1","data":1}"#])
        #expect(
            records("[1,\n \"a\"]")
                == [#"{"id":"e-1","data":1}"#, #"{"id":"e-2","data":"a"}"#])
        #expect(records("[[1]]") == [#"{"id":"e-1","data":[1]}"#])
        #expect(records("") == [])
        #expect(records("[]") == [])
        for body in ["1 2", "[1", "[1,]", "x", "1\n2"] { #expect(records(body) == nil, "\(body)") }
    }

    @Test func lines() {
        #expect(
            records("{\r}\n\n{\"a\":1}\r\n[2]", channel: "c", event: "a\"b", isLines: true)
                == [
                    "{\"event\":\"a\\\"b\",\"id\":\"e-1\",\"data\":{\r},\"channel\":\"c\"}",
                    #"{"event":"a\"b","id":"e-2","data":{"a":1},"channel":"c"}"#,
                    #"{"event":"a\"b","id":"e-3","data":[2],"channel":"c"}"#,
                ])
        #expect(records("1\n{\n}", isLines: true) == nil)
        #expect(records("1\n2 3", isLines: true) == nil)
    }

    /// A value over several lines is an event on one.
    @Test func onOneLine() throws {
        for body in ["{\n\"a\":\r\n1}", "[{\n\"a\":\n\n1}]"] {
            let record = try #require(records(body))[0]
            #expect(!record.utf8.contains(0x0A), "\(record)")
            #expect(JSON.isValid(Array(record)), "\(record)")
        }
    }

    @Test func ofRecords() {
        #expect(
            records(
                #"[{"channel":"d","event":"e","data":"x"},{"data":2}]"#, channel: "c",
                isRecords: true)
                == [
                    #"{"event":"e","id":"e-1","data":"x","channel":"d"}"#,
                    #"{"id":"e-2","data":2,"channel":"c"}"#,
                ])
        for body in ["{}", "1", #"{"data":1,"channel":"*"}"#, #"{"data":1,"x":1}"#] {
            #expect(records(body, isRecords: true) == nil, "\(body)")
        }
    }

    /// The channel that a client names, and options: it goes into JSON as it is.
    @Test(arguments: ["a\"b", "a\\b", "x\",\"data\":\"evil"]) func channelNeedsNoEscape(
        _ name: String
    ) throws {
        // Whoever checks it, what comes out has that channel and is nothing else.
        guard name.isChannelName else { return }
        #expect(channel(of: try #require(records("1", channel: name))[0]) == name)
        #expect(channel(of: try record("1") { $0.channel = name }) == name)
    }

    /// Nil when there is none, or no record.
    private func channel(of record: String) -> String? {
        Array(record).withUnsafeBufferPointer { record in
            do throws(RecordError) {
                guard let channel = try EventRecord(record).channel else { return nil }
                var queue = ByteQueue()
                queue.append(replacing: record.slice(channel))
                return text(queue.bytes)
            } catch {
                return nil
            }
        }
    }

    /// A client writes the name with escapes; it is the same channel.
    @Test func channelWithEscapes() throws {
        let seen = records(#"{"channel":"\u0061.\u0062","data":1}"#, isRecords: true)
        if let seen { #expect(seen == [#"{"id":"e-1","data":1,"channel":"a.b"}"#]) }
        let bad = records(#"{"channel":"a\u002e","data":1}"#, isRecords: true)
        #expect(bad == nil)
        let quote = records(#"{"channel":"a\"b","data":1}"#, isRecords: true)
        #expect(quote == nil)
    }
}
