import Glibc
import StreamCodec
import Testing

/// Records an issue unless both are equal. Cheaper than `#expect`, for loops over every cut.
func check<Value: Equatable>(
    _ got: @autoclosure () throws -> Value, _ expected: @autoclosure () throws -> Value,
    _ what: @autoclosure () -> String = "", sourceLocation: SourceLocation = #_sourceLocation
) rethrows {
    let (got, expected) = (try got(), try expected())
    if isSame(got, expected) { return }
    let (gotText, expectedText) = (describe(got), describe(expected))
    let same = zip(gotText, expectedText).prefix { $0 == $1 }.count
    Issue.record(
        """
        \(what().prefix(600)): got \(brief(gotText, from: same)), \
        expected \(brief(expectedText, from: same)) (seed \(Seed.value))
        """,
        sourceLocation: sourceLocation)
}

/// Bytes are compared by the C library: debug builds call a function for each.
private func isSame<Value: Equatable>(_ one: Value, _ other: Value) -> Bool {
    // Asked first, for a cast that fails is slow.
    guard Value.self == [UInt8].self, let one = one as? [UInt8], let other = other as? [UInt8]
    else { return one == other }
    return one.count == other.count
        && one.withUnsafeBytes { one in
            other.withUnsafeBytes { other in
                guard let start = one.baseAddress, let otherStart = other.baseAddress
                else { return true }
                return memcmp(start, otherStart, one.count) == 0
            }
        }
}

private func describe(_ value: some Equatable) -> String {
    (value as? [UInt8]).map { escaped($0) } ?? String(describing: value)
}

/// The part of a long description where the difference is.
private func brief(_ text: String, from difference: Int) -> String {
    let start = max(0, difference - 100)
    return (start > 0 ? "…" : "") + text.dropFirst(start).prefix(300)
}

/// Bytes as a readable text without line breaks.
func escaped(_ bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes {
        switch byte {
        case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
        default: text += "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
    }
    return text
}

func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

/// The bytes cut before each of the offsets, which ascend.
func cut(_ bytes: [UInt8], at offsets: [Int]) -> [[UInt8]] {
    var chunks: [[UInt8]] = []
    var start = 0
    for offset in offsets + [bytes.count] {
        chunks.append(Array(bytes[start..<offset]))
        start = offset
    }
    return chunks
}

func byteByByte(_ bytes: [UInt8]) -> [[UInt8]] { bytes.map { [$0] } }

/// What this thread took of a processor, whatever else the machine did meanwhile.
func processorTime(_ body: () throws -> Void) rethrows -> Duration {
    let read = {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Duration.seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
    let start = read()
    try body()
    return read() - start
}

// MARK: Chance

/// The seed of this run: $SEED, or a new one.
enum Seed {
    static let value: UInt64 = {
        var seed = UInt64.random(in: 0...UInt64(UInt32.max))
        if let given = getenv("SEED") { seed = UInt64(String(cString: given)) ?? seed }
        print("SEED=\(seed)")
        return seed
    }()
}

/// Sebastiano Vigna's SplitMix64.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    /// A sequence of its own for each name, the same in each run with the same seed.
    init(_ name: String) {
        state = name.utf8.reduce(Seed.value) { ($0 ^ UInt64($1)) &* 0x1_0000_0001_B3 }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func chance(_ one: Int, in many: Int) -> Bool { number(1...many) <= one }

    mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        choices[number(0...(choices.count - 1))]
    }

    /// Up to `count` ascending offsets in `bytes`.
    mutating func cuts(_ bytes: [UInt8], count: Int) -> [Int] {
        (0..<number(0...count)).map { _ in number(0...bytes.count) }.sorted()
    }
}

// MARK: The decoder as sse-decode runs it

/// What sse-decode writes: `-r`, or `-d`.
enum Form { case records, data }

/// The lines that sse-decode writes for a stream that arrives in these chunks. An event that
/// is too long shows as the line `too long`.
func decode(
    chunks: [[UInt8]], all: Bool = false, dispatchEOF: Bool = false, as form: Form = .records,
    maxEvent: Int = 16 << 20
) -> [String] {
    var stream = DecodedStream(all: all, form: form, maxEvent: maxEvent)
    for chunk in chunks { stream.take(chunk) }
    stream.finish(dispatchEOF: dispatchEOF)
    return stream.lines
}

/// Sources/sse-decode/Decode.swift without its options.
struct DecodedStream: ~Copyable {
    private var queue = ByteQueue(capacity: 64)
    private var output = ByteQueue()
    private var decoder: SSEDecoder
    private var repair = UTF8Repair()
    private let all: Bool
    private let form: Form

    init(all: Bool, form: Form, maxEvent: Int) {
        self.all = all
        self.form = form
        decoder = SSEDecoder(maxEvent: maxEvent)
        decoder.collectsComments = all
    }

    /// What was written so far.
    var lines: [String] {
        let lines = output.bytes.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return lines.dropLast().map { text($0) }
    }

    /// Bytes that wait for the end of their event.
    var waiting: Int { queue.count }

    mutating func take(_ chunk: [UInt8]) {
        let received = queue.count
        queue.append(chunk)
        repair.repair(&queue, from: received)
        decodeEvents()
    }

    mutating func finish(dispatchEOF: Bool) {
        repair.finish(&queue)
        decodeEvents()
        if decoder.finish(&queue) && dispatchEOF { write() }
    }

    private mutating func decodeEvents() {
        while true {
            switch decoder.next(&queue) {
            case .event: write()
            case .note:
                guard all else { continue }
                output.appendRecord(decoder.fields, data: queue.bytes(0..<0), as: .none)
            case .tooLong: output.append("too long\n")
            case .more: return
            }
        }
    }

    private mutating func write() {
        let data = queue.bytes(decoder.data)
        switch form {
        case .records:
            var fields = decoder.fields
            if !all { fields.retry = nil }
            output.appendRecord(fields, data: data, as: .text)
        case .data:
            if JSON.isValid(data) {
                output.append(jsonOnOneLine: data)
            } else {
                output.append(quoting: data)
            }
            output.append(UInt8(ascii: "\n"))
        }
    }
}

/// The stream that sse-encode writes for lines that are records.
func encode(records lines: [String]) throws(RecordError) -> [UInt8] {
    var output = ByteQueue()
    for line in lines {
        let line = bytes(line)
        try line.withUnsafeBufferPointer { line throws(RecordError) in
            try output.append(try EventRecord(line), of: line)
        }
    }
    return Array(output.bytes)
}
