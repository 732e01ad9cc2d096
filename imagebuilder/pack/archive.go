package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"attune"
)

// Limits bound what an uploaded archive may be.
type Limits struct {
	// ArchiveBytes is the size of the archive itself, UnpackedBytes that of its content.
	ArchiveBytes, UnpackedBytes int64
	// FileBytes is the size of one file.
	FileBytes int64
	// Files counts the entries of the archive (files, folders and what is skipped), and also the files with their folders,
	// which need not have entries.
	Files int
	// PathBytes is the length of a path, Depth the number of its parts.
	PathBytes, Depth int
	// Ratio is how many times larger than the archive its content may be. It applies once the content is larger than
	// ratioFloor, because small files of one letter are no attack.
	Ratio int64
	// Resources are the most that an action may ask for.
	Resources attune.Resources
}

const ratioFloor = 32 << 20

// DefaultLimits are generous for code with its wheels, and small for a disk.
func DefaultLimits() Limits {
	return Limits{
		ArchiveBytes: 256 << 20, UnpackedBytes: 1 << 30, FileBytes: 256 << 20,
		Files: 20_000, PathBytes: 512, Depth: 32, Ratio: 200,
		Resources: mostResources(),
	}
}

// Archive is an unpacked and checked pack.
type Archive struct {
	// Manifest is what the pack says about itself, with every default filled in.
	Manifest attune.Manifest

	staging string // the folder that Close removes
	dir     string // the pack's folder: staging, or the one folder in it
	root    *os.Root
	files   []packFile // sorted by name
}

// packFile is one regular file of a pack.
type packFile struct {
	name       string // a slash path below the pack's folder
	size       int64
	executable bool
}

// Open reads a pack archive (zip, tar.gz or tar.zst; its first bytes decide, never its name), unpacks it into a folder
// of its own below dir and checks all of it. What a person can mend is an *attune.Error that names every problem, in a
// stable order. After an error nothing is left below dir; otherwise the caller must call Close.
func Open(ctx context.Context, file *os.File, dir string, limits Limits) (_ *Archive, err error) {
	staging, err := os.MkdirTemp(dir, "pack-*") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make staging folder: %w", err)
	}
	a := &Archive{staging: staging, dir: staging}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.root, err = os.OpenRoot(staging); err != nil {
		return nil, fmt.Errorf("open staging folder: %w", err)
	}
	if a.files, _, err = unpack(ctx, file, folder{a.root}, limits); err != nil {
		return nil, err
	}
	if err := a.enterTopFolder(); err != nil {
		return nil, err
	}
	manifest, problems, err := readManifest(a.root.FS(), a.files, limits.Resources)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if len(problems) > 0 {
		return nil, attune.Invalid("the pack is not valid", tidyProblems(problems)...)
	}
	a.Manifest = manifest
	return a, nil
}

// Dir is the folder with the pack's files. It lies below one of mode 0700, which other users cannot enter.
func (a *Archive) Dir() string { return a.dir }

// Root is Dir, opened so that no path leads out of it.
func (a *Archive) Root() *os.Root { return a.root }

// Close removes the unpacked files.
func (a *Archive) Close() error {
	var err error
	if a.root != nil {
		err = a.root.Close()
	}
	return errors.Join(err, os.RemoveAll(a.staging))
}

// enterTopFolder makes the folder with pack.yaml the pack's folder: the root, or the one folder in it.
func (a *Archive) enterTopFolder() error {
	if hasFile(a.files, manifestFile) {
		return nil
	}
	entries, err := fs.ReadDir(a.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("read staging folder: %w", err)
	}
	if len(entries) != 1 || !entries[0].IsDir() {
		return archiveError(attune.Problem{
			File: manifestFile, Message: "is missing: it must be at the root of the archive, or in its one top folder",
		})
	}
	top := entries[0].Name()
	if !hasFile(a.files, top+"/"+manifestFile) {
		return archiveError(attune.Problem{File: top + "/" + manifestFile, Message: "is missing: every pack has this file"})
	}
	root, err := a.root.OpenRoot(top)
	if err != nil {
		return fmt.Errorf("open top folder: %w", err)
	}
	if err := a.root.Close(); err != nil {
		return errors.Join(err, root.Close())
	}
	a.root, a.dir = root, filepath.Join(a.staging, top)
	for i := range a.files {
		a.files[i].name = a.files[i].name[len(top)+1:]
	}
	return nil
}

func hasFile(files []packFile, name string) bool {
	return slices.ContainsFunc(files, func(f packFile) bool { return f.name == name })
}
