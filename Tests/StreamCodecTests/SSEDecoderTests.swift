import StreamCodec
import Testing

@Suite struct SSEDecoderTests {
    @Test func idWithNULIsIgnored() {
        let stream = bytes("id: 1\nid: 2\0\ndata: a\n\nid: \0\ndata: b\n\n")
        let expected = [
            #"{"event":"message","id":"1","data":"a"}"#, #"{"event":"message","data":"b"}"#,
        ]
        #expect(decode(chunks: [stream]) == expected)
        #expect(decode(chunks: byteByByte(stream)) == expected)
    }

    /// A retry ends nothing that waits: without --all its block writes no record, so the id
    /// belongs to the next one.
    @Test func idWaitsBehindARetry() {
        let stream = bytes("id: 1\nretry: 5\n\ndata: a\n\n")
        #expect(decode(chunks: [stream]) == [#"{"event":"message","id":"1","data":"a"}"#])
    }

    @Test func linesAreCounted() {
        let stream = bytes(
            "\u{FEFF}\n: c\n\nid: 1\r\n\r\ndata: a\r\rretry: 1\n\n\ndata: b\ndata: c\n\n")
        for chunks in [[stream], byteByByte(stream)] {
            var queue = ByteQueue()
            var decoder = SSEDecoder(maxEvent: 1000)
            var lines: [Int] = []
            for chunk in chunks {
                queue.append(chunk)
                while true {
                    let result = decoder.next(&queue)
                    if result == .more { break }
                    if result == .event { lines.append(decoder.firstLine) }
                }
            }
            #expect(lines == [6, 11])
        }
    }

    /// What is no stream is told by what its lines are not.
    @Test(arguments: [
        ("<!doctype html>\n<p>data: x\n", false, 25), ("{\"error\":{\n}}\n", false, 12),
        (": c\n", true, 0), ("data\n", true, 0), ("foo\nretry: x\nbar\n", true, 3),
        ("id\n", true, 0), ("event:\n", true, 0), ("\n\n", false, 0), ("data: x", false, 0),
    ])
    func fieldsAreSeen(_ stream: String, _ sawField: Bool, _ unknownBytes: Int) {
        var queue = ByteQueue()
        queue.append(bytes(stream))
        var decoder = SSEDecoder(maxEvent: 1000)
        while decoder.next(&queue) != .more {}
        #expect(decoder.sawField == sawField)
        #expect(decoder.unknownBytes == unknownBytes)
    }

    // MARK: Too long

