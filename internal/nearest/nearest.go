// Package nearest finds the name that a mistyped one probably stands for.
package nearest

import "slices"

// maxLength bounds the work: for a longer name, no suggestion is expected.
const maxLength = 64

// Name returns the candidate that is closest to word, or "" when none is close enough to be worth suggesting. Of
// equally close candidates, the first in alphabetical order wins, so that messages are stable.
func Name(word string, candidates []string) string {
	if len(word) > maxLength {
		return ""
	}
	best, distance := "", 1+(len(word)+2)/3
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if len(c) > maxLength {
			continue
		}
		if d := levenshtein(word, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// levenshtein counts the single-byte insertions, deletions and substitutions that turn a into b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
