import Foundation
import Testing

/// Starts ws-cat, in the folder of the samples.
func cat(
    _ arguments: [String], stdin: Stream = .pipe, stdout: Stream = .pipe,
    environment: [String: String] = [:]
) throws -> Session {
    try Session(
        Files.tools + "/ws-cat", arguments, stdin: stdin, stdout: stdout, environment: environment)
}

/// Like it, with arguments that hold no spaces.
func cat(
    _ arguments: String, _ peer: WsPeer, stdin: Stream = .pipe, stdout: Stream = .pipe
) throws -> Session {
    try cat(words(arguments) + [peer.url], stdin: stdin, stdout: stdout)
}

/// What a run of ws-cat and its peer made of each other.
struct WsRun {
    var result: Finished
    var transcript: WsTranscript

    var texts: [String] { transcript.texts }
    var close: WsFrame? { transcript.close }
}

/// Runs ws-cat to its end with this input. The peer does what `script` says once the connection is
/// open, then takes everything and answers the close.
func talk(
    _ arguments: [String], _ input: some Sequence<UInt8>, fields: String = "",
    _ script: (WsConnection) throws -> Void = { _ in }
) throws -> WsRun {
    let peer = try WsPeer()
    let tool = try cat(arguments + [peer.url])
    tool.write(input)
    tool.closeInput()
    let connection = try peer.accept(fields)
    try script(connection)
    let transcript = try connection.drain()
    return WsRun(result: tool.finish(), transcript: transcript)
}

func talk(
    _ arguments: String, _ input: String = "", fields: String = "",
    _ script: (WsConnection) throws -> Void = { _ in }
) throws -> WsRun {
    try talk(words(arguments), input.utf8, fields: fields, script)
}

/// A ws-cat that listens, and its port.
struct WsServer {
    let session: Session
    let port: Int
    private let folder: TemporaryFolder

    init(
        _ arguments: String = "", stdin: Stream = .pipe, stdout: Stream = .pipe
    ) throws {
        folder = try TemporaryFolder()
        let file = folder.file("port")
        session = try cat(
            words(arguments) + ["--listen", "0", "--port-file", file], stdin: stdin, stdout: stdout)
        port = try #require(readPort(file), "\(session.errors)")
    }

    var url: String { "ws://127.0.0.1:\(port)/" }
}

/// The port that a server writes to its file once it accepts connections.
func readPort(_ file: String) -> Int? {
    let limit = now() + patience
    while now() < limit {
        if let data = FileManager.default.contents(atPath: file),
            let port = Int(String(decoding: data, as: UTF8.self).filter(\.isNumber))
        {
            return port
        }
        usleep(1000)
    }
    return nil
}

extension Session {
    /// What the process has needed at the most, in KiB.
    func peakKiB() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    /// True when standard error came to have this in it.
    func says(_ text: String, within seconds: Double = patience) -> Bool {
        wait(seconds: seconds) { $0.errors.contains(text) }
    }

    /// True when so many lines came to standard output.
    func printsLines(_ count: Int, within seconds: Double = patience) -> Bool {
        wait(seconds: seconds) { $0.output.count { $0 == 10 } >= count }
    }
}

/// A file that is read from its start.
func opened(_ path: String, _ flags: Int32 = O_RDONLY) -> Int32 { open(path, flags | O_CLOEXEC) }
