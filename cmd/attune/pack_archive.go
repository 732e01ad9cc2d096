package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// leftOut names the folders that tools make beside a pack's source; they stay out of an archive.
var leftOut = []string{".git", ".venv", "node_modules", "__pycache__"}

// leftOutText is leftOut in words, with the pattern that packFiles adds.
const leftOutText = ".git, .venv, node_modules, __pycache__ and *.pyc"

// packFiles lists the files of a pack's folder, slash paths in a fixed order, so that the same folder always makes the
// same archive.
func packFiles(folder string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(folder, "pack.yaml")); err != nil {
		return nil, usagef("%s is not a pack: it has no pack.yaml", folder)
	}
	var files []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(leftOut, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, ".pyc"):
			return nil
		case !entry.Type().IsRegular():
			return usagef("%s is not a regular file; a pack holds files and folders only", filepath.Join(folder, path))
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read pack folder: %w", err)
	}
	return files, nil
}

// writePack writes the files as a tar.gz. Of each file's metadata it keeps only the executable bit: owners and times of
// this host stay private.
func writePack(w io.Writer, folder string, files []string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("open pack folder: %w", err)
	}
	defer func() { _ = root.Close() }() // Only read.
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	for _, path := range files {
		if err := writeFile(archive, root, path); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	return nil
}

func writeFile(archive *tar.Writer, root *os.Root, path string) error {
	file, err := root.Open(filepath.FromSlash(path))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // Only read.
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: path, Size: info.Size(), Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	// A file that grows meanwhile is cut where its header says; one that shrinks is an error of the archive's writer.
	_, err = io.CopyN(archive, file, info.Size())
	return err
}
