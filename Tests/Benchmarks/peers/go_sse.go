// Each event's data on a line, the way that clients in Go read it: go_sse URL
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("1")
		return
	}
	response, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(69)
	}
	defer response.Body.Close()
	output := bufio.NewWriterSize(os.Stdout, 1<<16)
	defer output.Flush()
	lines := bufio.NewScanner(response.Body)
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
		fmt.Fprintln(os.Stderr, err)
		os.Exit(74)
	}
}
