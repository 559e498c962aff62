import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The line at the bottom of a terminal in which the next message is typed. What is sent and what
/// comes from the peer stands above it, told apart by a mark and a colour.
///
/// It draws by what it appends to standard output, so that nothing waits for a slow terminal and
/// nothing comes between. A class, for the report hands its diagnostics to it, too.
final class Prompt {
    private let form: Form
    private let colours: (sent: StaticString, received: StaticString, none: StaticString)
    private let knowsErase: Bool
    private var editor: LineEditor
    /// Lines that are to stand above it: what was sent, and diagnostics.
    private var above = ByteQueue()
    /// The columns that it takes on the screen; nil while it is not there.
    private var columns: Int?
    /// It is another one than on the screen.
    private var isChanged = true
    /// The process is in the background: what is typed is for the shell, and a read might wait.
    private(set) var isAway = false

    /// Nil unless lines are typed on a terminal and messages written on one.
    init?(_ settings: CatOptions, _ report: Report) {
        guard settings.form != .binary, !settings.endsLinesWithNull, !settings.isOneShot,
            settings.common.gzipLevel == nil, isatty(0) == 1, isatty(1) == 1,
            clinux_watch_terminal() == 0
        else { return nil }
        form = settings.form
        editor = LineEditor(maxLine: settings.common.maxLine)
        knowsErase = !["", "dumb"].contains(variable("TERM"))
        colours =
            knowsErase && variable("NO_COLOR").isEmpty
            ? ("\u{1B}[32m", "\u{1B}[36m", "\u{1B}[0m") : ("", "", "")
        if isSameTerminal(1, 2) {
            report.diversion = { [weak self] in self?.above.append($0) }
        }
    }

    /// What to wait for besides: after a stop, or in a terminal of another size, it is drawn anew.
    var readiness: pollfd {
        pollfd(fd: clinux_terminal_fd(), events: Int16(POLLIN), revents: 0)
    }

    /// When to draw although nothing came: no signal tells that the shell calls back a process that
    /// ran in the background.
    var deadline: UInt64? { isAway ? monotonicNanoseconds() + 500_000_000 : nil }

    /// Takes the typed bytes behind `start` from the queue, and gives it the lines that they
    /// complete. True when the user ended the input.
    func edit(_ queue: inout ByteQueue, from start: Int) -> Bool {
        let typed = Array(queue.bytes(start..<queue.count))
        queue.truncate(start)
        defer { editor.pause() }
        for byte in typed {
            switch editor.take(byte) {
            case .nothing: continue
            case .changed: break
            case .line(let line):
                queue.append(string: line + "\n")
                appendSent(line)
            case .end: return true
            }
            isChanged = true
        }
        return false
    }

    private func appendSent(_ line: String) {
        above.append(colours.sent)
        above.append("> ")
        above.append(string: line)
        above.append(colours.none)
        above.append("\n")
    }

    /// Puts what was appended to the buffer behind `start`, whole lines, above the prompt; and
    /// draws that again when there is something new. It is on the screen while `isWanted`.
    func draw(_ buffer: inout ByteQueue, from start: Int, isWanted: Bool) {
        let terminal = clinux_take_terminal()
        if terminal == CLINUX_TERMINAL_TAKEN { isChanged = true }
        isAway = terminal == CLINUX_TERMINAL_AWAY
        let isShown = isWanted && !isAway
        let isNew = !above.isEmpty || buffer.count > start
        if !isNew && (isShown ? columns != nil && !isChanged : columns == nil) { return }
        let received = Array(buffer.bytes(start..<buffer.count))
        buffer.truncate(start)
        if !isAway { erase(&buffer) }
        columns = nil
        buffer.append(above.bytes)
        above.removeAll()
        received.withUnsafeBufferPointer { appendReceived($0, to: &buffer) }
        if isShown { appendPrompt(to: &buffer) }
        isChanged = false
    }

    private func erase(_ buffer: inout ByteQueue) {
        if knowsErase {
            buffer.append("\r\u{1B}[K")
        } else if let columns {
            buffer.append(string: "\r" + String(repeating: " ", count: columns) + "\r")
        }
    }

    private func appendReceived(
        _ lines: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) {
        var rest = lines[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            buffer.append(colours.received)
            buffer.append("< ")
            let line = UnsafeBufferPointer(rebasing: rest[..<end])
            buffer.append(harmless: line, isJSON: form != .text)
            buffer.append(colours.none)
            buffer.append("\n")
            rest = rest[(end + 1)...]
        }
    }

