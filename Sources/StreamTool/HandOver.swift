import CLinux
import Glibc
import StreamCodec

/// True when an argument may be a URL of http or https, or an option that takes one. A filter
/// looks at this before anything else.
package func asksForURL() -> Bool {
    CommandLine.arguments.dropFirst().contains { $0.isURL || $0.hasPrefix("--pol") }
}

extension String {
    /// True when it begins as a URL of http or https does; the scheme's case does not matter
    /// (RFC 3986, section 3.1).
    package var isURL: Bool {
        ["http://", "https://"].contains { $0.isEqualIgnoringCase(String(prefix($0.utf8.count))) }
    }
}

/// Goes on as another program of the suite, with the same arguments: one that stands beside this
/// one, or where `make install` puts what nobody calls by name.
package func handOver(to name: String) -> Never {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let size = readlink("/proc/self/exe", &path, path.count - 1)
    let own = String(
        decoding: path.prefix(max(0, size)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let directory = own.utf8.lastIndex(of: UInt8(ascii: "/")).map { own[..<$0] } ?? "."
    for place in ["\(directory)/\(name)", "\(directory)/../libexec/streamutils/\(name)"] {
        execv(place, CommandLine.unsafeArgv)
        if errno != ENOENT { break }
    }
    let code = errno
    let tool = own.utf8.lastIndex(of: UInt8(ascii: "/")).map { own[own.index(after: $0)...] } ?? "?"
    let report = Report(tool: String(tool), options: CommonOptions())
    report.error("a URL needs the program \(name): \(errorText(code))")
    exit(ExitStatus.systemError.rawValue)
}
