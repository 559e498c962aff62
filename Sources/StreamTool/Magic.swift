import StreamCodec

/// What an input is by its first bytes, when it is no lines of UTF-8: its name, and the program
/// that makes lines of it.
///
/// Each has a byte among its first ones that no text has: a control character, or one that is no
/// UTF-8. What begins in letters is told by all of its signature.
struct Magic {
    enum Beginning {
        /// Too few bytes to tell.
        case undecided
        case text, gzip
        case other(Magic)
    }

    private let bytes: [UInt8]
    private let name: String
    /// What goes before the pipe, with the file at `FILE`; and what does for standard input.
    private let command: String
    private let filter: String

    private init(_ bytes: [UInt8], _ name: String, _ command: String, _ filter: String? = nil) {
        self.bytes = bytes
        self.name = name
        self.command = command + " FILE"
        self.filter = filter ?? command
    }

    /// The longer ones of those that begin alike come first.
    private static var all: [Magic] {
        let archive = { (end: [UInt8]) in
            Magic([0x50, 0x4B] + end, "a zip archive", "unzip -p", "funzip")
        }
        let bzip2 = { (bytes: [UInt8]) in Magic(bytes, "compressed with bzip2", "bzip2 -dc") }
        let lz4 = { (bytes: [UInt8]) in Magic(bytes, "compressed with lz4", "lz4 -dc") }
        let text = { (bytes: [UInt8], name: String) in
            Magic(bytes, "in \(name)", "iconv -f \(name) -t UTF-8")
        }
        let letters = Array("BZh".utf8)
        return [
            text([0xFF, 0xFE, 0, 0], "UTF-32"), text([0, 0, 0xFE, 0xFF], "UTF-32"),
            text([0xFF, 0xFE], "UTF-16"), text([0xFE, 0xFF], "UTF-16"),
            Magic([0x28, 0xB5, 0x2F, 0xFD], "compressed with zstd", "zstd -dc"),
            Magic([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "compressed with xz", "xz -dc"),
            lz4([4, 0x22, 0x4D, 0x18]), lz4([2, 0x21, 0x4C, 0x18]),
            archive([3, 4]), archive([5, 6]),
            Magic([0x1F, 0x9D], "compressed with compress", "uncompress -c"),
        ]
            // Ten bytes each: the head, and that of the first block (pi) or of the end (its root).
            + (UInt8(ascii: "1")...UInt8(ascii: "9")).flatMap { size in
                [
                    bzip2(letters + [size, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
                    bzip2(letters + [size, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90]),
                ]
            }
    }

    /// Their first bytes: most inputs need no look at the rest.
    private static let heads: [UInt8] = [0, 2, 4, 0x1F, 0x28, 0x42, 0x50, 0xFD, 0xFE, 0xFF]

    static func begins(_ input: UnsafeBufferPointer<UInt8>, isAtEnd: Bool) -> Beginning {
        guard let first = input.first else { return isAtEnd ? .text : .undecided }
        guard heads.contains(first) else { return .text }
        if GzipInflater.isGzip(input) == true { return .gzip }
        for magic in all {
            let common = zip(magic.bytes, input).prefix { $0 == $1 }.count
            if common == magic.bytes.count { return .other(magic) }
            if common == input.count && !isAtEnd { return .undecided }
        }
        return .text
    }

    func advice(for input: String) -> String {
        let pipe = input == "-" ? filter : command.replacing("FILE", with: input)
        return "\(name), which is not read here: put '\(pipe) |' before it"
    }
}
