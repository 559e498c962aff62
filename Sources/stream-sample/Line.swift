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
    /// Nanoseconds since 1970. Of --time, what the line says, until `goOn` makes it the latest.
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
    private let zone: Timestamp.Zone?
    /// The latest time of all lines.
    private var latest: UInt64 = 0
    /// Those of each key, by its index, where each has a clock of its own.
    private var clocks: [UInt64] = []
    private var clockKeys: KeyTable
    private let hasClocks: Bool
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
        zone = settings.zone
        hasClocks = settings.time != nil && !settings.by.isEmpty && settings.every == nil
        clockKeys = KeyTable(limit: settings.maxKeys)
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
        if let slot = timeSlot { time = try readTime(slot) }
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
        case UInt8(ascii: "\""):
            let contents = value.slice(1..<(value.count - 1))
            if contents.hasEscapes { return contents.withUnescaped { JSONNumber.parse($0) } }
            return JSONNumber.parse(contents)
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
        // Numbers are none of it, and no unit counts.
        if value.first == UInt8(ascii: "\""), number(in: slot) == nil,
            case .time(let time) = Timestamp.read(value, unit: .auto, zone: zone)
        {
            // Differences of some months are exact.
            let first = origin ?? time
            origin = first
            return time >= first ? Double(time - first) : -Double(first - time)
        }
        throw error(slot, "expected a number or a time as in RFC 3339")
    }

    /// Time goes on to that of the line, or stays where it is.
    mutating func goOn() {
        var before = latest
        latest = max(latest, time)
        if hasClocks {
            let (index, arrival) = clockKeys.insert(key)
            if index == clocks.count { clocks.append(0) }
            before = arrival == .known ? clocks[index] : 0
            clocks[index] = max(before, time)
        }
        if time < before { late += 1 }
        time = max(time, before)
    }

    /// The times before were wrong.
    mutating func beginAnew() {
        latest = 0
        clockKeys.removeAll()
    }

    private func readTime(_ slot: Int) throws(LineError) -> UInt64 {
        switch Timestamp.read(text(at: slot), unit: timeUnit, zone: zone) {
        case .time(let time): return time
        case .none: throw error(slot, "expected a time, a number or a string as in RFC 3339,")
        case .tooEarly: throw error(slot, "a time before 1970")
        case .tooLate: throw error(slot, "a time after 2262-04-11")
        }
    }

    /// What is wrong with a time that cannot be believed.
    var tooFarAhead: LineError {
        error(timeSlot ?? 0, "a time too far ahead of the one before (see --max-gap)")
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
