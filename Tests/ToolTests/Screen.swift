import Glibc
import Testing

/// What a terminal shows of the bytes that it got: rows, without colours.
struct Screen {
    private(set) var rows = [""]
    /// Sequences that it does not know, and control characters.
    private(set) var unknown: [String] = []
    private(set) var column = 0

    init(_ text: String, width: Int = 80) {
        var scalars = text.unicodeScalars[...]
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "\n": rows.append("")
            case "\r": column = 0
            case "\u{1B}": takeSequence(&scalars)
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                unknown.append("\(scalar.value)")
            default: put(scalar, width)
            }
        }
    }

    private mutating func put(_ scalar: Unicode.Scalar, _ width: Int) {
        if column >= width {
            rows.append("")
            column = 0
        }
        var row = Array(rows[rows.count - 1].unicodeScalars)
        while row.count <= column { row.append(" ") }
        row[column] = scalar
        rows[rows.count - 1] = String(String.UnicodeScalarView(row))
        column += 1
    }

    /// Colours, and the end of a row erased.
    private mutating func takeSequence(_ scalars: inout Substring.UnicodeScalarView) {
        let end = scalars.firstIndex { ("@"..."~").contains($0) && $0 != "[" } ?? scalars.endIndex
        let sequence = String(scalars[..<end])
        let final = scalars[end...].first
        scalars = scalars[end...].dropFirst()
        switch final {
        case "m" where sequence.hasPrefix("["): break
        case "K" where sequence == "[":
            let row = rows[rows.count - 1].unicodeScalars.prefix(column)
            rows[rows.count - 1] = String(String.UnicodeScalarView(row))
        default: unknown.append(sequence + (final.map(String.init) ?? ""))
        }
    }
}

/// A person at a terminal: types, and looks at what it shows.
final class Person {
    private let terminal: TerminalTests.Terminal
    private let width: Int
    private(set) var bytes: [UInt8] = []
    /// A process that is to live as long.
    var company: Session?
    /// What the terminal was like before.
    let settings: termios

    init(width: Int = 80) throws {
        terminal = try TerminalTests.Terminal()
        self.width = width
        var settings = termios()
        tcgetattr(terminal.device, &settings)
        self.settings = settings
        resize(width)
    }

    /// Makes the terminal so wide; `screen` goes on with the width that it had first.
    func resize(_ width: Int) {
        var size = winsize(ws_row: 24, ws_col: UInt16(width), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal.screen, UInt(TIOCSWINSZ), &size)
    }

    deinit { terminal.close() }

    /// The terminal, as a process sees it.
    var device: Stream { .descriptor(terminal.device) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var screen: Screen { Screen(text, width: width) }
    var rows: [String] { screen.rows }
    var column: Int { screen.column }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(Glibc.write(terminal.screen, bytes, bytes.count) == bytes.count)
    }

    /// True once the screen shows exactly these rows.
    func sees(_ rows: [String], within seconds: Double = patience) -> Bool {
        look(seconds) { $0.rows == rows }
    }

    /// True once `condition` holds of what is shown.
    func look(_ seconds: Double = patience, until condition: (Person) -> Bool) -> Bool {
        let limit = now() + seconds
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !condition(self) {
            if now() > limit { return false }
            var ready = pollfd(fd: terminal.screen, events: Int16(POLLIN), revents: 0)
            guard poll(&ready, 1, 20) == 1 else { continue }
            let size = read(terminal.screen, &buffer, buffer.count)
            if size > 0 { bytes += buffer[..<size] }
        }
        return true
    }

    /// Lines are edited by the terminal, and what is typed is shown by it.
    var isOrdinary: Bool {
        var current = termios()
        tcgetattr(terminal.device, &current)
        return current.c_lflag & tcflag_t(ICANON | ECHO) == tcflag_t(ICANON | ECHO)
    }

    /// It is as it was.
    var isRestored: Bool {
        var current = termios()
        tcgetattr(terminal.device, &current)
        return current.c_lflag == settings.c_lflag && current.c_iflag == settings.c_iflag
            && current.c_oflag == settings.c_oflag && current.c_cflag == settings.c_cflag
    }

    /// Makes it as it was.
    func restore() {
        var settings = settings
        tcsetattr(terminal.device, TCSANOW, &settings)
    }
}
