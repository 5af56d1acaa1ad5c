// memory looks for the secrets of a key log in the memory of processes and in files: raw, as hexadecimal text, and, of TLS
// 1.3, as the keys that follow from them (RFC 8446 section 7.3). Prints what it finds as JSON.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
)

type finding struct {
	Where  string `json:"where"`
	Secret string `json:"secret"`
}

type report struct {
	Secrets   int       `json:"secrets"`
	Processes int       `json:"processes"`
	Bytes     int64     `json:"bytes"`
	Found     []finding `json:"found"`
}

func main() {
	keylog := flag.String("keylog", "", "file in the format of SSLKEYLOGFILE")
	pids := flag.String("pids", "", "processes, by commas; all: every one")
	except := flag.String("except", "", "processes that are left out, by commas")
	flag.Parse()
	needles, secrets, err := readNeedles(*keylog)
	if err != nil {
		log.Fatal(err)
	}
	scan := &scanner{needles: needles, report: report{Secrets: secrets, Found: []finding{}}}
	out := map[string]bool{strconv.Itoa(os.Getpid()): true}
	for _, pid := range strings.Split(*except, ",") {
		out[pid] = true
	}
	for _, pid := range processes(*pids) {
		if !out[pid] {
			scan.process(pid)
		}
	}
	for _, path := range flag.Args() {
		scan.file(path)
	}
	json.NewEncoder(os.Stdout).Encode(scan.report)
}

func processes(list string) []string {
	if list != "all" {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		log.Fatal(err)
	}
	var pids []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, entry.Name())
		}
	}
	return pids
}

type scanner struct {
	needles needles
	report  report
}

// process reads what is in memory or swapped out; a mapping that cannot be read (vvar, devices) is passed by.
func (s *scanner) process(pid string) {
	maps, err := os.ReadFile("/proc/" + pid + "/maps")
	if err != nil || len(maps) == 0 {
		// It has ended, or is a thread of the kernel.
		return
	}
	memory, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return
	}
	defer memory.Close()
	pagemap, err := os.Open("/proc/" + pid + "/pagemap")
	if err != nil {
		return
	}
	defer pagemap.Close()
	s.report.Processes++
	name, _ := os.ReadFile("/proc/" + pid + "/comm")
	for _, line := range strings.Split(string(maps), "\n") {
		var start, end uint64
		var access string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access); n < 3 || access[0] != 'r' || start >= 1<<63 {
			continue
		}
		s.mapping(memory, pagemap, start, end, fmt.Sprintf("%s %s: %s", pid, strings.TrimSpace(string(name)), line))
	}
}

const (
	page  = 4096
	chunk = 1 << 20
)

func (s *scanner) mapping(memory, pagemap *os.File, start, end uint64, where string) {
	// Longer than the longest needle, so that none is missed at a seam.
	const seam = 256
	buffer := make([]byte, seam+chunk)
	entries := make([]byte, chunk/page*8)
	kept := 0
	for at := start; at < end; at += chunk {
		pages := int((min(end, at+chunk) - at) / page)
		if _, err := pagemap.ReadAt(entries[:pages*8], int64(at/page*8)); err != nil && !errors.Is(err, io.EOF) {
			return
		}
		for index := 0; index < pages; {
			run := index
			for run < pages && present(entries[run*8:]) {
				run++
			}
			if run == index {
				kept = 0
				index++
				continue
			}
			length := (run - index) * page
			n, err := memory.ReadAt(buffer[kept:kept+length], int64(at)+int64(index*page))
			if err != nil && n == 0 {
				kept = 0
				index = run
				continue
			}
			s.search(buffer[:kept+n], where)
			kept = copy(buffer, buffer[max(0, kept+n-seam):kept+n])
			index = run
		}
	}
}

// present: in memory (bit 63) or swapped out (bit 62), Documentation/admin-guide/mm/pagemap.rst.
func present(entry []byte) bool { return binary.LittleEndian.Uint64(entry)>>62 != 0 }

func (s *scanner) file(path string) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		var missing *os.PathError
		if errors.As(err, &missing) && missing.Err == syscall.ENOENT {
			return
		}
		log.Fatal(err)
	}
	s.search(bytes, path)
}

func (s *scanner) search(bytes []byte, where string) {
	s.report.Bytes += int64(len(bytes))
	s.needles.search(bytes, func(secret string) {
		found := finding{where, secret}
		for _, other := range s.report.Found {
			if other == found {
				return
			}
		}
		s.report.Found = append(s.report.Found, found)
	})
}

// readNeedles reads lines of "LABEL CLIENT_RANDOM SECRET".
func readNeedles(path string) (needles, int, error) {
	file, err := os.Open(path)
	if err != nil {
		return needles{}, 0, err
	}
	defer file.Close()
	all, secrets := newNeedles(), 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0][0] == '#' {
			continue
		}
		if err := all.add(words[0], words[2]); err != nil {
			return needles{}, 0, err
		}
		secrets++
	}
	return all, secrets, nil
}

func min(a, b uint64) uint64 {
	if a < b {
		return a
	}
	return b
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
