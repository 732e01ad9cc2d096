package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// packFiles lists the files of a pack's folder, slash paths in a fixed order, so that the same folder always makes the
// same archive; and the folders that stay out by default.
func packFiles(folder string) (files, left []string, err error) {
	if _, err := os.Stat(filepath.Join(folder, "pack.yaml")); err != nil {
		return nil, nil, usagef("%s is not a pack: it has no pack.yaml", folder)
	}
	tree := os.DirFS(folder)
	ignored, err := newIgnorer(tree)
	if err != nil {
		return nil, nil, fmt.Errorf("read pack folder: %w", err)
	}
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		out, said := ignored.left(path, entry.IsDir())
		if said != "" {
			left = append(left, said)
		}
		switch {
		case out && entry.IsDir():
			return fs.SkipDir
		case out || entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return usagef("%s is not a regular file; a pack holds files and folders only: put a copy in its place, or name it "+
				"in %s", filepath.Join(folder, path), ignoreFile)
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read pack folder: %w", err)
	}
	return files, left, nil
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
