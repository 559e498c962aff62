import CLinux
import Glibc
import StreamCodec

/// Lets another gzip member follow in a file: one that has no end, because its writer was killed,
/// is given one that keeps all that can be inflated of it, for nobody would read on behind it. The
/// whole file is read. Throws for what is no gzip or is corrupt.
///
/// `wasCut`: an end was missing. `isInLine`: what is inflated ends in half a line.
func endLastMember(of path: String) throws -> (wasCut: Bool, isInLine: Bool) {
    let descriptor = clinux_open(path, O_RDWR, 0)
    if descriptor < 0 { throw Failure(.cannotCreate, errno: errno, path) }
    defer { close(descriptor) }
    let (ending, isInLine) = try missingEnd(descriptor, path)
    guard let (offset, bytes) = ending else { return (false, isInLine) }
    // In this order, a kill in between leaves a member without an end again, not a member with
    // something behind it.
    if ftruncate(descriptor, offset) != 0 { throw Failure(.inputOutput, errno: errno, path) }
    var queue = ByteQueue()
    queue.append(bytes)
    guard lseek(descriptor, 0, SEEK_END) == offset else {
        throw Failure(.inputOutput, "\(path): another process writes to it")
    }
    try writeAll(&queue, to: descriptor, name: path)
    return (true, isInLine)
}

private func missingEnd(
    _ descriptor: Int32, _ path: String
) throws -> (ending: (offset: Int, bytes: [UInt8])?, isInLine: Bool) {
    do {
        var ending = try GzipEnding()
        var offset = 0
        while true {
            let bytes = try readBytes(descriptor, at: offset, 256 << 10, path)
            if bytes.isEmpty { return (ending.ending(), ending.isInLine) }
            try ending.take(bytes)
            offset += bytes.count
            // Nothing was done so far, and a large file takes long.
            if isStopped() { endBySignal(clinux_stop_signal()) }
        }
    } catch let error as GzipError {
        throw Failure(
            .badConfiguration,
            "\(path): nobody could read what --gzip appends there: \(error.description)")
    }
}

/// The file begins as gzip does.
func beginsAsGzip(_ path: String) throws -> Bool {
    let descriptor = clinux_open(path, O_RDONLY, 0)
    // Who may write only cannot tell.
    if descriptor < 0 { return false }
    defer { close(descriptor) }
    let bytes = try readBytes(descriptor, at: 0, 2, path)
    return bytes.withUnsafeBufferPointer { GzipInflater.isGzip($0) } == true
}
