import CLinux
import Glibc
import StreamCodec
import StreamTool

/// Lines that were not delivered and have no other place to stay.
struct Spill: ~Copyable {
    private var lines = ByteQueue()
    private(set) var count = 0
    /// The lines stand as JSON strings in their batches, and are to be text again.
    private let isText: Bool

    init(isText: Bool) {
        self.isText = isText
    }

    var isEmpty: Bool { lines.isEmpty }

    /// A batch as it is written, when it is no lines any more.
    mutating func append(_ batch: Batch, _ parts: [Part], _ form: Form) {
        if batch.summary != nil && !parts.isEmpty {
            form.append(batch, to: &lines, forCommand: true)
            count += 1
        }
        let runs = parts.flatMap(\.runs).sorted { $0.first < $1.first }
        for run in runs where batch.summary == nil {
            batch.lines.withUnsafeBufferPointer { append(lines: $0.slice(run.bytes)) }
            count += run.count
        }
    }

    private mutating func append(lines text: UnsafeBufferPointer<UInt8>) {
        guard isText else { return lines.append(text) }
        text.forEachLine { line in
            lines.append(replacing: line.slice(1..<(line.count - 1)))
            lines.append(UInt8(ascii: "\n"))
        }
    }

    /// Bytes that are in no batch.
    mutating func append(rest: UnsafeBufferPointer<UInt8>) {
        if rest.isEmpty { return }
        lines.append(rest)
        count += rest.count { $0 == UInt8(ascii: "\n") }
        if rest.last != UInt8(ascii: "\n") { count += 1 }
    }

    /// Writes the file and returns its name. Where the folder does not take it, another may: what
    /// is not written here is lost.
    func write(to folder: String) throws -> String {
        var problem: any Error = Failure(.inputOutput, folder)
        for place in [folder, "/tmp", "."] {
            do {
                return try writeFile(in: place)
            } catch {
                if place == folder { problem = error }
            }
        }
        throw problem
    }

    private func writeFile(in folder: String) throws -> String {
        let (path, descriptor) = try create(in: folder)
        defer { close(descriptor) }
        var copy = ByteQueue(capacity: lines.count)
        copy.append(lines.bytes)
        do {
            try writeAll(&copy, to: descriptor, name: path)
            try sync(descriptor, path)
        } catch {
            unlink(path)
            throw error
        }
        return path
    }

    /// A new file that only its owner can read. A process of the same number may have left one.
    private func create(in folder: String) throws -> (String, Int32) {
        var number = 1
        while true {
            let path = "\(folder)/stream-batch.\(getpid())\(number == 1 ? "" : ".\(number)").jsonl"
            let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
            if descriptor >= 0 { return (path, descriptor) }
            if errno != EEXIST || number == 10_000 {
                throw Failure(.inputOutput, errno: errno, path)
            }
            number += 1
        }
    }
}
