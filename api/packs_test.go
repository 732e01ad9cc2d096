package api_test

import (
	"archive/zip"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"attune"
	"attune/api"
	"attune/storage/logs"
)

type uploaded struct {
	Pack         attune.Pack
	Installation attune.Installation
}

func TestPackLife(t *testing.T) {
	t.Parallel()
	s := setup(t)

	made := data[uploaded](t, s.upload(targz(t, packFiles("weather", "1.0.0"))), http.StatusAccepted)
	if made.Pack.Ref != "weather" || made.Pack.Version != "" || made.Installation.Status != attune.InstallationPending {
		t.Fatalf("got %+v", made)
	}
	s.wantEmptyStaging()
	stored, err := s.objects.GetArchive(t.Context(), "weather", "1.0.0", made.Installation.ArchiveSHA256)
	if err != nil {
		t.Fatal(err)
	}
	_ = stored.Close()
	if got := data[[]attune.Action](t, s.get("/api/v1/actions"), 200); len(got) != 0 {
		t.Errorf("actions are there before the image: %v", got)
	}

	s.build()
	if pack := data[attune.Pack](t, s.get("/api/v1/packs/weather"), 200); pack.Version != "1.0.0" ||
		pack.ImageDigest == "" {
		t.Errorf("got %+v", pack)
	}
	if packs := data[[]attune.Pack](t, s.get("/api/v1/packs"), 200); len(packs) != 1 {
		t.Errorf("got %+v", packs)
	}
	status := data[attune.Installation](t, s.get("/api/v1/packs/weather/installation-status"), 200)
	if status.ID != made.Installation.ID || status.Status != attune.InstallationInstalled || status.Progress != 100 {
		t.Errorf("got %+v", status)
	}

	execution := s.submit("weather.hello")
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/packs/weather", ""), http.StatusNoContent)
	wantProblem(t, s.get("/api/v1/packs/weather"), 404, attune.CodeNotFound)
	wantProblem(t, s.do(http.MethodDelete, "/api/v1/packs/weather", ""), 404, attune.CodeNotFound)
	if _, err := s.objects.GetArchive(t.Context(), "weather", "1.0.0",
		made.Installation.ArchiveSHA256); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("the archive is still there: %v", err)
	}
	kept := data[attune.Execution](t, s.get("/api/v1/executions/"+execution.ID), 200)
	if kept.Status != attune.StatusCancelled || kept.Reason != attune.ReasonPackRemoved {
		t.Errorf("got %s %s", kept.Status, kept.Reason)
	}
}

func TestInstallAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	first := s.install(packFiles("weather", "1.0.0"))
	second := s.install(packFiles("weather", "2.0.0"))

	again := data[uploaded](t, s.do(http.MethodPost, "/api/v1/packs/weather/install", ""), http.StatusAccepted)
	if again.Installation.ArchiveSHA256 != second.ArchiveSHA256 {
		t.Errorf("the newest archive is %s, got %s", second.ArchiveSHA256, again.Installation.ArchiveSHA256)
	}
	back := data[uploaded](t, s.do(http.MethodPost, "/api/v1/packs/weather/install", `{"version": "1.0.0"}`),
		http.StatusAccepted)
	if back.Installation.ArchiveSHA256 != first.ArchiveSHA256 {
		t.Errorf("the archive of 1.0.0 is %s, got %s", first.ArchiveSHA256, back.Installation.ArchiveSHA256)
	}
	s.build()
	s.build()
	if pack := data[attune.Pack](t, s.get("/api/v1/packs/weather"), 200); pack.Version != "1.0.0" {
		t.Errorf("version %s serves", pack.Version)
	}
	wantProblem(t, s.do(http.MethodPost, "/api/v1/packs/weather/install", `{"version": "3.0.0"}`), 404,
		attune.CodeNotFound)
	wantProblem(t, s.do(http.MethodPost, "/api/v1/packs/weather/install", `{"version": "a\u0000b"}`), 422,
		attune.CodeInvalid)
	wantProblem(t, s.do(http.MethodPost, "/api/v1/packs/nobody/install", ""), 404, attune.CodeNotFound)
}

