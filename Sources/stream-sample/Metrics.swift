import StreamTool

/// What stream-sample counts besides what every tool does.
let metrics: [Metric] = [
    .counter("kept", "Lines that --keep named, which are no part of the sample."),
    .counter("evicted_keys", "Keys that were forgotten early: see --max-keys and --max-memory."),
    .counter("late", "Lines whose time lies in an interval that is over."),
    .counter("time_jumps", "Times that were too far from the others to be believed."),
]
