package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// syncsAtOnce bounds the files of one call that the disk is asked for at the same time; the kernel makes one commit of
// its journal out of many.
const syncsAtOnce = 8

// Sync returns when the disk has what is in the spool of these streams and documents: it is there after a loss of
// power. Call it before their execution's end is committed.
func (l *Store) Sync(writers []*Writer, documents []*Document) error {
	var group errgroup.Group
	group.SetLimit(syncsAtOnce)
	folders := make(map[string]bool)
	for _, w := range writers {
		folders[filepath.Dir(w.spool.file.Name())] = true
		group.Go(w.spool.file.Sync)
	}
	for _, d := range documents {
		if d.path == "" {
			continue // the disk refused it
		}
		folders[filepath.Dir(d.path)] = true
		group.Go(func() error { return syncFile(d.path) })
	}
	err := group.Wait()
	for folder := range folders {
		group.Go(func() error { return syncFolder(folder) })
	}
	if err := errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("sync the spool: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
