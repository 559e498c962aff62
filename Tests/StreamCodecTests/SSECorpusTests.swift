import Testing

/// Every case of Tests/Corpus/sse whole, cut, byte by byte and truncated.
///
/// The rule for truncated streams: without --dispatch-eof exactly a prefix of the records, for
/// a record is written only when its block is complete. With it, a prefix and at most one more,
/// which is what came of the block that was cut.
@Suite struct SSECorpusTests {
    @Test func corpusIsThere() {
        #expect(Corpus.eventStreams.flatMap { StreamCase.read($0) }.count > 200)
        #expect(
            Corpus.names(in: "\(Corpus.tests)/Corpus/sse").filter { $0.hasSuffix(".txt") }
                == Corpus.eventStreams.map { "\($0).txt" })
    }

    @Test(arguments: Corpus.eventStreams) func whole(_ name: String) {
        for item in StreamCase.read(name) { checkItem(item, [item.input], "whole") }
    }

    @Test(arguments: Corpus.eventStreams) func byteByByteAndWithEmptyReads(_ name: String) {
        for item in StreamCase.read(name) {
            checkItem(item, byteByByte(item.input), "byte by byte")
            checkItem(item, item.input.flatMap { [[], [$0]] } + [[]], "with empty reads")
        }
    }

    @Test(arguments: Corpus.eventStreams) func cutInTwo(_ name: String) {
        for item in StreamCase.read(name) {
            for offset in 0...item.input.count {
                checkItem(item, cut(item.input, at: [offset]), "cut at \(offset)")
            }
        }
    }

    @Test(arguments: Corpus.eventStreams) func cutInThree(_ name: String) {
        var random = SplitMix64("cutInThree \(name)")
        for item in StreamCase.read(name) {
            for _ in 0..<20 {
                let offsets = random.cuts(item.input, count: 6)
                checkItem(item, cut(item.input, at: offsets), "cut at \(offsets)")
            }
        }
    }

    @Test(arguments: Corpus.eventStreams) func truncated(_ name: String) {
        for item in StreamCase.read(name) {
            let all = decode(chunks: [item.input], all: true)
            for count in 0...item.input.count {
                let start = [Array(item.input[..<count])]
                let what = "\(item.title), first \(count) bytes"
                let records = decode(chunks: start)
                check(records, Array(item.records.prefix(records.count)), what)
                let notes = decode(chunks: start, all: true)
                check(notes, Array(all.prefix(notes.count)), "\(what), all")
                let finished = decode(chunks: start, dispatchEOF: true)
                check(Array(finished.prefix(records.count)), records, "\(what), at end")
                check(finished.count - records.count <= 1, true, "\(what), at end")
            }
        }
    }

    private func checkItem(_ item: StreamCase, _ chunks: [[UInt8]], _ how: String) {
        let what = "\(item.title), \(how)"
        check(decode(chunks: chunks), item.records, what)
        check(decode(chunks: chunks, dispatchEOF: true), item.records + item.atEnd, "\(what), eof")
        // A case without * lines leaves open what --all writes, not that it is always the same.
        let all = item.all.isEmpty ? decode(chunks: [item.input], all: true) : item.all
        check(decode(chunks: chunks, all: true), all, "\(what), all")
    }
}
