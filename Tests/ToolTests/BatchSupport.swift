import Foundation
import Testing

extension Case {
    static func batch(
        _ title: String, _ arguments: String = "", _ input: String = "", output: String,
        status: Int32 = 0, errors: String = ""
    ) -> Case {
        Case(
            title: title, tool: "stream-batch", arguments: arguments, input: input,
            output: output, status: status, errors: errors)
    }
}

/// What stream-batch is given, and what comes of it.
enum Batches {
    /// Whole numbers, a line each.
    static func lines(_ numbers: Int...) -> String { numbers.map { "\($0)\n" }.joined() }

    /// Texts, a line each, words of one string.
    static func lines(_ texts: String) -> String { words(texts).map { $0 + "\n" }.joined() }

    /// The line behind each batch that `split` wants: no line of the tests is like it.
    static let separator = "%%"

    /// The batches of --format=lines --separator=%%, each as its lines.
    static func split(_ output: [UInt8]) throws -> [[String]] {
        var batches: [[String]] = []
        var open: [String] = []
        for line in String(decoding: output, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false
        ).dropLast() {
            if line == Self.separator {
                batches.append(open)
                open = []
            } else {
                open.append(String(line))
            }
        }
        try #require(open.isEmpty, "no separator behind the last batch")
        return batches
    }

    /// The batches of a run with these options and --format=lines; the run must succeed.
    static func of(_ options: String, _ input: String) throws -> [[String]] {
        let result = try run(
            "stream-batch", words(options) + ["-f", "lines", "--separator", separator], input.utf8)
        try #require(result.ending == .exit(0), "\(result.errors)")
        return try split(result.output)
    }

    /// `[1,2]` and a line feed for the lines 1 and 2.
    static func array(_ lines: [String]) -> String { "[" + lines.joined(separator: ",") + "]\n" }
}

/// A batch of --format=object.
struct BatchObject: Equatable, Comparable, CustomStringConvertible {
    /// Its JSON text as Foundation writes it; empty when there is none.
    var key = ""
    /// Milliseconds since 1970.
    var from: Int
    var to: Int
    /// What stands at `i` in its lines.
    var items: [Int]

    var description: String { "\(key) \(from)...\(to) \(items)" }

    static func < (one: BatchObject, other: BatchObject) -> Bool {
        one.description < other.description
    }

    /// The batches of an output, which are numbered from 1 and say their count.
    static func parse(_ output: String) throws -> [BatchObject] {
        try output.split(separator: "\n").enumerated().map { index, line in
            let batch = object(String(line))
            let items = try #require(batch["items"] as? [[String: Any]], "\(line)")
            #expect(batch["seq"] as? Int == index + 1)
            #expect(batch["count"] as? Int == items.count)
            return BatchObject(
                key: batch["key"].map { "\($0)" } ?? "", from: try milliseconds(batch["from"]),
                to: try milliseconds(batch["to"]), items: items.compactMap { $0["i"] as? Int })
        }
    }

    static func milliseconds(_ time: Any?) throws -> Int {
        let text = try #require(time as? String)
        #expect(text.count == 24 && text.hasSuffix("Z"))
        let date = try Date(
            text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        return Int((date.timeIntervalSince1970 * 1000).rounded())
    }
}

/// A line with a time and a key, for windows.
struct TimedLine {
    /// Seconds.
    var time: Int
    var key: String
    var index: Int

    var text: String { "{\"t\":\(time),\"k\":\"\(key)\",\"i\":\(index)}\n" }

    /// Lines of a stream whose clock goes on, and back by up to `disorder` seconds.
    static func random(
        _ count: Int, step: Int, disorder: Int, _ random: inout SeededGenerator
    ) -> [TimedLine] {
        var clock = Int.random(in: disorder...(disorder + 100), using: &random)
        return (0..<count).map { index in
            if Int.random(in: 0..<3, using: &random) > 0 {
                clock += Int.random(in: 0...step, using: &random)
            }
            return TimedLine(
                time: clock - Int.random(in: 0...disorder, using: &random),
                key: ["a", "b", "c"].randomElement(using: &random) ?? "", index: index)
        }
    }
}
