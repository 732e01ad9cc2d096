package pack

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const absoluteName = "has an absolute name; names are relative to the pack's folder"

// cleanName turns an entry's name into a path below the pack's folder, or says what is wrong with it. Only what honest
// archivers write is cleaned: a leading "./", and the slash behind a folder.
func cleanName(name string, dir bool, limits Limits) (clean, wrong string) {
	if !utf8.ValidString(name) {
		return "", "has a name that is not UTF-8"
	}
	for _, r := range name {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return "", "has a name with a control character"
		}
	}
	if dir && (name == "." || name == "./") {
		return ".", ""
	}
	clean = strings.TrimPrefix(name, "./")
	if dir {
		clean = strings.TrimSuffix(clean, "/")
	}
	parts := strings.Split(clean, "/")
	switch {
	case strings.HasPrefix(name, "/"):
		return "", absoluteName
	case strings.Contains(name, `\`):
		return "", `has a backslash in its name; folders are separated by "/"`
	case len(clean) > limits.PathBytes:
		return "", fmt.Sprintf("has a name of more than %d bytes", limits.PathBytes)
	case len(parts) > limits.Depth:
		return "", fmt.Sprintf("is more than %d folders deep", limits.Depth)
	}
	for _, part := range parts {
		switch {
		case part == "..":
			return "", `has ".." in its name and would lead out of the pack's folder`
		case part == "." || part == "":
			return "", `has an empty part or "." in its name`
		case len(part) > 255:
			return "", "has a part of more than 255 bytes in its name"
		}
	}
	return clean, ""
}

// skipped reports whether macOS added the entry; no pack needs it.
func skipped(name string) bool {
	base := path.Base(name)
	return base == ".DS_Store" || strings.HasPrefix(base, "._") ||
		name == "__MACOSX" || strings.HasPrefix(name, "__MACOSX/")
}

// names are the paths of an archive, by the form in which a file system that ignores case and composition sees them.
type names map[string]named

type named struct {
	name string
	dir  bool
	// implied is a folder that only the paths below it have named so far.
	implied bool
}

// add adds a path and the folders above it, or says what it collides with.
func (n names) add(name string, dir bool) (wrong string) {
	for i := range len(name) {
		if name[i] == '/' {
			if wrong := n.put(named{name: name[:i], dir: true, implied: true}); wrong != "" {
				return wrong
			}
		}
	}
	return n.put(named{name: name, dir: dir})
}

func (n names) put(path named) (wrong string) {
	key := folded(path.name)
	old, there := n[key]
	switch {
	case !there:
	case old.name != path.name:
		return fmt.Sprintf("has the same name as %q on systems that ignore case or the composition of letters", old.name)
	case old.dir != path.dir:
		return "is a file and a folder at once"
	case !path.dir || !old.implied && !path.implied:
		return "is in the archive twice"
	case path.implied:
		return ""
	}
	n[key] = path
	return ""
}

// folded is equal for names that differ only in case or in the composition of letters.
func folded(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}
