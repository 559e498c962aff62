"""Streams of the services that the manual of sse-decode names, each in its shape."""

import json


def event(data, type=None, id=None, space=" ", end="\n"):
    """An event as it goes over the wire. `space` stands behind each colon."""
    text = f"event:{space}{type}{end}" if type else ""
    text += f"id:{space}{id}{end}" if id else ""
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False)
    return text + f"data:{space}{data}{end}{end}"


def chat(words, space=" ", end="\n"):
    """A chat completion of OpenAI: chunks, then [DONE]."""
    def chunk(delta, reason=None, **more):
        return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                      "model": "m", "choices": [{"index": 0, "delta": delta,
                                                 "finish_reason": reason}], **more},
                     space=space, end=end)
    text = chunk({"role": "assistant", "content": ""})
    text += "".join(chunk({"content": word}) for word in words)
    text += chunk({"content": None}) + chunk({}, "stop")
    # Usage, when it was asked for, comes with no choice at all.
    text += event({"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}},
                  space=space, end=end)
    return text + event("[DONE]", space=space, end=end)


def responses(words):
    """A response of OpenAI: typed events, without [DONE]."""
    def typed(type, number, **more):
        return event({"type": type, "sequence_number": number, **more}, type)
    begun = {"id": "resp_1", "status": "in_progress", "error": None, "output": []}
    text = typed("response.created", 0, response=begun)
    text += typed("response.output_item.added", 1, item={"type": "message", "content": []})
    # What it thinks, and what its tools are called with, are other deltas.
    text += typed("response.function_call_arguments.delta", 2, delta='{"not":')
    for number, word in enumerate(words):
        text += typed("response.output_text.delta", 3 + number, content_index=0, delta=word)
    text += typed("response.output_text.done", 90, text="".join(words))
    return text + typed("response.completed", 91, response=begun | {"status": "completed"})


def message(words):
    """A message of Anthropic, with a ping in between."""
    def typed(type, **more):
        return event({"type": type, **more}, type)
    text = typed("message_start", message={"id": "msg_1", "role": "assistant", "content": []})
    text += typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
    text += typed("ping")
    for word in words:
        text += typed("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    text += typed("content_block_stop", index=0)
    text += typed("content_block_delta", index=1,
                  delta={"type": "input_json_delta", "partial_json": '{"not'})
    text += typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    return text + typed("message_stop")


def candidates(words):
    """The chunks of an answer of Gemini; the last one has no text."""
    chunks = [{"candidates": [{"content": {"parts": [{"text": word}], "role": "model"},
                               "index": 0}], "modelVersion": "m"} for word in words]
    return [*chunks, {"candidates": [{"finishReason": "STOP", "index": 0}],
                      "usageMetadata": {"totalTokenCount": 9}}]
