package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"attune/sandbox/hostcheck"
)

func TestDoctorPrintsEachPointWithItsMend(t *testing.T) {
	t.Parallel()
	report := hostcheck.Report{Level: hostcheck.LevelNone, Checks: []hostcheck.Check{
		{Name: "kernel", State: hostcheck.CheckOK, Found: "6.12"},
		{Name: "core dumps", State: hostcheck.CheckMissing, Found: "a program gets them",
			Mend: "sysctl -w kernel.core_pattern=core"},
	}}
	var out bytes.Buffer
	s := &session{stdout: &out, getenv: func(string) string { return "" }}
	if err := s.printReport(report); !errors.Is(err, exitStatus(exitFailed)) {
		t.Errorf("a host that runs nothing ends with %v", err)
	}
	want := "kernel\tok\t6.12\t\ncore dumps\tmissing\ta program gets them\tsysctl -w kernel.core_pattern=core\n" +
		"level\tnone\n"
	if out.String() != want {
		t.Errorf("piped, it prints %q, want %q", out.String(), want)
	}
	out.Reset()
	s.stdoutTerminal = true
	_ = s.printReport(report)
	if text := out.String(); !strings.Contains(text, "TO MEND IT") || strings.Count(text, "core_pattern") != 1 {
		t.Errorf("a terminal sees\n%s", text)
	}
}

func TestDoctorAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &session{stdout: &out}
	s.JSON = true
	if err := s.printReport(hostcheck.Report{Level: hostcheck.LevelFull,
		Checks: []hostcheck.Check{{Name: "root", State: hostcheck.CheckOK, Found: "yes"}}}); err != nil {
		t.Error(err)
	}
	var got hostcheck.Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Level != hostcheck.LevelFull || len(got.Checks) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}
