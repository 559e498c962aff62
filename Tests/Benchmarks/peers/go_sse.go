// Each event's data on a line: go_sse [-lean] URL
// As command line clients in Go are written, with strings, an event for each block and a channel
// between reading and printing; with -lean as little as net/http and bufio allow.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type event struct {
	id, kind, data string
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(69)
}

func read(body io.Reader, events chan<- event) {
	defer close(events)
	lines := bufio.NewReader(body)
	var now event
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if now.data != "" {
				events <- now
			}
			now = event{id: now.id}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			now.id = value
		case "event":
			now.kind = value
		case "data":
			if now.data != "" {
				now.data += "\n"
			}
			now.data += value
		}
	}
}

func lean(body io.Reader) {
	output := bufio.NewWriterSize(os.Stdout, 1<<16)
	defer output.Flush()
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 1<<16), 1<<24)
	var data bytes.Buffer
	hasData := false
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if hasData {
				output.Write(data.Bytes())
				output.WriteByte('\n')
			}
			data.Reset()
			hasData = false
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) == "data" {
			if hasData {
				data.WriteByte('\n')
			}
			data.Write(bytes.TrimPrefix(value, []byte(" ")))
			hasData = true
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func main() {
	if os.Args[1] == "--version" {
		fmt.Println("1")
		return
	}
	response, err := http.Get(os.Args[len(os.Args)-1])
	if err != nil {
		fail(err)
	}
	defer response.Body.Close()
	if os.Args[1] == "-lean" {
		lean(response.Body)
		return
	}
	events := make(chan event)
	go read(response.Body, events)
	for each := range events {
		fmt.Println(each.data)
	}
}
