package imagebuilder

import (
	"io"
	"strings"
	"testing"
)

func TestStepOutput(t *testing.T) {
	t.Parallel()
	npm := []string{"npm warn x\nnpm error co", "de E404\nnpm error 404 Not Found\nnpm error 404\n",
		"npm error A complete log\n"}
	for name, c := range map[string]struct {
		reading reading
		writes  []string
		want    findings
	}{
		"npm": {npmReading, npm, findings{reason: "npm error 404 Not Found"}},
		"old npm": {npmReading, []string{"npm ERR! code E404\nnpm ERR! 404 gone\n"},
			findings{reason: "npm ERR! 404 gone"}},
		"last line":   {reading{}, []string{"one\ntwo\n\n  \n"}, findings{reason: "two"}},
		"no line end": {reading{}, []string{"one\ntw", "o"}, findings{reason: "two"}},
		"nothing":     {reading{}, nil, findings{}},
		"endless line": {reading{}, []string{strings.Repeat("x", 9999)},
			findings{reason: strings.Repeat("x", maxReasonBytes)}},
		"not UTF-8": {reading{}, []string{"a\xffb"}, findings{reason: "a�b"}},
		"npm script": {npmReading, []string{"> bcrypt@5.1.1 install\nnpm error code 1\nnpm error path /x/bcrypt\n" +
			"npm error command failed\nnpm error command sh -c node-gyp rebuild\n" +
			"npm error gyp ERR! stack Error: not found: make\n"},
			findings{reason: "npm error path /x/bcrypt; npm error command sh -c node-gyp rebuild", noCompiler: true,
				subject: "bcrypt"}},
		"script of a Debian package": {aptReading, []string{"Setting up jre (17) ...\n" +
			"update-alternatives: error: error creating symbolic link '/usr/share/man/man1/java.1.gz': No such file\n" +
			"dpkg: error processing package jre (--configure):\n installed jre package post-installation script returned 2\n" +
			"Processing triggers for libc-bin (2.36) ...\nErrors were encountered while processing:\n jre\n" +
			"E: Sub-process /usr/bin/dpkg returned an error code (1)\n"},
			findings{reason: "update-alternatives: error: error creating symbolic link " +
				"'/usr/share/man/man1/java.1.gz': No such file; dpkg: error processing package jre (--configure); " +
				"installed jre package post-installation script returned 2"}},
		"silent script of a Debian package": {aptReading, []string{"Setting up x (1) ...\ncp: cannot stat 'y'\n" +
			"dpkg: error processing package x (--configure):\n"},
			findings{reason: "cp: cannot stat 'y'; dpkg: error processing package x (--configure)"}},
		"files of two Debian packages": {aptReading, []string{"Unpacking x (1) ...\n" +
			"dpkg: error processing archive /x.deb (--unpack):\n trying to overwrite '/y', which is also in package z\n"},
			findings{reason: "dpkg: error processing archive /x.deb (--unpack); " +
				"trying to overwrite '/y', which is also in package z"}},
		"setup script": {pipReading, []string{"  × Getting requirements did not run\n    Traceback:\n" +
			"    OSError: [Errno 28] No space left on device: 'x'\n    [end of output]\n\n  note: this\n" +
			"ERROR: Failed to build 'greedy'\n"},
			findings{reason: "OSError: [Errno 28] No space left on device: 'x'; ERROR: Failed to build 'greedy'",
				fullDisk: true}},
		"no compiler": {pipReading, []string{"Building wheel for a (pyproject.toml): finished with status 'done'\n" +
			"  Building wheel for b (pyproject.toml): started\n      error: command 'gcc' failed: No such file or directory\n" +
			"      [end of output]\n  ERROR: Failed building wheel for b\n"},
			findings{reason: "error: command 'gcc' failed: No such file or directory; ERROR: Failed building wheel for b",
				noCompiler: true, subject: "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			output := newStepOutput(&log, c.reading)
			stream := output.stream()
			for _, text := range c.writes {
				if _, err := io.WriteString(stream, text); err != nil {
					t.Fatal(err)
				}
			}
			output.end()
			if got := output.seen(); got != c.want {
				t.Errorf("seen is %+v, want %+v", got, c.want)
			}
			if got, want := log.String(), strings.Join(c.writes, ""); got != want {
				t.Errorf("log is %q, want %q", got, want)
			}
		})
	}
}

// apt writes half a line to stdout, complains on stderr, and then ends the line.
func TestStepOutputOfTwoStreams(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	output := newStepOutput(&log, aptReading)
	stdout, stderr := output.stream(), output.stream()
	for _, w := range []struct {
		stream *outputStream
		text   string
	}{{stdout, "Building tree..."}, {stderr, "E: no such package\n"}, {stdout, "\nReading state..."}} {
		if _, err := io.WriteString(w.stream, w.text); err != nil {
			t.Fatal(err)
		}
	}
	output.end()
	if got := output.seen().reason; got != "E: no such package" {
		t.Errorf("reason is %q", got)
	}
	if got := log.String(); got != "E: no such package\nBuilding tree...\nReading state..." {
		t.Errorf("log is %q", got)
	}
}
