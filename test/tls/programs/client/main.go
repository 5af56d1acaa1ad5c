// client puts numbered requests to an HTTP server over many TLS connections, checks every answer, and prints counts as
// JSON. Ends by itself, or at SIGTERM after the requests under way.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	address    string
	prefix     string
	requests   int
	lanes      int
	per        int
	hold       int
	rate       int
	segment    int
	slowEvery  int
	version    string
	resume     bool
	halfClose  bool
	keylog     string
	serverName string
}

// outcome is what the test reads.
type outcome struct {
	Answered    int64    `json:"answered"`
	Failed      int64    `json:"failed"`
	Retried     int64    `json:"retried"`
	Connections int64    `json:"connections"`
	Resumed     int64    `json:"resumed"`
	Seconds     float64  `json:"seconds"`
	Errors      []string `json:"errors"`
}

type client struct {
	options
	outcome
	base    *tls.Config
	stopped atomic.Bool
	// Of the next connection.
	next    int64
	held    sync.WaitGroup
	release chan struct{}
	mutex   sync.Mutex
}

func main() {
	c := &client{release: make(chan struct{})}
	flag.StringVar(&c.address, "address", "127.0.0.1:8443", "server")
	flag.StringVar(&c.prefix, "prefix", "n", "begins every id")
	flag.IntVar(&c.requests, "requests", 1000, "in all; 0: until SIGTERM")
	flag.IntVar(&c.lanes, "connections", 16, "open at a time")
	flag.IntVar(&c.per, "per", 100, "requests of a connection")
	flag.IntVar(&c.hold, "hold", 0, "after so many requests of each connection say \"held\" and wait for a line on stdin; one connection a lane")
	flag.IntVar(&c.rate, "rate", 0, "requests per second at most; 0: no limit")
	flag.IntVar(&c.segment, "segment", 0, "bytes of a TCP segment at most; 0: as they come")
	flag.IntVar(&c.slowEvery, "slow", 0, "one body in so many is sent in pieces; 0: none")
	flag.StringVar(&c.version, "version", "1.3", "1.2, 1.3 or none")
	flag.BoolVar(&c.resume, "resume", false, "resume sessions by ticket")
	flag.BoolVar(&c.halfClose, "half-close", false, "close our side of a session with its last request")
	flag.StringVar(&c.keylog, "keylog", "", "file for the secrets")
	flag.StringVar(&c.serverName, "name", "shop.example", "server name")
	flag.Parse()
	c.Errors = []string{}
	if err := c.configure(); err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		c.stopped.Store(true)
	}()
	c.run()
	json.NewEncoder(os.Stdout).Encode(c.outcome)
}

func (c *client) configure() error {
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	if c.version == "none" {
		return nil
	}
	version, known := versions[c.version]
	if !known {
		return fmt.Errorf("-version %s: write 1.2, 1.3 or none", c.version)
	}
	// The certificate is the test's own, and nobody listens here but the test.
	c.base = &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, ServerName: c.serverName,
		NextProtos: []string{"http/1.1"}}
	if c.keylog != "" {
		file, err := os.OpenFile(c.keylog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		c.base.KeyLogWriter = file
	}
	return nil
}

func (c *client) run() {
	begin := time.Now()
	var lanes sync.WaitGroup
	if c.hold > 0 {
		c.held.Add(c.lanes)
		go c.awaitRelease()
	}
	for lane := 0; lane < c.lanes; lane++ {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			c.lane()
		}()
	}
	lanes.Wait()
	c.Seconds = time.Since(begin).Seconds()
}

func (c *client) awaitRelease() {
	c.held.Wait()
	fmt.Println("held")
	bufio.NewReader(os.Stdin).ReadString('\n')
	close(c.release)
}

// lane opens one connection after the other until all numbers are used.
func (c *client) lane() {
	configuration := c.base
	if c.resume && configuration != nil {
		// A session is resumed by one lane, so that each ticket is used once.
		configuration = configuration.Clone()
		configuration.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	pace := newPace(c.rate, c.lanes)
	for !c.stopped.Load() {
		number := atomic.AddInt64(&c.next, 1) - 1
		count := c.per
		if c.requests > 0 {
			if left := c.requests - int(number)*c.per; left < count {
				count = left
			}
		}
		if count <= 0 {
			return
		}
		c.connection(configuration, uint32(number), count, pace)
		if c.hold > 0 {
			return
		}
	}
}

func (c *client) connection(configuration *tls.Config, number uint32, count int, pace *pace) {
	var conn *connection
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for n, tries := 0, 0; n < count && !c.stopped.Load(); {
		if conn == nil {
			var err error
			if conn, err = dial(c.address, configuration, c.segment); err != nil {
				c.fail(err)
				n++
				continue
			}
			atomic.AddInt64(&c.Connections, 1)
			if conn.resumed {
				atomic.AddInt64(&c.Resumed, 1)
			}
		}
		pace.wait()
		request := newRequest(c.prefix, number, uint32(n))
		pieces := 1
		if c.slowEvery > 0 && n%c.slowEvery == 0 {
			pieces = 5
		}
		err := conn.exchange(request, pieces, c.halfClose && n == count-1)
		var early closedEarly
		if errors.As(err, &early) && n > 0 && tries == 0 {
			tries++
			atomic.AddInt64(&c.Retried, 1)
			conn.Close()
			conn = nil
			continue
		}
		if err != nil {
			c.fail(err)
			conn.Close()
			conn = nil
		} else {
			atomic.AddInt64(&c.Answered, 1)
		}
		n, tries = n+1, 0
		if n == c.hold {
			c.held.Done()
			<-c.release
		}
	}
}

func (c *client) fail(err error) {
	atomic.AddInt64(&c.Failed, 1)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.Errors) < 10 {
		c.Errors = append(c.Errors, err.Error())
	}
}

// pace spreads a lane's requests evenly.
type pace struct {
	every time.Duration
	next  time.Time
}

func newPace(rate, lanes int) *pace {
	if rate <= 0 {
		return &pace{}
	}
	return &pace{every: time.Second * time.Duration(lanes) / time.Duration(rate), next: time.Now()}
}

func (p *pace) wait() {
	if p.every == 0 {
		return
	}
	if left := time.Until(p.next); left > 0 {
		time.Sleep(left)
	}
	p.next = p.next.Add(p.every)
}
