import StreamTool

let manual = Manual(description: "", examples: [], seeAlso: ["sse-decode(1)"])
