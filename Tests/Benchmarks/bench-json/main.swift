import Glibc
import StreamCodec

/// Validates each line of a file and prints what that took, loading apart, as one JSON object.
/// The benchmark's simdjson program prints the same.

func seconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

func fail(_ message: String) -> Never {
    print(message)
    exit(1)
}

func load(_ path: String) -> UnsafeMutableRawBufferPointer {
    let file = open(path, O_RDONLY)
    var status = stat()
    guard file >= 0, fstat(file, &status) == 0 else { fail("cannot open \(path)") }
    let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(status.st_size), alignment: 64)
    var filled = 0
    while filled < memory.count {
        let size = read(file, memory.baseAddress! + filled, memory.count - filled)
        guard size > 0 else { fail("cannot read \(path)") }
        filled += size
    }
    close(file)
    return memory
}

func validate(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var lines = 0
    var start = 0
    while start < bytes.count {
        let rest = bytes.count - start
        let found = memchr(bytes.baseAddress! + start, 10, rest)
        let end = found.map { UnsafeRawPointer($0) - UnsafeRawPointer(bytes.baseAddress!) }
        let line = bytes.slice(start..<(end ?? bytes.count))
        guard JSON.isValid(line) else { fail("line \(lines + 1) is no JSON") }
        lines += 1
        start = (end ?? bytes.count) + 1
    }
    return lines
}

guard CommandLine.arguments.count == 2 else { fail("usage: bench-json FILE") }
let begin = seconds()
let memory = load(CommandLine.arguments[1])
let loaded = seconds()
let lines = validate(UnsafeBufferPointer(memory.bindMemory(to: UInt8.self)))
let done = seconds()
print(
    "{\"bytes\":\(memory.count),\"lines\":\(lines),\"load_seconds\":\(loaded - begin),"
        + "\"validate_seconds\":\(done - loaded)}")