    /// What stands around the cursor, as far as it fits: a line that is broken could not be erased.
    private func appendPrompt(to buffer: inout ByteQueue) {
        let width = Int(clinux_terminal_width())
        // The last column stays free: behind it terminals differ.
        let room = max(0, (width > 0 ? width : 80) - 3)
        let behind = fitting(editor.tail.unicodeScalars, in: room / 4)
        let before = fitting(editor.head.unicodeScalars.reversed(), in: room - behind.columns)
        // What the part before the cursor leaves is for the one behind it.
        let rest = fitting(editor.tail.unicodeScalars, in: room - before.columns)
        let head = String(String.UnicodeScalarView(before.scalars.reversed()))
        appendMarked(head + String(rest.scalars), to: &buffer)
        // To write the first part again brings the cursor behind it, however wide it is.
        if !editor.tail.isEmpty {
            buffer.append("\r")
            appendMarked(head, to: &buffer)
        }
        columns = before.columns + rest.columns + 2
    }

    private func appendMarked(_ text: String, to buffer: inout ByteQueue) {
        buffer.append(colours.sent)
        buffer.append("> ")
        buffer.append(string: text)
        buffer.append(colours.none)
    }

    private func fitting(
        _ scalars: some Sequence<Unicode.Scalar>, in room: Int
    ) -> (scalars: String.UnicodeScalarView, columns: Int) {
        var used = 0
        var taken = String.UnicodeScalarView()
        for scalar in scalars {
            let size = mostColumns(scalar)
            if used + size > room { break }
            used += size
            taken.append(scalar == "\t" ? " " : scalar)
        }
        return (taken, used)
    }
}

extension ByteQueue {
    /// Appends a line that came from outside so that it cannot move the cursor or change the
    /// terminal: control characters but tabs are written as in a JSON string, or as `\u{1b}`.
    mutating func append(harmless line: UnsafeBufferPointer<UInt8>, isJSON: Bool) {
        if !UTF8Text.isValid(line) {
            let repaired = Array(String(decoding: line, as: UTF8.self).utf8)
            return repaired.withUnsafeBufferPointer { append(harmless: $0, isJSON: isJSON) }
        }
        var start = 0
        for index in line.indices {
            let byte = line[index]
            // C1 controls are two bytes: C2 80 to C2 9F.
            let isC1 = byte == 0xC2 && line[index + 1] < 0xA0
            guard byte < 0x20 && byte != 0x09 || byte == 0x7F || isC1 else { continue }
            append(UnsafeBufferPointer(rebasing: line[start..<index]))
            let digits = String(isC1 ? line[index + 1] : byte, radix: 16)
            append(string: isJSON ? "\\u" + String(("000" + digits).suffix(4)) : "\\u{\(digits)}")
            start = index + (isC1 ? 2 : 1)
        }
        append(UnsafeBufferPointer(rebasing: line[start...]))
    }
}

/// Columns that a scalar takes at the most: too many only leave some of them free.
private func mostColumns(_ scalar: Unicode.Scalar) -> Int {
    scalar.value < 0x1100 ? 1 : 2
}

private func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
}

private func isSameTerminal(_ one: Int32, _ other: Int32) -> Bool {
    var first = stat()
    var second = stat()
    return isatty(other) == 1 && fstat(one, &first) == 0 && fstat(other, &second) == 0
        && first.st_rdev == second.st_rdev
}

// What the exchange has to do for a prompt.
extension Exchange {
    /// Shows a prompt when somebody types.
    mutating func openPrompt(_ run: inout Run<CatOptions>) {
        intake.prompt = Prompt(settings, run.report)
        drawPrompt(&run.output, from: run.output.buffer.count)
    }

    /// Draws what the loop appended to standard output behind `start`.
    func drawPrompt(_ output: inout Output, from start: Int) {
        let isWanted = !isOver && !isLeaving && !intake.isAtEnd
        intake.prompt?.draw(&output.buffer, from: start, isWanted: isWanted)
    }

    /// Takes the prompt away, and writes the diagnostics that it still has.
    mutating func closePrompt(_ run: inout Run<CatOptions>, from start: Int) {
        guard let prompt = intake.prompt else { return }
        intake.prompt = nil
        run.report.diversion = nil
        // A write that fails may have taken some of what stood before.
        let start = min(start, run.output.buffer.count)
        prompt.draw(&run.output.buffer, from: start, isWanted: false)
        clinux_restore_terminal()
    }
}

extension Intake {
    /// What was read behind `start` are keys; what they type becomes lines.
    mutating func edit(from start: Int) {
        if prompt?.edit(&pending, from: start) == true { end() }
    }
}
