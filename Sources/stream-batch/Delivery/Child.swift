import CLinux
import Glibc
import StreamCodec
import StreamTool

/// How an attempt to deliver ended.
enum Ending: Equatable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)
    case timeout(UInt64)
    case tooMuchOutput(limit: Int)
    case cannotStart(errno: Int32)
    /// The command says of items that they failed: what is wrong with the first one.
    case item(String)
    /// It said what nobody can read.
    case badResults(String)
    case stopped

    var description: String {
        switch self {
        case .status(let status): "exit status \(status)"
        case .signal(let signal): "killed by signal \(signal)"
        case .timeout(let time): "timed out after \(durationText(time))"
        case .tooMuchOutput(let limit): "wrote more than \(limit) bytes (see --max-output)"
        case .cannotStart(let code): "cannot be started: \(errorText(code))"
        case .item(let error): error.isEmpty ? "the command says that it failed" : error
        case .badResults(let problem): "what it wrote to descriptor 3 is no result: \(problem)"
        case .stopped: "stopped before it was delivered"
        }
    }
}

/// `2s`, or `250ms` where it is no whole number of seconds.
func durationText(_ nanoseconds: UInt64) -> String {
    let milliseconds = nanoseconds / 1_000_000
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
}

/// A command that runs: a process group, and the pipes to which it writes.
final class Child {
    private let process: Int32
    /// The pipes of its standard output and standard error; -1 once closed.
    private var output: Int32
    private var errors: Int32
    /// That of descriptor 3, with --results.
    private var results: Int32
    /// What it wrote to descriptor 3.
    private(set) var resultLines = ByteQueue(capacity: 0)
    /// What it wrote to standard output.
    private(set) var written = ByteQueue(capacity: 0)
    /// What it wrote to standard error and is not passed on: the start of a line.
    private var errorLine = ByteQueue(capacity: 0)
    /// The last bytes that it wrote to standard error.
    private var errorTail: [UInt8] = []
    /// When it gets the next signal.
    private(set) var deadline: UInt64?
    /// Why it was told to end.
    private var reason: Ending?

    /// A line of standard error that is longer is passed on in pieces.
    private static let longestErrorLine = 64 << 10
    private static let tailSize = 4096

    /// One that wrote nothing.
    static var silent: Child {
        Child(clinux_child(process: 0, output: -1, errors: -1, results: -1), deadline: nil)
    }

    init(_ child: clinux_child, deadline: UInt64?) {
        process = child.process
        output = child.output
        errors = child.errors
        results = child.results
        self.deadline = deadline
    }

    deinit {
        if output >= 0 { close(output) }
        if errors >= 0 { close(errors) }
        if results >= 0 { close(results) }
    }

    // MARK: What it writes

