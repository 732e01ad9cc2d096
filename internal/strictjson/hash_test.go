package strictjson_test

import (
	"strings"
	"testing"

	"attune/internal/strictjson"
)

func TestHash(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for _, equal := range [][]string{
		{`0`, `-0`, `0.0`, `0e5`}, {`10`, `10.0`, `1e1`, `0.1E2`, `100e-1`}, {`-10`}, {`1e400`, `10e399`}, {`1`}, {`0.1`},
		{`"a"`, `"\u0061"`}, {`""`}, {`"1"`}, {`null`}, {`true`}, {`false`},
		{`[]`}, {`[[]]`}, {`{}`}, {`[1,2]`, ` [ 1.0 , 2 ] `}, {`[2,1]`}, {`["a",1]`},
		{`{"a":1,"b":[]}`, `{"b":[],"\u0061":1.0}`}, {`{"a":[],"b":1}`}, {`{"a":{"b":1}}`},
	} {
		first := hash(t, equal[0])
		for _, text := range equal {
			if hash(t, text) != first {
				t.Errorf("%s and %s have different hashes", equal[0], text)
			}
		}
		if other, there := seen[first]; there {
			t.Errorf("%s and %s have the same hash", equal[0], other)
		}
		seen[first] = equal[0]
	}
}

func hash(t *testing.T, text string) uint64 {
	t.Helper()
	d, err := strictjson.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d.Hash(0)
}

func TestIsWhole(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`0`: true, `-0.0`: true, `7`: true, `1.0`: true, `1e400`: true, `1.5e1`: true, `15e-1`: false, `0.5`: false,
		`100e-2`: true, `1e-400`: false, strings.Repeat("9", 398) + ".5": false,
	} {
		d, err := strictjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if d.IsWhole(0) != want {
			t.Errorf("%s is whole: %v", text, !want)
		}
	}
}
