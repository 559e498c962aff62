import Glibc
import Testing

/// How a process ended.
enum Ending: Equatable {
    case exit(Int32)
    case signal(Int32)
    /// It was still there after the time limit, and was killed.
    case timeLimit
}

/// What a process left behind.
struct Finished {
    var output: [UInt8]
    var errors: String
    var ending: Ending

    var text: String { String(decoding: output, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
}

/// Where a standard descriptor of a process leads.
enum Stream {
    case pipe
    case closed
    case descriptor(Int32)
}

struct SpawnError: Error {
    var code: Int32
}

/// For so many seconds a test waits for what must come: a busy machine is no failure.
let patience = 60.0

/// A process that runs beside the test. Everything moves by poll, so neither side can wait
/// for the other for ever.
final class Session {
    let pid: pid_t
    private(set) var output: [UInt8] = []
    private(set) var errorOutput: [UInt8] = []

    /// Our ends of its pipes, -1 where there is none or when it is closed.
    private var input: Int32
    private var outputEnd: Int32
    private var errorEnd: Int32
    private var pending: ArraySlice<UInt8> = []
    private var closesWhenWritten = false
    private var ending: Ending?
    private let deadline: Double

    init(
        _ program: String, _ arguments: [String], stdin: Stream = .pipe, stdout: Stream = .pipe,
        stderr: Stream = .pipe, environment: [String: String] = [:],
        folder: String = Files.samples, timeLimit: Double = 2 * patience
    ) throws {
        _ = Self.ignoresBrokenPipes
        deadline = now() + timeLimit
        var spawner = Spawner(folder: folder)
        input = try spawner.connect(0, to: stdin)
        outputEnd = try spawner.connect(1, to: stdout)
        errorEnd = try spawner.connect(2, to: stderr)
        pid = try spawner.spawn(program, arguments, environment)
    }

    deinit {
        for end in [input, outputEnd, errorEnd] where end >= 0 { close(end) }
        if ending == nil {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
        }
    }

    private static let ignoresBrokenPipes: Bool = {
        signal(SIGPIPE, SIG_IGN)
        return true
    }()

    var text: String { String(decoding: output, as: UTF8.self) }
    var errors: String { String(decoding: errorOutput, as: UTF8.self) }

    // MARK: Talking

    /// Gives it bytes to read; true when it took them in time.
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, within seconds: Double = patience) -> Bool {
        pending += bytes
        return pump(until: now() + seconds) { $0.pending.isEmpty }
    }

    @discardableResult
    func write(_ text: String, within seconds: Double = patience) -> Bool {
        write(text.utf8, within: seconds)
    }

    /// Ends its standard input once all of it was taken.
    func closeInput() {
        closesWhenWritten = true
        closeIfWritten()
    }

    /// Collects what arrives. True when `condition` came true in time.
    func wait(seconds: Double = patience, until condition: (Session) -> Bool) -> Bool {
        pump(until: now() + seconds, condition)
    }

    /// True when its standard output came to exactly this in time.
    func prints(_ expected: String, within seconds: Double = patience) -> Bool {
        wait(seconds: seconds) { $0.output.count >= expected.utf8.count } && text == expected
    }

    /// True once it waits for something, having taken what there is for it to take, or has ended.
    @discardableResult
    func isAsleep(within seconds: Double = patience) -> Bool {
        let limit = min(now() + seconds, deadline)
        var naps = 0
        while naps < 3 && now() < limit {
            naps += sleeps ? 1 : 0
            usleep(1000)
        }
        return naps == 3
    }

    /// True when it takes no more of what it is given while it waits for something else.
    func stalls(with bytes: some Sequence<UInt8>) -> Bool {
        pending += bytes
        var left = pending.count
        var naps = 0
        while naps < 10 {
            if pump(until: now() + 0.01, { $0.pending.isEmpty }) || now() >= deadline {
                return false
            }
            naps = pending.count < left ? 0 : naps + (sleeps ? 1 : 0)
            left = pending.count
        }
        return true
    }

    /// All its threads wait, or have ended, says the third field of proc_pid_stat(5).
    private var sleeps: Bool {
        let folder = opendir("/proc/\(pid)/task")
        guard let folder else { return false }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let thread = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if thread.hasPrefix(".") { continue }
            let descriptor = open("/proc/\(pid)/task/\(thread)/stat", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var buffer = [UInt8](repeating: 0, count: 512)
            let size = read(descriptor, &buffer, buffer.count)
            let text = String(decoding: buffer[..<max(size, 0)], as: UTF8.self)
            guard text.contains(") S ") || text.contains(") Z ") else { return false }
        }
        return true
    }

    /// How many bytes wait to be read of its standard output.
    var unread: Int {
        var count: Int32 = 0
        return ioctl(outputEnd, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    func send(_ signal: Int32) {
        if ending == nil { kill(pid, signal) }
    }

    /// Lets nobody read its standard output any more.
    func closeOutput() {
        close(outputEnd)
        outputEnd = -1
    }

    /// Its end: reads what is left and waits. Does not close its input.
    func finish() -> Finished {
        let isAtEnd = pump(until: deadline) { $0.outputEnd < 0 && $0.errorEnd < 0 }
        while isAtEnd && !reap(WNOHANG) && now() < deadline { usleep(500) }
        if ending == nil {
            kill(pid, SIGKILL)
            _ = reap(0)
            ending = .timeLimit
        }
        return Finished(output: output, errors: errors, ending: ending ?? .timeLimit)
    }

    /// Waits for its end without reading what it writes.
    func waitForEnd(seconds: Double = patience) -> Ending? {
        let limit = now() + seconds
        while !reap(WNOHANG) && now() < limit { usleep(500) }
        return ending
    }

    // MARK: Moving bytes

    private func pump(until limit: Double, _ condition: (Session) -> Bool) -> Bool {
        while !condition(self) {
            let left = min(limit, deadline) - now()
            if left <= 0 { return false }
            var ready = [
                pollfd(fd: outputEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errorEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pending.isEmpty ? -1 : input, events: Int16(POLLOUT), revents: 0),
            ]
            guard poll(&ready, 3, Int32(left * 1000) + 1) > 0 else { continue }
            if ready[0].revents != 0 { receive(&outputEnd, into: &output) }
            if ready[1].revents != 0 { receive(&errorEnd, into: &errorOutput) }
            if ready[2].revents != 0 { sendPending() }
        }
        return true
    }

    private func receive(_ descriptor: inout Int32, into bytes: inout [UInt8]) {
        let count = bytes.count
        let step = 256 << 10
        bytes.reserveCapacity(count + step)
        var size = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: step) { buffer, initialized in
            size = read(descriptor, buffer.baseAddress, step)
            initialized = max(size, 0)
        }
        bytes += chunk
        if size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR) {
            close(descriptor)
            descriptor = -1
        }
    }

    private func sendPending() {
        let size = pending.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
        if size > 0 {
            pending = pending.dropFirst(size)
        } else if errno != EAGAIN && errno != EINTR {
            // It reads no more. That is its right.
            pending = []
        }
        closeIfWritten()
    }

    private func closeIfWritten() {
        guard closesWhenWritten && pending.isEmpty && input >= 0 else { return }
        close(input)
        input = -1
    }

    private func reap(_ options: Int32) -> Bool {
        if ending != nil { return true }
        var status: Int32 = 0
        guard waitpid(pid, &status, options) == pid else { return false }
        let number = status & 0x7F
        ending = number == 0 ? .exit(status >> 8 & 0xFF) : .signal(number)
        return true
    }
}

/// Does something with times that are long enough for this machine: again with longer ones until
/// it succeeds.
func patiently(
    _ milliseconds: [Int] = [300, 1500, 6000], sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (Int) throws -> Bool
) rethrows {
    for time in milliseconds where try body(time) { return }
    Issue.record("not within \(milliseconds) ms either", sourceLocation: sourceLocation)
}

/// Seconds on a clock that is never set.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
