/// The section about services whose streams are well known.
let providers = #"""
    .Sh PROVIDERS
    The key is in a file that only its user can read; where a provider wants it in a field of its
    own, the file has the whole field, such as
    .Li x-api-key:\& Ar KEY .
    .Pa request.json
    is the request as the provider has it, for OpenAI and Anthropic with
    .Li \(dqstream\(dq:true .
    .Pp
    Texts that come in several forms, or in several parts at once, are for
    .Xr jq 1 ,
    whose option
    .Fl j
    writes them as they come; the shell's
    .Li "set -o pipefail"
    keeps the exit status of
    .Nm
    behind it.
    .Pp
    OpenAI, chat completions and responses, and what speaks like them: the text, or the refusal.
    Tool calls are in
    .Li .choices[0].delta.tool_calls ,
    and in events of type
    .Li response.function_call_arguments.delta .
    A response that failed, or ended before it was complete, is an error to
    .Fl Fl fail-on-error :
    .Bd -literal -offset indent
    $ sse-decode -d --until '[DONE]' --require-end --fail-on-error \e
        --bearer-file openai.key --body @request.json \e
        https://api.openai.com/v1/chat/completions |
        jq --unbuffered -j '.choices[0].delta | .content // .refusal // empty'
    $ sse-decode -t --get .delta -e response.output_text.delta \e
        -e response.refusal.delta \e
        --until-event response.completed --require-end --fail-on-error \e
        --bearer-file openai.key --body @request.json \e
        https://api.openai.com/v1/responses
    .Ed
    .Pp
    Anthropic, with
    .Li x-api-key
    in
    .Pa anthropic.header .
    Thoughts are in
    .Li .delta.thinking ,
    what tools are called with in
    .Li .delta.partial_json ;
    a refusal is a
    .Li stop_reason
    in the event
    .Li message_delta :
    .Bd -literal -offset indent
    $ sse-decode -t --get .delta.text --until-event message_stop \e
        --require-end --fail-on-error -H @anthropic.header \e
        -H 'anthropic-version: 2023-06-01' --body @request.json \e
        https://api.anthropic.com/v1/messages
    .Ed
    .Pp
    Gemini, with
    .Li x-goog-api-key
    in
    .Pa gemini.header ;
    its streams have no end marker.
    The text is that of all parts that are no thoughts; what was blocked has none, and says why in
    .Li .promptFeedback.blockReason
    or
    .Li .candidates[0].finishReason .
    Without
    .Li alt=sse
    the answer is an array of JSON, whose elements are taken as they come:
    .Bd -literal -offset indent
    $ m=https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash
    $ text='.candidates[0].content.parts[]? | select(.thought | not) | .text // empty'
    $ sse-decode -d --fail-on-error -H @gemini.header --body @request.json \e
        "$m:streamGenerateContent?alt=sse" | jq --unbuffered -j "$text"
    $ sse-decode -d --fail-on-error -H @gemini.header --body @request.json \e
        "$m:streamGenerateContent" | jq --unbuffered -j "$text"
    .Ed
    .Pp
    Wikimedia EventStreams, which ends each connection after some minutes.
    Its ids are JSON, an array of topics with their partition and offset or time, and are sent
    back as they came:
    .Bd -literal -offset indent
    $ sse-decode -d --state recentchange.state \e
        https://stream.wikimedia.org/v2/stream/recentchange
    .Ed
    .Pp
    A Mercure hub, two topics, from the beginning of its history the first time, and with updates
    that are private to the token's subscriber:
    .Bd -literal -offset indent
    $ sse-decode --bearer-file subscriber.jwt \e
        --state books.state --last-event-id earliest \e
        --query topic=https://example.com/books/1 \e
        --query 'topic=https://example.com/reviews/{id}' \e
        https://hub.example.com/.well-known/mercure
    .Ed
    """#
