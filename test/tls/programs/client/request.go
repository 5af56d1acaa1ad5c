package main

import (
	"fmt"
	"strings"
)

// Target of every request to a server that is told to answer with a large body.
const (
	bigEvery  = 50
	bigLength = 65536
)

var statuses = [...]int{200, 201, 404, 503, 200, 200, 403}

// request is what follows from a connection's number and a request's number on it: test/tls/numbered.ts derives the same.
type request struct {
	id     string
	status int
	big    bool
	body   string
	head   string
}

func newRequest(prefix string, connection, number uint32) request {
	key := connection*1000003 + number
	word := fmt.Sprintf("%08x", key*2654435761)
	r := request{
		id:     fmt.Sprintf("%s-%d-%d", prefix, connection, number),
		status: statuses[key%uint32(len(statuses))],
		big:    key%bigEvery == 1,
	}
	path := fmt.Sprint(r.status)
	if r.big {
		r.status, path = 200, "big"
	}
	method := "GET"
	if key%5 == 0 {
		method, r.body = "POST", strings.Repeat(word, bodyWords(key))
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s /%s/%d/%d?k=%s HTTP/1.1\r\nHost: shop.example\r\nX-Id: %s\r\nX-Pad: %s\r\n",
		method, path, connection, number, word, r.id, strings.Repeat(word, int(key%50)+1))
	if method == "POST" {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(r.body))
	}
	head.WriteString("\r\n")
	r.head = head.String()
	return r
}

// bodyWords is a body's length in words of eight bytes: most are small, some take several records, few are over the cap.
func bodyWords(key uint32) int {
	switch {
	case key%1475 == 0:
		return 12000
	case key%95 == 0:
		return 5000
	}
	return int(key%400) + 1
}