    func appendDescriptors(to descriptors: inout [pollfd]) {
        for descriptor in [output, errors, results] where descriptor >= 0 {
            descriptors.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
    }

    /// Takes in what waits in the pipes, if one is ready. `ready` starts with those that
    /// `appendDescriptors` appended, and loses them.
    func receive(_ ready: inout ArraySlice<pollfd>, _ report: Report) {
        if output >= 0, let state = ready.popFirst()?.revents, state != 0 {
            receiveOutput()
            if isAtEnd(output, state) { closePipe(&output) }
        }
        if errors >= 0, let state = ready.popFirst()?.revents, state != 0 {
            receiveErrors(report)
            if isAtEnd(errors, state) { closePipe(&errors) }
        }
        if results >= 0, let state = ready.popFirst()?.revents, state != 0 {
            receiveResults()
            if isAtEnd(results, state) { closePipe(&results) }
        }
    }

    private func receiveResults() {
        if !Self.receive(results, into: &resultLines) { closePipe(&results) }
    }

    /// Nobody can write to the pipe any more, and it is empty.
    private func isAtEnd(_ pipe: Int32, _ state: Int16) -> Bool {
        state & Int16(POLLHUP) != 0 && clinux_pending(pipe) == 0
    }

    private func receiveOutput() {
        if !Self.receive(output, into: &written) { closePipe(&output) }
        if reason != nil { written.removeAll() }
    }

    private func receiveErrors(_ report: Report) {
        let before = errorLine.count
        if !Self.receive(errors, into: &errorLine) { closePipe(&errors) }
        errorTail += errorLine.bytes(before..<errorLine.count).suffix(Self.tailSize)
        if errorTail.count > 2 * Self.tailSize {
            errorTail.removeFirst(errorTail.count - Self.tailSize)
        }
        let lineEnd = errorLine.bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let size = errorLine.count >= Self.longestErrorLine ? errorLine.count : lineEnd
        if size > 0 {
            report.passOn(errorLine.bytes(0..<size))
            errorLine.consume(size)
        }
    }

    /// Appends what is in a pipe. Not more: it does not wait, and a grandchild that writes on and
    /// on does not keep it. False when the pipe fails.
    private static func receive(_ pipe: Int32, into queue: inout ByteQueue) -> Bool {
        let size = Int(clinux_pending(pipe))
        if size == 0 { return true }
        let count = read(pipe, queue.reserve(size), size)
        if count < 0 { return errno == EINTR }
        queue.commit(count)
        return true
    }

    private func closePipe(_ pipe: inout Int32) {
        if pipe >= 0 { close(pipe) }
        pipe = -1
    }

    /// The last line of its standard error that is not blank: at most 1 KiB, printable.
    var lastErrorLine: String {
        let isBlank = { (byte: UInt8) in byte <= UInt8(ascii: " ") }
        let lines = errorTail.suffix(Self.tailSize).split(separator: UInt8(ascii: "\n"))
        let line = lines.last { !$0.allSatisfy(isBlank) } ?? []
        return Self.printable(line.drop(while: isBlank))
    }

    /// At most 1 KiB of it.
    static func printable(_ text: some Collection<UInt8>) -> String {
        let text = String(decoding: text.prefix(1024), as: UTF8.self)
        let printable = text.unicodeScalars.map { scalar in
            scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? " " : Character(scalar)
        }
        return String(printable)
    }

    // MARK: How it ends

    /// Tells it, and what it started, to end. It has failed, whatever it does about that.
    func terminate(_ ending: Ending, killAt: UInt64) {
        guard reason == nil else { return }
        reason = ending
        deadline = killAt
        written.removeAll()
        kill(-process, SIGTERM)
    }

    /// What is wrong when it wrote too much, to standard output or to descriptor 3.
    private func excess(_ settings: DeliveryOptions) -> Ending? {
        let limit = settings.maxOutput
        if resultLines.count > limit {
            return .badResults("more than \(limit) bytes (see --max-output)")
        }
        return written.count > limit ? .tooMuchOutput(limit: limit) : nil
    }

    /// Tells it to end when it wrote too much or ran too long, and kills it when it did not.
    func enforce(_ settings: DeliveryOptions, now: UInt64) {
        let killAt = now + settings.killAfter
        if let excess = excess(settings) {
            terminate(excess, killAt: killAt)
            closePipe(&output)
            closePipe(&results)
        }
        guard let deadline, now >= deadline else { return }
        if reason == nil {
            terminate(.timeout(settings.timeout ?? 0), killAt: killAt)
        } else {
            self.deadline = nil
            kill(-process, SIGKILL)
        }
    }

    /// How it ended, with all that it wrote taken in; nil while it runs. The pipes are not read to
    /// their end: something that it left running may keep them open.
    func reap(_ settings: DeliveryOptions, _ report: Report) -> Ending? {
        var status: Int32 = 0
        var signal: Int32 = 0
        let result = clinux_reap(process, &status, &signal)
        let code = errno
        if result == 0 { return nil }
        if output >= 0 { receiveOutput() }
        if errors >= 0 { receiveErrors(report) }
        if results >= 0 { receiveResults() }
        closePipe(&output)
        closePipe(&errors)
        closePipe(&results)
        if !errorLine.isEmpty {
            errorLine.append(UInt8(ascii: "\n"))
            report.passOn(errorLine.bytes)
        }
        if let reason { return reason }
        if result < 0 { return .cannotStart(errno: code) }
        if let excess = excess(settings) { return excess }
        return signal != 0 ? .signal(signal) : .status(status)
    }
}
