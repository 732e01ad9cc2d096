package pack

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
)

// Contents is what an archive says about itself before it is unpacked.
type Contents struct {
	// Ref is the pack's; empty when pack.yaml does not name one.
	Ref string
	// Bytes is the disk space that the files take, and Files the number of files and folders.
	Bytes, Files int64
}

// diskBlock is what file systems give space in.
const diskBlock = 4 << 10

// Look reads an archive as Open does, with the same bounds and the same errors, and writes nothing.
func Look(ctx context.Context, file *os.File, limits Limits) (Contents, error) {
	glance := &glance{}
	files, paths, err := unpack(ctx, file, glance, limits)
	if err != nil {
		return Contents{}, err
	}
	c := Contents{Files: int64(paths), Ref: glance.ref(files)}
	for _, file := range files {
		c.Bytes += (file.size + diskBlock - 1) / diskBlock * diskBlock
	}
	return c, nil
}

// glance keeps pack.yaml, at the root and in the first top folder that has one, and nothing else.
type glance struct {
	root, below bytes.Buffer
	top         string
}

func (*glance) makeFolder(string) error { return nil }

func (g *glance) create(name string, _ bool) (io.WriteCloser, error) {
	top, below := strings.CutSuffix(name, "/"+manifestFile)
	switch {
	case name == manifestFile:
		return keeper{&g.root}, nil
	case below && g.top == "" && !strings.Contains(top, "/"):
		g.top = top
		return keeper{&g.below}, nil
	default:
		return keeper{}, nil
	}
}

// ref reads the pack's ref out of the pack.yaml that counts.
func (g *glance) ref(files []packFile) string {
	text := g.root.Bytes()
	if !hasFile(files, manifestFile) {
		text = g.below.Bytes()
	}
	if len(text) > maxYAMLBytes {
		return ""
	}
	var r manifestReader
	top, ok := r.parse(manifestFile, text, FilePack)
	if !ok || !top.object() {
		return ""
	}
	ref, _ := top.at("ref").text()
	return ref
}

// keeper keeps what is written, as far as a YAML file may go; without a buffer it keeps nothing.
type keeper struct{ to *bytes.Buffer }

func (k keeper) Write(p []byte) (int, error) {
	if k.to != nil {
		k.to.Write(p[:max(0, min(len(p), maxYAMLBytes+1-k.to.Len()))])
	}
	return len(p), nil
}

func (keeper) Close() error { return nil }
