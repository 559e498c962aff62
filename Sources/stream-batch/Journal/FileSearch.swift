import StreamCodec
import StreamTool

/// What the journal says of a file that is to be read.
enum FoundFile {
    /// It was read up to the place with this number.
    case known(Int, Position)
    case unknown
    /// It holds nothing but the beginning of another file, whose copy is being made or compressed.
    case copy(of: String)
}

/// Finds out whether a file was read before, by what is in it.
struct FileSearch: ~Copyable {
    private var file: FileContents
    private let name: String
    private let operands: [Operand]
    private let maxLine: Int
    private let maxRatio: Int
    /// XXH64 of so many of its first bytes.
    private var heads: [Int: UInt64] = [:]
    private var start: [UInt8] = []
    /// The bytes before the place that was found.
    private(set) var tail: [UInt8] = []
    /// It begins like a file that was read further than it goes.
    private var isShort = false

    init(
        _ file: consuming FileContents, _ name: String, _ operands: [Operand],
        _ options: CommonOptions
    ) {
        self.file = file
        self.name = name
        self.operands = operands
        maxLine = options.maxLine
        maxRatio = options.maxRatio
    }

    var identity: FileContents.Identity { file.identity }
    var isCompressed: Bool { file.isCompressed }

    /// `resumes`: a file is read once, whatever it is called and whether it is copied meanwhile.
    mutating func find(_ positions: inout Positions, resumes: Bool) throws -> FoundFile {
        start = try file.bytes(at: 0, count: FilePrefix.headSize)
        if resumes, let (number, position) = positions.ofThisRun(identity), try agrees(position) {
            return .known(number, position)
        }
        // A copy may become complete meanwhile, and the other one be truncated.
        for _ in 0..<(resumes ? 3 : 1) {
            start = try file.bytes(at: 0, count: FilePrefix.headSize)
            heads = [:]
            if let known = try known(&positions, resumes: resumes) { return known }
            guard resumes else { break }
            if let other = try copied(positions) { return .copy(of: other) }
            if try isCompressed && isShort && file.isCut() {
                return .copy(of: "a file that was read")
            }
        }
        return .unknown
    }

    private mutating func known(
        _ positions: inout Positions, resumes: Bool
    ) throws -> FoundFile? {
        guard let (number, found) = try match(positions) else { return try converted(&positions) }
        // It was read when there was less of the copy than tells that it is one.
        if resumes, !found.isTelling, let other = try copied(positions) {
            return .copy(of: other)
        }
        var position = found
        position.inode = identity.inode
        position.born = identity.born
        positions.claim(number, identity)
        if position != found { positions.set(number, position) }
        return .known(number, position)
    }

    /// The bytes before another place.
    mutating func tail(before offset: Int) throws -> [UInt8] {
        try file.block(before: offset, count: FilePrefix.tailSize) ?? []
    }

    /// So many bytes of the beginning were there.
    var looked: Int { start.count }

    /// The first bytes before a place.
    func head(before offset: Int) -> [UInt8] { Array(start.prefix(offset)) }

    // MARK: Places

    /// The longest place that may be of it: one may be left of a copy that was not complete.
    private mutating func match(_ positions: Positions) throws -> (Int, Position)? {
        for (number, position) in positions.unclaimed {
            let isHint = position.isHint(of: identity)
            guard isHint || position.isTelling, try agrees(position) else { continue }
            if try isHint || !isOfAnother(position) { return (number, position) }
        }
        return nil
    }

    /// The bytes before the place are those that were read then.
    private mutating func agrees(_ position: Position) throws -> Bool {
        let size = min(position.prefix.offset, FilePrefix.headSize)
        if size > start.count {
            // Of a file that was just begun, as when it is being compressed, this tells nothing.
            isShort = true
            return false
        }
        guard headHash(size) == position.prefix.head else { return false }
        guard
            let tail = try file.block(before: position.prefix.offset, count: FilePrefix.tailSize)
        else {
            isShort = true
            return false
        }
        // Kept, for the file may be another one when it is read again.
        self.tail = tail
        return hash(tail) == position.prefix.tail
    }

    private mutating func headHash(_ size: Int) -> UInt64 {
        if let known = heads[size] { return known }
        let value = start.withUnsafeBufferPointer { XXH64.hash($0.slice(0..<size), seed: 0) }
        heads[size] = value
        return value
    }

    /// Another operand has more right to it.
    private func isOfAnother(_ position: Position) throws -> Bool {
        for operand in operands {
            guard var other = FileContents.open(operand, maxRatio: maxRatio),
                other.identity != identity, position.isHint(of: other.identity)
            else { continue }
            if other.isCompressed { return true }
            let tail = try other.block(
                before: position.prefix.offset, count: FilePrefix.tailSize)
            if tail.map({ hash($0) }) == position.prefix.tail { return true }
        }
        return false
    }

    // MARK: Version 1

    private mutating func converted(_ positions: inout Positions) throws -> FoundFile? {
        for old in positions.old(inode: identity.inode) {
            guard let position = try convert(old) else { continue }
            let number = positions.new(identity)
            positions.set(number, position)
            positions.replace(old)
            return .known(number, position)
        }
        return nil
    }

    /// What the first so many lines come to; nil when it is another file.
    private mutating func convert(_ old: OldPosition) throws -> Position? {
        var lines = LineReader(maxLine: maxLine)
        var queue = ByteQueue()
        var read = 0
        var isAtEnd = false
        search: while true {
            switch lines.next(&queue, atEnd: isAtEnd) {
            case .line(let range), .tooLong(let range):
                if lines.number > old.lines { break search }
                if lines.number == 1, XXH64.hash(queue.bytes(range), seed: 0) != old.hash {
                    return nil
                }
            case .more:
                if isAtEnd || (lines.number == old.lines && read > 0) { break search }
                let more = try file.bytes(at: read, count: 1 << 18)
                read += more.count
                isAtEnd = more.isEmpty
                queue.append(more)
            }
        }
        if lines.number < old.lines { return nil }
        let offset = read - queue.count
        tail = try tail(before: offset)
        return Position(
            offset: offset, lines: old.lines, head: headHash(min(offset, FilePrefix.headSize)),
            tail: hash(tail), inode: identity.inode, born: identity.born)
    }

    // MARK: Copies

    /// The name of the operand that begins with all that is in this file, and was read before or
    /// has a name from which this one is made (log, log.1). Where that is little, two files may
    /// begin alike: rather twice than not at all.
    private mutating func copied(_ positions: Positions) throws -> String? {
        if start.count < Position.tellingSize { return nil }
        for operand in operands where operand.name != name {
            guard var other = FileContents.open(operand, maxRatio: maxRatio),
                other.identity != identity,
                positions.wasRead(other.identity) || name.hasPrefix(operand.name),
                try begins(&other)
            else { continue }
            return operand.name
        }
        return nil
    }

    private mutating func begins(_ other: inout FileContents) throws -> Bool {
        var offset = 0
        while true {
            let bytes = try file.bytes(at: offset, count: 1 << 18)
            if bytes.isEmpty { return true }
            if try other.bytes(at: offset, count: bytes.count) != bytes { return false }
            offset += bytes.count
        }
    }
}

func hash(_ bytes: [UInt8]) -> UInt64 {
    bytes.withUnsafeBufferPointer { XXH64.hash($0, seed: 0) }
}
