import Testing

/// STYLE.md, where a machine can tell.
@Suite struct TidyTests {
    private static let sources = Repository.files("Sources", endings: [".swift", ".c", ".h"])
    private static let all =
        sources + Repository.files("Tests", endings: [".swift", ".c", ".cpp", ".h"])
        + ["Package.swift"]

    @Test func thereAreFiles() {
        #expect(Self.sources.count > 20)
        #expect(Repository.tools.contains("sse-encode"))
    }

    @Test func noFoundationInSources() throws {
        for file in Self.sources {
            for (number, line) in try lines(file) where line.contains("import Foundation") {
                Issue.record("\(file):\(number): no Foundation under Sources")
            }
        }
    }

    @Test func nothingLeftToDo() throws {
        // In two parts, for this file is searched too.
        let marks = ["FIX" + "ME", "TO" + "DO", "XX" + "X:"]
        for file in Self.all {
            for (number, line) in try lines(file) where marks.contains(where: { line.contains($0) })
            {
                Issue.record("\(file):\(number): \(line)")
            }
        }
    }

    @Test func sizes() throws {
        for file in Self.all {
            let lines = try lines(file)
            if lines.count > 400 { Issue.record("\(file): \(lines.count) lines, at most 400") }
            for (number, line) in lines {
                if line.count > 100 { Issue.record("\(file):\(number): longer than 100 columns") }
                if line.contains("\t") { Issue.record("\(file):\(number): a tab") }
                if line.last == " " { Issue.record("\(file):\(number): white space at the end") }
            }
        }
    }

    @Test func functionsAreShort() throws {
        for file in Self.all where file.hasSuffix(".swift") {
            for (name, number, count) in functions(in: try lines(file)) where count > 60 {
                Issue.record("\(file):\(number): \(count) lines in '\(name)', at most 60")
            }
        }
    }

    /// From a line with `func` or `init` to the brace in its column that closes it, which is
    /// where swift-format puts it.
    private func functions(
        in lines: [(number: Int, text: Substring)]
    ) -> [(name: Substring, number: Int, count: Int)] {
        let start = /^( *)(?:[a-z@][A-Za-z()@_]* )*(?:func [^ (<]+|init[?(<])/
        var found: [(name: Substring, number: Int, count: Int)] = []
        for (index, line) in lines.enumerated() {
            guard let match = line.text.prefixMatch(of: start) else { continue }
            let close = match.1 + "}"
            guard !line.text.hasSuffix("}"),
                let end = lines[index...].firstIndex(where: { $0.text == close })
            else { continue }
            found.append((match.0.drop { $0 == " " }, line.number, end - index + 1))
        }
        return found
    }

    @Test func functionsInCAreShort() throws {
        for file in Self.all where file.hasSuffix(".c") {
            var start = 0
            for (number, line) in try lines(file) {
                // Its signature may go on in lines of its own.
                let begins = line.hasSuffix("{") || line.hasSuffix("(")
                if begins && line.first != " " { start = number }
                if line == "}" && number - start + 1 > 60 {
                    Issue.record("\(file):\(start): \(number - start + 1) lines, at most 60")
                }
            }
        }
    }

    private func lines(_ file: String) throws -> [(number: Int, text: Substring)] {
        var lines = try Repository.text(file).split(
            separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines.enumerated().map { ($0.offset + 1, $0.element) }
    }

    @Test func aLongFunctionIsFound() {
        let body = Array(repeating: "        x()", count: 60)
        let text = ["struct S {", "    private static func long(", "        _ a: Int) {"] + body
        let lines = (text + ["    }", "}"]).enumerated().map { ($0.offset + 1, $0.element[...]) }
        #expect(functions(in: lines).map(\.count) == [63])
    }
}
