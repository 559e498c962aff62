import CLinux
import Glibc
import StreamCodec
import StreamTool

/// 128 random bits, as no other run has them.
func newRunID() -> String {
    var generator = SystemRandomNumberGenerator()
    let digits = [generator.next(), generator.next()].map { String($0, radix: 16) }
    return digits.map { String(repeating: "0", count: 16 - $0.utf8.count) + $0 }.joined()
}

/// The command that gets the batches. Its arguments and environment are made once; only what
/// says which batch it is, is made for each.
struct Program: ~Copyable {
    /// What execve(2) gets: its own copies, each with a NUL, and a null pointer at the end.
    private let path: UnsafeMutablePointer<CChar>?
    private var arguments: [UnsafeMutablePointer<CChar>?]
    private var environment: [UnsafeMutablePointer<CChar>?]
    /// The entries of the environment before those of the batch.
    private let inherited: Int
    /// The variables of the batch, each with a NUL.
    private var variables = ByteQueue()
    private var starts: [Int] = []
    /// It gets descriptor 3 to write to.
    private let givesResults: Bool

    /// What BATCH_RUN says, unless a batch brings its own.
    private let run: String

    private static let names = [
        "BATCH_RUN", "BATCH_SEQ", "BATCH_PART", "BATCH_COUNT", "BATCH_BYTES", "BATCH_KEY",
        "BATCH_FROM", "BATCH_TO", "BATCH_ATTEMPT", "BATCH_RESULT_FD",
    ]
    /// Linux refuses a variable longer than 128 KiB.
    private static let longestKey = 100_000

    /// `words`: each with a NUL at its end.
    init(_ words: [[CChar]], run: String, givesResults: Bool) throws {
        self.run = run
        self.givesResults = givesResults
        path = strdup(try Self.checkCommand(words[0]))
        arguments = words.map { strdup($0) } + [nil]
        let names = Self.names.map { $0 + "=" }
        environment = []
        var entry = clinux_environment()
        while let variable = entry?.pointee {
            if !names.contains(where: { strncmp(variable, $0, $0.utf8.count) == 0 }) {
                environment.append(strdup(variable))
            }
            entry = entry?.advanced(by: 1)
        }
        inherited = environment.count
    }

    deinit {
        free(path)
        for word in arguments { free(word) }
        for variable in environment[..<inherited] { free(variable) }
    }

    /// Where the command is, found as execvp(3) does.
    static func checkCommand(_ name: [CChar]) throws -> [CChar] {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let colon = CChar(bitPattern: UInt8(ascii: ":"))
        var code = ENOENT
        var folders: [[CChar]] = [[]]
        if !name.contains(slash) {
            let path = getenv("PATH").map {
                Array(UnsafeBufferPointer(start: $0, count: strlen($0)))
            }
            // An empty one is where we are.
            folders = (path ?? "/bin:/usr/bin".utf8.map { CChar(bitPattern: $0) })
                .split(separator: colon, omittingEmptySubsequences: false)
                .map { $0.isEmpty ? [] : $0 + [slash] }
        }
        for folder in name.count > 1 ? folders : [] {
            let path = folder + name
            var status = stat()
            if stat(path, &status) != 0 {
                if errno == EACCES { code = EACCES }
            } else if status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0 {
                return path
            } else {
                code = EACCES
            }
        }
        let text = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        throw Failure(.unavailable, "cannot run '\(text)': \(errorText(code))")
    }

    /// Starts the command with the bytes as its standard input.
    mutating func start(
        _ part: Part, of batch: Batch, attempt: Int, input: UnsafeBufferPointer<UInt8>
    ) -> Result<clinux_child, StartError> {
        variables.removeAll()
        starts.removeAll(keepingCapacity: true)
        set("BATCH_RUN=", batch.run.isEmpty ? run : batch.run)
        set("BATCH_SEQ=", batch.seq)
        set("BATCH_COUNT=", part.count)
        set("BATCH_BYTES=", input.count)
        set("BATCH_ATTEMPT=", attempt)
        set("BATCH_PART=", part.name)
        set("BATCH_FROM=", time: batch.from)
        set("BATCH_TO=", time: batch.to)
        if givesResults { set("BATCH_RESULT_FD=", 3) }
        set(key: batch.key)
        environment.removeLast(environment.count - inherited)
        let base = UnsafeMutableRawPointer(mutating: variables.bytes.baseAddress)
        for start in starts {
            environment.append(base?.advanced(by: start).assumingMemoryBound(to: CChar.self))
        }
        environment.append(nil)
        var child = clinux_child()
        let code = clinux_spawn(
            path, arguments, environment, input.baseAddress, input.count,
            givesResults ? 1 : 0, &child)
        return code == 0 ? .success(child) : .failure(StartError(code: code))
    }

    struct StartError: Error { var code: Int32 }

    private mutating func set(_ name: StaticString, _ number: Int) {
        starts.append(variables.count)
        variables.append(name)
        variables.append(decimal: number)
        variables.append(0)
    }

    private mutating func set(_ name: StaticString, _ text: String) {
        starts.append(variables.count)
        variables.append(name)
        variables.append(string: text)
        variables.append(0)
    }

    private mutating func set(_ name: StaticString, time: UInt64) {
        starts.append(variables.count)
        variables.append(name)
        variables.append(rfc3339: time)
        variables.append(0)
    }

    /// A string's text; of another value its JSON text. Left out when a variable cannot hold it.
    private mutating func set(key: [UInt8]) {
        if key.isEmpty { return }
        let start = variables.count
        variables.append("BATCH_KEY=")
        let text = variables.count
        if key[0] == UInt8(ascii: "\"") {
            key.withUnsafeBufferPointer { key in
                variables.append(replacing: key.slice(1..<(key.count - 1)))
            }
        } else {
            variables.append(key)
        }
        let value = variables.bytes(text..<variables.count)
        if value.count > Self.longestKey || value.contains(0) {
            variables.truncate(start)
            return
        }
        variables.append(0)
        starts.append(start)
    }
}
