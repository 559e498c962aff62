import Foundation
import Testing

/// Who is slow is waited for, in bounded memory.
@Suite struct WsPressureTests {
    /// Nobody reads standard output: the peer is stopped, and nothing is lost.
    @Test func standardOutputIsNotRead() throws {
        let server = try pipeServer("-t --receive-buffer 256K --listen")
        defer { close(server.output) }
        let connection = try WsConnection.open(server.port)
        let message = WsFrame(.text, [UInt8](repeating: 97, count: 9999)).bytes(masked: true)
        let block = (0..<100).flatMap { _ in message }
        // Sockets hold some megabytes; 64 MB they do not.
        let sent = connection.fill(block, most: 64 << 20, server.session)
        #expect(sent > 256 << 10)
        #expect(sent < 64 << 20)
        #expect(try server.session.peakKiB() < 12 << 10)
        // Once somebody reads, the rest comes.
        var came = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let whole = sent / message.count
        while came < whole * 10_000 {
            let size = read(server.output, &buffer, buffer.count)
            try #require(size > 0)
            came += size
        }
        #expect(try server.session.peakKiB() < 12 << 10)
        connection.hangUp(abruptly: true)
    }

    /// A server whose standard output is a pipe that only the test reads.
    private func pipeServer(
        _ arguments: String
    ) throws -> (session: Session, port: Int, output: Int32) {
        let pipe = try makePipe()
        let folder = try TemporaryFolder()
        let file = folder.file("port")
        let session = try cat(
            words(arguments) + ["0", "--port-file", file], stdout: .descriptor(pipe.writing))
        close(pipe.writing)
        return (session, try #require(readPort(file)), pipe.reading)
    }

    /// A ping that comes before the buffer is full is answered.
    @Test func pingsAreAnsweredMeanwhile() throws {
        let server = try pipeServer("-t --receive-buffer 4M --listen")
        defer { close(server.output) }
        let connection = try WsConnection.open(server.port)
        // More than the pipe takes and less than the buffer.
        let message = WsFrame(.text, [UInt8](repeating: 97, count: 9999)).bytes(masked: true)
        #expect(connection.write((0..<100).flatMap { _ in message }))
        connection.send(WsFrame(.ping, "still there?"))
        let pong = try connection.frame()
        #expect(pong?.kind == .pong)
        #expect(pong?.text == "still there?")
        connection.hangUp(abruptly: true)
    }

    /// The peer does not read: standard input is read no further.
    @Test(arguments: ["", "--compress=off", "--reconnect"]) func thePeerDoesNotRead(
        _ options: String
    ) throws {
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("-t --ping 0 \(options)", peer)
        let connection = try peer.accept()
        let line = Array("\(String(repeating: "x", count: 999))\n".utf8)
        let block = (0..<256).flatMap { _ in line }
        var written = 0
        while written < 64 << 20, !tool.stalls(with: block) { written += block.count }
        #expect(written < 64 << 20)
        #expect(try tool.peakKiB() < 12 << 10)
        // Everything comes once it reads.
        let first = try connection.next()
        #expect(first?.payload.count == 999)
        connection.hangUp(abruptly: true)
    }

    /// Memory does not grow with the stream, in either direction.
    @Test(arguments: ["-t", "-d", "-r", "-t --compress=off", "-b"])
    func memoryDoesNotGrow(_ form: String) throws {
        let null = opened("/dev/null", O_WRONLY)
        defer { close(null) }
        let server = try WsServer(form, stdout: .descriptor(null))
        let client = try cat(words(form) + [server.url])
        let text = #"{"type":"text","data":"some words of a message that is not long"}"# + "\n"
        let block = Array(String(repeating: text, count: 20_000).utf8)
        for _ in 0..<24 { client.write(block) }
        #expect(try client.peakKiB() < 12 << 10)
        #expect(try server.session.peakKiB() < 12 << 10)
        client.closeInput()
        #expect(client.finish().ending == .exit(0))
        #expect(server.session.finish().ending == .exit(0))
    }

    /// A peer that sends pings and reads no pongs.
    @Test func aFloodOfPings() throws {
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("-t --no-close --ping 0", peer)
        let connection = try peer.accept()
        let ping = WsFrame(.ping, String(repeating: "p", count: 125)).bytes(masked: false)
        let block = (0..<1000).flatMap { _ in ping }
        _ = connection.fill(block, most: 120 * block.count, tool)
        #expect(try tool.peakKiB() < 12 << 10)
        tool.send(SIGTERM)
        connection.hangUp(abruptly: true)
        #expect(tool.finish().ending != .timeLimit)
    }

    /// Two that send to each other as much as they can do not wait for each other.
    @Test func bothWaysAtOnce() throws {
        let folder = try TemporaryFolder()
        let text = (0..<100_000).map { "\($0) some words behind the number\n" }.joined()
        let path = try folder.write(text, to: "lines")
        let (one, two) = (opened(path), opened(path))
        defer { for file in [one, two] { close(file) } }
        let null = opened("/dev/null", O_WRONLY)
        defer { close(null) }
        let server = try WsServer(
            "-t --keep-listening --max-connections 1", stdin: .descriptor(one),
            stdout: .descriptor(null))
        let client = try cat(
            ["-t", "-n", "100000", "--receive-buffer", "64K", server.url], stdin: .descriptor(two))
        let result = client.finish()
        #expect(result.output == Array(text.utf8))
        #expect(result.ending == .exit(0))
        _ = server.session.finish()
    }

    /// A peer that was slow once: what was read meanwhile goes without more of the input.
    @Test func whatWasReadGoesWithoutMoreInput() throws {
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("-t --ping 0 --compress=off", peer)
        let connection = try peer.accept()
        let line = Array("\(String(repeating: "x", count: 9_999))\n".utf8)
        var written = 0
        while written < 64 << 20, !tool.stalls(with: line) { written += line.count }
        // The session still holds what was not taken of the last line.
        var lines = 0
        while lines < written / line.count {
            guard let frame = try connection.next() else { break }
            #expect(frame.payload.count == 9_999)
            lines += 1
        }
        #expect(lines == written / line.count)
        connection.hangUp(abruptly: true)
    }
}

extension WsConnection {
    /// How many bytes of such blocks are taken until `tool` sleeps and takes no more.
    fileprivate func fill(_ block: [UInt8], most: Int, _ tool: Session) -> Int {
        var sent = 0
        var naps = 0
        while sent < most, naps < 3 {
            let size = push(Array(block[(sent % block.count)...]), within: 0.05)
            sent += size
            naps = size == 0 && tool.isAsleep(within: 0.05) ? naps + 1 : 0
        }
        return sent
    }
}
