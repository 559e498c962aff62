import StreamCodec

/// A connection: what of it is needed for each delivery. The rest is in its `Session`, which it has
/// only while it needs one.
struct Client {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// It goes on in its feed's log, at `place`; otherwise it gets events from the history,
        /// from `sequence` on.
        static let attached = Flags(rawValue: 1)
        /// The socket takes nothing now.
        static let blocked = Flags(rawValue: 2)
        /// Its session has bytes for it alone, which go first.
        static let hasOutput = Flags(rawValue: 4)
        /// Bytes are left to read, in another turn.
        static let readable = Flags(rawValue: 8)
        /// Nothing more is sent: its end is waited for.
        static let lingering = Flags(rawValue: 16)
        static let awaitsPong = Flags(rawValue: 32)
        /// It was told that the stream ends.
        static let ended = Flags(rawValue: 64)
        /// It is one too many, and is told so.
        static let isRefused = Flags(rawValue: 128)
        /// It stands in the list of those who wait with /poll.
        static let polls = Flags(rawValue: 256)
        /// It is slow, and gets only the newest event of each key until it has caught up.
        static let conflates = Flags(rawValue: 512)
        /// Its end is counted.
        static let isCounted = Flags(rawValue: 1024)
    }

    var descriptor: Int32 = -1
    /// Tells a connection from the next one at the same place.
    var generation: UInt32 = 0
    /// What publishers are called: unique in this worker.
    var number: UInt32 = 0
    /// Index of the feed, or -1.
    var feed: Int32 = -1
    /// Its index among the feed's members.
    var slot: Int32 = -1
    /// Its entry in the table of addresses.
    var address: Int32 = -1
    /// In its feed's log, while it is attached.
    var place = 0
    /// The event that comes next, while it is not.
    var sequence: UInt64 = 0
    /// It is slow, and gets nothing of what came from this sequence on until it has everything
    /// before: `--slow=drop-newest`; 0: no such bound.
    var limit: UInt64 = 0
    /// The event that came next when it came: what it gets of those before does not make it slow.
    var joinedAt: UInt64 = 0
    var flags = Flags()
    var transport = Transport.http
    /// permessage-deflate was agreed on.
    var deflates = false
    /// Milliseconds of the worker's clock, which wraps: when the socket last took something, when
    /// something last came, and since when not everything goes at once; 0: it does.
    var lastSent: UInt32 = 0
    var lastHeard: UInt32 = 0
    var behindSince: UInt32 = 0
    /// Milliseconds; 0: none.
    var heartbeat: UInt32 = 0
    /// gzip: what it was given, but for what it shares since it joined its feed; and the state of
    /// the shared stream then.
    var tally = GzipTally()
    var joined = GzipTally()
}

/// The clients of a worker: a slab of plain structs, so that a delivery counts no references.
struct ClientTable: ~Copyable {
    private(set) var memory: UnsafeMutablePointer<Client>
    private var capacity = 64
    /// Places that were ever used.
    private(set) var end = 0
    private var free: [Int32] = []
    private(set) var count = 0
    private var lastNumber: UInt32 = 0

    init() {
        memory = .allocate(capacity: capacity)
        memory.initialize(repeating: Client(), count: capacity)
    }

    deinit {
        memory.deallocate()
    }

    /// A new client's index. Moves `memory`.
    mutating func add(_ descriptor: Int32) -> Int {
        let index: Int
        if let last = free.popLast() {
            index = Int(last)
        } else {
            if end == capacity { grow() }
            index = end
            end += 1
        }
        lastNumber &+= 1
        let generation = memory[index].generation
        memory[index] = Client()
        memory[index].generation = generation
        memory[index].descriptor = descriptor
        memory[index].number = lastNumber
        count += 1
        return index
    }

    func hasAny(where holds: (Int) -> Bool) -> Bool {
        (0..<end).contains { memory[$0].descriptor >= 0 && holds($0) }
    }

    mutating func remove(_ index: Int) {
        memory[index].descriptor = -1
        memory[index].generation &+= 1
        free.append(Int32(index))
        count -= 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Client>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: memory, count: capacity)
        (larger + capacity).initialize(repeating: Client(), count: capacity)
        memory.deallocate()
        memory = larger
        capacity *= 2
    }
}
