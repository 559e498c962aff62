import Glibc

/// A file that an option names, which is written.
package struct OutputFile {
    package var option: String
    package var path: String

    /// Nil when the option was not given.
    package init?(_ option: String, _ path: String?) {
        guard let path else { return nil }
        self.option = option
        self.path = path
    }
}

/// A regular file, or the name of one that is not there yet.
private struct FileIdentity: Equatable {
    var device: dev_t
    var inode: ino_t
    /// Of a file that is not there: `device` and `inode` are those of its directory.
    var name: String?

    init?(_ path: String) {
        var status = stat()
        let isThere = stat(path, &status) == 0
        if !isThere {
            guard errno == ENOENT else { return nil }
            let path = fileName(path)
            let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
            let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
            guard stat(directory, &status) == 0 else { return nil }
            name = end.map { String(path[path.utf8.index(after: $0)...]) } ?? path
        } else if status.st_mode & S_IFMT != S_IFREG {
            return nil
        }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    /// Nil for what is no regular file: much can be written to one terminal.
    init?(_ status: stat) {
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    init?(_ operand: Operand) {
        var status = stat()
        let result = operand.name == "-" ? fstat(0, &status) : stat(operand.path, &status)
        guard result == 0 else { return nil }
        self.init(status)
    }
}

/// Throws when a file has two purposes: one would destroy what is written for the other, and an
/// input that is written to has no end.
func checkFiles(_ outputs: [OutputFile], inputs: [Operand]) throws(UsageError) {
    // What standard output and error go to is written through them, so that both is there.
    let shared = [1, 2].compactMap { (descriptor: Int32) -> FileIdentity? in
        var status = stat()
        return fstat(descriptor, &status) == 0 ? FileIdentity(status) : nil
    }
    let read = inputs.compactMap { input in FileIdentity(input).map { (input, $0) } }
    var written: [(OutputFile, FileIdentity)] = []
    for output in outputs {
        guard let file = FileIdentity(output.path) else { continue }
        if let (input, _) = read.first(where: { $0.1 == file }) {
            throw UsageError("\(input.name): input file is output file (\(output.option))")
        }
        if shared.contains(file) { continue }
        if let (other, _) = written.first(where: { $0.1 == file }) {
            throw UsageError(
                "\(other.option) and \(output.option) name the same file: \(output.path)")
        }
        written.append((output, file))
    }
}
