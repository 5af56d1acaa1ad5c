package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
)

// needles are byte strings with names, looked for all at once: by their first two bytes, then their first eight.
type needles struct {
	first *[1 << 16]bool
	named map[uint64][]needle
}

type needle struct {
	name  string
	bytes []byte
}

func newNeedles() needles {
	return needles{new([1 << 16]bool), map[uint64][]needle{}}
}

// add takes a secret in hexadecimal in all its forms.
func (n needles) add(label, text string) error {
	secret, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	n.put(label, secret)
	n.put(label+" as text", []byte(strings.ToLower(text)))
	n.put(label+" as text", []byte(strings.ToUpper(text)))
	if strings.HasSuffix(label, "TRAFFIC_SECRET") || strings.HasSuffix(label, "TRAFFIC_SECRET_0") {
		digest := sha256.New
		if len(secret) == sha512.Size384 {
			digest = sha512.New384
		}
		// A key of 16 bytes begins otherwise than one of 32: the length is an input.
		n.put(label+", key", expandLabel(digest, secret, "key", 16))
		n.put(label+", key", expandLabel(digest, secret, "key", 32))
	}
	return nil
}

func (n needles) put(name string, bytes []byte) {
	n.first[binary.LittleEndian.Uint16(bytes)] = true
	key := binary.LittleEndian.Uint64(bytes)
	n.named[key] = append(n.named[key], needle{name, bytes})
}

func (n needles) search(in []byte, found func(name string)) {
	for at := 0; at+8 <= len(in); at++ {
		if !n.first[binary.LittleEndian.Uint16(in[at:])] {
			continue
		}
		for _, candidate := range n.named[binary.LittleEndian.Uint64(in[at:])] {
			if bytes.HasPrefix(in[at:], candidate.bytes) {
				found(candidate.name)
			}
		}
	}
}

// expandLabel is HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context, for outputs of one digest at most.
func expandLabel(digest func() hash.Hash, secret []byte, label string, length int) []byte {
	info := []byte{byte(length >> 8), byte(length), byte(6 + len(label))}
	info = append(append(info, "tls13 "+label...), 0, 1)
	mac := hmac.New(digest, secret)
	mac.Write(info)
	return mac.Sum(nil)[:length]
}