func TestInstallationLog(t *testing.T) {
	t.Parallel()
	s := setup(t)
	installation := s.install(packFiles("weather", "1.0.0"))
	writer, err := s.logs.Create(logs.InstallationPrefix("weather", installation.ID), logs.InstallationStream, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte("fetching\nbuilding\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := data[attune.LogPage](t, s.get("/api/v1/packs/weather/installation-log?offset=9&limit=5"), 200)
	if want := (attune.LogPage{Content: "build", Offset: 9, NextOffset: 14, TotalSize: 18}); page != want {
		t.Errorf("got %+v, want %+v", page, want)
	}
	wantProblem(t, s.get("/api/v1/packs/nobody/installation-log"), 404, attune.CodeNotFound)
	wantProblem(t, s.get("/api/v1/packs/nobody/installation-status"), 404, attune.CodeNotFound)
}

func TestUploadTakesEveryFormat(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var zipped bytes.Buffer
	archive := zip.NewWriter(&zipped)
	for name, content := range packFiles("zipped", "1.0.0") {
		file, err := archive.Create("top/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	data[uploaded](t, s.upload(zipped.Bytes()), http.StatusAccepted)

	// What is stored is itself an archive that can be uploaded.
	made := data[uploaded](t, s.upload(targz(t, packFiles("weather", "1.0.0"))), http.StatusAccepted)
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := data[uploaded](t, s.upload(encoder.EncodeAll(gunzip(t, targz(t, packFiles("weather", "1.0.0"))), nil)),
		http.StatusAccepted)
	if made.Installation.ArchiveSHA256 != again.Installation.ArchiveSHA256 {
		t.Error("the same files have two names in the bucket")
	}
	s.wantEmptyStaging()
}

func TestUploadRefusesBadArchives(t *testing.T) {
	t.Parallel()
	s := setup(t)
	with := func(name, content string) map[string]string {
		files := packFiles("weather", "1.0.0")
		files[name] = content
		return files
	}
	tests := map[string]struct {
		archive []byte
		place   attune.Problem // File and Field are compared
	}{
		"not an archive": {[]byte("hello"), attune.Problem{}},
		"empty":          {nil, attune.Problem{}},
		"no pack.yaml":   {targz(t, map[string]string{"x.txt": "x", "y.txt": "y"}), attune.Problem{File: "pack.yaml"}},
		"unknown field": {targz(t, with("pack.yaml", "ref: weather\nversion: 1.0.0\nreff: x\n")),
			attune.Problem{File: "pack.yaml", Field: "reff", Line: 3}},
		"wrong type": {targz(t, with("pack.yaml", "ref: weather\nversion: 1.0.0\ntags: 5\n")),
			attune.Problem{File: "pack.yaml", Field: "tags", Line: 3}},
		"no entry point": {targz(t, with("actions/hello.yaml", "ref: hello\nentry_point: gone.sh\n")),
			attune.Problem{File: "actions/hello.yaml", Field: "entry_point", Line: 2}},
		"path outside":     {targz(t, with("../outside", "x")), attune.Problem{}},
		"absolute path":    {targz(t, with("/etc/cron.d/x", "x")), attune.Problem{}},
		"beyond its limit": {targz(t, with("large", strings.Repeat("x", 2<<20))), attune.Problem{}},
	}
	small := setup(t, func(c *api.Config) { c.Limits.UnpackedBytes = 1 << 20 })
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			target := s
			if name == "beyond its limit" {
				target = small
			}
			p := wantProblem(t, target.upload(test.archive), 422, attune.CodeInvalid)
			if len(p.Errors) == 0 {
				t.Fatalf("no place is named: %+v", p)
			}
			if !slices.ContainsFunc(p.Errors, func(e attune.Problem) bool {
				return (test.place.File == "" || e.File == test.place.File) && e.Field == test.place.Field &&
					(test.place.Line == 0 || e.Line == test.place.Line) && e.Message != ""
			}) {
				t.Errorf("got %+v, want a place like %+v", p.Errors, test.place)
			}
			target.wantEmptyStaging()
			if packs := data[[]attune.Pack](t, target.get("/api/v1/packs"), 200); len(packs) != 0 {
				t.Errorf("something was stored: %+v", packs)
			}
		})
	}
}
