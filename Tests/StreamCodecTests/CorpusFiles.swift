import Glibc

/// The cases in Tests/Corpus; Tests/Corpus/check.py says what their files look like.
enum Corpus {
    static let tests = folder(of: folder(of: #filePath))
    static let eventStreams = [
        "comments", "dispatch", "fields", "ids", "lines", "llm", "retry", "utf8",
    ]

    /// The folder that holds the file or folder at `path`.
    static func folder(of path: String) -> String {
        String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    /// The names in a folder, sorted; empty when there is no such folder.
    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { name in
                    String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names.sorted()
    }

    static func read(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var contents: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = fread(&block, 1, block.count, file)
            if count == 0 { return contents }
            contents += block[..<count]
        }
    }

    /// Only LF separates lines: the cases hold CR, U+0085 and U+2028.
    static func lines(_ name: String) -> [[UInt8]] {
        var contents = read("\(tests)/Corpus/\(name)")
        if contents.last == UInt8(ascii: "\n") { contents.removeLast() }
        return contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { Array($0) }
    }

    /// The bytes that a line of input stands for.
    static func unescape(_ line: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = line[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let letter = rest.popFirst() else {
                result.append(byte)
                continue
            }
            switch letter {
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "0"): result.append(0)
            case UInt8(ascii: "\\"): result.append(letter)
            case UInt8(ascii: "x"):
                result.append(UInt8(text(rest.prefix(2)), radix: 16)!)
                rest = rest.dropFirst(2)
            case UInt8(ascii: "u"):
                let digits = rest.dropFirst().prefix { $0 != UInt8(ascii: "}") }
                result += Array(String(Unicode.Scalar(UInt32(text(digits), radix: 16)!)!).utf8)
                rest = rest.dropFirst(digits.count + 2)
            default: preconditionFailure("unknown escape in \(text(line))")
            }
        }
        return result
    }
}

/// An event stream and the lines that sse-decode writes for it.
struct StreamCase {
    var title: String
    var input: [UInt8] = []
    var records: [String] = []
    /// With `--all`, when that differs.
    var all: [String] = []
    /// In addition, with `--dispatch-eof`.
    var atEnd: [String] = []

    static func read(_ name: String) -> [StreamCase] {
        var cases: [StreamCase] = []
        var isInside = false
        for line in Corpus.lines("sse/\(name).txt") {
            if line.isEmpty {
                isInside = false
                continue
            }
            let rest = text(line.dropFirst(2))
            if !isInside {
                precondition(line.starts(with: bytes("# ")))
                cases.append(StreamCase(title: "\(name): \(rest)"))
                isInside = true
                continue
            }
            switch text(line.prefix(2)) {
            case "= ": cases[cases.count - 1].records.append(rest)
            case "* ": cases[cases.count - 1].all.append(rest)
            case "+ ": cases[cases.count - 1].atEnd.append(rest)
            default: cases[cases.count - 1].input += Corpus.unescape(line)
            }
        }
        return cases
    }
}
