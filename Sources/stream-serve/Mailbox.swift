import CLinux
import Glibc
import StreamCodec

/// What one thread says to another besides events.
enum Note {
    /// A connection that another worker accepted.
    case adopt(descriptor: Int32, address: Int32)
    /// What became of what a client published.
    case published(Receipt)
    /// Nothing more comes: tell the clients, and end.
    case end(Ending)
}

/// Why a stream ends.
enum Ending { case input, signal }

/// Who published something, and what is to be answered.
struct Sender {
    var worker: Int
    var client: Int
    var generation: UInt32
    var number: Int
    /// The `ref` of a message as JSON; nil: none, or a request of HTTP.
    var ref: [UInt8]?
    var isHTTP: Bool
}

struct Receipt {
    var sender: Sender
    /// Ids as JSON strings with commas between them.
    var ids: String
    var count: Int
    /// Why it was not taken.
    var problem: String?
}

/// Events and notes for a worker. Each thread locks it for as long as a copy takes.
final class Mailbox: @unchecked Sendable {
    /// The publisher reads no more while so many bytes wait.
    static let full = 1 << 20

    private let lock = Lock()
    private var events = ByteQueue(capacity: 0)
    private var notes: [Note] = []
    private var isSignaled = false
    private var publisherWaits = false
    /// Readable while there is something.
    let descriptor = clinux_eventfd()
    /// Wakes the publisher.
    private let room: Signal

    init(room: Signal) {
        self.room = room
    }

    func post(_ batch: UnsafeBufferPointer<UInt8>) {
        lock.lock()
        events.append(batch)
        ring()
        lock.unlock()
    }

    func post(_ note: Note) {
        lock.lock()
        notes.append(note)
        ring()
        lock.unlock()
    }

    private func ring() {
        if !isSignaled { clinux_event_signal(descriptor) }
        isSignaled = true
    }

    /// True when the publisher should wait; it is told when that is over.
    func isFull() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        publisherWaits = events.count >= Self.full
        return publisherWaits
    }

    /// Looks at the events that wait.
    func forEachEvent(_ body: (StoredEvent) -> Void) {
        lock.lock()
        defer { lock.unlock() }
        events.forEachEvent(body)
    }

    func tellPublisher() { room.wake() }

    func isEmpty() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return events.isEmpty && notes.isEmpty
    }

    /// Moves the events to `queue`, which is empty and lends its memory, unless they are to wait,
    /// and returns the notes.
    func take(_ queue: inout ByteQueue, takesEvents: Bool) -> [Note] {
        lock.lock()
        defer { lock.unlock() }
        if isSignaled { clinux_event_clear(descriptor) }
        isSignaled = false
        if takesEvents {
            swap(&events, &queue)
            if publisherWaits {
                publisherWaits = false
                room.wake()
            }
        }
        defer { notes.removeAll() }
        return notes
    }
}

/// Wakes a thread that waits for a descriptor.
struct Signal: Sendable {
    let descriptor = clinux_eventfd()

    func wake() { clinux_event_signal(descriptor) }
    func clear() { clinux_event_clear(descriptor) }
}

/// pthread_mutex, which costs a tenth of what the alternatives do where nobody waits.
final class Lock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inline(__always) func lock() { pthread_mutex_lock(mutex) }
    @inline(__always) func unlock() { pthread_mutex_unlock(mutex) }
}

/// What clients published, on its way to the publisher.
final class Inbox: @unchecked Sendable {
    /// A message or a request's messages: all or nothing.
    struct Item {
        var sender: Sender
        var messages: [Message]
    }

    struct Message {
        /// Empty: none.
        var channel: [UInt8]
        /// Contents of a JSON string; empty: none.
        var event: [UInt8]
        /// A JSON text on one line.
        var data: [UInt8]
        /// That is a string, and its text is what is sent.
        var isText = false
    }

    /// Bytes that may wait: standard output is slow beyond that, and publishers are told so.
    private static let full = 8 << 20

    private let lock = Lock()
    private var items: [Item] = []
    private var bytes = 0
    let signal = Signal()

    /// False when too much waits.
    func post(_ item: Item) -> Bool {
        let size = item.messages.reduce(0) {
            $0 + $1.data.count + $1.channel.count + $1.event.count + 64
        }
        lock.lock()
        defer { lock.unlock() }
        if bytes > 0 && bytes + size > Self.full { return false }
        bytes += size
        if items.isEmpty { signal.wake() }
        items.append(item)
        return true
    }

    func take() -> [Item] {
        lock.lock()
        defer { lock.unlock() }
        if items.isEmpty { return [] }
        signal.clear()
        bytes = 0
        defer { items.removeAll() }
        return items
    }
}
