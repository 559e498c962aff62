import StreamCodec

/// One row of a tool's option table: the parser, `--help`, the man page and the completions
/// are all made of it.
package struct Option<Settings> {
    package enum Argument {
        case none
        case required(String)
        case optional(String)
    }

    /// What a shell offers for the argument.
    package enum Completion: Equatable {
        case nothing, file
        case choices([String])
    }

    let short: Character?
    let long: String
    let argument: Argument
    let completion: Completion
    /// What it does, in a sentence or a few.
    let text: String
    /// Hidden rows work and are not shown: what prints the committed pages.
    var isHidden = false
    /// `nil` when no argument was given.
    let apply: (inout Settings, String?) throws -> Void

    package init(
        _ short: Character?, _ long: String, _ text: String, argument: Argument = .none,
        completion: Completion = .nothing,
        apply: @escaping (inout Settings, String?) throws -> Void
    ) {
        self.short = short
        self.long = long
        self.argument = argument
        self.completion = completion
        self.text = text
        self.apply = apply
    }
}

extension Option {
    /// The same row, which no help, page or completion shows.
    package func hidden() -> Option {
        var option = self
        option.isHidden = true
        return option
    }
}

/// Rows under one heading.
package struct OptionGroup<Settings> {
    let title: String
    let rows: [Option<Settings>]

    package init(_ title: String, _ rows: [Option<Settings>]) {
        self.title = title
        self.rows = rows
    }

    /// The long names of its options.
    package var names: [String] { rows.map(\.long) }
}

extension Option {
    // Each takes a closure that puts the value where it belongs. Key paths would say the same,
    // and cost a fifth of the tools' start: the run-time system builds each one.

    /// Sets a field to a value: `--records`.
    package static func set(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings) -> Void,
        _ text: String
    ) -> Option {
        Option(short, long, text) { settings, _ in set(&settings) }
    }

    package static func string(
        _ short: Character?, _ long: String, _ name: String,
        _ set: @escaping (inout Settings, String) -> Void, completion: Completion = .nothing,
        _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required(name), completion: completion) {
            settings, value in
            set(&settings, value ?? "")
        }
    }

    /// Repeatable: the values are collected.
    package static func strings(
        _ short: Character?, _ long: String, _ name: String,
        _ add: @escaping (inout Settings, String) -> Void, _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required(name)) { settings, value in
            add(&settings, value ?? "")
        }
    }

    package static func file(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings, String) -> Void,
        _ text: String
    ) -> Option {
        .string(short, long, "FILE", set, completion: .file, text)
    }

    package static func path(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings, JSONPath) -> Void,
        _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required("PATH")) { settings, value in
            do throws(JSONPath.ParseError) {
                set(&settings, try JSONPath(value ?? ""))
            } catch {
                throw UsageError(error.description)
            }
        }
    }

    /// Several paths with commas between them.
    package static func paths(
        _ short: Character?, _ long: String,
        _ set: @escaping (inout Settings, [JSONPath]) -> Void, _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required("PATH[,PATH...]")) { settings, value in
            do throws(JSONPath.ParseError) {
                set(&settings, try JSONPath.list(value ?? ""))
            } catch {
                throw UsageError(error.description)
            }
        }
    }

    package static func rate(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings, Rate) -> Void,
        _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required("N/s")) { settings, value in
            set(&settings, try Value.rate(value ?? ""))
        }
    }

    /// Without an argument, where `standard` allows that, it is `standard`.
    package static func count(
        _ short: Character?, _ long: String, _ name: String,
        _ set: @escaping (inout Settings, Int) -> Void, in range: ClosedRange<Int>,
        standard: Int? = nil, _ text: String
    ) -> Option {
        let argument: Argument = standard == nil ? .required(name) : .optional(name)
        return Option(short, long, text, argument: argument) { settings, value in
            if let number = try value.map({ try Value.count($0, in: range) }) ?? standard {
                set(&settings, number)
            }
        }
    }

    package static func size(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings, Int) -> Void,
        in range: ClosedRange<Int>, _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required("SIZE")) { settings, value in
            let size = try Value.size(value ?? "")
            guard range.contains(size) else {
                throw UsageError("expected a size from \(range.lowerBound) to \(range.upperBound)")
            }
            set(&settings, size)
        }
    }

    /// Nanoseconds; at least so many milliseconds, or 0 where that has one plain meaning: at once,
    /// or never. Where it could be taken for both, it is refused.
    package static func duration(
        _ short: Character?, _ long: String, _ set: @escaping (inout Settings, UInt64) -> Void,
        atLeastMilliseconds least: UInt64 = 1, orZero: Bool = false, _ text: String
    ) -> Option {
        Option(short, long, text, argument: .required("DURATION")) { settings, value in
            let duration = try Value.duration(value ?? "")
            guard duration >= least * 1_000_000 || orZero && duration == 0 else {
                throw UsageError(
                    "expected \(orZero ? "0, or " : "")a duration of at least \(least)ms")
            }
            set(&settings, duration)
        }
    }

    package static func choice<Field: RawRepresentable & CaseIterable>(
        _ short: Character?, _ long: String, _ name: String,
        _ set: @escaping (inout Settings, Field) -> Void, _ text: String
    ) -> Option where Field.RawValue == String {
        let words = Field.allCases.map(\.rawValue)
        return Option(short, long, text, argument: .required(name), completion: .choices(words)) {
            settings, value in
            guard let choice = Field(rawValue: value ?? "") else {
                throw UsageError(
                    "expected \(words.joined(separator: " or ")), not '\(value ?? "")'")
            }
            set(&settings, choice)
        }
    }
}
