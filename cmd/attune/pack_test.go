package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packFolder makes a folder with these files; those whose name ends in .sh are executable.
func packFolder(t *testing.T, files ...string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "weather")
	for _, name := range files {
		path := filepath.Join(folder, name)
		mode := os.FileMode(0o640)
		if filepath.Ext(name) == ".sh" {
			mode = 0o700
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// readTar lists an archive's members as "mode path content".
func readTar(t *testing.T, archive io.Reader) (members []string) {
	t.Helper()
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, fmt.Sprintf("%o %s %s", header.Mode, header.Name, content))
	}
}

// installation is the document of one in a state and phase.
func installation(status, phase string, progress int) string {
	return fmt.Sprintf(`{"id": "i-1", "pack": "weather", "version": "1.0.0", "status": %q, "phase": %q, "progress": %d,
		"error": "the dependencies cannot be installed", "image_digest": "sha256:abc", "created_at": "2026-01-15T12:00:00Z"}`,
		status, phase, progress)
}

var accepted = `{"pack": {"ref": "weather"}, "installation": ` + installation("pending", "queued", 0) + `}`

func TestPackInstallFolder(t *testing.T) {
	t.Parallel()
	folder := packFolder(t, "pack.yaml", "actions/report.py", "actions/build.sh", "actions/__pycache__/report.pyc",
		"stale.pyc", ".git/HEAD", ".venv/bin/python", "node_modules/x/index.js", "package.json")
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload": func(w http.ResponseWriter, r *http.Request) {
			file, header, err := r.FormFile("file")
			if err != nil {
				t.Error(err)
				return
			}
			if header.Filename != "weather.tar.gz" {
				t.Errorf("file name %q", header.Filename)
			}
			want := []string{
				"755 actions/build.sh actions/build.sh", "644 actions/report.py actions/report.py",
				"644 pack.yaml pack.yaml", "644 package.json package.json",
			}
			if diff := cmp.Diff(want, readTar(t, file)); diff != "" {
				t.Error(diff)
			}
			data(accepted)(w, r)
		}})
	invocation{api: api}.call(t, "pack", "install", folder).want(t, exitDone, "weather 1.0.0 pending, installation i-1\n")
}

func TestPackArchiveIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	var archives [2]bytes.Buffer
	for i := range archives {
		folder := packFolder(t, "pack.yaml", "actions/a.py", "actions/b.py")
		files, _, err := packFiles(folder)
		if err == nil {
			err = writePack(&archives[i], folder, files)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("the same files made different archives")
	}
}

func TestPackIgnores(t *testing.T) {
	t.Parallel()
	folder := packFolder(t, "pack.yaml", "actions/a.py", "venv/bin/python", "venv/pyvenv.cfg", "tools/env/pyvenv.cfg",
		"env/a.py", ".tox/x", "node_modules/x/index.js", "actions/__pycache__/a.pyc", "old.log", "data/old.log", "keep.log",
		"data/big/x", "docs/build/x", "docs/build.md", ".git/HEAD", "notes # 1.md", "caf\u00e9.md")
	if err := os.Symlink("/usr/bin/python3", filepath.Join(folder, "venv/bin/python3")); err != nil {
		t.Fatal(err)
	}
	check := func(ignore string, wantFiles, wantLeft []string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, ".attuneignore"), []byte(ignore), 0o600); err != nil {
			t.Fatal(err)
		}
		files, left, err := packFiles(folder)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantFiles, files); diff != "" {
			t.Errorf("files: %s", diff)
		}
		if diff := cmp.Diff(wantLeft, left); diff != "" {
			t.Errorf("left out: %s", diff)
		}
	}
	check("\ufeff# what is not needed\r\n*.log\r\n!keep.log\n\n/data/big/\ndocs/build/\n\n",
		[]string{"actions/a.py", "caf\u00e9.md", "docs/build.md", "env/a.py", "keep.log", "notes # 1.md", "pack.yaml"},
		[]string{
			".git", ".tox", "actions/__pycache__", "node_modules", "tools/env (a Python environment)",
			"venv (a Python environment)",
		})
	check("*\n!pack.yaml\n!node_modules/\n!index.js\n!x/\n",
		[]string{"node_modules/x/index.js", "pack.yaml"}, []string{".git", ".tox"})
}

func TestPackInstallSaysWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	folder := packFolder(t, "pack.yaml", "venv/pyvenv.cfg")
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			data(accepted)(w, r)
		}})
	got := invocation{api: api}.call(t, "pack", "install", folder)
	got.want(t, exitDone, "weather 1.0.0 pending, installation i-1\n")
	got.wantStderr(t, "left out: venv (a Python environment)\n")
}

func TestPackInstallArchive(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "weather-1.0.0.zip")
	if err := os.WriteFile(archive, []byte("archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload": func(w http.ResponseWriter, r *http.Request) {
			file, header, err := r.FormFile("file")
			if err != nil {
				t.Error(err)
				return
			}
			if content, _ := io.ReadAll(file); header.Filename != "weather-1.0.0.zip" || string(content) != "archive" {
				t.Errorf("file %q with %q", header.Filename, content)
			}
			data(accepted)(w, r)
		}})
	invocation{api: api}.call(t, "pack", "install", archive).want(t, exitDone, "weather 1.0.0 pending, installation i-1\n")
}

