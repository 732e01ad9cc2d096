package containerd_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"attune/sandbox"
	"attune/sandbox/containerd"
	"attune/sandbox/sandboxtest"
)

// variable reads what `make test` sets.
func variable(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value == "" {
		tb.Fatalf("%s is not set; run make test", name)
	}
	return value
}

// probe is built once for all tests.
var probe = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "probe")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", path, "attune/sandbox/sandboxtest/probe/probe")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// host is a containerd namespace with the probe's image in it.
type host struct {
	client *client.Client
	digest string
	config containerd.Config
}

func newHost(tb testing.TB) host {
	tb.Helper()
	h := host{config: containerd.Config{
		Address:   variable(tb, "ATTUNE_TEST_CONTAINERD_ADDRESS"),
		Namespace: "sandbox-" + strings.ToLower(rand.Text()[:8]), Owner: "tester",
		StateDir: tb.TempDir(), BinDir: variable(tb, "ATTUNE_TEST_BIN_DIR"),
		CgroupParent: "/attune-" + strings.ToLower(rand.Text()[:8]),
	}}
	var err error
	if h.client, err = client.New(h.config.Address, client.WithDefaultNamespace(h.config.Namespace)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.client.Close() })
	program, err := probe()
	if err != nil {
		tb.Fatal(err)
	}
	images, err := h.client.Import(tb.Context(), bytes.NewReader(image(tb, program)),
		client.WithImageRefTranslator(func(string) string { return "probe" }))
	if err != nil {
		tb.Fatal(err)
	}
	if err := client.NewImage(h.client, images[0]).Unpack(tb.Context(), "overlayfs"); err != nil {
		tb.Fatal(err)
	}
	h.digest = images[0].Target.Digest.String()
	return h
}

// open connects a Runtime; several on one host are several processes.
func (h host) open(tb testing.TB) *containerd.Runtime {
	tb.Helper()
	runtime, err := containerd.New(tb.Context(), h.config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := runtime.Close(); err != nil {
			tb.Error(err)
		}
		h.forgetAll(tb)
	})
	return runtime
}

// forgetAll unmounts what executions left that no test forgot.
func (h host) forgetAll(tb testing.TB) {
	tb.Helper()
	left, err := filepath.Glob(filepath.Join(h.config.StateDir, "runs", "*", "run"))
	for _, path := range left {
		err = errors.Join(err, mount.UnmountAll(path, unix.MNT_DETACH))
	}
	if err != nil {
		tb.Error(err)
	}
}

func (h host) subject(runtime sandbox.Runtime) sandboxtest.Subject {
	return sandboxtest.Subject{Runtime: runtime, ImageDigest: h.digest, Probe: []string{"/probe"}}
}

// image is an OCI archive of two layers, as every pack's image has at least. Its configuration asks for what a sandbox
// must not give.
func image(tb testing.TB, program []byte) []byte {
	tb.Helper()
	layers := [][]byte{
		archive(tb, []tar.Header{
			{Name: "probe", Mode: 0o755, Size: int64(len(program))},
			dir("proc"), dir("dev"), dir("run"), dir("tmp"), dir("etc"), {Name: "etc/resolv.conf", Mode: 0o644},
		}, program),
		archive(tb, []tar.Header{dir("opt"), dir("opt/attune"), dir("opt/attune/pack")}, nil),
	}
	config := ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		Config:   ocispec.ImageConfig{User: "0:0", Env: []string{"FROM_IMAGE=yes"}, WorkingDir: "/etc", StopSignal: "SIGHUP"},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion": "1.0.0"}`)}
	add := func(mediaType string, blob []byte) ocispec.Descriptor {
		sum := digest.FromBytes(blob)
		files["blobs/sha256/"+sum.Encoded()] = blob
		return ocispec.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(blob))}
	}
	for _, layer := range layers {
		descriptor := add(ocispec.MediaTypeImageLayer, layer)
		manifest.Layers = append(manifest.Layers, descriptor)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, descriptor.Digest)
	}
	manifest.Config = add(ocispec.MediaTypeImageConfig, encode(tb, config))
	descriptor := add(ocispec.MediaTypeImageManifest, encode(tb, manifest))
	descriptor.Annotations = map[string]string{ocispec.AnnotationRefName: "probe"}
	files["index.json"] = encode(tb, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{descriptor},
	})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		write(tb, w, tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}, content)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func dir(name string) tar.Header {
	return tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}
}

// archive is a tar of the headers, with content for the first.
func archive(tb testing.TB, headers []tar.Header, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, header := range headers {
		write(tb, w, header, content[:header.Size])
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func write(tb testing.TB, w *tar.Writer, header tar.Header, content []byte) {
	tb.Helper()
	if err := w.WriteHeader(&header); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
}

func encode(tb testing.TB, value any) []byte {
	tb.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
