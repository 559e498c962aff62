import Glibc

/// C calls it, so it can capture nothing.
package typealias FuzzTest = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

// libFuzzer brings a main of its own, but SwiftPM wants an executable to have one in Swift.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: FuzzTest
) -> CInt

/// Gives `test` one input after the other, as the command line says.
package func runFuzzer(_ test: FuzzTest) -> Never {
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    exit(runDriver(&count, &arguments, test))
}

/// Memory of exactly this size: AddressSanitizer sees one byte read too many.
package func withExactCopy<Result>(
    _ bytes: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Result
) -> Result {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: bytes)
    return body(UnsafeBufferPointer(copy))
}

/// Bytes as a person can read them, and printf(1) can write them.
package func shown(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes {
        switch byte {
        case UInt8(ascii: "\\"): text += "\\\\"
        case UInt8(ascii: "\n"): text += "\\n"
        case UInt8(ascii: "\r"): text += "\\r"
        case 0x20...0x7E: text.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            text += "\\" + String(repeating: "0", count: byte < 8 ? 2 : byte < 64 ? 1 : 0)
            text += String(byte, radix: 8)
        }
    }
    return "'\(text)'"
}

/// Stops with both sides when they differ.
package func expectEqual<Value: Equatable>(
    _ left: @autoclosure () -> Value, _ right: @autoclosure () -> Value, _ what: String,
    of input: [UInt8]
) {
    let (left, right) = (left(), right())
    if left != right {
        fatalError("\(what)\n  left:  \(left)\n  right: \(right)\n  input: \(shown(input))")
    }
}
