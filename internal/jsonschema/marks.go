package jsonschema

// marks is a set of small numbers, one bit for each. A nil one is wanted by nobody and keeps nothing.
type marks struct{ bits []uint64 }

func newMarks(n int) *marks { return &marks{make([]uint64, (n+63)/64)} }

func (m *marks) set(i int) {
	if m != nil {
		m.bits[i/64] |= 1 << (i % 64)
	}
}

func (m *marks) has(i int) bool { return m.bits[i/64]&(1<<(i%64)) != 0 }

// merge adds the numbers of another set for the same value.
func (m *marks) merge(other *marks) {
	if m == nil || other == nil || m == other {
		return
	}
	for i, word := range other.bits {
		m.bits[i] |= word
	}
}
