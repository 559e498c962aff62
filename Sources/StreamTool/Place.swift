/// Text for a terminal or a journal: what came from outside must not move the cursor or begin
/// a line of its own.
func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
            result += "\\u{" + String(scalar.value, radix: 16) + "}"
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}

/// Where in the input something is wrong.
package struct Place: CustomStringConvertible {
    package var input: String
    /// From 1.
    package var line: Int
    /// From 1; nil when it concerns the whole line.
    package var byte: Int?

    package init(_ input: String, line: Int, byte: Int? = nil) {
        self.input = input
        self.line = line
        self.byte = byte
    }

    package var description: String {
        "\(input):\(line)" + (byte.map { ":\($0)" } ?? "")
    }
}
