import Foundation
import Testing

/// What is committed is what the tools print, and it is right.
@Suite struct PageTests {
    /// What a tool prints, and where that is kept.
    struct Page: CustomTestStringConvertible, Sendable {
        let tool: String
        let option: String
        let path: String

        var testDescription: String { path }
    }

    static let pages: [Page] = Repository.tools.flatMap { tool in
        [
            Page(tool: tool, option: "--print-man", path: "man/\(tool).1"),
            Page(
                tool: tool, option: "--print-bash-completion", path: "completions/bash/\(tool)"),
            Page(tool: tool, option: "--print-zsh-completion", path: "completions/zsh/_\(tool)"),
            Page(
                tool: tool, option: "--print-fish-completion",
                path: "completions/fish/\(tool).fish"),
        ]
    }

    /// With STREAMUTILS_UPDATE=1 it writes the file instead.
    @Test(arguments: pages) func isWhatTheToolPrints(_ page: Page) throws {
        let (text, status) = try Repository.shell("\(page.tool) \(page.option)")
        #expect(status == 0, "\(text)")
        let path = "\(Repository.root)/\(page.path)"
        if Repository.environment["STREAMUTILS_UPDATE"] == "1" {
            let url = URL(fileURLWithPath: path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
            return
        }
        guard Repository.exists(page.path) else {
            Issue.record("\(page.path) is missing: STREAMUTILS_UPDATE=1 swift test writes it")
            return
        }
        let isCurrent = try Repository.text(page.path) == text
        #expect(isCurrent, "\(page.path) is stale: STREAMUTILS_UPDATE=1 swift test writes it")
    }

    /// A counter that its tool's table lacks would be counted all the same, without a word on it.
    @Test(arguments: Repository.tools) func everyCounterIsInTheTable(_ tool: String) throws {
        let use = /[ .]report\.(?:add|set|setGauge|observe)\([^"]{0,90}?(?:to|as): "(\w+)"/
        let table = try Repository.text("man/\(tool).1")
        for path in Repository.files("Sources/\(tool)", endings: [".swift"]) {
            for found in try Repository.text(path).matches(of: use) {
                let isListed = table.contains(".It Va \(found.1) ")
                #expect(isListed, "\(path) counts \(found.1), which Metrics.swift lacks")
            }
        }
    }

    /// Pages of section 7 are written by hand.
    @Test func nothingElseIsCommitted() {
        let known = Set(Self.pages.map(\.path))
        for path in Repository.files("man", endings: [".1"])
            + Repository.files("completions", endings: [""])
        where !Repository.isFolder(path) {
            #expect(known.contains(path), "\(path) belongs to no tool")
        }
    }

    /// A macro that is indented is text, and mandoc says nothing of it.
    @Test(arguments: Repository.files("man", endings: [".1", ".7"]))
    func everyMacroBeginsItsLine(_ path: String) throws {
        let indented = try Repository.text(path).matches(of: /\n +\.[A-Z][a-z]\b.*/)
        #expect(indented.isEmpty, "\(path): \(indented.map(\.output))")
        // And one behind something on its line, where a piece of the page had no line end.
        let joined = try Repository.text(path).matches(of: /\n[^\n]+\.S[hs] [A-Z].*/)
        #expect(joined.isEmpty, "\(path): \(joined.map(\.output))")
    }

    @Test(arguments: Repository.files("man", endings: [".1", ".7"]))
    func committedPageIsClean(_ path: String) throws {
        guard try Repository.isInstalled("mandoc") else { return }
        // Whether the pages that it names are installed says nothing of this one.
        let (text, _) = try Repository.shell(
            "mandoc -Tlint \(path) 2>/dev/null | grep -v 'referenced manual not found'")
        #expect(text.isEmpty)
    }

    @Test(arguments: Repository.tools) func completionsParse(_ tool: String) throws {
        for (shell, file) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
            guard try Repository.isInstalled(shell) else { continue }
            let (text, status) = try Repository.shell(
                """
                file=$(mktemp)
                \(tool) --print-\(file)-completion > "$file" && \(shell) -n "$file"
                status=$?
                rm "$file"
                exit $status
                """)
            #expect(text.isEmpty)
            #expect(status == 0)
        }
    }

    @Test(arguments: Repository.tools) func bashCompletes(_ tool: String) throws {
        guard try Repository.isInstalled("bash") else { return }
        let function = "_" + tool.replacing("-", with: "_")
        let complete = { (words: String) in
            """
            bash -c '
            compopt() { :; }
            source <(\(tool) --print-bash-completion)
            COMP_WORDS=(\(tool) \(words))
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            \(function)
            printf "%s\\n" "${COMPREPLY[@]}"'
            """
        }
        #expect(try Repository.shell(complete("--on-er")).0 == "--on-error=\n")
        #expect(try Repository.shell(complete("--on-error = s")).0 == "stop\nskip\n")
        #expect(try Repository.shell(complete("--on-error st")).0 == "stop\n")
        #expect(try Repository.shell(complete("--records")).0 == "--records\n")
        let files = try Repository.shell(complete("rec"), in: "Tests/Corpus/samples")
        #expect(files.0 == "records.jsonl\n")
    }

    @Test(arguments: Repository.tools) func examplesAreTrue(_ tool: String) throws {
        let (text, status) = try Repository.shell("\(tool) --print-examples")
        #expect(status == 0)
        for line in text.split(separator: "\n") {
            let example = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            let command = try #require(example?["command"] as? String)
            let expected = try #require(example?["output"] as? String)
            let (output, _) = try Repository.shell(command, in: "Tests/Corpus/samples")
            #expect(output == expected, "\(command)")
        }
    }

    @Test(arguments: Repository.tools) func everyOptionIsInTheManual(_ tool: String) throws {
        let help = try Repository.shell("\(tool) --help").0
        let page = try Repository.shell("\(tool) --print-man").0
        let completion = try Repository.shell("\(tool) --print-fish-completion").0
        let names = help.split(separator: "\n").compactMap { line in
            line.prefixMatch(of: /\ \ (?:-., |\ \ \ \ )--([a-z-]+)/).map { String($0.1) }
        }
        #expect(names.count > 20)
        for name in names {
            let isKnown = page.contains("Fl Fl \(name)") && completion.contains("-l \(name)")
            #expect(isKnown, "--\(name)")
        }
    }
}
