package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A server that reloads may close a connection that rests, under the feet of the next request.
type closedEarly struct{ cause error }

func (e closedEarly) Error() string { return "closed before the answer: " + e.cause.Error() }

type connection struct {
	net.Conn
	reader  *bufio.Reader
	resumed bool
}

// dial opens one connection; a nil configuration is plaintext.
func dial(address string, configuration *tls.Config, segment int) (*connection, error) {
	raw, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		return nil, err
	}
	if segment > 0 {
		raw = &segmented{raw, segment}
	}
	c := &connection{Conn: raw}
	if configuration != nil {
		session := tls.Client(raw, configuration)
		if err := session.Handshake(); err != nil {
			raw.Close()
			return nil, fmt.Errorf("handshake: %w", err)
		}
		c.Conn, c.resumed = session, session.ConnectionState().DidResume
	}
	c.reader = bufio.NewReaderSize(c.Conn, 16384)
	return c, nil
}

// exchange sends a request, its body in the given number of pieces with pauses between, and checks the answer. The last one
// may be followed by close_notify at once: RFC 8446 section 6.1 lets the peer go on.
func (c *connection) exchange(r request, pieces int, last bool) error {
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if err := c.send(r, pieces); err != nil {
		return closedEarly{err}
	}
	if session, ok := c.Conn.(*tls.Conn); ok && last {
		if err := session.CloseWrite(); err != nil {
			return err
		}
	}
	return c.check(r)
}

func (c *connection) send(r request, pieces int) error {
	if pieces <= 1 || r.body == "" {
		_, err := io.WriteString(c, r.head+r.body)
		return err
	}
	if _, err := io.WriteString(c, r.head); err != nil {
		return err
	}
	for sent, piece := 0, len(r.body)/pieces+1; sent < len(r.body); sent += piece {
		time.Sleep(2 * time.Millisecond)
		end := sent + piece
		if end > len(r.body) {
			end = len(r.body)
		}
		if _, err := io.WriteString(c, r.body[sent:end]); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) check(r request) error {
	line, err := c.line()
	if err != nil {
		return closedEarly{err}
	}
	if want := fmt.Sprintf("HTTP/1.1 %d ", r.status); !strings.HasPrefix(line+" ", want) {
		return fmt.Errorf("%s: wanted %s, got %q", r.id, want, line)
	}
	length, id := -1, ""
	for {
		line, err := c.line()
		if err != nil {
			return fmt.Errorf("%s: head ended: %w", r.id, err)
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		case "x-id":
			id = strings.TrimSpace(value)
		}
	}
	if id != r.id {
		return fmt.Errorf("%s: answered as %q", r.id, id)
	}
	if r.big {
		if length != bigLength {
			return fmt.Errorf("%s: wanted %d bytes, declared %d", r.id, bigLength, length)
		}
		_, err := io.CopyN(io.Discard, c.reader, bigLength)
		return err
	}
	body := make([]byte, len(r.id)+1)
	if length != len(body) {
		return fmt.Errorf("%s: wanted %d bytes, declared %d", r.id, len(body), length)
	}
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return fmt.Errorf("%s: body ended: %w", r.id, err)
	}
	if string(body) != r.id+"\n" {
		return fmt.Errorf("%s: body says %q", r.id, body)
	}
	return nil
}

func (c *connection) line() (string, error) {
	line, err := c.reader.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}

// segmented writes in pieces, so that hellos and records come in many segments.
type segmented struct {
	net.Conn
	most int
}

func (s *segmented) Write(bytes []byte) (int, error) {
	sent := 0
	for sent < len(bytes) {
		end := sent + s.most
		if end > len(bytes) {
			end = len(bytes)
		}
		n, err := s.Conn.Write(bytes[sent:end])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
