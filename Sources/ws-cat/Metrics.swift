import StreamTool

/// What ws-cat counts besides what every tool does.
let metrics: [Metric] = [
    .counter("sent", "Messages that were handed to the system."),
    .counter("unconfirmed", "Messages that were sent and of which the peer showed no sign."),
    .counter("resent", "Messages that --resend-unconfirmed sent again."),
    .counter("unsent", "Lines that were read and not sent."),
    .counter("connections", "Connections that were opened."),
    .counter("reconnections", "Connections after the first."),
    .counter("pings_sent", "Pings that were sent."),
    .counter("pings_received", "Pings that came, each of which is answered."),
    .counter("pongs_received", "Pongs that came, asked for or not."),
    .histogram("rtt_seconds", "From a ping to its pong."),
]
