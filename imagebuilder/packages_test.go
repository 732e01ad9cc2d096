package imagebuilder

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// serveToBuilds serves files where builds reach them, and returns the address. The files may have it in them.
func serveToBuilds(t *testing.T, filesAt func(address string) map[string]string) string {
	t.Helper()
	sharedBuilder(t)
	// The host's address on the network exists while a namespace is attached.
	id := "server-" + uuid.NewString()[:8]
	if _, err := shared.network.Attach(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.network.Detach(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	listener, err := net.Listen("tcp", netip.AddrPortFrom(shared.network.Gateway(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	files := filesAt("http://" + listener.Addr().String())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/") {
			w.Header().Set("Content-Type", "text/html")
		}
		_, _ = io.WriteString(w, text)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// npmRegistry are the files of an npm package each, by its name. package.json gets the name, and version 1.0.0 where it
// has none.
type npmRegistry map[string]map[string]string

// serve serves the packages to builds and returns the registry's address.
func (r npmRegistry) serve(t *testing.T) string {
	t.Helper()
	return serveToBuilds(t, func(address string) map[string]string {
		served := map[string]string{}
		for name, files := range r {
			description := map[string]any{}
			if text := files["package.json"]; text != "" {
				if err := json.Unmarshal([]byte(text), &description); err != nil {
					t.Fatal(err)
				}
			}
			version, _ := description["version"].(string)
			version = cmp.Or(version, "1.0.0")
			description["name"], description["version"] = name, version
			files = maps.Clone(files)
			files["package.json"] = jsonOf(t, description)
			packed := tarGz(t, "package/", files)
			sum := sha512.Sum512([]byte(packed))
			description["dist"] = map[string]string{
				"tarball":   address + "/" + name + ".tgz",
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
			}
			served["/"+name+".tgz"] = packed
			served["/"+name] = jsonOf(t, map[string]any{
				"name": name, "dist-tags": map[string]string{"latest": version},
				"versions": map[string]any{version: description},
			})
		}
		return served
	})
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wheel makes a package with nothing but its version.
func wheel(t *testing.T, name, version string) string {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, file := range [][2]string{
		{name + "/__init__.py", fmt.Sprintf("version = %q\n", version)},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + "/__init__.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		f, err := w.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func sdist(t *testing.T, name, version string) string { return sdistWith(t, name, version, "") }

// sdistWith makes a source distribution whose setup script does something first.
func sdistWith(t *testing.T, name, version, setup string) string {
	t.Helper()
	return tarGz(t, name+"-"+version+"/", map[string]string{
		"setup.py": setup + fmt.Sprintf("\nfrom setuptools import setup\nsetup(name=%q, version=%q, py_modules=[%q])\n",
			name, version, name),
		name + ".py": fmt.Sprintf("version = %q\n", version),
		"PKG-INFO":   "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
	})
}

func tarGz(t *testing.T, folder string, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := tar.Header{Name: folder + name, Mode: 0o644, Size: int64(len(files[name]))}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// onLine calls do when the text is first written.
func onLine(words string, do func()) io.Writer {
	var seen bytes.Buffer
	return writerFunc(func(p []byte) (int, error) {
		before := strings.Contains(seen.String(), words)
		seen.Write(p)
		if !before && strings.Contains(seen.String(), words) {
			do()
		}
		return len(p), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
