extension Option {
    /// `-z, --gzip[=LEVEL]`
    fileprivate var usage: String {
        let dash = short.map { "-\($0), " } ?? "    "
        switch argument {
        case .none: return "\(dash)--\(long)"
        case .required(let name): return "\(dash)--\(long)=\(name)"
        case .optional(let name): return "\(dash)--\(long)[=\(name)]"
        }
    }
}

extension Command {
    var help: String {
        var text = "usage: \(name) \(synopsis)\n\n\(name): \(summary).\n"
        for group in shownGroups {
            text += "\n\(group.title):\n"
            for row in group.rows {
                let usage = "  " + row.usage
                let isLong = usage.count > 27
                text += usage + (isLong ? "\n" : String(repeating: " ", count: 28 - usage.count))
                let lines = wrap(row.text, width: 52)
                for (index, line) in lines.enumerated() {
                    text += (index > 0 || isLong ? String(repeating: " ", count: 28) : "") + line
                    text += "\n"
                }
            }
        }
        return text + "\nThe manual: man \(name)\n"
    }
}

/// The text in lines of at most `width` bytes, longer words excepted.
func wrap(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
        if !line.isEmpty && line.utf8.count + 1 + word.utf8.count > width {
            lines.append(line)
            line = ""
        }
        line += (line.isEmpty ? "" : " ") + word
    }
    return lines + [line]
}
