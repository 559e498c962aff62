import StreamTool

/// What stream-batch counts besides what every tool does.
let metrics: [Metric] = [
    .counter("batches", "Batches that were closed."),
    .counter("deliveries", "Commands that were started, attempts after the first among them."),
    .counter("retries", "Attempts after the first of a batch or of a part of one."),
    .counter("failed_attempts", "Attempts that failed."),
    .counter("timeouts", "Attempts that --timeout ended."),
    .counter("rate_limited", "Attempts that --rate made wait."),
    .counter("breaker_opened", "How often --breaker took the command for unavailable."),
    .counter("failed_items", "Items that the command said it did not take."),
    .counter("bisected", "Parts that were cut in two to find what is refused."),
    .counter("set_aside", "Parts that wait, refused, while the command is tried with others."),
    .counter("dead_lettered", "Records that were given up, and written to --dead-letter."),
    .counter("duplicates", "Lines that --dedup or --distinct dropped."),
    .counter("forgotten_keys", "Keys that --dedup forgot because there were too many."),
    .counter("gaps", "Runs of numbers that --reorder waited for in vain."),
    .counter("missing", "How many numbers those were."),
    .counter("restarts", "How often the numbers of --reorder began anew."),
    .counter("forgotten_orders", "Senders that --reorder forgot because there were too many."),
    .counter("messages_joined", "Messages that --join-chunks put together."),
    .counter("late", "Lines that came after their window, or their place in the order."),
    .counter("closed_early", "Batches that were closed for want of room: see --max-keys."),
    .counter("not_numbers", "Values that were to be aggregated and are no numbers."),
    .counter("time_jumps", "Times that were too far from the others to be believed."),
    .counter("forgotten_senders", "Senders whose clock was forgotten: there were too many."),
]
