import CLinux
import Glibc
import StreamCodec

/// Nobody reads standard output any more. The process ends by SIGPIPE, once its tool has put things
/// in order.
package struct ReaderGone: Error {}

/// Standard output for a tool that must answer somebody else meanwhile: a write takes what goes at
/// once. O_NONBLOCK is not set on the descriptor, which others share.
struct EagerTarget {
    private enum Way {
        /// A regular file, or a device that takes everything: a write does not wait.
        case plain
        /// A second description of the same pipe or terminal, of our own.
        case reopened(Int32)
        case socket
        /// A pipe that cannot be opened again: poll(2) tells when a small write goes.
        case polled
    }

    private let way: Way

    init() {
        // Its reader may leave: what that means is told by the write, not by a signal.
        signal(SIGPIPE, SIG_IGN)
        var status = stat()
        _ = fstat(1, &status)
        switch status.st_mode & S_IFMT {
        case S_IFSOCK: way = .socket
        case S_IFIFO:
            clinux_enlarge_pipe(1)
            way = Self.reopened()
        case S_IFCHR where isatty(1) == 1: way = Self.reopened()
        default: way = .plain
        }
    }

    private static func reopened() -> Way {
        let descriptor = clinux_open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY, 0)
        return descriptor < 0 ? .polled : .reopened(descriptor)
    }

    /// What to poll; nil for what never waits.
    var descriptor: Int32? {
        switch way {
        case .plain: nil
        case .reopened(let descriptor): descriptor
        case .socket, .polled: 1
        }
    }

    /// There is a reader, who may leave.
    var hasReader: Bool {
        var status = stat()
        guard fstat(1, &status) == 0 else { return false }
        return [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    /// True when all was written.
    func write(_ queue: inout ByteQueue, _ name: String, _ report: Report) throws -> Bool {
        while !queue.isEmpty {
            let written = write(queue.bytes)
            if written >= 0 {
                queue.consume(written)
                report.outputBytes += written
                continue
            }
            switch errno {
            case EINTR: report.serveRequest()
            case EAGAIN: return false
            case EPIPE: throw ReaderGone()
            case let code: throw Failure(.inputOutput, errno: code, name)
            }
        }
        return true
    }

    /// As write(2).
    private func write(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        switch way {
        case .plain: return Glibc.write(1, bytes.baseAddress, bytes.count)
        case .reopened(let descriptor):
            return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        case .socket:
            let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
            return send(1, bytes.baseAddress, bytes.count, flags)
        case .polled:
            var ready = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
            guard poll(&ready, 1, 0) > 0 else {
                errno = EAGAIN
                return -1
            }
            return Glibc.write(1, bytes.baseAddress, min(bytes.count, Int(PIPE_BUF)))
        }
    }
}
