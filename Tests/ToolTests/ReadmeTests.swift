import Foundation
import Testing

/// What the README shows is what a reader gets.
@Suite struct ReadmeTests {
    /// A command behind "$ " and the lines that it prints, from the console blocks.
    static let examples: [(command: String, output: String)] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        guard
            let readme = try? String(
                contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        else { return [] }
        var examples: [(command: String, output: String)] = []
        var isConsole = false
        for line in readme.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isConsole = line == "```console"
            } else if isConsole && line.hasPrefix("$ ") {
                examples.append((String(line.dropFirst(2)), ""))
            } else if isConsole {
                examples[examples.count - 1].output += line + "\n"
            }
        }
        return examples
    }()

    @Test func thereAreExamples() {
        #expect(Self.examples.count >= 6)
    }

    @Test(arguments: examples)
    func example(_ command: String, _ output: String) throws {
        let result = try shell(command)
        #expect(result.text == output)
        #expect(result.errors == "")
    }
}
