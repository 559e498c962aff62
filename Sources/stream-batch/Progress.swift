import StreamCodec
import StreamTool

/// How far a file was read, for the journal: the run behind a crash goes on there.
struct Progress {
    private var position: Position?
    /// Lines that an earlier run accepted.
    private var accepted = 0
    private var hash: UInt64 = 0

    /// Nothing to keep.
    init() {}

    /// Of a regular file; nil for other input.
    init(in file: (device: UInt64, inode: UInt64)?, _ journal: Journal?) {
        guard let file, let journal else { return }
        position = Position(device: file.device, inode: file.inode, lines: 0, hash: 0)
        guard let earlier = journal.position(device: file.device, inode: file.inode) else { return }
        accepted = earlier.lines
        hash = earlier.hash
    }

    /// Takes note of a line; true when an earlier run accepted it.
    @inline(__always)
    mutating func passesOver(_ line: UnsafeBufferPointer<UInt8>, number: Int) -> Bool {
        position == nil ? false : note(line, number)
    }

    private mutating func note(_ line: UnsafeBufferPointer<UInt8>, _ number: Int) -> Bool {
        if number == 1 {
            position?.hash = XXH64.hash(line, seed: 0)
            // Another file may have got the inode.
            if position?.hash != hash { accepted = 0 }
        }
        // This line may still turn out to be a bad one, which ends the run.
        position?.lines = number - 1
        return number <= accepted
    }

    /// All lines up to there were taken.
    mutating func reached(_ number: Int) {
        position?.lines = number
    }

    /// A file that has become shorter is another one now.
    func warnWhenShort(_ name: String, _ report: Report) {
        guard let position, position.lines < accepted else { return }
        report.warn(
            "\(name): of \(accepted) lines that were read before, \(position.lines) are there:"
                + " it is taken for the same file, for it begins alike")
    }

    /// Tells the journal, once the lines up to there were recorded.
    func record(in journal: Journal?) {
        if let position, position.lines > accepted { journal?.accepted(position) }
    }
}
