import Foundation
import Testing

@testable import StreamCodec
@testable import stream_batch

/// A folder for a journal, removed when the test is over.
final class JournalPlace {
    let path: String

    init() {
        // In memory where there is such a place: compaction waits for the disk.
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NSTemporaryDirectory()
        path = "\(parent)/journal-test-\(UUID().uuidString)"
    }

    deinit {
        _ = try? FileManager.default.removeItem(atPath: path)
    }

    /// A folder with such a journal in it.
    convenience init(_ bytes: some Collection<UInt8>) throws {
        self.init()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try write(bytes)
    }

    var file: String { path + "/journal" }

    func bytes() throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: file)))
    }

    func text() throws -> String { String(decoding: try bytes(), as: UTF8.self) }

    /// A journal with these entries.
    func write(_ entries: [String], head: String = "stream-batch journal 2\n") throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let sealed = entries.map { entry in
            let hash = Array(entry.utf8).withUnsafeBufferPointer { XXH64.hash($0, seed: 0) }
            return entry + ";" + String(hash, radix: 16) + "\n"
        }
        try write(Array((head + sealed.joined()).utf8))
    }

    func write(_ bytes: some Collection<UInt8>) throws {
        try Self.write(bytes, to: file)
    }

    static func write(_ bytes: some Collection<UInt8>, to file: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: file))
    }

    func open(limit: Int = Journal.compactedSize) throws -> Journal {
        try Journal(folder: path, syncs: false, limit: limit)
    }
}

extension Journal {
    func append(_ line: [UInt8], to id: Int) {
        line.withUnsafeBufferPointer { append($0, to: id) }
    }

    func append(_ line: String, to id: Int) {
        append(Array(line.utf8), to: id)
    }

    func close(_ id: Int, seq: Int, key: String = "", count: Int = 1, summary: String? = nil) {
        close(
            Batch(
                seq: seq, key: Array(key.utf8), count: count, lines: [],
                summary: summary.map { Array($0.utf8) }, from: 1, to: 2, journalID: id))
    }
}

extension Journal {
    /// What it remembers of a file, by its number.
    func position(_ number: Int) -> Position? {
        positions.unclaimed.first { $0.number == number }?.position
    }
}

extension Position {
    /// A place that tells nothing but its offset.
    static func at(_ offset: Int) -> Position {
        Position(offset: offset, lines: 4, head: 0xFF, tail: 0x1F, inode: 5, born: 6)
    }
}

extension Recovered {
    var text: String { String(decoding: lines, as: UTF8.self) }
}

/// What must come back, kept in the simplest way.
struct JournalModel {
    struct OpenBatch {
        var lines: [(order: Int, line: [UInt8])] = []
    }

    var open: [Int: OpenBatch] = [:]
    var closed: [Int: Batch] = [:]
    var positions: [Int: Position] = [:]
    var lastSeq = 0
    private var order = 0

    mutating func append(_ line: [UInt8], to id: Int) {
        order += 1
        open[id, default: OpenBatch()].lines.append((order, line))
    }

    mutating func merge(_ id: Int, into other: Int) {
        open[other]!.lines += open.removeValue(forKey: id)!.lines
    }

    /// The batch that closes; its fields are anything.
    mutating func close(_ id: Int, _ random: inout Random) -> Batch {
        let lines = open.removeValue(forKey: id)!.lines
        lastSeq += 1
        let summary = Int.random(in: 0..<4, using: &random) == 0 ? Array("\"n\":1 ".utf8) : nil
        let batch = Batch(
            seq: lastSeq, key: random.bytes(upTo: 6), count: lines.count,
            lines: summary == nil ? lines.flatMap { $0.line + [10] } : [], summary: summary,
            from: random.next(), to: random.next(), journalID: id)
        closed[id] = batch
        return batch
    }

    var openLines: [[UInt8]] {
        open.values.flatMap(\.lines).sorted { $0.order < $1.order }.map(\.line)
    }

    /// What must come back, once for many journals.
    var expected: Expected {
        Expected(
            batches: closed.values.sorted { $0.seq < $1.seq },
            lines: openLines.flatMap { $0 + [10] }, lastSeq: lastSeq, positions: positions)
    }

    struct Expected {
        var batches: [Batch]
        var lines: [UInt8]
        var lastSeq: Int
        var positions: [Int: Position]

        func check(
            _ recovered: Recovered, _ journal: Journal, _ what: @autoclosure () -> String
        ) {
            let isSame =
                recovered.batches == batches && recovered.lines == lines
                && journal.lastSeq == lastSeq
                && (1...4).allSatisfy { journal.position($0) == positions[$0] }
            if isSame { return }
            Issue.record("\(what()): \(recovered), not \(self)")
        }
    }
}

extension Random {
    /// Any bytes but LF.
    mutating func bytes(upTo limit: Int) -> [UInt8] {
        let count = Int.random(in: 0...limit, using: &self)
        return (0..<count).map { _ in
            let byte = UInt8.random(in: 0...255, using: &self)
            return byte == 10 ? 13 : byte
        }
    }

    mutating func line() -> [UInt8] {
        let records = [
            "", " ", "+1", " {}", ";0", ";", "#99", ".1", "=1 1 1 1 1 k", ">2 1", "@1 1 9 0",
            "&1 1 1 1 1 1 1", "%1 ",
            "stream-batch journal 1", "{\"a\":\"\\\"\"}", "\r",
        ]
        if Bool.random(using: &self) { return bytes(upTo: 12) }
        return Array(records.randomElement(using: &self)!.utf8)
    }

    mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &self) < percent
    }
}
