import StreamCodec
import StreamTool

/// Why a line is rejected.
struct LineError: Error {
    /// Where in the line.
    var offset: Int
    var reason: String
}

/// The line at hand, and what the options read from it.
struct Line: ~Copyable {
    /// As it stands in a batch.
    private(set) var bytes = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    /// Nanoseconds since 1970: when it came, or what --time reads.
    var time: UInt64 = 0
    /// What tells its key from others; empty without --key. Valid until the next line.
    private(set) var key = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    /// The values at all paths, those of the key first, behind them those of the aggregates.
    private(set) var paths: JSONPaths
    let keyCount: Int

    private let timeSlot: Int?
    private let dedupSlot: Int?
    private let reorderSlot: Int?
    private let bySlot: Int?
    private let senderSlot: Int?
    private let changeSlots: Range<Int>
    private let whenSlots: Range<Int>
    private let when: [Condition]
    private let names: [String]
    private let timeUnit: Timestamp.Unit
    private let zone: Timestamp.Zone?
    private var jsonKey = JSONKey()
    /// A line of text as a JSON string.
    private var quoted = ByteQueue(capacity: 256)
    private let isText: Bool
    private let quotesText: Bool
    private let isValidated: Bool
    private let maxDepth: Int

    init(_ settings: BatchOptions, aggregated: [JSONPath]) throws {
        var all = settings.key + aggregated
        func slot(_ path: JSONPath?) -> Int? {
            guard let path else { return nil }
            all.append(path)
            return all.count - 1
        }
        timeSlot = slot(settings.time)
        dedupSlot = slot(settings.dedup)
        reorderSlot = slot(settings.reorder)
        bySlot = slot(settings.by)
        senderSlot = slot(settings.watermarkBy)
        changeSlots = all.count..<(all.count + settings.whenChanged.count)
        all += settings.whenChanged
        whenSlots = all.count..<(all.count + settings.when.count)
        all += settings.when.map(\.path)
        guard all.count <= JSONPaths.limit else {
            throw UsageError("more than \(JSONPaths.limit) paths")
        }
        paths = JSONPaths(all)
        names = all.map(\.description)
        keyCount = settings.key.count
        when = settings.when
        timeUnit = settings.timeUnit
        zone = settings.zone
        isText = settings.isText
        quotesText = settings.format != .lines
        isValidated = settings.isValidated
        maxDepth = settings.common.maxDepth
    }

    /// Takes the next line, and reads from it what the options name.
    mutating func read(_ line: UnsafeBufferPointer<UInt8>) throws(LineError) {
        bytes = line
        if isText {
            try readText()
            return
        }
        guard isValidated else { return }
        do throws(JSONError) {
            if paths.isEmpty {
                try JSON.validate(line, maxDepth: maxDepth)
                return
            }
            try paths.find(in: line, maxDepth: maxDepth)
        } catch {
            throw LineError(offset: error.offset, reason: error.description)
        }
        if let slot = timeSlot { try readTime(slot) }
        if keyCount > 0 { key = jsonKey.make(line, paths, count: keyCount) }
    }

    /// Takes a line out of the journal, where text stands as it does in its batch.
    mutating func readAgain(_ line: UnsafeBufferPointer<UInt8>) throws(LineError) {
        guard isText else { return try read(line) }
        bytes = line
        if keyCount > 0 { key = line }
    }

    private mutating func readText() throws(LineError) {
        if keyCount > 0 { key = bytes }
        guard quotesText else { return }
        guard UTF8Text.isValid(bytes) else {
            throw LineError(offset: 0, reason: "invalid UTF-8 (--format=lines passes any bytes)")
        }
        quoted.removeAll()
        quoted.append(quoting: bytes)
        if keyCount > 0 { key = quoted.bytes }
        bytes = quoted.bytes
    }

    private mutating func readTime(_ slot: Int) throws(LineError) {
        guard let range = paths.found[slot] else { throw error(slot, Self.expectedTime) }
        switch Timestamp.read(bytes.slice(range), unit: timeUnit, zone: zone) {
        case .time(let read): time = read
        case .none: throw error(slot, Self.expectedTime)
        case .tooEarly: throw error(slot, "a time before 1970")
        case .tooLate: throw error(slot, "a time after 2262-04-11")
        }
    }

    private static let expectedTime = "expected a time, a number or a string as in RFC 3339,"

    /// What is wrong with a time that cannot be believed.
    var tooFarAhead: LineError {
        error(timeSlot ?? 0, "a time too far ahead of the ones before (see --max-gap)")
    }

    private func error(_ slot: Int, _ reason: String) -> LineError {
        LineError(
            offset: paths.found[slot]?.lowerBound ?? 0, reason: "\(reason) at \(names[slot])")
    }

    private func value(_ slot: Int) -> UnsafeBufferPointer<UInt8>? {
        paths.found[slot].map { bytes.slice($0) }
    }

    // MARK: What options ask of it

    /// Appends the key as JSON text: the value, or an array of the values.
    func appendKey(to queue: inout ByteQueue) {
        if isText {
            quotesText ? queue.append(bytes) : queue.append(quoting: bytes)
            return
        }
        if keyCount > 1 { queue.append("[") }
        for slot in 0..<keyCount {
            if slot > 0 { queue.append(",") }
            if let value = value(slot) {
                queue.append(value)
            } else {
                queue.append("null")
            }
        }
        if keyCount > 1 { queue.append("]") }
    }

    /// True when it is the last line of its batch: --when.
    var endsBatch: Bool {
        for slot in whenSlots {
            let condition = when[slot - whenSlots.lowerBound]
            let holds =
                isText && !quotesText
                ? condition.holds(forText: bytes)
                : condition.holds(for: isText ? bytes : value(slot))
            if holds { return true }
        }
        return false
    }

    /// Appends the values of --when-changed, so that equal ones are equal bytes.
    func appendChange(to queue: inout ByteQueue) {
        for slot in changeSlots {
            if isText {
                queue.append(bytes)
            } else if let value = value(slot) {
                queue.append(key: value)
            } else {
                queue.append("null")
            }
            queue.append(0xFF)
        }
    }

    /// Appends the value of --dedup. False when there is none.
    func appendIdentity(to queue: inout ByteQueue) -> Bool {
        if isText {
            queue.append(bytes)
            return true
        }
        guard let slot = dedupSlot, let value = value(slot), !value.isEqual(to: "null") else {
            return false
        }
        queue.append(key: value)
        return true
    }

    /// Appends the value of --by, which is null where there is none.
    func appendOrderKey(to queue: inout ByteQueue) { append(bySlot, to: &queue) }

    /// Appends that of --watermark-by.
    func appendSender(to queue: inout ByteQueue) { append(senderSlot, to: &queue) }

    private func append(_ slot: Int?, to queue: inout ByteQueue) {
        guard let slot else { return }
        if let value = value(slot) { queue.append(key: value) } else { queue.append("null") }
    }

    /// The whole number of --reorder, if there is one.
    var number: Int? {
        guard let slot = reorderSlot, let value = value(slot) else { return nil }
        return Int(String(decoding: value, as: UTF8.self))
    }
}
