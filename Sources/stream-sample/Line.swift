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
    private(set) var bytes = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    /// Its place among all lines, to write held lines in the order in which they came.
    private(set) var number = 0
    /// Nanoseconds since 1970.
    var time: UInt64 = 0
    /// The number of the interval that `time` is in.
    var interval: UInt64 = 0
    /// Lines whose time was before that of one before them. Time does not run back for them.
    private(set) var late = 0
    /// What tells the line's key from others; empty without a key. Valid until the next line.
    private(set) var key = UnsafeBufferPointer<UInt8>(start: nil, count: 0)

    private var paths: JSONPaths
    private let names: [String]
    /// How many of the paths, the first ones, make the key.
    private let keyCount: Int
    private let timeSlot: Int?
    private let timeUnit: Timestamp.Unit
    private let maxGap: UInt64
    /// 366 days.
    private static let standardMaxGap: UInt64 = 366 * 86_400_000_000_000
    /// The slots of what the method reads: a weight, coordinates, the values that change.
    let valueSlots: Range<Int>
    private let keepSlots: Range<Int>
    private let kept: [Condition]
    private let isText: Bool
    private let isStrict: Bool
    private let maxDepth: Int
    private var jsonKey = JSONKey()

    init(_ settings: SampleOptions) throws {
        let keys = settings.by + settings.keys
        let values = settings.values
        let keeps = settings.keep.map(\.path)
        let all = keys + (settings.time.map { [$0] } ?? []) + values + keeps
        guard all.count <= JSONPaths.limit else {
            throw UsageError("more than \(JSONPaths.limit) paths")
        }
        paths = JSONPaths(all)
        names = all.map(\.description)
        keyCount = keys.count
        timeSlot = settings.time == nil ? nil : keys.count
        timeUnit = settings.timeUnit
        maxGap = settings.maxGap ?? Self.standardMaxGap
        let start = keys.count + (settings.time == nil ? 0 : 1)
        valueSlots = start..<(start + values.count)
        keepSlots = valueSlots.upperBound..<(valueSlots.upperBound + keeps.count)
        kept = settings.keep
        isText = settings.isText
        isStrict = settings.isStrict
        maxDepth = settings.common.maxDepth
    }

    /// False when a line may pass without a look into it.
    var isRead: Bool { isStrict || !paths.isEmpty }

    /// Takes the next line, and reads from it what the options name.
    mutating func read(_ line: UnsafeBufferPointer<UInt8>) throws(LineError) {
        bytes = line
        number += 1
        guard isRead else { return }
        if isText {
            if keyCount > 0 { key = line }
            return
        }
        do throws(JSONError) {
            try paths.find(in: line, maxDepth: maxDepth)
        } catch {
            throw LineError(offset: error.offset, reason: error.description)
        }
        if let slot = timeSlot { try tellTime(slot) }
        if keyCount > 0 { key = jsonKey.make(line, paths, count: keyCount) }
    }

    /// True when the value at the path of a --keep is the one it names.
    var isKept: Bool {
        for slot in keepSlots {
            let wanted = kept[slot - keepSlots.lowerBound]
            if isText {
                if wanted.holds(forText: bytes) { return true }
            } else if wanted.holds(for: paths.found[slot].map { bytes.slice($0) }) {
                return true
            }
        }
        return false
    }

    /// Appends the value in the slot in the form in which keys are compared.
    func append(_ slot: Int, to queue: inout ByteQueue) {
        isText ? queue.append(bytes) : queue.append(key: text(at: slot))
    }

    /// The JSON text of the value; null where there is none, as in jq. With --text, the line.
    private func text(at slot: Int) -> UnsafeBufferPointer<UInt8> {
        if isText { return bytes }
        guard let range = paths.found[slot] else { return absent }
        return bytes.slice(range)
    }

    // MARK: Numbers

    /// The number in the slot, or in the string there; nil where there is another value or none.
    func number(in slot: Int) -> Double? {
        let value = text(at: slot)
        switch value.first ?? 0 {
        case UInt8(ascii: "\""): return JSONNumber.parse(value.slice(1..<(value.count - 1)))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return JSONNumber.value(value)
        default: return nil
        }
    }

    /// The same, where nothing else will do.
    func finiteNumber(in slot: Int) throws(LineError) -> Double {
        guard let number = number(in: slot), number.isFinite else {
            throw error(slot, "expected a number")
        }
        return number
    }

    /// A number, or a point in time: nanoseconds since `origin`, which is that of the first one.
    func coordinate(in slot: Int, from origin: inout UInt64?) throws(LineError) -> Double {
        if let number = number(in: slot), number.isFinite { return number }
        let value = text(at: slot)
        if value.first == UInt8(ascii: "\""),
            let time = Timestamp.rfc3339(value.slice(1..<(value.count - 1)))
        {
            // Differences of some months are exact.
            let first = origin ?? time
            origin = first
            return time >= first ? Double(time - first) : -Double(first - time)
        }
        throw error(slot, "expected a number or a time as in RFC 3339")
    }

    private mutating func tellTime(_ slot: Int) throws(LineError) {
        let read = try readTime(slot)
        if time > 0 && read > time && read - time > maxGap {
            throw error(slot, "a time too far ahead of the one before (see --max-gap)")
        }
        if read < time { late += 1 }
        time = max(time, read)
    }

    private func readTime(_ slot: Int) throws(LineError) -> UInt64 {
        guard let time = Timestamp.value(text(at: slot), unit: timeUnit) else {
            throw error(slot, "expected a time, a number or a string as in RFC 3339,")
        }
        return time
    }

    func error(_ slot: Int, _ reason: String) -> LineError {
        LineError(
            offset: paths.found[slot]?.lowerBound ?? 0, reason: "\(reason) at \(names[slot])")
    }
}

/// What stands for a value that is not there. It is never changed nor freed.
nonisolated(unsafe) private let absent: UnsafeBufferPointer<UInt8> = {
    let text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4)
    _ = text.initialize(from: "null".utf8)
    return UnsafeBufferPointer(text)
}()
