import Foundation
import Testing

/// Where things are.
enum Files {
    /// The folder of the package.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    static let samples = root + "/Tests/Corpus/samples"

    /// The folder of the tools: $STREAMUTILS_TOOLS, or that of the test runner.
    static let tools: String = {
        if let folder = ProcessInfo.processInfo.environment["STREAMUTILS_TOOLS"] {
            return URL(fileURLWithPath: folder).path
        }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return runner.deletingLastPathComponent().path
    }()

    static func sample(_ name: String) throws -> String {
        try String(contentsOfFile: samples + "/" + name, encoding: .utf8)
    }

    static func sampleNames(ending: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: samples).filter {
            $0.hasSuffix(ending)
        }.sorted()
    }
}

/// A folder that goes with the test, in $TMPDIR or in /tmp.
final class TemporaryFolder {
    static let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"

    let path: String

    init() throws {
        var template = Array((Self.parent + "/streamutils-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw SpawnError(code: errno) }
        path = String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self)
    }

    deinit { _ = try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    func read(_ name: String) throws -> String {
        try String(contentsOfFile: file(name), encoding: .utf8)
    }
}

/// Runs a tool to its end, with standard input, in the folder of the samples.
func run(
    _ tool: String, _ arguments: [String], _ input: some Sequence<UInt8>,
    environment: [String: String] = [:]
) throws -> Finished {
    let session = try Session(Files.tools + "/" + tool, arguments, environment: environment)
    session.write(input)
    session.closeInput()
    return session.finish()
}

/// Like it, with the arguments in one string, separated by spaces.
func run(
    _ tool: String, _ arguments: String = "", _ input: String = "",
    environment: [String: String] = [:]
) throws -> Finished {
    try run(tool, words(arguments), input.utf8, environment: environment)
}

/// Starts a tool that the test talks to.
func start(
    _ tool: String, _ arguments: String = "", stdin: Stream = .pipe, stdout: Stream = .pipe,
    stderr: Stream = .pipe, environment: [String: String] = [:]
) throws -> Session {
    try Session(
        Files.tools + "/" + tool, words(arguments), stdin: stdin, stdout: stdout, stderr: stderr,
        environment: environment)
}

/// Runs a command line in the folder of the samples, with the tools on PATH.
func shell(_ command: String, _ input: String = "") throws -> Finished {
    let session = try Session("/bin/sh", ["-c", command])
    session.write(input)
    session.closeInput()
    return session.finish()
}

func words(_ text: String) -> [String] {
    text.split(separator: " ").map(String.init)
}

/// A run and what must come of it: a row of a table.
struct Case: CustomTestStringConvertible, Sendable {
    var title: String
    var tool: String
    var arguments: String
    var input: String
    var output: String
    var status: Int32
    /// All of standard error.
    var errors: String

    var testDescription: String { title }

    static func decode(
        _ title: String, _ arguments: String = "", _ input: String = "", output: String,
        status: Int32 = 0, errors: String = ""
    ) -> Case {
        Case(
            title: title, tool: "sse-decode", arguments: arguments, input: input,
            output: output, status: status, errors: errors)
    }

    static func encode(
        _ title: String, _ arguments: String = "", _ input: String = "", output: String,
        status: Int32 = 0, errors: String = ""
    ) -> Case {
        Case(
            title: title, tool: "sse-encode", arguments: arguments, input: input,
            output: output, status: status, errors: errors)
    }

    static func sample(
        _ title: String, _ arguments: String = "", _ input: String = "", output: String,
        status: Int32 = 0, errors: String = ""
    ) -> Case {
        Case(
            title: title, tool: "stream-sample", arguments: arguments, input: input,
            output: output, status: status, errors: errors)
    }

    func check() throws {
        let result = try run(tool, arguments, input)
        #expect(result.text == output)
        #expect(result.ending == .exit(status))
        #expect(result.errors == errors)
    }
}

/// True when every line is a JSON value.
func isJSONLines(_ text: String) -> Bool {
    text.split(separator: "\n").allSatisfy { json(String($0)) != nil }
}

func json(_ text: String) -> Any? {
    // Foundation takes U+FEFF at the start of a string for a byte order mark.
    let escaped = Data(text.replacing("\u{FEFF}", with: "\\uFEFF").utf8)
    return try? JSONSerialization.jsonObject(with: escaped, options: .fragmentsAllowed)
}

func object(_ text: String) -> [String: Any] {
    json(text) as? [String: Any] ?? [:]
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// $SEED, or a new one; printed, so that a failure can be had again.
    static func announced(_ test: String) -> SeededGenerator {
        let seed = given ?? UInt64.random(in: 1...9_999_999)
        print("\(test): SEED=\(seed)")
        return SeededGenerator(seed: seed)
    }

    /// $SEED, or this one: what holds for any seed, and is the same in each run.
    static func usual(_ seed: UInt64) -> SeededGenerator { SeededGenerator(seed: given ?? seed) }

    private static let given = ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) }
}
