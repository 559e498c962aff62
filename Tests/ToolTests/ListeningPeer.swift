import Glibc

/// A peer for ws-cat in a process of its own: what the test writes to it, it sends.
struct ListeningPeer {
    let session: Session
    let url: String

    init(_ options: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.file("port")
        session = try start(
            "ws-cat", options + " --listen 127.0.0.1:0 --port-file " + file)
        var port = ""
        let limit = now() + patience
        while port.isEmpty && now() < limit {
            usleep(2000)
            if access(file, F_OK) == 0 { port = try folder.read("port") }
        }
        url = "ws://127.0.0.1:" + port.filter(\.isNumber)
    }
}
