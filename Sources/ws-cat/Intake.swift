import StreamCodec
import StreamTool

/// Standard input on its way to the outbox.
struct Intake: ~Copyable {
    private let settings: CatOptions
    private var reader: MessageReader
    private var scratch = ByteQueue()
    var pending = ByteQueue(capacity: 64 << 10)
    /// Where standard input is typed, when it is.
    var prompt: Prompt?
    /// The input has ended.
    private(set) var isAtEnd = false
    /// Everything of it is in the outbox.
    private(set) var isDone = false
    /// Lines are left for want of room.
    private var holdsLines = false
    /// A bad line that stops the tool, once what came before it is sent.
    private(set) var problem: (any Error)?
    private(set) var spill: Spill?
    /// Messages that were accepted.
    private(set) var accepted = 0
    private(set) var dropped = 0

    init(_ settings: CatOptions) throws {
        self.settings = settings
        reader = MessageReader(settings)
        if case .spill(let path) = settings.overflow {
            spill = try Spill(path: path, settings)
        }
    }

    /// No more input is read.
    mutating func end(with problem: (any Error)? = nil) {
        isAtEnd = true
        self.problem = self.problem ?? problem
    }

    /// Everything that was spilled is handed over.
    mutating func clearSpill() throws {
        if spill?.isEmpty ?? false { try spill?.clear() }
    }

    /// Lines that nobody will send are left in the spill file.
    mutating func leaveSpill(_ unsent: borrowing ByteQueue) throws {
        try spill?.leave(unsent)
    }

    /// Moves lines to the outbox as far as there is room, or until a line stops the tool.
    mutating func move(
        to outbox: inout Outbox, isUp: Bool, _ run: borrowing Run<CatOptions>
    ) {
        if isDone { return }
        holdsLines = false
        do {
            try refill(&outbox, isUp: isUp, run)
            while !isDone {
                holdsLines = !hasRoom(outbox, isUp: isUp) && !overflows(outbox, isUp: isUp)
                if holdsLines { return }
                guard try takeLine(&outbox, isUp: isUp, run) else { break }
            }
            holdsLines = !(spill?.isEmpty ?? true)
        } catch {
            end(with: error)
            isDone = spill?.isEmpty ?? true
        }
    }

    /// There are lines that were left for want of room, and now there is room.
    func mayMove(_ outbox: borrowing Outbox, isUp: Bool) -> Bool {
        holdsLines && !isDone && hasRoom(outbox, isUp: isUp)
    }

    /// True when reading more of the input makes sense.
    func wantsInput(_ outbox: borrowing Outbox, isUp: Bool) -> Bool {
        // Keys are answered while messages wait, too.
        if let prompt { return !isAtEnd && !prompt.isAway && pending.count < Self.ahead }
        return !isAtEnd && (hasRoom(outbox, isUp: isUp) || overflows(outbox, isUp: isUp))
    }

    /// Lines are taken though there is no room for them. A slow peer is waited for: what is dropped
    /// is what comes while there is no connection.
    private func overflows(_ outbox: borrowing Outbox, isUp: Bool) -> Bool {
        !isUp && settings.overflow != .block && !outbox.isBegun
    }

    /// While lines go out there is no point in reading far ahead.
    private static let ahead = 128 << 10

    @inline(__always)
    private func hasRoom(_ outbox: borrowing Outbox, isUp: Bool) -> Bool {
        if isUp { return outbox.weight < min(Self.ahead, settings.bufferBytes) || outbox.isEmpty }
        return outbox.isEmpty
            || outbox.count < settings.buffer && outbox.weight < settings.bufferBytes
    }

    /// False when there is no complete line.
    @inline(__always)
    private mutating func takeLine(
        _ outbox: inout Outbox, isUp: Bool, _ run: borrowing Run<CatOptions>
    ) throws -> Bool {
        switch try reader.next(&pending, atEnd: isAtEnd) {
        case .piece(let range):
            try take(pending.bytes(range), &outbox, isUp: isUp, run)
            return true
        case .tooLong(let range):
            try run.report.reject(
                Place(run.input.name, line: reader.number),
                "line longer than \(settings.common.maxLine) bytes (see --max-line)",
                raw: pending.bytes(range))
            return true
        case .more:
            if isAtEnd && spill?.isEmpty ?? true { isDone = true }
            return false
        }
    }

    @inline(__always)
    private mutating func take(
        _ line: UnsafeBufferPointer<UInt8>, _ outbox: inout Outbox, isUp: Bool,
        _ run: borrowing Run<CatOptions>
    ) throws {
        let isDirect = spill?.isEmpty ?? true && hasRoom(outbox, isUp: isUp)
        do throws(LineError) {
            let isMessage = try settings.message(from: line, settings.form, &scratch) {
                kind, payload in
                if isDirect { outbox.append(kind, payload) }
            }
            if !isMessage { return }
        } catch {
            let place = Place(
                run.input.name, line: reader.number, byte: error.offset.map { $0 + 1 })
            // Who types sees it, and types it again: a slip must not end the session.
            if prompt != nil && run.report.stopsAtBadInput {
                return run.report.warn(error.reason, at: place)
            }
            return try run.report.reject(place, error.reason, raw: line)
        }
        accepted += 1
        if !isDirect { try overflow(line, &outbox) }
        if settings.isOneShot { isDone = true }
    }

    private mutating func overflow(
        _ line: UnsafeBufferPointer<UInt8>, _ outbox: inout Outbox
    ) throws {
        switch settings.overflow {
        case .spill: try spill?.append(line)
        case .dropNewest: dropped += 1
        case .dropOldest, .block:
            dropped += 1
            outbox.dropOldest()
            do throws(LineError) {
                _ = try settings.message(from: line, settings.form, &scratch) {
                    outbox.append($0, $1)
                }
            } catch {
                preconditionFailure("the line was a message before")
            }
        }
    }

    /// What was spilled goes first.
    private mutating func refill(
        _ outbox: inout Outbox, isUp: Bool, _ run: borrowing Run<CatOptions>
    ) throws {
        while let isEmpty = spill?.isEmpty, !isEmpty, hasRoom(outbox, isUp: isUp) {
            guard let line = try spill?.next() else { return }
            do throws(LineError) {
                _ = try line.withUnsafeBufferPointer { bytes throws(LineError) in
                    try settings.message(from: bytes, settings.form, &scratch) {
                        outbox.append($0, $1)
                    }
                }
            } catch {
                try line.withUnsafeBufferPointer {
                    try run.report.reject(
                        Place(spill?.path ?? "", line: 1), error.reason, raw: $0)
                }
            }
        }
    }
}
