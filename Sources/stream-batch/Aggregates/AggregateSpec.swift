import StreamCodec
import StreamTool

/// What one --aggregate asks for: `[NAME=]FUNCTION[(PATH[,ARGUMENT...])]`.
struct AggregateSpec {
    enum Function: Equatable {
        case count, rate, sum, min, max, mean, stddev, distinct, first, last
        case quantile(Percentile)
        case top(Int)
        case histogram(HistogramBounds)
    }

    /// The most values of a `top`.
    static let maxTop = 10_000

    let name: String
    let function: Function
    /// Nil for `rate`, and for a `count` of lines.
    let path: JSONPath?

    init(_ text: String) throws(UsageError) {
        let bytes = Array(text.utf8)
        let parenthesis = bytes.firstIndex(of: UInt8(ascii: "(")) ?? bytes.count
        let equals = bytes[..<parenthesis].firstIndex(of: UInt8(ascii: "="))
        if equals == 0 { throw UsageError("expected a name before '=' in '\(text)'") }
        let start = equals.map { $0 + 1 } ?? 0
        let word = String(decoding: bytes[start..<parenthesis], as: UTF8.self)
        let call = try AggregateCall(text, word, Self.arguments(text, bytes[parenthesis...]))
        function = try call.function()
        path = try call.path()
        name =
            equals.map { String(decoding: bytes[..<$0], as: UTF8.self) }
            ?? ([word] + (path?.words ?? [])).joined(separator: "_")
    }

    /// What stands between the parentheses and commas; nil without parentheses. Those in quoted
    /// keys are no separators.
    private static func arguments(
        _ text: String, _ bytes: ArraySlice<UInt8>
    ) throws(UsageError) -> [String]? {
        if bytes.isEmpty { return nil }
        guard bytes.last == UInt8(ascii: ")") else {
            throw UsageError("expected ')' at the end of '\(text)'")
        }
        var rest = Array(bytes.dropFirst().dropLast())
        var arguments: [String] = []
        while true {
            rest.removeFirst(rest.prefix { $0 == UInt8(ascii: " ") }.count)
            let comma = JSONPath.firstOutsideQuotes(UInt8(ascii: ","), in: rest)
            var argument = Array(rest[..<(comma ?? rest.count)])
            if JSONPath.firstOutsideQuotes(UInt8(ascii: ")"), in: argument) != nil {
                throw UsageError("')' before the end of '\(text)'; a key with one needs quotes")
            }
            while argument.last == UInt8(ascii: " ") { argument.removeLast() }
            arguments.append(String(decoding: argument, as: UTF8.self))
            guard let comma else { return arguments }
            rest.removeFirst(comma + 1)
        }
    }
}

/// A function and its arguments as they are written.
private struct AggregateCall {
    private let text: String
    private let word: String
    private var arguments: [String]

    /// Of two arguments of `top` the path becomes the first.
    init(_ text: String, _ word: String, _ arguments: [String]?) throws(UsageError) {
        self.text = text
        self.word = word
        self.arguments = arguments ?? []
        if word == "top" && self.arguments.count == 2 && Int(self.arguments[0]) != nil {
            self.arguments.swapAt(0, 1)
        }
        if self.arguments == [""] { self.arguments = [] }
    }

    func function() throws(UsageError) -> AggregateSpec.Function {
        switch word {
        case "count": return try atMost(1, .count, "count or count(PATH)", from: 0)
        case "rate": return try atMost(0, .rate, "rate", from: 0)
        case "top": return .top(try topCount())
        case "histogram": return .histogram(try bounds())
        default: break
        }
        guard let function = simple else {
            throw UsageError(
                "unknown function '\(word)': expected count, rate, sum, min, max, mean, stddev,"
                    + " median, p0 to p100, such as p99.9, distinct, first, last, top or histogram")
        }
        return try atMost(1, function, "\(word)(PATH)")
    }

    /// A function that has nothing but a path.
    private var simple: AggregateSpec.Function? {
        switch word {
        case "sum": return .sum
        case "min": return .min
        case "max": return .max
        case "mean": return .mean
        case "stddev": return .stddev
        case "distinct": return .distinct
        case "first": return .first
        case "last": return .last
        default: break
        }
        let percentage = word == "median" ? "50" : word.first == "p" ? word.dropFirst() : ""
        guard let percentile = Percentile(percentage) else { return nil }
        // These are known exactly.
        if percentile.isLeast { return .min }
        return percentile.isGreatest ? .max : .quantile(percentile)
    }

    func path() throws(UsageError) -> JSONPath? {
        guard let path = arguments.first else { return nil }
        do throws(JSONPath.ParseError) {
            return try JSONPath(path)
        } catch {
            throw UsageError("\(error) in '\(text)'")
        }
    }

    private func atMost(
        _ limit: Int, _ function: AggregateSpec.Function, _ form: String, from least: Int = 1
    ) throws(UsageError) -> AggregateSpec.Function {
        guard arguments.count >= least && arguments.count <= limit else {
            throw UsageError("expected \(form), not '\(text)'")
        }
        return function
    }

    private func topCount() throws(UsageError) -> Int {
        let limit = AggregateSpec.maxTop
        let count = arguments.count == 2 ? Int(arguments[1]) : 10
        guard (1...2).contains(arguments.count), let count, (1...limit).contains(count) else {
            throw UsageError(
                "expected top(PATH) or top(PATH,N), N from 1 to \(limit), not '\(text)'")
        }
        return count
    }

    private func bounds() throws(UsageError) -> HistogramBounds {
        guard !arguments.isEmpty else {
            throw UsageError("expected histogram(PATH) or histogram(PATH,BOUND...), not '\(text)'")
        }
        guard arguments.count - 1 <= HistogramBounds.limit else {
            throw UsageError("more than \(HistogramBounds.limit) bounds of a histogram")
        }
        var bounds = HistogramBounds()
        for bound in arguments.dropFirst() where !bounds.append(bound) {
            throw UsageError(
                "expected numbers in ascending order as bounds, not '\(bound)' in '\(text)'")
        }
        return bounds
    }
}
