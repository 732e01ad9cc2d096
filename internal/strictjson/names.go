package strictjson

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// seed makes hashes that nobody outside can foresee.
var seed = maphash.MakeSeed()

// nameTable finds names that an object has twice. Its memory is used for one object after the other.
type nameTable struct {
	slots       []uint32 // the name's number in the document, 0 where there is none
	left, right []byte   // room for names without their escapes
}

// repeated returns the second of two equal names in object n, or 0.
func (t *nameTable) repeated(d *Document, n int) int {
	if d.Len(n) < 2 {
		return 0
	}
	size := 1 << bits.Len(uint(d.Len(n))) // more slots than names
	if cap(t.slots) < size {
		t.slots = make([]uint32, size)
	}
	t.slots = t.slots[:size]
	clear(t.slots)
	for name := n + 1; name < d.Next(n); name = d.Next(name + 1) {
		content := d.content(name, &t.left)
		at := int(maphash.Bytes(seed, content)) & (size - 1)
		for ; t.slots[at] != 0; at = (at + 1) & (size - 1) {
			if bytes.Equal(content, d.content(int(t.slots[at]), &t.right)) {
				return name
			}
		}
		t.slots[at] = uint32(name)
	}
	return 0
}
