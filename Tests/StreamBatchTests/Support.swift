import Foundation
import StreamCodec
import Testing

@testable import stream_batch

/// What the aggregates say of the lines: the members without braces.
func aggregate(
    _ specs: [String], _ lines: [String], seconds: Double? = nil, quantileError: Double = 0.01
) throws -> String {
    var aggregates = try Aggregates(
        specs.map { try AggregateSpec($0) }, quantileError: quantileError)
    var state = aggregates.makeState()
    try take(lines, &aggregates, &state)
    return text(aggregates, state, seconds: seconds)
}

func take(
    _ lines: [String], _ aggregates: inout Aggregates, _ state: inout AggregateState
) throws {
    // Those of others come before.
    var paths = JSONPaths([try JSONPath(".other")] + aggregates.paths)
    for line in lines {
        try Array(line.utf8).withUnsafeBufferPointer { line in
            try paths.find(in: line)
            aggregates.take(line, paths.found, from: 1, into: &state)
        }
    }
}

func text(
    _ aggregates: Aggregates, _ state: AggregateState, seconds: Double? = nil
) -> String {
    var queue = ByteQueue()
    aggregates.append(state, seconds: seconds, to: &queue)
    return String(decoding: queue.bytes, as: UTF8.self)
}

/// The value of the only aggregate.
func value(_ spec: String, _ lines: [String]) throws -> String {
    String(try aggregate(["x=\(spec)"], lines).dropFirst("\"x\":".count))
}

func number(_ text: String) -> Number? {
    Array(text.utf8).withUnsafeBufferPointer { Number($0) }
}

/// Cheaper than `#expect`, for loops.
func check(
    _ holds: Bool, _ what: @autoclosure () -> String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    if !holds { Issue.record("\(what())", sourceLocation: sourceLocation) }
}

func hash(_ text: String) -> UInt64 {
    Array(text.utf8).withUnsafeBufferPointer { XXH64.hash($0, seed: 0) }
}

/// The seed that is wanted: $SEED.
enum Seed {
    static let given = ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) }
}

/// S. Vigna's SplitMix64: the same numbers for the same seed.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of a row of seeds, or of another row for each $SEED.
    init(_ seed: UInt64) { self.init(exactly: seed &+ (Seed.given ?? 0) &* 0x9E37_79B9) }

    /// What is true of most seeds only has its own.
    init(exactly seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    /// Above 0, up to 1.
    mutating func unit() -> Double { Double(next() >> 11 + 1) * 0x1p-53 }
}
