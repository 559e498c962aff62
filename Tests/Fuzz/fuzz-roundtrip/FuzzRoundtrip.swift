import FuzzSupport
import StreamCodec

/// The laws of encoding and decoding, for records made up, for lines and for streams as they are.
@main
enum FuzzRoundtrip {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            choices.limitVectors()
            switch choices.number(upTo: 2) {
            case 0: FuzzRoundtrip.testRecord(RandomRecord(&choices))
            case 1: FuzzRoundtrip.testLine(choices.rest)
            default: FuzzRoundtrip.testStream(choices.rest)
            }
            return 0
        }
    }

    /// `sse-encode -r | sse-decode -r` gives back every dispatched record.
    private static func testRecord(_ record: RandomRecord) {
        for spelling in [RandomRecord.Spelling.short, .escaped] {
            let line = record.line(spelling)
            guard let stream = encode([line]) else {
                expectEqual(record.mustBeRefused, true, "the record was refused", of: line)
                continue
            }
            expectEqual(record.mustBeRefused, false, "the record was taken", of: line)
            expectEqual(
                decodeEvents(stream, dispatchesAtEnd: false).map(\.withPlainType),
                record.expected.map { [$0] } ?? [],
                "the record and what came back", of: line)
        }
    }

    /// A line that is a record stays one record, whatever it holds; a line that is JSON is the
    /// data that comes back.
    private static func testLine(_ line: [UInt8]) {
        guard !line.contains(0x0A), !line.contains(0x0D) else { return }
        if let stream = encode([line]) {
            let events = decodeEvents(stream, dispatchesAtEnd: false)
            expectEqual(events.count <= 1, true, "one record, \(events.count) events", of: line)
            testStream(stream)
        }
        withExactCopy(line) { bytes in
            guard JSON.isValid(bytes) else { return }
            var queue = ByteQueue(capacity: 1)
            queue.appendData(bytes)
            queue.appendBlockEnd()
            expectEqual(
                decodeEvents(Array(queue.bytes), dispatchesAtEnd: false),
                [.event(EventFields(), data: shown(line), line: 1)],
                "data and what came back", of: line)
        }
    }

    /// `sse-decode -r | sse-encode -r | sse-decode -r` equals one `sse-decode -r`.
    private static func testStream(_ stream: [UInt8]) {
        let once = records(stream)
        for line in once {
            withExactCopy(line) { line in
                expectEqual(JSON.isValid(line), true, "a record is JSON", of: Array(line))
            }
        }
        guard let again = encode(once) else {
            fatalError("our own records are refused\n  input: \(shown(stream))")
        }
        expectEqual(
            records(again).map { shown($0) }, once.map { shown($0) }, "decoded once and again",
            of: stream)
    }

    /// The records of a stream, as lines without their ends.
    private static func records(_ stream: [UInt8]) -> [[UInt8]] {
        var decoder = SSEDecoder(maxEvent: .max)
        decoder.collectsComments = true
        var repair = UTF8Repair()
        var queue = ByteQueue(capacity: 1)
        var output = ByteQueue(capacity: 1)
        queue.append(stream)
        repair.repair(&queue, from: 0)
        repair.finish(&queue)
        while true {
            let result = decoder.next(&queue)
            if result == .more { break }
            output.appendRecord(
                decoder.fields, data: queue.bytes(decoder.data),
                as: result == .event ? .text : .none)
        }
        return output.bytes.split(separator: 0x0A).map { Array($0) }
    }

    /// The lines as a stream, or nil when one is refused.
    private static func encode(_ lines: [[UInt8]]) -> [UInt8]? {
        var output = ByteQueue(capacity: 1)
        for line in lines {
            let isTaken = withExactCopy(line) { line in
                let before = output.count
                do throws(RecordError) {
                    try output.append(EventRecord(line), of: line)
                    return true
                } catch {
                    expectEqual(output.count, before, "nothing of \(error)", of: Array(line))
                    return false
                }
            }
            if !isTaken { return nil }
        }
        return Array(output.bytes)
    }
}

extension Decoded {
    /// A type that is spelt out as message is the same as none.
    fileprivate var withPlainType: Decoded {
        guard case .event(var fields, let data, let line) = self,
            fields.type == Array("message".utf8)
        else { return self }
        fields.type = []
        return .event(fields, data: data, line: line)
    }
}
