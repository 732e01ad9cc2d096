package imagebuilder

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"attune/images"
)

// makeNode writes the layer with Node.js and npm. Both are packages of the npm registry. Debian's npm fetches them in a
// temporary container, since it handles the registry and its configuration.
func (b *Builder) makeNode(ctx context.Context, below stack, out io.Writer, log io.Writer) (err error) {
	w, err := b.openWorkspace(ctx, below)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	packages := []images.NPMPackage{b.definition.Node, b.definition.NPM}
	fetch := step{
		name:    "fetching Node.js",
		args:    []string{"/usr/bin/npm", "pack", "--loglevel=warn", "--pack-destination", outputDir},
		dir:     "/tmp",
		env:     b.npmEnvironment(),
		online:  true,
		reading: npmReading,
	}
	for _, p := range packages {
		fetch.args = append(fetch.args, p.Name+"@"+p.Version)
	}
	// npm's own dependencies are of no interest to users, and are gone a moment later.
	if err := w.run(ctx, aptStep("installing npm", "npm"), io.Discard); err != nil {
		return err
	}
	if err := w.run(ctx, fetch, log); err != nil {
		return err
	}
	layer := tar.NewWriter(out)
	for _, p := range packages {
		file := filepath.Join(w.output(), p.Name+"-"+p.Version+".tgz")
		if err := copyNPMPackage(layer, file, p, b.nodePath(p)); err != nil {
			return fmt.Errorf("take over %s: %w", p.Name, err)
		}
	}
	for _, link := range [][2]string{
		{"node", "/bin/node"},
		{"npm", "/lib/node_modules/npm/bin/npm-cli.js"},
		{"npx", "/lib/node_modules/npm/bin/npx-cli.js"},
	} {
		link := tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/local/bin/" + link[0], Linkname: images.NodeDir + link[1],
			Mode: 0o777, ModTime: epoch}
		if err := layer.WriteHeader(&link); err != nil {
			return err
		}
	}
	return layer.Close()
}

// nodePath returns a function for the path of a package's file in the layer; an empty path leaves the file out.
func (b *Builder) nodePath(p images.NPMPackage) func(name string) string {
	if p.Name == b.definition.NPM.Name {
		return func(name string) string { return path.Join(images.NodeDir, "lib/node_modules/npm", name) }
	}
	return func(name string) string {
		if name == "bin/node" || name == "LICENSE" {
			return path.Join(images.NodeDir, name)
		}
		return "" // headers for compiling add-ons, and manuals
	}
}

// copyNPMPackage verifies the checksum of a package and copies its files into a layer.
func copyNPMPackage(layer *tar.Writer, file string, p images.NPMPackage, place func(string) string) error {
	archive, err := os.Open(file)
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := checkIntegrity(archive, p.Integrity); err != nil {
		return err
	}
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		target := place(strings.TrimPrefix(path.Clean(header.Name), "package/"))
		if header.Typeflag != tar.TypeReg || target == "" {
			continue
		}
		mode := int64(0o644)
		if header.Mode&0o111 != 0 {
			mode = 0o755
		}
		if err := layer.WriteHeader(&tar.Header{Name: target[1:], Mode: mode, Size: header.Size,
			ModTime: epoch}); err != nil {
			return err
		}
		if _, err := io.Copy(layer, files); err != nil { //nolint:gosec // its checksum is known
			return err
		}
	}
}

// checkIntegrity compares a file with its checksum in npm's form, and rewinds the file.
func checkIntegrity(file io.ReadSeeker, want string) error {
	sum := sha512.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("its checksum is %s, not %s", got, want)
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}
