import StreamCodec
import StreamTool

/// What a command says, on descriptor 3, of the items that it got: JSON Lines, one for each item
/// that failed, and one for when to come again.
struct Results {
    struct Failure: Equatable {
        var mayBeRetried = true
        var error = ""
    }

    struct Problem: Error, Equatable {
        var line: Int
        var reason: String
    }

    /// By the item's number among those that it got, from 1.
    private(set) var failures: [Int: Failure] = [:]
    /// Nanoseconds.
    private(set) var retryAfter: UInt64?

    /// Nobody is to wait longer than a day because a receiver cannot count.
    private static let longestWait = 86400.0

    /// `count`: how many items it got.
    init(_ text: UnsafeBufferPointer<UInt8>, count: Int) throws(Problem) {
        var number = 0
        var start = 0
        while start < text.count {
            let rest = text.slice(start..<text.count)
            let size = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count
            number += 1
            let line = rest.slice(0..<size)
            if !line.allSatisfy({ $0 <= UInt8(ascii: " ") }) {
                do throws(LineError) {
                    try read(line, count: count)
                } catch {
                    throw Problem(line: number, reason: error.reason)
                }
            }
            start += size + 1
        }
    }

    /// All that it got is delivered.
    var isEmpty: Bool { failures.isEmpty && retryAfter == nil }

    /// No item was taken or refused for good: the receiver may not work.
    func takesNothing(of count: Int) -> Bool {
        failures.isEmpty
            || (failures.count == count && failures.values.allSatisfy(\.mayBeRetried))
    }

    var firstError: String {
        guard let item = failures.filter(\.value.mayBeRetried).keys.min() ?? failures.keys.min()
        else { return "it is to be tried again later" }
        return failures[item]?.error ?? ""
    }

    /// The items that are not to be tried again, by what is wrong with them.
    func refused() -> [(error: String, items: Set<Int>)] {
        let refused = failures.filter { !$0.value.mayBeRetried }
        let groups = Dictionary(grouping: refused.keys) { refused[$0]?.error ?? "" }
        return groups.map { ($0.key, Set($0.value)) }
            .sorted { $0.items.min() ?? 0 < $1.items.min() ?? 0 }
    }

    private struct LineError: Error { var reason: String }

    private mutating func read(
        _ line: UnsafeBufferPointer<UInt8>, count: Int
    ) throws(LineError) {
        var item: Int?
        var failure = Failure()
        var wait: UInt64?
        for (key, value) in try Self.members(of: line) {
            switch key {
            case "item": item = try Self.item(value, count: count)
            case "retry": failure.mayBeRetried = try Self.flag(value)
            case "error": failure.error = Self.text(value)
            case "retry_after": wait = try Self.seconds(value)
            default:
                throw LineError(
                    reason: "unknown member '\(key)' (item, retry, error and retry_after are known)"
                )
            }
        }
        if let wait { retryAfter = max(retryAfter ?? 0, wait) }
        guard let item else {
            if wait != nil { return }
            throw LineError(reason: "neither item nor retry_after")
        }
        if failures.updateValue(failure, forKey: item) != nil {
            throw LineError(reason: "item \(item) a second time")
        }
    }

    private static func members(
        of line: UnsafeBufferPointer<UInt8>
    ) throws(LineError) -> [(key: String, value: UnsafeBufferPointer<UInt8>)] {
        var members: [(String, UnsafeBufferPointer<UInt8>)] = []
        var isObject = true
        do throws(JSONError) {
            try JSON.validate(line)
            isObject = line.first { $0 > UInt8(ascii: " ") } == UInt8(ascii: "{")
            var scanner = JSONScanner(line)
            scanner.skipWhitespace()
            if isObject { try scanner.enter() }
            while isObject, let key = try scanner.nextKey(isFirst: members.isEmpty) {
                let name = String(decoding: line.slice(key), as: UTF8.self)
                members.append((name, line.slice(try scanner.valueRange())))
            }
        } catch {
            throw LineError(reason: "byte \(error.offset + 1): \(error)")
        }
        if !isObject { throw LineError(reason: "expected an object") }
        return members
    }

    private static func item(
        _ value: UnsafeBufferPointer<UInt8>, count: Int
    ) throws(LineError) -> Int {
        guard let number = Int(String(decoding: value, as: UTF8.self)), (1...count).contains(number)
        else {
            throw LineError(
                reason: "item \(Child.printable(value)), expected a number from 1 to \(count)")
        }
        return number
    }

    private static func flag(_ value: UnsafeBufferPointer<UInt8>) throws(LineError) -> Bool {
        switch String(decoding: value, as: UTF8.self) {
        case "true": return true
        case "false": return false
        default: throw LineError(reason: "retry is true or false")
        }
    }

    /// A string's text, of another value its JSON text.
    private static func text(_ value: UnsafeBufferPointer<UInt8>) -> String {
        if value[0] != UInt8(ascii: "\"") {
            return value.elementsEqual("null".utf8) ? "" : Child.printable(value)
        }
        var text = ByteQueue()
        text.append(replacing: value.slice(1..<(value.count - 1)))
        return Child.printable(text.bytes)
    }

    /// A number of seconds, also as text, as HTTP's Retry-After has it.
    private static func seconds(_ value: UnsafeBufferPointer<UInt8>) throws(LineError) -> UInt64 {
        var text = String(decoding: value, as: UTF8.self)
        if text.hasPrefix("\"") { text = String(text.dropFirst().dropLast()) }
        guard let seconds = Value.decimal(text), seconds >= 0 else {
            throw LineError(reason: "retry_after is a number of seconds")
        }
        return UInt64(min(seconds, longestWait) * 1e9)
    }
}
