import StreamCodec
import StreamTool

/// How far a regular file was read, and by what it is known again, whatever its name, its inode
/// and its device are then, compressed or not.
struct Position: Equatable {
    /// With less than that before a place another file may well begin alike, as with lines that
    /// every log of a program begins with: rather twice than not at all.
    static let tellingSize = 1 << 10

    /// The bytes that were accepted: of what it holds, when it is compressed.
    var prefix: FilePrefix
    /// The lines in them.
    var lines: Int

    // What else was known of it. It tells files apart that agree in what is above, no more: an
    // inode is used again, and a copy is another file.
    var inode: UInt64
    /// When it was made, in nanoseconds since 1970; 0: that is not known.
    var born: UInt64

    init(offset: Int, lines: Int, head: UInt64, tail: UInt64, inode: UInt64, born: UInt64) {
        prefix = FilePrefix(offset: offset, head: head, tail: tail)
        self.lines = lines
        self.inode = inode
        self.born = born
    }

    /// Probably not only a file with the same bytes, but the same file.
    func isHint(of file: FileContents.Identity) -> Bool {
        inode == file.inode && (born == file.born || born == 0 || file.born == 0)
    }

    /// The bytes before it are enough to know any file by.
    var isTelling: Bool { prefix.offset >= Self.tellingSize }
}

/// How far a regular file was read, as version 1 of the journal had it.
struct OldPosition: Hashable {
    var device: UInt64
    var inode: UInt64
    /// Accepted so far.
    var lines: Int
    /// XXH64 of the first line.
    var hash: UInt64
}

/// The places in files that a journal remembers.
struct Positions {
    /// So many are kept, of files that a run did not read, too: a log may be rotated meanwhile.
    static let kept = 1000

    private var places: [Int: (position: Position, age: Int)] = [:]
    private var old: Set<OldPosition> = []
    private var lastNumber = 0
    private var lastAge = 0
    /// The last number that an earlier run gave.
    private var lastEarlier = 0
    /// The places of the files of this run.
    private var files: [FileContents.Identity: Int] = [:]
    /// Those of files that this run reads. Each is of one file.
    private var claimed: Set<Int> = []
    /// Those that changed since the last write.
    private var moved: Set<Int> = []
    /// Those of version 1 that became others.
    private var replaced: [OldPosition] = []

    /// What a record says.
    mutating func apply(_ number: Int, _ position: Position) {
        lastAge += 1
        lastNumber = max(lastNumber, number)
        places[number] = (position, lastAge)
    }

    mutating func apply(_ position: OldPosition) {
        old = old.filter { $0.device != position.device || $0.inode != position.inode }
        if position.lines > 0 { old.insert(position) }
    }

    // MARK: Finding

    /// What no file of this run is known by yet, the longest first.
    var unclaimed: [(number: Int, position: Position)] {
        places.filter { !claimed.contains($0.key) }
            .map { ($0.key, $0.value.position) }
            .sorted { ($1.1.prefix.offset, $1.0) < ($0.1.prefix.offset, $0.0) }
    }

    /// An earlier run read this file, it seems.
    func wasRead(_ file: FileContents.Identity) -> Bool {
        places.contains { $0.key <= lastEarlier && $0.value.position.isHint(of: file) }
    }

    func old(inode: UInt64) -> [OldPosition] { old.filter { $0.inode == inode } }

    /// The place of a file that this run has read already, by another name or the same one.
    func ofThisRun(_ file: FileContents.Identity) -> (number: Int, position: Position)? {
        guard let number = files[file], let place = places[number] else { return nil }
        return (number, place.position)
    }

    /// From now on the place is that of a file of this run.
    mutating func claim(_ number: Int, _ file: FileContents.Identity) {
        claimed.insert(number)
        files[file] = number
    }

    /// A number for a file that is new.
    mutating func new(_ file: FileContents.Identity) -> Int {
        lastNumber += 1
        claim(lastNumber, file)
        return lastNumber
    }

    /// What was applied so far is what earlier runs left.
    mutating func begin() {
        lastEarlier = lastNumber
    }

    // MARK: Recording

    /// A file was read up to there.
    mutating func set(_ number: Int, _ position: Position) {
        apply(number, position)
        moved.insert(number)
    }

    /// A place of version 1 is known in the present form.
    mutating func replace(_ position: OldPosition) {
        old.remove(position)
        replaced.append(position)
    }

    var hasMoved: Bool { !moved.isEmpty || !replaced.isEmpty }

    func appendMoved(to queue: inout ByteQueue) {
        for number in moved.sorted() { queue.appendRecord(number, places[number]!.position) }
        for var position in replaced {
            position.lines = 0
            queue.appendRecord(position)
        }
    }

    mutating func written() {
        moved.removeAll(keepingCapacity: true)
        replaced.removeAll()
    }

    /// The next run reads its files from their start.
    mutating func forget() {
        places = [:]
        old = []
        replaced = []
        moved = []
    }

    /// Those of files that this run did not read go, the oldest first, when there are too many.
    mutating func trim() {
        let others = places.filter { !claimed.contains($0.key) }
            .sorted { $0.value.age < $1.value.age }
        for (number, _) in others.prefix(max(0, places.count - Self.kept)) { places[number] = nil }
    }

    /// All that is known, the oldest first.
    func append(to queue: inout ByteQueue) {
        let byAge = places.sorted { $0.value.age < $1.value.age }
        for (number, place) in byAge where !claimed.contains(number) {
            queue.appendRecord(number, place.position)
        }
        for (number, place) in byAge where claimed.contains(number) {
            queue.appendRecord(number, place.position)
        }
        for position in old { queue.appendRecord(position) }
    }
}
