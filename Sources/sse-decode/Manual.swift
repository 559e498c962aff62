import StreamTool

let manual = Manual(description: "", examples: [], seeAlso: ["sse-encode(1)"])
