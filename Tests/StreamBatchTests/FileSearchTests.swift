import Foundation
import Testing

@testable import StreamCodec
@testable import StreamTool
@testable import stream_batch

/// Which file is which, and how far it was read.
@Suite final class FileSearchTests {
    private let folder = NSTemporaryDirectory() + "files-\(UUID().uuidString)"
    private var positions = Positions()

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit {
        _ = try? FileManager.default.removeItem(atPath: folder)
    }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }

    private func operand(_ name: String) -> Operand {
        Operand(name: name, path: Array("\(folder)/\(name)".utf8CString))
    }

    private func search(_ name: String, _ operands: [String] = []) throws -> FileSearch {
        guard let file = FileContents.open(operand(name), maxRatio: 250) else {
            throw Failure(.noInput, name)
        }
        return FileSearch(file, name, operands.map(operand), CommonOptions())
    }

    /// How far it was read; nil when it is unknown.
    private func offset(_ name: String, _ operands: [String] = []) throws -> Int? {
        var search = try search(name, operands)
        switch try search.find(&positions, resumes: true) {
        case .known(_, let position): return position.prefix.offset
        case .unknown: return nil
        case .copy: return -1
        }
    }

    /// A run read the file up to there.
    private func read(_ name: String, _ offset: Int) throws {
        let identity = try search(name).identity
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
        let text = Array(bytes[..<offset])
        let position = Position(
            offset: offset, lines: text.count { $0 == 10 },
            head: hash(Array(text.prefix(FilePrefix.headSize))),
            tail: hash(Array(text.suffix(FilePrefix.tailSize))), inode: identity.inode,
            born: identity.born)
        positions.set(positions.new(identity), position)
    }

    /// The next run.
    private func restart() {
        var queue = ByteQueue()
        positions.append(to: &queue)
        var next = Positions()
        queue.bytes.split(separator: 10).forEach { line in
            switch JournalRecord.parse(UnsafeBufferPointer(rebasing: line))?.record {
            case .position(let number, let position): next.apply(number, position)
            case .oldPosition(let position): next.apply(position)
            default: Issue.record("no place")
            }
        }
        next.begin()
        positions = next
    }

    private static func lines(_ range: ClosedRange<Int>) -> String {
        range.map { "line \($0)\n" }.joined()
    }

    @Test func renamedAndGrown() throws {
        try write("log", Self.lines(1...1000))
        try read("log", 8893)
        restart()
        rename("\(folder)/log", "\(folder)/log.1")
        try write("log", Self.lines(1...500))
        #expect(try offset("log", ["log.1", "log"]) == -1)
        #expect(try offset("log.1", ["log.1", "log"]) == 8893)
    }

    @Test(arguments: [50, 100, 1023, 1024, 5000, 70_000]) func changedBefore(_ size: Int) throws {
        let text = String(repeating: "123456789\n", count: 9000).prefix(size) + "\n"
        try write("log", text + "more\n")
        try read("log", size + 1)
        restart()
        #expect(try offset("log") == size + 1)
        for place in [0, size / 2, size - 1] where place < 4096 || place >= size - 65_000 {
            restart()
            var bytes = Array((text + "more\n").utf8)
            bytes[place] ^= 1
            try write("log", String(decoding: bytes, as: UTF8.self))
            #expect(try offset("log") == nil, "\(place)")
        }
        restart()
        try write("log", String(text.dropLast()))
        #expect(try offset("log") == nil)
    }

    /// A place is of one file only, and of the one that it was of when there are two.
    @Test func alike() throws {
        let text = Self.lines(1...300)
        try write("a", text)
        try write("b", text)
        try read("a", 9 * 7)
        try read("b", 99 * 8)
        restart()
        #expect(try offset("a") == 63)
        #expect(try offset("b") == 792)
        restart()
        #expect(try offset("b") == 792)
        #expect(try offset("a") == 63)
    }

    /// Too little to know a file by that is not the same one.
    @Test func littleIsRead() throws {
        for (lines, isKnown) in [(1...100, false), (1...200, true)] as [(ClosedRange<Int>, Bool)] {
            let text = Self.lines(lines)
            try write("log", text)
            try read("log", text.utf8.count)
            restart()
            // The old inode must not be used again, or it would be taken for the same file.
            try write("other", text + "x\n")
            #expect(try (offset("other") != nil) == isKnown)
            restart()
            #expect(try offset("log") == text.utf8.count || isKnown)
        }
    }

    @Test func compressed() throws {
        let text = Self.lines(1...20_000)
        var queue = ByteQueue()
        var source = ByteQueue()
        source.append(string: text)
        var deflater = try GzipDeflater(level: 6)
        deflater.deflate(&source, into: &queue, flush: .finish)
        try write("log", text)
        try read("log", 100_000 - 100_000 % 7)
        restart()
        let packed = Data(Array(queue.bytes))
        try packed.write(to: URL(fileURLWithPath: "\(folder)/log.gz"))
        // Both are there: the file itself is the one.
        #expect(try offset("log.gz", ["log.gz", "log"]) == -1)
        unlink("\(folder)/log")
        restart()
        #expect(try offset("log.gz", ["log.gz", "log"]) == 100_000 - 100_000 % 7)
        for cut in [0, 30, 3000] {
            restart()
            try packed.prefix(packed.count / 2 - cut).write(
                to: URL(fileURLWithPath: "\(folder)/cut.gz"))
            #expect(try (offset("cut.gz", ["cut.gz"]) ?? 0) != 0)
        }
    }

    /// A place that version 1 recorded: so many lines of a file with that first line.
    @Test func version1() throws {
        let text = "\u{FEFF}first\r\n\n" + Self.lines(1...9) + "rest"
        try write("log", text)
        let identity = try search("log").identity
        for (lines, hash, offset) in [
            (1, "first", 10), (3, "first", 11 + 7), (11, "first", 11 + 63), (12, "first", 78),
            (13, "first", nil), (3, "other", nil),
        ] as [(Int, String, Int?)] {
            positions = Positions()
            positions.apply(
                OldPosition(
                    device: 77, inode: identity.inode, lines: lines,
                    hash: stream_batch.hash(Array(hash.utf8))))
            positions.begin()
            #expect(try self.offset("log") == offset, "\(lines) \(hash)")
            // It is known by its contents from then on.
            let before = positions.old(inode: identity.inode).count
            #expect(before == (offset == nil ? 1 : 0))
            restart()
            #expect(try self.offset("log") == offset)
        }
    }
}
