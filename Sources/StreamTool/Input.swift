import CLinux
import Glibc
import StreamCodec

/// A file on the command line.
package struct Operand {
    /// What diagnostics call it.
    package var name: String
    /// Its name as the system has it, with a NUL at the end.
    package var path: [CChar]

    package static let standardInput = Operand(name: "-", path: [])
}

extension Operand {
    /// A file that an option names.
    package init(option name: String) {
        self.init(name: name, path: Array(name.utf8CString))
    }
}

/// A regular file that is being read.
package struct RegularFile {
    package var descriptor: Int32
    /// Where reading began.
    package var start: Int
}

/// The operands, one after the other: files, or standard input for `-` and for none. gzip is
/// inflated.
package struct Input: ~Copyable {
    /// What a read found.
    package enum Arrival {
        case bytes
        /// The deadline came first, one of `watched` is ready, or a child ended.
        case timeout
        /// The end of this operand.
        case end
        /// SIGUSR1 came, and the counters were written.
        case request
        /// SIGTERM, SIGINT or SIGHUP came: finish in order.
        case stopped
    }

    /// What a tool waits for besides the input. Its `revents` tell what the last wait found.
    package var watched: [pollfd] = []
    /// The last read told of those: now it is the input's turn.
    private var toldWatched = false

    private static let step = 256 << 10
    /// Half of what a pipe holds unless asked for more: whoever sends so much at once sends more.
    private static let burst = 32 << 10

    private var operands: [Operand]
    private let report: Report
    private let maxRatio: Int
    /// What diagnostics call the current operand.
    package private(set) var name = "-"
    private var descriptor: Int32 = -1
    /// The current operand, when it is a regular file.
    package private(set) var file: RegularFile?
    /// An operand that is not there, while others are, is told and passed over: it may be a log
    /// that is just being rotated.
    package var passesOverMissing = false
    private var wasOpened = false
    /// The current operand is a regular file, and what is behind its end may still be written.
    package var mayGrow: Bool { file != nil && inflater == nil }
    /// A regular file is always ready; its size tells when the work will be done.
    private var fileSize: Int?
    /// The bytes of the operands before this one.
    private var startBytes = 0
    /// A pipe that was not enlarged: for a trickle that would only use up what the system allows
    /// a user.
    private var isSmallPipe = false
    private var raw = ByteQueue()
    private var inflater: GzipInflater?
    /// False takes gzip for what it is: bytes.
    package var inflates = true
    private var isProbing = true
    private var isAtEnd = false
    /// What broke, told once everything before it was handed out.
    private var problem: Failure?

    init(operands: [Operand], options: CommonOptions, report: Report) {
        self.operands = operands.isEmpty ? [.standardInput] : operands
        self.report = report
        maxRatio = options.maxRatio
    }

    /// Opens the next operand. False when there is none, or when a signal asked to stop.
    package mutating func open() throws -> Bool {
        closeCurrent()
        while !isStopped(), !operands.isEmpty {
            let operand = operands.removeFirst()
            name = operand.name
            do {
                if try open(operand) { return true }
            } catch let failure as Failure where !report.stopsAtBadInput {
                report.passOver(failure)
            }
        }
        return false
    }

    /// What else the operand may have been meant for.
    private func advice(_ code: Int32) -> String {
        guard code == ENOENT else { return "" }
        if name.hasPrefix("ws://") || name.hasPrefix("wss://") { return " (ws-cat reads a URL)" }
        if name.hasPrefix("http://") || name.hasPrefix("https://") {
            return " (sse-decode reads a URL)"
        }
        if name.hasPrefix("@") { return " (curl's @FILE is: --body \"$(cat FILE)\")" }
        return ""
    }

    /// False when the operand is one to pass over.
    private mutating func open(_ operand: Operand) throws -> Bool {
        descriptor = name == "-" ? 0 : clinux_open_input(operand.path)
        if descriptor < 0 {
            let code = errno
            let failure = Failure(.noInput, "\(name): \(errorText(code))\(advice(code))")
            guard code == ENOENT, passesOverMissing, wasOpened || !operands.isEmpty else {
                throw failure
            }
            report.warn(failure.message)
            return false
        }
        wasOpened = true
        var status = stat()
        fileSize = nil
        file = nil
        if fstat(descriptor, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFDIR {
                closeCurrent()
                throw Failure(.noInput, errno: EISDIR, name)
            }
            if status.st_mode & S_IFMT == S_IFREG {
                fileSize = Int(status.st_size)
                file = RegularFile(
                    descriptor: descriptor, start: max(0, lseek(descriptor, 0, SEEK_CUR)))
                posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
            }
            isSmallPipe = status.st_mode & S_IFMT == S_IFIFO
        }
        startBytes = report.inputBytes
        problem = nil
        // A person types what a file begins with: Ctrl-D is the first byte of lz4.
        isProbing = inflates && isatty(descriptor) == 0
        isAtEnd = false
        inflater = nil
        raw.removeAll()
        report.info("reading \(name)")
        return true
    }

    /// Goes on at an offset in a regular file of which nothing was read yet, and which is not
    /// compressed.
    package mutating func seek(to offset: Int) throws {
        guard lseek(descriptor, offset, SEEK_SET) == offset else {
            throw Failure(.inputOutput, errno: errno, name)
        }
        isProbing = false
        startBytes -= offset
    }

    private mutating func closeCurrent() {
        if descriptor > 0 { close(descriptor) }
        descriptor = -1
    }

    /// Appends what comes next to `queue`. Waits for it, until `deadline` (monotonic
    /// nanoseconds) if there is one.
    package mutating func read(
        into queue: inout ByteQueue, deadline: UInt64? = nil
    ) throws -> Arrival {
        while true {
            if let failure = problem {
                problem = nil
                try giveUp(failure)
                return .end
            }
            if inflater != nil, inflate(into: &queue) { return .bytes }
            if problem != nil { continue }
            if isAtEnd {
                try endOperand()
                return .end
            }
            if let early = try wait(until: deadline) { return early }
            if inflater == nil && !isProbing {
                isAtEnd = try !Self.receive(descriptor, name, &isSmallPipe, into: &queue, report)
                if !isAtEnd { return .bytes }
                continue
            }
            isAtEnd = try !Self.receive(descriptor, name, &isSmallPipe, into: &raw, report)
            if isProbing { try probe() }
            if inflater == nil && !isProbing && !raw.isEmpty {
                queue.append(raw.bytes)
                raw.removeAll()
                return .bytes
            }
        }
    }

    /// Decides by the first bytes whether the operand is gzip, or something else that is no text.
    private mutating func probe() throws {
        switch Magic.begins(raw.bytes, isAtEnd: isAtEnd) {
        case .undecided: return
        case .text: break
        case .gzip:
            do throws(GzipError) {
                inflater = try GzipInflater(maxRatio: maxRatio)
            } catch {
                throw Failure(.systemError, error.description)
            }
        case .other(let magic):
            raw.removeAll()
            problem = Failure(.badData, "\(name): \(magic.advice(for: name))")
        }
        isProbing = false
    }

    /// True when something was appended. A defect is kept until that was handed out.
    private mutating func inflate(into queue: inout ByteQueue) -> Bool {
        let before = queue.count
        do throws(GzipError) {
            while queue.count == before {
                guard try inflater?.inflate(&raw, into: &queue) == true else { break }
            }
        } catch {
            problem = Failure(.badData, "\(name): \(error.description)")
        }
        return queue.count > before
    }

    /// What was read of a bad operand was handed out; the rest is not.
    private func giveUp(_ failure: Failure) throws {
        if report.stopsAtBadInput { throw failure }
        report.passOver(failure)
    }

    private mutating func endOperand() throws {
        do throws(GzipError) {
            try inflater?.finish(&raw)
        } catch {
            try giveUp(Failure(.badData, "\(name): \(error.description)"))
        }
        if inflater?.sawGarbage == true {
            report.warn("\(name): trailing garbage behind the gzip data is ignored")
        }
    }

    /// False at the end of the operand.
    private static func receive(
        _ descriptor: Int32, _ name: String, _ isSmallPipe: inout Bool,
        into queue: inout ByteQueue, _ report: Report, atMost step: Int = step
    ) throws -> Bool {
        while true {
            let target = queue.reserve(step)
            let size = Glibc.read(descriptor, target, step)
            if size > 0 {
                queue.commit(size)
                report.inputBytes += size
                if isSmallPipe && size >= burst {
                    clinux_enlarge_pipe(descriptor)
                    isSmallPipe = false
                }
                return true
            }
            if size == 0 { return false }
            let code = errno
            if code == EINTR || code == EAGAIN {
                if clinux_stop_signal() != 0 { return true }
                if code == EAGAIN {
                    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    _ = poll(&ready, 1, 1000)
                }
                continue
            }
            throw Failure(.inputOutput, errno: code, name)
        }
    }

    // MARK: The end of a line

    /// Reads on in the line that `queue` ends in, up to its line feed or the end of the input,
    /// and nothing after it; also when a signal asked to stop. False when the line does not end
    /// within `limit` bytes, or not in time (monotonic nanoseconds).
    package mutating func finishLine(
        in queue: inout ByteQueue, limit: Int, until deadline: UInt64
    ) throws -> Bool {
        let start = queue.bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        var searched = queue.count
        while queue.count - start <= limit {
            if isAtEnd && raw.isEmpty { return true }
            if inflater != nil {
                if !inflate(into: &queue) {
                    if problem != nil || isAtEnd { return true }
                    guard try isReady(until: deadline) else { return false }
                    isAtEnd = try !Self.receive(descriptor, name, &isSmallPipe, into: &raw, report)
                }
            } else {
                guard try isReady(until: deadline) else { return false }
                // What stays in a pipe is for whoever reads on there.
                let step = file == nil ? 1 : Self.step
                isAtEnd = try !Self.receive(
                    descriptor, name, &isSmallPipe, into: &queue, report, atMost: step)
            }
            let end = queue.bytes(searched..<queue.count).firstIndex(of: UInt8(ascii: "\n"))
            if let end {
                giveBack(queue.count - (searched + end + 1), &queue)
                return true
            }
            searched = queue.count
        }
        giveBack(queue.count - start - limit - 1, &queue)
        return false
    }

    private func giveBack(_ count: Int, _ queue: inout ByteQueue) {
        if count <= 0 { return }
        queue.truncate(queue.count - count)
        if inflater != nil { return }
        lseek(descriptor, -count, SEEK_CUR)
        report.inputBytes -= count
    }

    private func isReady(until deadline: UInt64) throws -> Bool {
        if file != nil { return true }
        while clinux_is_hurried() == 0 {
            var ready = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
            try report.wait(for: &ready, until: deadline)
            if ready[0].revents != 0 { return true }
            if clinux_monotonic_nanoseconds() >= deadline { return false }
        }
        return false
    }

    /// The current operand is a regular file that was not read to its end.
    package var hasUnread: Bool {
        guard let file, descriptor >= 0 else { return false }
        if inflater != nil { return !isAtEnd || !raw.isEmpty }
        var status = stat()
        return fstat(file.descriptor, &status) == 0
            && lseek(file.descriptor, 0, SEEK_CUR) < status.st_size
    }

    // MARK: Waiting

    /// True while there is nothing to read.
    package var isQuiet: Bool {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&ready, 1, 0) == 0
    }

    /// Waits until there is something to read: nil. Serves signals and clocks meanwhile.
    private mutating func wait(until deadline: UInt64?) throws -> Arrival? {
        while true {
            report.serveRequest()
            if report.takeRequest() { return .request }
            if clinux_stop_signal() != 0 { return .stopped }
            let childEnded = clinux_child_ended() != 0
            if childEnded && !toldWatched { return tellWatched() }
            let size = fileSize.map { startBytes + $0 }
            if fileSize != nil && watched.isEmpty {
                if report.nextTick != nil { report.tick(inputSize: size) }
                toldWatched = false
                return nil
            }
            if let deadline, clinux_monotonic_nanoseconds() >= deadline { return .timeout }
            var ready = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)] + watched
            try report.wait(for: &ready, until: childEnded ? 0 : deadline, inputSize: size)
            let isReady = ready[0].revents != 0
            for index in watched.indices { watched[index].revents = ready[index + 1].revents }
            if watched.contains(where: { $0.revents != 0 }) && !(isReady && toldWatched) {
                return tellWatched()
            }
            toldWatched = false
            if isReady { return nil }
        }
    }

    private mutating func tellWatched() -> Arrival {
        toldWatched = true
        return .timeout
    }
}
