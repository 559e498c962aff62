import CLinux

/// Who may connect: so many in all, and so many from one address; and how much of what they send
/// may be incomplete. All workers ask here.
final class Admission: @unchecked Sendable {
    /// Connections beyond the limit that are still told so; more are just closed.
    private static let refused = 256

    private struct Entry {
        var address: clinux_address
        /// Connections that were let in, and all that know of this entry.
        var count = 0
        var uses = 0
    }

    private let lock = Lock()
    private let maxConnections: Int
    private let maxPerAddress: Int
    private let maxUploads: Int
    private var count = 0
    private var uploads = 0
    private var refusals = 0
    private var entries: [Entry] = []
    private var free: [Int] = []
    private var index: [Key: Int] = [:]

    private struct Key: Hashable {
        var high: UInt64
        var low: UInt64

        init(_ address: clinux_address) {
            high = address.high
            low = address.low
        }
    }

    enum Answer {
        /// With the entry of its address.
        case welcome(Int32)
        case tooMany(Refusal, Int32)
        /// There is no room even to say so.
        case close
    }

    init(maxConnections: Int, maxPerAddress: Int, maxUploads: Int) {
        self.maxConnections = maxConnections
        self.maxPerAddress = maxPerAddress
        self.maxUploads = maxUploads
    }

    /// More, or less, bytes wait for the rest of their request or message. False when there are
    /// too many with them: they are not counted then, and must go.
    func hold(_ change: Int) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if change > 0 && uploads + change > maxUploads { return false }
        uploads += change
        return true
    }

    /// Bytes that wait for the rest of their request or message.
    func held() -> Int {
        lock.lock()
        defer { lock.unlock() }
        return uploads
    }

    func ask(_ address: clinux_address) -> Answer {
        lock.lock()
        defer { lock.unlock() }
        let entry = entry(address)
        let isFull = count >= maxConnections
        // Connections over a Unix socket have no address of their own.
        let isCrowded = !address.isLocal && entries[entry].count >= maxPerAddress
        if (isFull || isCrowded) && refusals >= Self.refused {
            release(entry)
            return .close
        }
        entries[entry].uses += 1
        if isFull || isCrowded {
            refusals += 1
            return .tooMany(isFull ? .full : .address, Int32(entry))
        }
        count += 1
        entries[entry].count += 1
        return .welcome(Int32(entry))
    }

    func leave(_ entry: Int32, wasRefused: Bool) {
        lock.lock()
        defer { lock.unlock() }
        if wasRefused {
            refusals -= 1
        } else {
            count -= 1
            entries[Int(entry)].count -= 1
        }
        entries[Int(entry)].uses -= 1
        release(Int(entry))
    }

    private func entry(_ address: clinux_address) -> Int {
        let key = Key(address)
        if let entry = index[key] { return entry }
        let entry = free.popLast() ?? entries.count
        if entry == entries.count {
            entries.append(Entry(address: address))
        } else {
            entries[entry] = Entry(address: address)
        }
        index[key] = entry
        return entry
    }

    private func release(_ entry: Int) {
        guard entries[entry].uses == 0 else { return }
        index[Key(entries[entry].address)] = nil
        free.append(entry)
    }
}

extension clinux_address {
    /// A Unix socket's.
    fileprivate var isLocal: Bool { high == 0 && low == 0 }
}
