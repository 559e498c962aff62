import StreamCodec

/// A part that is still to be delivered, and what is known of it.
struct Piece {
    var part: Part
    var state: Policy.Case
    /// What it was split from.
    var family: Policy.Family?
    /// How the last attempt ended, with the last line of the command's standard error.
    var ending = Ending.stopped
    var errorLine = ""
}

/// A batch whose turn has come: what of it is still to be delivered, and the command that runs.
struct Turn {
    var batch: Batch
    /// What is still to be delivered, in the order of the lines.
    private(set) var pieces: [Piece]
    /// The one that a command runs for.
    private(set) var running: Int?
    var child: Child?
    /// Parts whose commands ended well, with what those wrote and is still to be written.
    private(set) var delivered: [(part: Part, child: Child)] = []
    /// The signal that stops the run ended its command, too.
    var wasInterrupted = false
    /// It is not tried again in this run: what is left of it stays in the journal.
    var isGivenUp = false

    init(_ batch: Batch, _ state: Policy.Case) {
        self.batch = batch
        pieces = [Piece(part: Part(batch), state: state)]
    }

    /// Nothing of it is left to be delivered.
    var isDelivered: Bool { pieces.isEmpty }
    /// Nothing of it is tried any more.
    var isOver: Bool { isDelivered || isGivenUp }
    /// It may be tried, by itself.
    var isWaiting: Bool { running == nil && !isOver }
    /// What is left of it.
    var parts: [Part] { pieces.map(\.part) }

    func canBeSplit(_ piece: Int) -> Bool {
        batch.summary == nil && pieces[piece].part.count > 1
    }

    mutating func change(_ piece: Int, _ change: (inout Piece) -> Void) {
        change(&pieces[piece])
    }

    mutating func run(_ piece: Int) { running = piece }

    /// The command has ended. For which part it ran.
    mutating func stopRunning() -> Int? {
        defer {
            running = nil
            child = nil
        }
        return running
    }

    /// A part is delivered. What the command wrote is still to be written.
    mutating func deliver(_ piece: Int, _ child: Child?) {
        let part = pieces[piece].part
        remove(piece, isRefused: false)
        if let child { delivered.append((part, child)) }
    }

    /// A part is over; `isRefused`: recorded as undeliverable.
    mutating func remove(_ piece: Int, isRefused: Bool) {
        let over = pieces.remove(at: piece)
        if let running, running > piece { self.running = running - 1 }
        Policy.end(of: over.family, isRefused: isRefused)
    }

    /// Of a part some is delivered, and `left` is what is not.
    mutating func deliver(_ piece: Int, _ parts: [Part], _ child: Child, left: [Piece]) {
        // What the command wrote is written once.
        for (index, part) in parts.enumerated() {
            delivered.append((part, index == 0 ? child : Child.silent))
        }
        Policy.divide(pieces[piece].family, into: left.count)
        pieces.replaceSubrange(piece...piece, with: left)
    }

    /// Parts whose output may be written: with `inOrder` those before all that is left.
    func isReady(_ part: Part, inOrder: Bool) -> Bool {
        !inOrder || pieces.allSatisfy { $0.part.first > part.first }
    }

    /// What the commands wrote is written.
    mutating func finishOutput(inOrder: Bool) {
        let ready = delivered.map { isReady($0.part, inOrder: inOrder) }
        delivered = zip(delivered, ready).compactMap { $1 ? nil : $0 }
    }

    /// What the commands wrote cannot be written, which makes their parts undelivered. The run
    /// has failed: only a command that runs may still end.
    mutating func takeBack() {
        for (part, _) in delivered {
            let index = pieces.firstIndex { $0.part.first > part.first } ?? pieces.count
            pieces.insert(Piece(part: part, state: Policy.Case(id: 0)), at: index)
            if let running, index <= running { self.running = running + 1 }
        }
        delivered = []
    }

    mutating func split(_ piece: Int, _ states: (Policy.Case, Policy.Case)) {
        let whole = pieces[piece]
        let family = Policy.Family(whole.state, pieces: 2, in: whole.family)
        let (first, second) = whole.part.halves(of: batch.lines)
        pieces.replaceSubrange(
            piece...piece,
            with: [
                Piece(part: first, state: states.0, family: family),
                Piece(part: second, state: states.1, family: family),
            ])
        if let running, running > piece { self.running = running + 1 }
    }

    /// The lines of a part as a batch. The whole batch is not copied.
    func content(of part: Part) -> Batch {
        if part.count == batch.count { return batch }
        var content = batch
        content.lines = part.lines(of: batch.lines)
        content.count = part.count
        return content
    }
}

/// Batches that wait for their turn: first in, first out.
struct Waiting {
    private var incoming: [Batch] = []
    /// The next one is the last.
    private var outgoing: [Batch] = []

    var count: Int { incoming.count + outgoing.count }

    mutating func append(_ batch: Batch) { incoming.append(batch) }

    mutating func next() -> Batch? {
        if outgoing.isEmpty {
            outgoing = incoming.reversed()
            incoming = []
        }
        return outgoing.popLast()
    }
}
