package strictjson

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"
)

// Hash is the same for equal values: the order of members, the escapes of a string and the notation of a number do not
// count. Other values have another hash, but for an accident that nobody can bring about.
func (d *Document) Hash(n int) uint64 {
	h := hasher{Document: d}
	return h.value(n)
}

type hasher struct {
	*Document
	buffer []byte
}

func (h *hasher) value(n int) uint64 {
	var sum uint64
	switch h.Kind(n) {
	case Object:
		for name := n + 1; name < h.Next(n); name = h.Next(name + 1) {
			sum += pair(Object, h.value(name), h.value(name+1))
		}
		return pair(Object, sum, uint64(h.Len(n)))
	case List:
		for item := n + 1; item < h.Next(n); item = h.Next(item) {
			sum = pair(List, sum, h.value(item))
		}
		return pair(List, sum, uint64(h.Len(n)))
	case String:
		return pair(String, maphash.Bytes(seed, h.content(n, &h.buffer)), 0)
	case Number:
		h.buffer = appendPlain(h.buffer[:0], h.Raw(n))
		return pair(Number, maphash.Bytes(seed, h.buffer), 0)
	default:
		return pair(h.Kind(n), 0, 0)
	}
}

func pair(kind Kind, a, b uint64) uint64 {
	var text [17]byte
	text[0] = byte(kind)
	binary.LittleEndian.PutUint64(text[1:], a)
	binary.LittleEndian.PutUint64(text[9:], b)
	return maphash.Bytes(seed, text[:])
}

// IsWhole reports whether number n has no fraction: 1, 1.0 and 1e2.
func (d *Document) IsWhole(n int) bool {
	if !bytes.ContainsAny(d.Raw(n), ".eE") {
		return true
	}
	var room [maxNumberLength + 16]byte
	plain := appendPlain(room[:0], d.Raw(n))
	return !bytes.Contains(plain, []byte("e-"))
}

// appendPlain writes a number in the one form that all of its notations have: its digits without zeros around them, and
// the power of ten that they are multiplied by.
func appendPlain(to, number []byte) []byte {
	number, negative := bytes.CutPrefix(number, []byte("-"))
	power := 0
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		power, _ = strconv.Atoi(string(number[i+1:])) // it was read before
		number = number[:i]
	}
	whole, fraction, _ := bytes.Cut(number, []byte("."))
	power -= len(fraction)
	to = append(append(to, whole...), fraction...)
	digits := bytes.TrimLeft(to, "0")
	if len(digits) == 0 {
		return append(to[:0], '0')
	}
	to = append(to[:0], digits...)
	for to[len(to)-1] == '0' {
		to, power = to[:len(to)-1], power+1
	}
	if negative {
		to = append(to, '-')
	}
	return strconv.AppendInt(append(to, 'e'), int64(power), 10)
}