    /// The events around one that is too long arrive, wherever the reads end.
    @Test(arguments: [#"\n"#, #"\r"#, #"\r\n"#])
    func recoveryBehindALongEvent(_ lineEnd: String) {
        let lines = [
            "data: a", "", "event: long", "data: 0123456789", "data: 0123456789", ":", "", "",
            "data: b", "", "data: c", "",
        ]
        let stream = Corpus.unescape(bytes(lines.map { $0 + lineEnd }.joined()))
        let expected = [
            #"{"event":"message","data":"a"}"#, "too long", #"{"event":"message","data":"b"}"#,
            #"{"event":"message","data":"c"}"#,
        ]
        // From more than the first event to less than the data lines of the long one.
        for maxEvent in 12...30 {
            for first in 0...stream.count {
                for second in [first, min(first + 1, stream.count), stream.count] {
                    check(
                        decode(chunks: cut(stream, at: [first, second]), maxEvent: maxEvent),
                        expected, "max \(maxEvent), cut at \(first), \(second)")
                }
            }
            check(decode(chunks: byteByByte(stream), maxEvent: maxEvent), expected)
        }
    }

    /// Only the blank line behind an event passes the limit: the next event must not be lost.
    @Test(arguments: [#"\n"#, #"\r"#, #"\r\n"#])
    func limitAtTheEndOfAnEvent(_ lineEnd: String) {
        let lines = ["data: 0123456789", "", "data: b", "", "data: c", ""]
        let stream = Corpus.unescape(bytes(lines.map { $0 + lineEnd }.joined()))
        let long = #"{"event":"message","data":"0123456789"}"#
        for maxEvent in 10...24 {
            let whole = decode(chunks: [stream], maxEvent: maxEvent)
            check(
                Array(whole.dropFirst()),
                [#"{"event":"message","data":"b"}"#, #"{"event":"message","data":"c"}"#],
                "max \(maxEvent)")
            // Whether its line ends count, too, is left open here.
            if maxEvent < 16 { check(whole.first, "too long", "max \(maxEvent)") }
            if maxEvent >= 18 { check(whole.first, long, "max \(maxEvent)") }
            for offset in 0...stream.count {
                check(
                    decode(chunks: cut(stream, at: [offset]), maxEvent: maxEvent), whole,
                    "max \(maxEvent), cut at \(offset)")
            }
            check(decode(chunks: byteByByte(stream), maxEvent: maxEvent), whole, "max \(maxEvent)")
        }
    }

    /// The LF of a CR LF that two reads cut belongs to the block before it.
    @Test func lineFeedInTheNextReadCountsForNoBlock() {
        let chunks = [bytes("data: a\r\n\r"), bytes("\ndata: bc\r\n\r\n")]
        let expected = [#"{"event":"message","data":"a"}"#, #"{"event":"message","data":"bc"}"#]
        check(decode(chunks: chunks, maxEvent: 8), expected, "cut")
        check(decode(chunks: [chunks[0] + chunks[1]], maxEvent: 8), expected, "whole")
    }

    /// A process of its own, for a trap would end the tests: a read that ends inside a
    /// character while a long event is skipped.
    @Test func longEventOfWideCharacters() async {
        await #expect(processExitsWith: .success) {
            let stream = bytes("data: ä€😀ä€😀ä€😀ä€😀\n\ndata: é\n\n")
            let expected = ["too long", #"{"event":"message","data":"é"}"#]
            for maxEvent in [10, 15, 20] {
                for offset in 0...stream.count {
                    let chunks = cut(stream, at: [offset])
                    precondition(decode(chunks: chunks, maxEvent: maxEvent) == expected)
                }
                precondition(decode(chunks: byteByByte(stream), maxEvent: maxEvent) == expected)
            }
        }
    }

    /// The same with bytes that are no UTF-8 and a stream that ends there.
    @Test func longEventCutInACharacter() async {
        await #expect(processExitsWith: .success) {
            for tail in [[0xF0], [0xF0, 0x9F], [0xF0, 0x9F, 0x98], [0xE2, 0x82], [0xFF]] {
                let stream = bytes("data: 0123456789") + tail.map { UInt8($0) }
                for offset in 0...stream.count {
                    let chunks = cut(stream, at: [offset])
                    precondition(decode(chunks: chunks, maxEvent: 12) == ["too long"])
                }
                precondition(decode(chunks: byteByByte(stream), maxEvent: 12) == ["too long"])
            }
        }
    }

    @Test func longEventAtTheEnd() {
        for stream in ["data: 0123456789", "data: 01234\ndata: 56789\n", "data: 0123456789\n\n"] {
            for dispatchEOF in [false, true] {
                for chunks in [[bytes(stream)], byteByByte(bytes(stream))] {
                    check(
                        decode(chunks: chunks, dispatchEOF: dispatchEOF, maxEvent: 8),
                        ["too long"], stream)
                }
            }
        }
    }

    // MARK: Much input

    /// 1 MiB of data in one line, in reads of 4 KiB; then one that is too long is not kept.
    @Test func longLineInSmallReads() {
        let value = String(repeating: "x", count: 1 << 20)
        let stream = bytes("data: \(value)\n\ndata: y\n\n")
        let chunks = stride(from: 0, to: stream.count, by: 4096).map {
            Array(stream[$0..<min($0 + 4096, stream.count)])
        }
        let small = #"{"event":"message","data":"y"}"#
        check(decode(chunks: chunks), [#"{"event":"message","data":"\#(value)"}"#, small])
        check(decode(chunks: chunks, maxEvent: 100_000), ["too long", small])
        var decoded = DecodedStream(all: false, form: .records, maxEvent: 100_000)
        for chunk in chunks {
            decoded.take(chunk)
            check(decoded.waiting <= 100_000 + 2 * 4096, true, "\(decoded.waiting) bytes wait")
        }
    }

    /// 20,000 data lines in one event.
    @Test func manyDataLines() {
        let count = 20_000
        let stream = bytes(String(repeating: "data: ab\n", count: count) + "\n")
        let data = [String](repeating: "ab", count: count).joined(separator: #"\n"#)
        let expected = [#"{"event":"message","data":"\#(data)"}"#]
        check(decode(chunks: [stream]), expected)
        let chunks = stride(from: 0, to: stream.count, by: 1000).map {
            Array(stream[$0..<min($0 + 1000, stream.count)])
        }
        check(decode(chunks: chunks), expected)
    }

    @Test func memoryDoesNotGrowWithComments() {
        var stream = DecodedStream(all: false, form: .records, maxEvent: 1000)
        for _ in 0..<5000 {
            stream.take(bytes(": ping\n\n"))
            check(stream.waiting <= 8, true)
        }
    }
}
