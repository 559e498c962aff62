import Glibc
import StreamCodec
import StreamTool

/// How far a regular file was read, for the journal: the next run goes on there.
///
/// The hashes are those of bytes that were read, not of what the file has there by now.
struct Progress {
    /// Bytes before the end of the queue that must still be in the file, for a read to be of it.
    private static let checkedSize = 4 << 10

    /// nil: nothing to keep.
    private var position: Position?
    private var number: Int?
    private var file: FileContents.Identity?
    private var descriptor: Int32 = -1
    private(set) var isCompressed = false
    /// Where the queue ends in the file.
    private var end = 0
    /// Contents of a compressed file that earlier runs accepted, and that still come.
    private var passed = 0
    /// Of what was too little to tell whether it is a copy, no more is read than was looked at.
    private var limit = Int.max
    var isAtLimit: Bool { end >= limit }
    /// The bytes before the position: the first ones, and the last ones.
    private var head: [UInt8] = []
    private var tail: [UInt8] = []
    /// What `take` finds in the queue: its first bytes and its last ones, and how many it has.
    private var queued: (head: [UInt8], tail: [UInt8], count: Int) = ([], [], 0)
    /// The journal does not have the position yet.
    private var hasMoved = false

    init() {}

    /// Of the operand at hand, which this opens where the next line is. `isCopy`: it is to be
    /// passed over.
    init(
        _ run: inout Run<BatchOptions>, _ journal: Journal?, isCopy: inout Bool
    ) throws {
        guard let journal, let regular = run.input.file else { return }
        let contents = try FileContents.of(
            regular.descriptor, run.input.name, maxRatio: run.settings.common.maxRatio)
        var search = FileSearch(
            contents, run.input.name, run.operands, run.settings.common)
        file = search.identity
        isCompressed = search.isCompressed
        descriptor = regular.descriptor
        var start = regular.start
        var found = Position(
            offset: start, lines: 0, head: 0, tail: 0, inode: search.identity.inode,
            born: search.identity.born)
        switch try search.find(&journal.positions, resumes: run.settings.delivery.resumes) {
        case .unknown:
            if run.settings.delivery.resumes && !isCompressed {
                limit = search.looked < Position.tellingSize ? search.looked : .max
            }
        case .known(let place, let position):
            number = place
            found.lines = position.lines
            tail = search.tail
            if position.prefix.offset < start { tail = try search.tail(before: start) }
            start = max(start, position.prefix.offset)
        case .copy(let other):
            run.report.warn(
                "\(run.input.name): holds the beginning of \(other) and nothing else:"
                    + " left to the next run, as a copy that is being made")
            isCopy = true
            return
        }
        found.prefix.offset = start
        position = found
        end = start
        if number == nil { tail = try search.tail(before: start) }
        head = search.head(before: start)
        if isCompressed {
            passed = start
            end = 0
        } else if start != regular.start {
            try run.input.seek(to: start)
        }
    }

    /// Reads what comes next in the file.
    func lines(maxLine: Int) -> LineReader {
        guard let position, position.lines > 0 else { return LineReader(maxLine: maxLine) }
        // What was taken without its line feed, or was too long, has not ended yet.
        return LineReader(
            maxLine: maxLine, after: position.lines,
            isInLine: tail.last.map { $0 != UInt8(ascii: "\n") } ?? false)
    }

    // MARK: Reading

    /// More came into the queue, which had so many bytes before.
    mutating func arrived(_ queue: inout ByteQueue, after count: Int) {
        if position == nil { return }
        end += queue.count - count
        if end > limit {
            queue.truncate(queue.count - (end - limit))
            end = limit
        }
        if passed > 0 {
            let size = min(passed, queue.count)
            queue.consume(size)
            passed -= size
        }
    }

    /// The file is another one than when the bytes before were read: it was truncated, and may
    /// have grown again. What was read since is then not to be taken.
    func isReplaced(_ queue: borrowing ByteQueue, before count: Int) throws -> Bool {
        guard position != nil, !isCompressed, end > 0 else { return false }
        let size = min(count > 0 ? count : tail.count, Self.checkedSize)
        if size == 0 { return true }
        var now = [UInt8](repeating: 0, count: size)
        let place = end - size
        var got = pread(descriptor, &now, size, place)
        while got < 0 && errno == EINTR { got = pread(descriptor, &now, size, place) }
        if got != size { return true }
        return now.withUnsafeBufferPointer { now in
            if count > 0 { return !now.isEqual(to: queue.bytes((count - size)..<count)) }
            return !now.isEqual(to: Array(tail.suffix(size)))
        }
    }

    // MARK: Taking lines

    /// Lines of the queue are about to be taken.
    mutating func begin(_ queue: borrowing ByteQueue) {
        if position == nil { return }
        let missing = FilePrefix.headSize - head.count
        queued.count = queue.count
        queued.head = Array(queue.bytes(0..<min(missing, queue.count)))
        queued.tail = Array(
            queue.bytes(max(0, queue.count - FilePrefix.tailSize)..<queue.count))
    }

    /// They were, up to that line. What is left in the queue was not.
    mutating func reached(_ lines: Int, _ queue: borrowing ByteQueue) {
        guard position != nil else { return }
        let size = queued.count - queue.count
        if size == 0 { return }
        head += queued.head.prefix(size)
        // A queue that became empty does not have them any more.
        let last =
            queue.isEmpty
            ? queued.tail : Array(queue.consumed(min(size, FilePrefix.tailSize)))
        tail = last.count < FilePrefix.tailSize ? (tail + last).suffix(FilePrefix.tailSize) : last
        // A byte order mark alone is not worth a place.
        if lines == 0 { return }
        hasMoved = true
        position?.prefix.offset = end - queue.count
        position?.lines = lines
        position?.prefix.head = hash(head)
        position?.prefix.tail = hash(tail)
    }

    /// Tells the journal, once the lines up to there were recorded.
    mutating func record(in journal: Journal?) {
        guard hasMoved, let position, let file, let journal else { return }
        hasMoved = false
        let place = number ?? journal.positions.new(file)
        number = place
        journal.positions.set(place, position)
    }
}
