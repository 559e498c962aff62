import CLinux
import Glibc
import StreamCodec

/// The version of the whole suite.
package let suiteVersion = "0.1.0"

/// A command line and what it prints: part of the man page, and a test.
package struct Example: Sendable {
    package var title: String
    package var command: String
    package var output: String

    package init(_ title: String, _ command: String, output: String) {
        self.title = title
        self.command = command
        self.output = output
    }
}

/// What a man page says besides its options, in mdoc(7).
package struct Manual: Sendable {
    package var description: String
    /// Sections behind the options.
    package var more: String
    /// What exit statuses mean that only this tool has, or that mean more here.
    package var statuses: [Int: String]
    package var examples: [Example]
    package var seeAlso: [String]

    package init(
        description: String, more: String = "", statuses: [Int: String] = [:],
        examples: [Example], seeAlso: [String]
    ) {
        self.description = description
        self.more = more
        self.statuses = statuses
        self.examples = examples
        self.seeAlso = seeAlso
    }
}

/// A tool: what it is called, what it can be told, and how it runs.
package struct Command<Settings: ToolSettings> {
    package let name: String
    /// What it does, in half a line.
    package let summary: String
    /// Behind the name, as --help shows it: `[-d | -r] [options] [FILE ...]`.
    package let synopsis: String
    package let groups: [OptionGroup<Settings>]
    package let manual: Manual
    /// What it counts besides what every tool does.
    package let metrics: [Metric]
    /// What stands behind `--` is a command and its arguments, not operands.
    private let takesCommand: Bool

    package init(
        _ name: String, _ summary: String, synopsis: String, options: [OptionGroup<Settings>],
        metrics: [Metric] = [], manual: Manual, takesCommand: Bool = false
    ) {
        self.name = name
        self.summary = summary
        self.synopsis = synopsis
        self.metrics = metrics
        self.manual = manual
        self.takesCommand = takesCommand
        groups = options + Option.common
    }

    /// A flush that a signal asked for may take so many seconds.
    private static var graceSeconds: Int32 { 5 }

    /// Parses the arguments, runs `body`, and ends the process with the contract's status.
    package func run(
        _ settings: Settings, _ body: (inout Run<Settings>) throws -> ExitStatus
    ) -> Never {
        keepStandardDescriptors()
        var settings = settings
        var report = Report(tool: name, options: settings.common)
        do {
            let words = try parse(into: &settings)
            if settings.common.given.contains("metrics-interval"),
                settings.common.metricsFile == nil
            {
                throw UsageError("--metrics-interval needs --metrics-file")
            }
            report = Report(tool: name, options: settings.common, metrics: metrics)
            report.takesText = groups.contains { $0.rows.contains { $0.long == "text" } }
            clinux_watch_signals(Self.graceSeconds)
            exit(try finish(try perform(settings, words, report, body), report).rawValue)
        } catch {
            end(error, report)
        }
    }

    /// Runs the body and writes what it left in the buffer, also when it failed.
    private func perform(
        _ settings: Settings, _ words: Words, _ report: Report,
        _ body: (inout Run<Settings>) throws -> ExitStatus
    ) throws -> Result<ExitStatus, any Error> {
        let operands = words.operands.isEmpty ? [.standardInput] : words.operands
        try checkFiles(
            settings.common.outputFiles + settings.outputFiles,
            inputs: operands + settings.inputFiles)
        try report.open()
        var run = try Run(settings, words, settings.common, report)
        let result: Result<ExitStatus, any Error>
        do {
            result = .success(try body(&run))
        } catch let error as UsageError {
            throw error
        } catch {
            result = .failure(error)
        }
        try run.output.finish()
        return result
    }

    /// The counters, the close of standard output, and then what the body came to.
    private func finish(
        _ result: Result<ExitStatus, any Error>, _ report: Report
    ) throws -> ExitStatus {
        do {
            try report.finish()
        } catch let failure as Failure {
            // What went wrong first is what the user must hear.
            _ = try result.get()
            throw failure
        }
        // What the file system finds out late, it says at the close.
        if close(1) != 0 && errno != EBADF {
            throw Failure(.inputOutput, errno: errno, "standard output")
        }
        let status = try result.get()
        let signal = clinux_stop_signal()
        if signal != 0 && !report.isComplete { endBySignal(signal) }
        return status == .success && report.isPartial ? .partial : status
    }

    private func parse(into settings: inout Settings) throws -> Words {
        let arguments = Array(CommandLine.arguments.dropFirst())
        var parser = ArgumentParser(groups.flatMap(\.rows) + about)
        try parser.parse(arguments, into: &settings)
        settings.common.given = parser.given
        let words = parser.operands.map { index in
            // A String would repair a file name that is no UTF-8.
            let path = CommandLine.unsafeArgv[index + 1]
            return Operand(
                name: arguments[index],
                path: path.map { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
                    ?? [])
        }
        let count = takesCommand ? parser.countBeforeDashes ?? words.count : words.count
        return Words(operands: Array(words[..<count]), command: Array(words[count...]))
    }

    /// --help, --version and what prints the committed pages: they print and end.
    private var about: [Option<Settings>] {
        [
            Option("h", "help", "Print this help.") { _, _ in print(help) },
            Option("V", "version", "Print the version.") { _, _ in
                print("\(name) (streamutils) \(suiteVersion)\n")
            },
            hidden("print-man") { manPage },
            hidden("print-bash-completion") { bashCompletion },
            hidden("print-zsh-completion") { zshCompletion },
            hidden("print-fish-completion") { fishCompletion },
            hidden("print-examples") { examplesAsJSON },
        ]
    }

    private func hidden(_ long: String, _ text: @escaping () -> String) -> Option<Settings> {
        var option = Option<Settings>(nil, long, "") { _, _ in print(text()) }
        option.isHidden = true
        return option
    }

    /// All rows that a user sees.
    var shownGroups: [OptionGroup<Settings>] {
        (groups + [OptionGroup("About", about)]).map { group in
            OptionGroup(group.title, group.rows.filter { !$0.isHidden })
        }
    }

    private func print(_ text: String) -> Never {
        var queue = ByteQueue()
        queue.append(string: text)
        do {
            try writeAll(&queue, to: 1, name: "standard output")
        } catch {
            end(error, Report(tool: name, options: CommonOptions()))
        }
        exit(0)
    }

    private var examplesAsJSON: String {
        var queue = ByteQueue()
        for example in manual.examples {
            queue.append("{\"command\":")
            queue.append(quoting: example.command)
            queue.append(",\"output\":")
            queue.append(quoting: example.output)
            queue.append("}\n")
        }
        return String(decoding: queue.bytes, as: UTF8.self)
    }
}

/// What stands on the command line besides options.
struct Words {
    var operands: [Operand]
    var command: [Operand]
}

/// One run of a tool: what it was told, and what it reads, writes and reports with.
package struct Run<Settings: ToolSettings>: ~Copyable {
    package let settings: Settings
    package let operands: [Operand]
    /// A command and its arguments; empty when there is none, or when the tool takes none.
    package let command: [Operand]
    package let report: Report
    package var input: Input
    package var output: Output

    init(
        _ settings: Settings, _ words: Words, _ common: CommonOptions, _ report: Report
    ) throws {
        self.settings = settings
        operands = words.operands
        command = words.command
        self.report = report
        input = Input(operands: words.operands, options: common, report: report)
        output = try Output(gzipLevel: common.gzipLevel, report: report)
    }

    /// For a tool whose operands are not all files: the input is these, or standard input when
    /// there are none.
    package mutating func read(_ operands: [Operand] = []) {
        input = Input(operands: operands, options: settings.common, report: report)
    }

    /// Opens the next operand, which may take long: nothing waits in the buffer while it does.
    /// False when there is none, or when a signal asked to stop.
    package mutating func openInput() throws -> Bool {
        try output.flush()
        return try input.open()
    }
}

private func end(_ error: any Error, _ report: Report) -> Never {
    switch error {
    case is ReaderGone: endBySignal(SIGPIPE)
    case let failure as Failure:
        report.error(failure.message, at: failure.place)
        exit(failure.status.rawValue)
    case let usage as UsageError:
        report.error(usage.message)
        exit(ExitStatus.usage.rawValue)
    default:
        report.error("internal error: \(error)")
        exit(ExitStatus.internalError.rawValue)
    }
}

/// A file that is opened must not become standard input, output or error because that was
/// closed. The stand-in is open the wrong way round, so that using it still fails with EBADF.
private func keepStandardDescriptors() {
    for descriptor: Int32 in 0...2 where clinux_is_open(descriptor) == 0 {
        _ = clinux_open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY, 0)
    }
}
