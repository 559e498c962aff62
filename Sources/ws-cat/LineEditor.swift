/// What is typed on a terminal, as lines.
struct LineEditor {
    /// What a byte came to.
    enum Outcome: Equatable {
        /// Nothing that would show.
        case nothing
        /// The line is another one, or is to be drawn again.
        case changed
        /// Enter was pressed behind this.
        case line(String)
        /// Ctrl-D was pressed at the start of a line.
        case end
    }

    private enum State {
        case ground
        /// Behind an ESC; `isOld` once whatever came with it was taken in, for a key that sends
        /// more sends it at once.
        case escape(isOld: Bool)
        /// Behind ESC [.
        case sequence
        /// One more byte belongs to the key.
        case last
    }

    private static let historyLines = 100
    /// Longer lines are not remembered.
    private static let historyBytes = 64 << 10

    private let maxLine: Int
    /// What is typed so far, before the cursor and behind it: no control characters but tabs.
    private(set) var head = ""
    private(set) var tail = ""
    private var state = State.ground
    private var parameters: [UInt8] = []
    /// In a bracketed paste, where keys are text.
    private var isPasting = false
    /// The bytes of a scalar that is not complete yet.
    private var partial: [UInt8] = []
    private var history: [String] = []
    /// The line of the history that is shown; its count for the one that is typed.
    private var place = 0
    private var draft = ""

    /// A line takes up to so many bytes; what is typed behind that is left out.
    init(maxLine: Int) {
        self.maxLine = maxLine
    }

    var line: String { head + tail }

    mutating func take(_ byte: UInt8) -> Outcome {
        switch state {
        case .ground: return takeKey(byte)
        case .escape(let isOld): return takeEscaped(byte, isOld: isOld)
        case .sequence: return takeInSequence(byte)
        case .last:
            state = .ground
            return takeFinal(byte)
        }
    }

    /// Nothing more came with the last byte.
    mutating func pause() {
        if case .escape = state { state = .escape(isOld: true) }
    }

    private mutating func takeKey(_ byte: UInt8) -> Outcome {
        if byte >= 0x80 { return takePart(byte) }
        if !partial.isEmpty { insertPartial() }
        switch byte {
        case 0x1B: state = .escape(isOld: false)
        case 0x0A, 0x0D: return enter()
        case 0x09, 0x20...0x7E: return insert(Unicode.Scalar(byte))
        case _ where isPasting: break
        default: return takeControl(byte)
        }
        return .nothing
    }

    private mutating func takeControl(_ byte: UInt8) -> Outcome {
        switch byte {
        case 0x01: return home()
        case 0x02: return left()
        case 0x04: return line.isEmpty ? .end : delete()
        case 0x05: return end()
        case 0x06: return right()
        case 0x08, 0x7F:
            if head.isEmpty { return .nothing }
            head.removeLast()
        case 0x0B: tail = ""
        case 0x0C: break
        case 0x0E: return recall(1)
        case 0x10: return recall(-1)
        case 0x15: head = ""
        case 0x17: removeWord()
        default: return .nothing
        }
        return .changed
    }

    private mutating func removeWord() {
        while let last = head.last, last.isWhitespace { head.removeLast() }
        while let last = head.last, !last.isWhitespace { head.removeLast() }
    }

    // MARK: The cursor

    private mutating func left() -> Outcome {
        guard let last = head.popLast() else { return .nothing }
        tail = String(last) + tail
        return .changed
    }

    private mutating func right() -> Outcome {
        if tail.isEmpty { return .nothing }
        head.append(tail.removeFirst())
        return .changed
    }

    private mutating func home() -> Outcome {
        if head.isEmpty { return .nothing }
        tail = line
        head = ""
        return .changed
    }

    private mutating func end() -> Outcome {
        if tail.isEmpty { return .nothing }
        head = line
        tail = ""
        return .changed
    }

    private mutating func delete() -> Outcome {
        if tail.isEmpty { return .nothing }
        tail.removeFirst()
        return .changed
    }

    // MARK: Text

    private mutating func insert(_ scalar: Unicode.Scalar) -> Outcome {
        if head.utf8.count + tail.utf8.count + UTF8.width(scalar) > maxLine { return .nothing }
        head.unicodeScalars.append(scalar)
        return .changed
    }

    private mutating func takePart(_ byte: UInt8) -> Outcome {
        let isLead = byte >= 0xC0
        if isLead && !partial.isEmpty { insertPartial() }
        partial.append(byte)
        let size =
            switch partial[0] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 1
            }
        if partial.count < size { return .nothing }
        insertPartial()
        return .changed
    }

    /// What is no UTF-8 shows as U+FFFD. C1 controls are no text: they are left out.
    private mutating func insertPartial() {
        for scalar in String(decoding: partial, as: UTF8.self).unicodeScalars
        where !(0x80...0x9F).contains(scalar.value) {
            _ = insert(scalar)
        }
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func enter() -> Outcome {
        let text = line
        head = ""
        tail = ""
        if !text.isEmpty && text != history.last && text.utf8.count <= Self.historyBytes {
            history.append(text)
            if history.count > Self.historyLines { history.removeFirst() }
        }
        place = history.count
        return .line(text)
    }

    /// Shows an earlier line, or a later one.
    private mutating func recall(_ step: Int) -> Outcome {
        let target = place + step
        guard history.indices.contains(target) || target == history.count else { return .nothing }
        if place == history.count { draft = line }
        place = target
        head = target == history.count ? draft : history[target]
        tail = ""
        return .changed
    }

    // MARK: Keys that send more than one byte

    private mutating func takeEscaped(_ byte: UInt8, isOld: Bool) -> Outcome {
        state = .ground
        switch byte {
        case UInt8(ascii: "["):
            parameters.removeAll(keepingCapacity: true)
            state = .sequence
        case UInt8(ascii: "O"): state = .last
        case 0x1B: state = .escape(isOld: false)
        // The Escape key alone, and then this one.
        case _ where isOld || byte < 0x20: return takeKey(byte)
        default: break
        }
        return .nothing
    }

    /// ECMA-48, section 5.4: parameters, and a final byte.
    private mutating func takeInSequence(_ byte: UInt8) -> Outcome {
        switch byte {
        case 0x20...0x3F:
            if parameters.count < 16 { parameters.append(byte) }
        // The function keys of the Linux console: ESC [ [ A.
        case UInt8(ascii: "[") where parameters.isEmpty:
            parameters.append(byte)
            state = .last
        case 0x40...0x7E:
            state = .ground
            return takeFinal(byte)
        default:
            state = .ground
            return takeKey(byte)
        }
        return .nothing
    }

    private mutating func takeFinal(_ byte: UInt8) -> Outcome {
        defer { parameters.removeAll(keepingCapacity: true) }
        if byte == UInt8(ascii: "~") {
            switch String(decoding: parameters, as: UTF8.self) {
            case "200": isPasting = true
            case "201": isPasting = false
            case "1" where !isPasting, "7" where !isPasting: return home()
            case "3" where !isPasting: return delete()
            case "4" where !isPasting, "8" where !isPasting: return end()
            default: break
            }
            return .nothing
        }
        if isPasting || !parameters.isEmpty { return .nothing }
        switch byte {
        case UInt8(ascii: "A"): return recall(-1)
        case UInt8(ascii: "B"): return recall(1)
        case UInt8(ascii: "C"): return right()
        case UInt8(ascii: "D"): return left()
        case UInt8(ascii: "F"): return end()
        case UInt8(ascii: "H"): return home()
        default: return .nothing
        }
    }
}
