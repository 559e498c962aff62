// serve_go PORT_FILE: standard input to clients of Server-Sent Events, as it is done with net/http:
// a channel for each client, which waits when it is full, and a flush when it is empty.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
)

var (
	lock    sync.RWMutex
	clients = map[chan []byte]bool{}
)

func serve(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Type", "text/event-stream")
	writer.Header().Set("Cache-Control", "no-cache")
	events := make(chan []byte, 256)
	lock.Lock()
	clients[events] = true
	lock.Unlock()
	gone := request.Context().Done()
	defer func() {
		// Whoever holds the lock may be waiting for room in this channel.
		go func() {
			for range events {
			}
		}()
		lock.Lock()
		delete(clients, events)
		close(events)
		lock.Unlock()
	}()
	flusher := writer.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case event := <-events:
			writer.Write(event)
			for more := true; more; {
				select {
				case event = <-events:
					writer.Write(event)
				default:
					more = false
				}
			}
			flusher.Flush()
		case <-gone:
			return
		}
	}
}

func main() {
	if os.Args[1] == "--version" {
		fmt.Println("1")
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := os.WriteFile(os.Args[1], []byte(fmt.Sprintln(port)), 0o644); err != nil {
		panic(err)
	}
	go http.Serve(listener, http.HandlerFunc(serve))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		event := []byte(fmt.Sprintf("id: m5x2k7qa-%d\ndata: %s\n\n", number, lines.Bytes()))
		lock.RLock()
		for events := range clients {
			events <- event
		}
		lock.RUnlock()
	}
	select {}
}
