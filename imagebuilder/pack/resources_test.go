package pack

import (
	"errors"
	"testing"

	"attune"
)

func TestParseCeilings(t *testing.T) {
	t.Parallel()
	got, err := ParseCeilings("memory: 1Gi, pids: 64, cpu: 500m, open_files: 512")
	want := mostResources()
	want.MemoryBytes, want.Pids, want.CPU, want.OpenFiles = 1<<30, 64, 0.5, 512
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"memory: lots", "disk: 5", "memory", "memory: 1Gi}", "memory: 1Ti", "cpu: 0"} {
		if _, err := ParseCeilings(text); err == nil {
			t.Errorf("%q was let through", text)
		}
	}
}

func TestPackAboveACeilingIsRefused(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	var err error
	if limits.Resources, err = ParseCeilings("memory: 128Mi, pids: 32, open_files: 100, tmp_files: 200"); err != nil {
		t.Fatal(err)
	}
	head := "ref: forecast\nentry_point: forecast.py\n"
	above := with(weather, "actions/forecast.yaml", head+"resources: {memory: 129Mi, pids: 33}\n")
	_, err = open(t, zipBytes(t, above, nil), limits)
	refused, ok := errors.AsType[*attune.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	var problems []string
	for _, p := range refused.Problems {
		problems = append(problems, p.String())
	}
	assertProblems(t, "above", []string{
		"resources.memory: must be from 16 MiB to 128 MiB", "resources.pids: must be a whole number from 4 to 32",
	}, problems)
	// Defaults are never above the ceilings.
	archive, err := open(t, zipBytes(t, with(weather, "actions/forecast.yaml", head), nil), limits)
	if err != nil {
		t.Fatal(err)
	}
	got := archive.Manifest.Actions[0].Resources
	want := attune.Resources{
		CPU: 1, MemoryBytes: 128 << 20, Pids: 32, TmpBytes: 64 << 20, TmpFiles: 200, OpenFiles: 100,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
