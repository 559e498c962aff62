import SSEDecode
import StreamTool

// A filter is a static program, which starts at once. Reaching out takes libcurl and the system's
// name services, which are shared libraries: another program has the same options and those.
if asksForURL() { handOver(to: "sse-decode-url") }
command.run(DecodeOptions(), decode)
