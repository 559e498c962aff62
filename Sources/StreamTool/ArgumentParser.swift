/// GNU conventions: bundled short options, `-n5`, `--name=value`, unique abbreviations, `--`,
/// options after operands.
struct ArgumentParser<Settings> {
    let options: [Option<Settings>]
    /// Where the operands stand among the arguments.
    private(set) var operands: [Int] = []
    /// How many of them stand before `--`.
    private(set) var countBeforeDashes: Int?
    /// The long names of the options that were given.
    private(set) var given: Set<String> = []

    init(_ options: [Option<Settings>]) {
        self.options = options
    }

    mutating func parse(_ arguments: [String], into settings: inout Settings) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                countBeforeDashes = operands.count
                operands += rest.indices
                return
            }
            if argument.hasPrefix("--") {
                try parseLong(argument.dropFirst(2), &rest, into: &settings)
            } else if argument.hasPrefix("-") && argument != "-" {
                try parseShort(argument.dropFirst(), &rest, into: &settings)
            } else {
                operands.append(rest.startIndex - 1)
            }
        }
    }

    private mutating func parseLong(
        _ argument: Substring, _ rest: inout ArraySlice<String>, into settings: inout Settings
    ) throws {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let option = try find(String(parts[0]))
        let name = "--\(option.long)"
        var value = parts.count == 2 ? String(parts[1]) : nil
        switch option.argument {
        case .none:
            if value != nil { throw UsageError("option '\(name)' takes no argument") }
        case .required(let argumentName):
            value = value ?? rest.popFirst()
            if value == nil { throw UsageError("option '\(name)' needs its \(argumentName)") }
        case .optional: break
        }
        try apply(option, value, named: name, to: &settings)
    }

    private mutating func parseShort(
        _ bundle: Substring, _ rest: inout ArraySlice<String>, into settings: inout Settings
    ) throws {
        var letters = bundle
        while let letter = letters.popFirst() {
            guard let option = options.first(where: { $0.short == letter }) else {
                throw UsageError("unknown option '-\(letter)' (see --help)")
            }
            var value: String?
            switch option.argument {
            case .none: break
            case .required(let argumentName):
                value = letters.isEmpty ? rest.popFirst() : String(letters)
                letters = ""
                if value == nil {
                    throw UsageError("option '-\(letter)' needs its \(argumentName)")
                }
            case .optional:
                value = letters.isEmpty ? nil : String(letters)
                letters = ""
            }
            try apply(option, value, named: "-\(letter)", to: &settings)
        }
    }

    private mutating func apply(
        _ option: Option<Settings>, _ value: String?, named name: String,
        to settings: inout Settings
    ) throws {
        given.insert(option.long)
        do {
            try option.apply(&settings, value)
        } catch let error as UsageError {
            throw UsageError("option '\(name)': \(error.message)")
        }
    }

    /// The option of this name, or the only one that begins so.
    private func find(_ name: String) throws -> Option<Settings> {
        if let exact = options.first(where: { $0.long == name }) { return exact }
        let shown = options.filter { !$0.isHidden }
        let candidates = name.isEmpty ? [] : shown.filter { $0.long.hasPrefix(name) }
        if candidates.count == 1 { return candidates[0] }
        if candidates.count > 1 {
            let names = candidates.map { "--\($0.long)" }.joined(separator: ", ")
            throw UsageError("option '--\(name)' is ambiguous: \(names)")
        }
        // A letter in three may be wrong, and two that are changed places.
        let nearest = shown.map { (name: $0.long, distance: distance($0.long, name)) }
            .filter { $0.distance <= max(2, name.count / 3) }.min { $0.distance < $1.distance }
        guard let nearest else { throw UsageError("unknown option '--\(name)' (see --help)") }
        throw UsageError("unknown option '--\(name)', did you mean '--\(nearest.name)'?")
    }
}

/// How many letters must be put in, taken out or changed (Levenshtein).
private func distance(_ first: String, _ second: String) -> Int {
    let second = Array(second)
    var row = Array(0...second.count)
    for (index, letter) in first.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in second.indices {
            let change = diagonal + (letter == second[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(change, row[column] + 1, row[column + 1] + 1)
        }
    }
    return row[second.count]
}