func TestPackInstallRefusesBeforeTheUpload(t *testing.T) {
	t.Parallel()
	linked := packFolder(t, "pack.yaml")
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "link")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ source, stderr string }{
		"nothing there": {"/nonexistent", "no such file"},
		"not a pack":    {t.TempDir(), "it has no pack.yaml"},
		"a link":        {linked, "link is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: routes(t, nil)}.call(t, "pack", "install", test.source)
			got.want(t, exitUsage, "")
			got.wantStderr(t, test.stderr)
		})
	}
}

func TestPackInstallAnswerBeforeTheEnd(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "large.zip")
	if err := os.WriteFile(archive, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	got := invocation{api: problem(401, `{"detail": "a token is needed", "code": "unauthenticated"}`)}.call(t, "pack",
		"install", archive)
	got.want(t, exitOther, "")
	got.wantStderr(t, "attune: a token is needed\n")
}

func TestPackInstallWait(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload": data(accepted),
		"GET /api/v1/packs/weather/installation-status": inTurn(
			data(installation("pending", "queued", 0)), data(installation("installing", "dependencies", 30)),
			data(installation("installing", "dependencies", 30)), data(installation("installed", "done", 100)),
		),
	})
	got := invocation{api: api}.call(t, "pack", "install", packFolder(t, "pack.yaml"), "--wait")
	got.want(t, exitDone, "weather 1.0.0 installed sha256:abc\n")
	if want := "queued 0\ndependencies 30\ndone 100\n"; got.stderr != want {
		t.Errorf("stderr %q, want %q", got.stderr, want)
	}
}

func TestPackInstallBar(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload": data(accepted),
		"GET /api/v1/packs/weather/installation-status": inTurn(
			data(installation("installing", "dependencies", 30)), data(installation("installed", "done", 100)),
		),
	})
	got := invocation{api: api, progress: true}.call(t, "pack", "install", packFolder(t, "pack.yaml"), "--wait")
	got.want(t, exitDone, "weather 1.0.0 installed sha256:abc\n")
	got.wantStderr(t, "weather ", "100%", " done")
}

func TestPackInstallInterrupted(t *testing.T) {
	t.Parallel()
	for _, progress := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		api := routes(t, map[string]http.HandlerFunc{
			"POST /api/v1/packs/upload": data(accepted),
			"GET /api/v1/packs/weather/installation-status": func(w http.ResponseWriter, r *http.Request) {
				cancel()
				data(installation("installing", "dependencies", 30))(w, r)
			},
		})
		got := invocation{ctx: ctx, api: api, progress: progress}.call(t, "pack", "install", packFolder(t, "pack.yaml"),
			"--wait")
		got.want(t, exitInterrupted, "")
		got.wantStderr(t, "the installation goes on")
	}
}

func TestPackInstallFails(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload":                     data(accepted),
		"GET /api/v1/packs/weather/installation-status": data(installation("failed", "dependencies", 30)),
		"GET /api/v1/packs/weather/installation-log": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("offset") == "0" {
				data(`{"content": "f", "offset": 0, "next_offset": 1, "total_size": 10000}`)(w, r)
				return
			}
			data(`{"content": "half a line\nno matching distribution", "offset": 5904, "next_offset": 10000, `+
				`"total_size": 10000}`)(w, r)
		},
	})
	got := invocation{api: api}.call(t, "pack", "install", packFolder(t, "pack.yaml"), "--wait")
	got.want(t, exitFailed, "")
	want := "dependencies 30\nno matching distribution\n" +
		"attune: the installation of weather 1.0.0 failed: the dependencies cannot be installed\n" +
		"  hint: `attune pack log weather` prints the whole log\n"
	if got.stderr != want {
		t.Errorf("stderr %q\nwant %q", got.stderr, want)
	}
}

func TestPackInstallOvertaken(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"POST /api/v1/packs/upload":                     data(accepted),
		"GET /api/v1/packs/weather/installation-status": data(`{"id": "i-2", "pack": "weather", "status": "pending"}`),
	})
	got := invocation{api: api}.call(t, "pack", "install", packFolder(t, "pack.yaml"), "--wait")
	got.want(t, exitOther, "")
	got.wantStderr(t, "weather was installed again meanwhile, as installation i-2")
}

func TestPackShow(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/packs/weather": data(`{"ref": "weather", "version": "1.0.0", "tags": ["a", "b"],
			"created_at": "2026-01-15T12:00:00Z", "updated_at": "2026-01-15T12:00:00Z"}`),
		"GET /api/v1/actions": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "pack=weather" {
				t.Errorf("query %q", r.URL.RawQuery)
			}
			data(`[{"ref": "weather.report", "runner_type": "python", "secrets": ["k"], `+
				`"policy": {"concurrency": {"limit": 2}}}]`)(w, r)
		},
	})
	invocation{api: api}.call(t, "pack", "show", "weather").want(t, exitDone,
		"pack\tweather\nversion\t1.0.0\ntags\ta, b\n"+
			"created\t2026-01-15T12:00:00Z\nupdated\t2026-01-15T12:00:00Z\n\nweather.report\tpython\t2\tk\t\n")
}

func TestPackRemove(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"DELETE /api/v1/packs/weather": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}})
	invocation{api: api}.call(t, "pack", "remove", "weather").want(t, exitDone, "pack weather removed\n")
	invocation{api: api}.call(t, "pack", "remove", "weather", "--json").want(t, exitDone, "")
}
