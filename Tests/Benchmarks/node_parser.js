'use strict'
// An event stream parser as a Node program would carry one: fields, joined data lines and a
// callback for each event, on strings. It knows no lone CR as a line end, which only favours it.
const fs = require('fs')
const { StringDecoder } = require('string_decoder')

class Parser {
  constructor(onEvent) {
    this.onEvent = onEvent
    this.unfinished = ''
    this.id = undefined
    this.forget()
  }

  forget() {
    this.event = 'message'
    this.data = undefined
  }

  feed(chunk) {
    const text = this.unfinished + chunk
    let start = 0
    for (let end; (end = text.indexOf('\n', start)) >= 0; start = end + 1) {
      const hasReturn = end > start && text.charCodeAt(end - 1) === 13
      this.line(text.slice(start, hasReturn ? end - 1 : end))
    }
    this.unfinished = text.slice(start)
  }

  line(line) {
    if (line === '') return this.dispatch()
    // Nearly every line starts so, and the search for the colon is saved.
    if (line.startsWith('data: ')) return this.field('data', line.slice(6))
    const colon = line.indexOf(':')
    if (colon < 0) return this.field(line, '')
    const value = colon + (line.charCodeAt(colon + 1) === 32 ? 2 : 1)
    this.field(line.slice(0, colon), line.slice(value))
  }

  field(name, value) {
    if (name === 'data') this.data = this.data === undefined ? value : this.data + '\n' + value
    else if (name === 'event') this.event = value
    else if (name === 'id' && !value.includes('\0')) this.id = value
  }

  dispatch() {
    const { event, data, id } = this
    if (data !== undefined) this.onEvent({ event, data, id })
    this.forget()
  }
}

let lines = ''
const parser = new Parser(event => { lines += event.data + '\n' })
const decoder = new StringDecoder('utf8')
// Reads that block and this size were the fastest of those tried.
const buffer = Buffer.allocUnsafe(1 << 15)
const file = fs.openSync(process.argv[2])
for (let size; (size = fs.readSync(file, buffer)) > 0; lines = '') {
  parser.feed(decoder.write(buffer.subarray(0, size)))
  fs.writeSync(1, lines)
}
