package pack

import (
	"regexp"
	"strings"
	"unicode"
)

// Files that name dependencies in the words of pip and npm.
const (
	requirementsFile = "requirements.txt"
	packageFile      = "package.json"
	packageLockFile  = "package-lock.json"

	maxRequirementsBytes = 1 << 20
	maxRequirementLine   = 256
	maxPackageLockBytes  = 16 << 20
)

var (
	hashOption = regexp.MustCompile(`\s--hash=[a-z0-9]+:[0-9a-f]+`)
	pipComment = regexp.MustCompile(`(^|\s)#.*$`)
	// encodingComment is looser than Python's own expression.
	encodingComment = regexp.MustCompile(`#.*coding[:=]\s*([-\w.]+)`)
)

// readRequirements checks requirements.txt line by line, where lines end exactly where pip ends them.
func (r *manifestReader) readRequirements() error {
	text, ok, err := r.text(requirementsFile, maxRequirementsBytes)
	if err != nil || !ok {
		return err
	}
	if offset, bad := strangeByte(text); bad {
		r.problem(requirementsFile, lineAt(text, offset), "", "has a control character, or one that is not UTF-8")
		return nil
	}
	joined, first := "", 0
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if i < 2 && otherEncoding(line) {
			r.problem(requirementsFile, i+1, "", "declares an encoding; leave that out and write UTF-8")
		}
		if joined == "" {
			first = i + 1
		}
		comment := strings.HasPrefix(strings.TrimSpace(line), "#")
		if head, more := strings.CutSuffix(line, `\`); more && !comment && i < len(lines)-1 {
			joined += head + " "
			continue
		}
		if comment {
			line = " " + line
		}
		r.checkRequirement(first, joined+line)
		joined = ""
	}
	return nil
}

// strangeByte finds a character that pip may take for the end of a line, or may ignore, while people see one line.
func strangeByte(text []byte) (offset int, found bool) {
	if offset, bad := invalidUTF8(text); bad {
		return offset, true
	}
	for i, r := range string(text) {
		switch {
		case r == '\n' || r == '\t':
		case r == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return i, true
		}
	}
	return 0, false
}

// otherEncoding reports whether a line is the comment that makes Python, and so pip, read a file in another encoding.
func otherEncoding(line string) bool {
	declared := encodingComment.FindStringSubmatch(line)
	return declared != nil && !strings.EqualFold(declared[1], "utf-8")
}

func (r *manifestReader) checkRequirement(line int, text string) {
	text = strings.TrimSpace(pipComment.ReplaceAllString(text, ""))
	if text == "" {
		return
	}
	if len(text) > maxRequirementLine && !hashOption.MatchString(text) {
		r.problem(requirementsFile, line, "", "has a line of more than %d bytes", maxRequirementLine)
		return
	}
	if wrong := pythonProblem(strings.TrimSpace(hashOption.ReplaceAllString(text, ""))); wrong != "" {
		r.problem(requirementsFile, line, "", "%q %s", shown(text), wrong)
	}
}
