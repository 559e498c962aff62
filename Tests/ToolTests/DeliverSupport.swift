import Foundation
import Testing

/// A folder in which stream-batch and its commands run.
struct Workplace {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Starts stream-batch with a shell line as its command.
    func start(
        _ options: String, _ line: String, stdin: Stream = .pipe, stdout: Stream = .pipe,
        environment: [String: String] = [:]
    ) throws -> Session {
        try start(
            words(options) + ["-x", line], stdin: stdin, stdout: stdout, environment: environment)
    }

    func start(
        _ arguments: [String], stdin: Stream = .pipe, stdout: Stream = .pipe,
        environment: [String: String] = [:]
    ) throws -> Session {
        try Session(
            Files.tools + "/stream-batch", ["--spill-dir", "."] + arguments, stdin: stdin,
            stdout: stdout, environment: environment, folder: folder.path)
    }

    /// Runs it to its end.
    func run(_ options: String, _ line: String, _ input: String = "") throws -> Finished {
        try run(words(options) + ["-x", line], input)
    }

    func run(_ arguments: [String], _ input: String = "") throws -> Finished {
        let session = try start(arguments)
        session.write(input)
        session.closeInput()
        return session.finish()
    }

    /// Runs a shell line here.
    func shell(_ line: String, _ input: String = "") throws -> Finished {
        let session = try Session("/bin/sh", ["-c", line], folder: folder.path)
        session.write(input)
        session.closeInput()
        return session.finish()
    }

    func has(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.file(name))
    }

    /// The lines of a file; none when it is not there.
    func lines(_ name: String) throws -> [String] {
        has(name) ? try text(of: name).split(separator: "\n").map(String.init) : []
    }

    /// What is in a file, also when it is no UTF-8.
    private func text(of name: String) throws -> String {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.file(name)))
        return String(decoding: data, as: UTF8.self)
    }

    /// The dead letters in a file.
    func letters(_ name: String = "dead") throws -> [[String: Any]] {
        try lines(name).map { try #require(json($0) as? [String: Any], "\($0)") }
    }

    /// What is in the file that a run spilled to, and named.
    func spilled(_ result: Finished) throws -> String {
        let name = try #require(
            result.errors.firstMatch(of: #/ (?:is|are) in \./(\S+\.jsonl)[;\n]/#)?.1,
            "\(result.errors)")
        return try text(of: String(name))
    }

    /// The process ids that commands write to a file, once there are so many lines.
    func pids(_ name: String, _ count: Int = 1) throws -> [pid_t] {
        let limit = now() + patience
        // A shell makes the file before it writes to it.
        while try lines(name).count < count && now() < limit { usleep(1000) }
        let found = try lines(name).compactMap { pid_t($0) }
        try #require(found.count >= count)
        return found
    }

    /// Waits until the process of which the id is in a file was reaped.
    func waitForEnd(of name: String) throws {
        let pid = try pids(name)[0]
        let limit = now() + patience
        while kill(pid, 0) == 0 && now() < limit { usleep(1000) }
    }

    /// Waits until a file is there: a command made it.
    func waitFor(_ name: String, seconds: Double = patience) -> Bool {
        let limit = now() + seconds
        while !has(name) && now() < limit { usleep(1000) }
        return has(name)
    }
}

/// Whole numbers, a line each.
func numbers(_ range: ClosedRange<Int>) -> String { range.map { "\($0)\n" }.joined() }

extension Finished {
    /// The counters of --stats, a line of standard error.
    var counters: [String: Any] {
        object(
            errors.split(separator: "\n").last { $0.hasPrefix("{\"tool\"") }.map(String.init) ?? "")
    }

    func counter(_ name: String) -> Int { counters[name] as? Int ?? 0 }

    /// Seconds that it took, by its own clock.
    var elapsed: Double { counters["elapsed_seconds"] as? Double ?? -1 }

    /// Standard error without the counters.
    var complaints: String {
        errors.split(separator: "\n").filter { !$0.hasPrefix("{\"tool\"") }
            .map { $0 + "\n" }.joined()
    }
}
