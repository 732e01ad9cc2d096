package imagebuilder

import (
	"regexp"
	"strings"
)

// reading says how to read what a program prints.
type reading struct {
	// picks returns what a line tells about why the program failed, if anything; before is the line before it.
	picks func(line, before string) []string
	// subject matches the line that announces a package whose code runs next, and captures its name.
	subject *regexp.Regexp
	// compiler names the Debian packages that a package with code to compile takes.
	compiler string
}

func (r reading) explain(line, before string) []string {
	if r.picks == nil {
		return nil
	}
	return r.picks(line, before)
}

func (r reading) subjectOf(line string) string {
	if r.subject == nil {
		return ""
	}
	if found := r.subject.FindStringSubmatch(line); found != nil {
		return found[1]
	}
	return ""
}

// needsCompiler matches what setuptools, meson, CMake, autoconf, make and node-gyp print where there is no compiler.
var needsCompiler = regexp.MustCompile(`command '[^']*(gcc|g\+\+|cc|c\+\+|clang)' failed: No such file` +
	`|unable to execute '?[^' ]*(gcc|g\+\+|cc|c\+\+|clang)'?: No such file` +
	`|Unknown compiler\(s\)|no acceptable C compiler|No CMAKE_C(XX)?_COMPILER|CMAKE_C(XX)?_COMPILER not set` +
	`|not found: make$|(gcc|g\+\+|cc|c\+\+): (command )?not found|make: (gcc|g\+\+|cc|c\+\+): No such file`)

var (
	aptReading = reading{picks: picksOfAPT}
	pipReading = reading{
		picks:    picksOfPip,
		subject:  regexp.MustCompile(`^(?:Building wheel|Running setup\.py install) for (\S+)`),
		compiler: "build-essential, python3-dev",
	}
	npmReading = reading{
		picks:    picksOfNPM,
		subject:  regexp.MustCompile(`^> (\S+)@\S+ (?:pre|post)?install$`),
		compiler: "build-essential",
	}
)

// dpkgProgress matches what dpkg prints before it runs a script of a package.
var dpkgProgress = regexp.MustCompile(`^(Preparing|Selecting|Unpacking|Setting up|Processing|\(Reading)`)

// picksOfAPT takes the complaints of apt, of dpkg, and of the packages' own scripts.
func picksOfAPT(line, before string) []string {
	const failed = "dpkg: error processing "
	switch {
	case strings.HasPrefix(line, "E: Sub-process "): // dpkg itself has said why
		return nil
	case strings.HasPrefix(line, failed) && !dpkgProgress.MatchString(before) && before != "":
		return []string{before, strings.TrimSuffix(line, ":")}
	case strings.HasPrefix(line, "E: "), strings.Contains(line, ": error: "), strings.HasPrefix(line, failed),
		strings.HasPrefix(before, failed):
		return []string{strings.TrimSuffix(line, ":")}
	}
	return nil
}

// picksOfPip takes pip's own complaints, and the last words of a setup script.
func picksOfPip(line, before string) []string {
	switch {
	case strings.HasPrefix(line, "ERROR: "):
		return []string{line}
	case line == "[end of output]" && before != "":
		return []string{before}
	}
	return nil
}

// picksOfNPM takes the first line of a complaint, but for the code before it, and the script that failed or the package
// that is refused. Debian's npm writes "npm ERR!", later ones "npm error".
func picksOfNPM(line, before string) []string {
	text, ok := npmComplaint(line)
	_, goesOn := npmComplaint(before)
	if ok && (!goesOn || strings.HasPrefix(text, "command sh ") || strings.HasPrefix(text, "Refusing ")) {
		return []string{line}
	}
	return nil
}

// npmComplaint returns what a line of npm says to be wrong; the line with the code does not.
func npmComplaint(line string) (text string, ok bool) {
	text, ok = strings.CutPrefix(strings.Replace(line, "npm ERR!", "npm error", 1), "npm error ")
	return text, ok && !strings.HasPrefix(text, "code ")
}
