package pack

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"attune"
	"attune/internal/nearest"
)

// archiveError is what a person is told about an archive that is wrong as such.
func archiveError(problems ...attune.Problem) *attune.Error {
	return attune.Invalid("the archive is not accepted", tidyProblems(problems)...)
}

// tidyProblems sorts the problems by file, line and field, drops repetitions and bounds their number.
func tidyProblems(all []attune.Problem) []attune.Problem {
	slices.SortStableFunc(all, func(a, b attune.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field))
	})
	all = slices.Compact(all)
	if left := len(all) - 2*maxArchiveProblems; left > 0 {
		all = append(all[:2*maxArchiveProblems], attune.Problem{Message: fmt.Sprintf("and %d more", left)})
	}
	return all
}

// problemsOf are the problems in an error for people; any other error is one without a field.
func problemsOf(err error) []attune.Problem {
	if e, ok := errors.AsType[*attune.Error](err); ok && len(e.Problems) > 0 {
		return e.Problems
	}
	return []attune.Problem{{Message: err.Error()}}
}

// didYouMean ends a sentence about a name that is none of the candidates.
func didYouMean(name string, candidates []string) string {
	if near := nearest.Name(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// shown makes an entry's name fit for a message.
func shown(name string) string {
	const most = 120
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(name, string(utf8.RuneError)))
}

// lineAt is the line of the byte at offset.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(offset, len(text))], []byte("\n"))
}

// invalidUTF8 finds the first byte that is no UTF-8.
func invalidUTF8(text []byte) (offset int, found bool) {
	for offset < len(text) {
		r, size := utf8.DecodeRune(text[offset:])
		if r == utf8.RuneError && size == 1 {
			return offset, true
		}
		offset += size
	}
	return 0, false
}
