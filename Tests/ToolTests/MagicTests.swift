import Foundation
import Testing

/// Input that is no text is told by its name: stream-sample -p passed it with status 0, and the
/// others complained of a byte.
@Suite struct MagicTests {
    struct Kind: CustomTestStringConvertible, Sendable {
        var name: String
        var bytes: [UInt8]
        var file: String
        var pipe: String

        var testDescription: String { name }
    }

    private static let bzip2 = Array("BZh9".utf8)

    private static let kinds: [Kind] = [
        Kind(
            name: "compressed with zstd", bytes: [0x28, 0xB5, 0x2F, 0xFD, 4, 0x58],
            file: "zstd -dc FILE", pipe: "zstd -dc"),
        Kind(
            name: "compressed with xz", bytes: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0],
            file: "xz -dc FILE", pipe: "xz -dc"),
        Kind(
            name: "compressed with bzip2",
            bytes: bzip2 + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xC1], file: "bzip2 -dc FILE",
            pipe: "bzip2 -dc"),
        Kind(
            name: "compressed with bzip2", bytes: bzip2 + [0x17, 0x72, 0x45, 0x38, 0x50, 0x90],
            file: "bzip2 -dc FILE", pipe: "bzip2 -dc"),
        Kind(
            name: "compressed with lz4", bytes: [4, 0x22, 0x4D, 0x18, 0x64],
            file: "lz4 -dc FILE", pipe: "lz4 -dc"),
        Kind(
            name: "compressed with lz4", bytes: [2, 0x21, 0x4C, 0x18, 0x64],
            file: "lz4 -dc FILE", pipe: "lz4 -dc"),
        Kind(
            name: "compressed with compress", bytes: [0x1F, 0x9D, 0x90],
            file: "uncompress -c FILE", pipe: "uncompress -c"),
        Kind(
            name: "a zip archive", bytes: [0x50, 0x4B, 3, 4, 20], file: "unzip -p FILE",
            pipe: "funzip"),
        Kind(
            name: "a zip archive", bytes: [0x50, 0x4B, 5, 6], file: "unzip -p FILE",
            pipe: "funzip"),
        Kind(
            name: "in UTF-16", bytes: [0xFF, 0xFE, 0x31, 0, 10, 0],
            file: "iconv -f UTF-16 -t UTF-8 FILE", pipe: "iconv -f UTF-16 -t UTF-8"),
        Kind(
            name: "in UTF-16", bytes: [0xFE, 0xFF, 0, 0x31, 0, 10],
            file: "iconv -f UTF-16 -t UTF-8 FILE", pipe: "iconv -f UTF-16 -t UTF-8"),
        Kind(
            name: "in UTF-32", bytes: [0xFF, 0xFE, 0, 0, 0x31, 0, 0, 0],
            file: "iconv -f UTF-32 -t UTF-8 FILE", pipe: "iconv -f UTF-32 -t UTF-8"),
        Kind(
            name: "in UTF-32", bytes: [0, 0, 0xFE, 0xFF, 0, 0, 0, 0x31],
            file: "iconv -f UTF-32 -t UTF-8 FILE", pipe: "iconv -f UTF-32 -t UTF-8"),
    ]

    private static let calls = [
        "sse-encode -d", "sse-encode -t", "sse-decode -d", "stream-sample -p1",
        "stream-sample -t -p1", "stream-batch", "stream-batch --text -f lines",
        "stream-batch -n1 -- cat",
    ]

    @Test(arguments: kinds) func isToldByItsName(_ kind: Kind) throws {
        for call in Self.calls {
            let tool = words(call)[0]
            let result = try run(tool, Array(words(call).dropFirst()), kind.bytes)
            #expect(result.ending == .exit(65), "\(call)")
            #expect(result.output.isEmpty)
            let reason = "\(kind.name), which is not read here: put '\(kind.pipe) |' before it"
            #expect(result.errors == "\(tool): -: \(reason)\n")
        }
    }

    @Test(arguments: kinds) func asAFile(_ kind: Kind) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a")
        try Data(kind.bytes + Array("1\n".utf8)).write(to: URL(fileURLWithPath: path))
        let result = try run("stream-sample", "-p1 \(path)")
        #expect(result.ending == .exit(65))
        #expect(result.errors.contains("put '\(kind.file.replacing("FILE", with: path)) |' before"))
        // What can be read is read all the same, when that is asked for.
        let next = try folder.write("2\n", to: "b")
        let skipping = try run("stream-sample", "-p1 --on-error=skip \(path) \(next)")
        #expect(skipping.text == "2\n")
        #expect(skipping.ending == .exit(1))
    }

    /// However it comes: each byte is read by itself.
    @Test(arguments: kinds) func byteByByte(_ kind: Kind) throws {
        let session = try start("stream-sample", "-t -p1")
        for byte in kind.bytes {
            session.write([byte])
            usleep(500)
        }
        session.closeInput()
        let result = session.finish()
        #expect(result.errors.contains(kind.name), "\(result.errors)")
        #expect(result.ending == .exit(65))
    }

    /// What begins like one of them and is text, and each of them cut short.
    @Test func textIsText() throws {
        var texts = [
            "BZh9 is a level\n", "BZh91AY&S\n", "BZh0\n", "PK\n", "(\n", "P", "B", "BZh9",
            "\u{4}\n",
            "\u{2}!\n", "\u{1F}\n", "\u{0}\n", "\u{0}\u{0}\n", "ÿþ\n", "ýþÿ\n", "\u{FEFF}x\n",
        ].map { Array($0.utf8) }
        texts += [
            [0xFF, 10], [0xFE, 10], [0xFD, 0x37, 10], [0x28, 0xB5, 10], [0xE9, 0x74, 10],
        ]
        for text in texts {
            let result = try run("stream-sample", ["-t", "-p1"], text)
            #expect(result.ending == .exit(0))
            #expect(result.errors.isEmpty)
            let isMarked = text.starts(with: [0xEF, 0xBB, 0xBF])
            let line = isMarked ? Array(text.dropFirst(3)) : text
            #expect(result.output == line + (text.last == 10 ? [] : [10]))
        }
    }

    /// A line that could still be one of them is not held back once it is a line.
    @Test func aTrickleIsNotHeldBack() throws {
        let session = try start("stream-sample", "-t -p1")
        session.write("BZh9\n")
        #expect(session.prints("BZh9\n"))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func whatWsCatSends() throws {
        let run = try talk(["-t"], [0x28, 0xB5, 0x2F, 0xFD, 4, 0x58, 10])
        #expect(run.texts == [])
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.contains("put 'zstd -dc |' before it"))
    }

    @Test func whatStreamServeReads() throws {
        for (option, status) in [("--on-error=skip", 1), ("--on-error=stop", 65)] {
            let result = try run(
                "stream-serve", words("--listen 127.0.0.1:0 \(option)"),
                [0x28, 0xB5, 0x2F, 0xFD, 4, 0x58, 10])
            #expect(result.ending == .exit(Int32(status)))
            #expect(result.errors.contains("put 'zstd -dc |' before it"))
        }
    }
}
