import StreamTool

/// What sse-decode counts besides what every tool does.
let metrics: [Metric] = [
    .counter("connection_attempts", "Requests, those that redirects lead to included."),
    .counter(
        "reconnections",
        "Requests after the first of each URL, without those of redirects and polls after a poll"
            + " that was answered."),
    .counter("events", "Events that came from URLs, selected or not."),
    .counter("bytes_received", "Bytes of the answers, compressed as they came."),
    .counter("stalls", "Times that nothing came for --idle-timeout."),
    .counter("duplicates", "Events that --dedup dropped."),
    .counter("gaps", "Runs of numbers that --reorder waited for in vain."),
    .counter("missing", "How many numbers those were."),
    .counter("late", "Events that came after their number had been given up."),
    .counter("restarts", "How often the numbers of --reorder began anew."),
    .counter("forgotten_orders", "Senders that --reorder forgot because there were too many."),
    .counter("messages_joined", "Messages that --join-chunks put together."),
    .gauge("last_event_timestamp_seconds", "When the last event came, in seconds since 1970."),
    .histogram("connection_duration_seconds", "How long answers lasted, from their head on."),
    .histogram(
        "time_to_reconnect_seconds", "From the end of one answer to the head of the next."),
]
