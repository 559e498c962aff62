import Glibc

/// posix_spawn(3) with its descriptors, its folder and its signals.
struct Spawner {
    private var actions = posix_spawn_file_actions_t()
    /// What the process has and we need no longer.
    private var theirs: [Int32] = []

    init(folder: String) {
        posix_spawn_file_actions_init(&actions)
        _ = GNU.addFolder(&actions, folder)
    }

    /// Our end of the pipe where there is one, or -1.
    mutating func connect(_ number: Int32, to stream: Stream) throws -> Int32 {
        switch stream {
        case .closed:
            posix_spawn_file_actions_addclose(&actions, number)
            return -1
        case .descriptor(let descriptor):
            posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            return -1
        case .pipe:
            let ends = try makePipe()
            let their = number == 0 ? ends.reading : ends.writing
            let ours = number == 0 ? ends.writing : ends.reading
            posix_spawn_file_actions_adddup2(&actions, their, number)
            theirs.append(their)
            setFlag(O_NONBLOCK, of: ours)
            return ours
        }
    }

    mutating func spawn(
        _ program: String, _ arguments: [String], _ additions: [String: String]
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM] {
            sigaddset(&defaults, number)
        }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))
        // Foundation opens files without O_CLOEXEC, in other tests at the same time.
        _ = GNU.addCloseFrom(&actions, 3)
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var environment = Self.environment(additions).map { strdup($0) } + [nil]
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, &argv, &environment)
        for text in argv + environment { free(text) }
        for descriptor in theirs { close(descriptor) }
        posix_spawnattr_destroy(&attributes)
        posix_spawn_file_actions_destroy(&actions)
        guard code == 0 else { throw SpawnError(code: code) }
        return pid
    }

    /// Ours with the tools first on PATH, without what would change a tool's diagnostics.
    private static func environment(_ additions: [String: String]) -> [String] {
        var variables = ["LC_ALL": "C", "HOME": "/nonexistent", "TERM": "xterm"]
        variables["PATH"] = Files.tools + ":/usr/local/bin:/usr/bin:/bin"
        variables["TMPDIR"] = TemporaryFolder.parent
        variables.merge(additions) { $1 }
        return variables.map { "\($0.key)=\($0.value)" }
    }
}

/// A pipe that no child inherits by accident.
func makePipe() throws -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [0, 0]
    guard GNU.pipe2(&ends, O_CLOEXEC) == 0 else { throw SpawnError(code: errno) }
    return (ends[0], ends[1])
}

/// Sets a flag of the open file, such as O_NONBLOCK.
func setFlag(_ flag: Int32, of descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | flag)
}

func hasFlag(_ flag: Int32, _ descriptor: Int32) -> Bool {
    fcntl(descriptor, F_GETFL) & flag != 0
}

/// What the C library has and its headers show only to GNU programs.
private enum GNU {
    typealias Pipe2 = @convention(c) (UnsafeMutablePointer<Int32>, Int32) -> Int32
    typealias AddFolder =
        @convention(c) (
            UnsafeMutablePointer<posix_spawn_file_actions_t>, UnsafePointer<CChar>
        ) -> Int32

    /// With the flag at once: a pipe must not get into a child that another thread starts.
    static let pipe2 = unsafeBitCast(dlsym(nil, "pipe2"), to: Pipe2.self)
    typealias AddCloseFrom =
        @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32

    static let addCloseFrom = unsafeBitCast(
        dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"), to: AddCloseFrom.self)
    static let addFolder = unsafeBitCast(
        dlsym(nil, "posix_spawn_file_actions_addchdir_np"), to: AddFolder.self)
}
