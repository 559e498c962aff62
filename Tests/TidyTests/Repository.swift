import Foundation

/// The files of the package and its tools.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    static let environment = ProcessInfo.processInfo.environment

    /// The folder of the tools: $STREAMUTILS_TOOLS, or that of the test runner.
    static let toolFolder: String = {
        if let folder = environment["STREAMUTILS_TOOLS"] {
            return URL(fileURLWithPath: folder).path
        }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return runner.deletingLastPathComponent().path
    }()

    /// Every folder of Sources with a main.swift is a tool, also when that is deeper down because
    /// the tool is more than one program.
    static let tools: [String] = {
        let mains = files("Sources", endings: ["/main.swift"])
        return Set(mains.map { String($0.split(separator: "/")[1]) }).sorted()
    }()

    /// Files below a folder whose names end so, relative to the root.
    static func files(_ folder: String, endings: [String]) -> [String] {
        // Through a symbolic link to the folder too.
        let base = URL(fileURLWithPath: "\(root)/\(folder)").resolvingSymlinksInPath().path
        let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
        return names.filter { name in endings.contains { $0.isEmpty || name.hasSuffix($0) } }
            .map { "\(folder)/\($0)" }.sorted()
    }

    static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder)
            && isFolder.boolValue
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(root)/\(path)")
    }

    /// Runs a command line in `folder` with the tools on PATH, and returns what it wrote, to
    /// standard error too, and its status.
    static func shell(_ command: String, in folder: String = "") throws -> (String, Int32) {
        let place = "cd '\(root)/\(folder)' && PATH='\(toolFolder)':\"$PATH\""
        guard let stream = popen("\(place) && {\n\(command)\n} </dev/null 2>&1", "re") else {
            throw CocoaError(.executableLoad)
        }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let size = fread(&buffer, 1, buffer.count, stream)
            if size == 0 { break }
            output += buffer[..<size]
        }
        let status = pclose(stream)
        return (String(decoding: output, as: UTF8.self), status >> 8 & 0xFF)
    }

    static func isInstalled(_ program: String) throws -> Bool {
        try shell("command -v \(program) >/dev/null").1 == 0
    }
}
