import StreamCodec

/// The clocks of those who send, each by its key. What they all passed is past; the one that is
/// silent while time goes on for the others is not waited for.
///
/// Clocks may differ, so that none says how much time went on. Each adds what it went on since its
/// own last line to how far the whole was when it came, and the farthest counts: the progress.
struct Senders: ~Copyable {
    private struct Sender {
        /// The latest time that it said.
        var latest: UInt64 = 0
        /// The progress by its clock, and when it was last heard.
        var pace: UInt64 = 0
        var heard: UInt64 = 0
    }

    private var keys: KeyTable
    /// By the key's index.
    private var senders: [Sender] = []
    /// The indices by their latest times.
    private var behind = DueQueue()
    private var progress: UInt64 = 0
    /// Without a line for so long, a sender is silent. Those of whom nothing was heard yet are
    /// waited for as long.
    private let silence: UInt64

    init(limit: Int, silence: UInt64) {
        keys = KeyTable(limit: limit)
        self.silence = silence
    }

    /// Senders that were given up for others.
    var evictions: Int { keys.evictions }

    /// The time that all senders have passed, once this one says `time`.
    mutating func hear(_ key: UnsafeBufferPointer<UInt8>, _ time: UInt64) -> UInt64 {
        let (index, arrival) = keys.insert(key)
        if arrival == .known {
            goOn(index, to: time)
        } else {
            if index == senders.count { senders.append(Sender()) }
            behind.remove(index)
            behind.insert(index, due: time, serial: index)
            senders[index] = Sender(latest: time, pace: progress)
        }
        senders[index].heard = progress
        while let oldest = keys.oldest, progress - senders[oldest].heard > silence {
            behind.remove(oldest)
            keys.remove(oldest)
        }
        return progress > silence ? behind.first?.due ?? 0 : 0
    }

    private mutating func goOn(_ index: Int, to time: UInt64) {
        let last = senders[index].latest
        if time <= last { return }
        // One clock that jumps makes nobody silent by itself.
        senders[index].pace += min(time - last, silence / 2)
        progress = max(progress, senders[index].pace)
        senders[index].latest = time
        behind.postpone(index, to: time)
    }

    mutating func removeAll() {
        while let oldest = keys.oldest {
            behind.remove(oldest)
            keys.remove(oldest)
        }
        progress = 0
    }
}
