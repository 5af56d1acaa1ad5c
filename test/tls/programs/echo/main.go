// echo answers numbered requests: over TLS as a server under test, or over a unix socket behind one.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

const bigLength = 65536

func main() {
	listen := flag.String("listen", "", "host:port, or the path of a unix socket")
	certificate := flag.String("certificate", "", "PEM file; none: plaintext")
	key := flag.String("key", "", "PEM file")
	access := flag.String("log", "", "access log; none: no log")
	flag.Parse()

	network := "tcp"
	if strings.HasPrefix(*listen, "/") {
		network = "unix"
	}
	listener, err := net.Listen(network, *listen)
	if err != nil {
		log.Fatal(err)
	}
	if network == "unix" {
		// Whoever stands before it may have given up root.
		if err := os.Chmod(*listen, 0o777); err != nil {
			log.Fatal(err)
		}
	}
	server := &http.Server{Handler: newHandler(*access), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	if *certificate == "" {
		log.Fatal(server.Serve(listener))
	}
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}

func newHandler(access string) http.HandlerFunc {
	big := []byte(strings.Repeat("HTTP/1.1 200 OK\r\n\r\nnot a response\n", bigLength/32))[:bigLength]
	record := newLog(access)
	return func(w http.ResponseWriter, r *http.Request) {
		read, _ := io.Copy(io.Discard, r.Body)
		id := r.Header.Get("X-Id")
		status, body := 200, []byte(id+"\n")
		if first := strings.Split(r.URL.Path, "/")[1]; first == "big" {
			body = big
		} else if n, err := strconv.Atoi(first); err == nil {
			status = n
		}
		// Behind the server under test nobody asks for a log.
		record(r, id, status, read)
		w.Header().Set("X-Id", id)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		w.Write(body)
	}
}

// newLog writes a JSON object a line with the keys that test/tls/access-log.ts reads.
func newLog(path string) func(r *http.Request, id string, status int, body int64) {
	if path == "" {
		return func(*http.Request, string, int, int64) {}
	}
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	var mutex sync.Mutex
	out := bufio.NewWriter(file)
	return func(r *http.Request, id string, status int, body int64) {
		line := map[string]any{"id": id, "method": r.Method, "target": r.RequestURI, "status": status, "body": strconv.FormatInt(body, 10)}
		// What a proxy says of the session at its front.
		for key, name := range map[string]string{"version": "X-Tls-Version", "suite": "X-Tls-Suite", "reused": "X-Tls-Reused"} {
			line[key] = r.Header.Get(name)
		}
		if r.TLS != nil {
			line["version"] = map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[r.TLS.Version]
			line["suite"] = tls.CipherSuiteName(r.TLS.CipherSuite)
			line["reused"] = map[bool]string{true: "r", false: "."}[r.TLS.DidResume]
		}
		mutex.Lock()
		defer mutex.Unlock()
		json.NewEncoder(out).Encode(line)
		out.Flush()
	}
}
