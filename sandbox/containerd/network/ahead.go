package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/netns"
	"golang.org/x/sys/unix"
)

// maxAhead bounds the namespaces made ahead. Each Detach makes one, which no execution waits for.
const maxAhead = 4

// Prefixes of the folders of namespaces made ahead; no id begins with a dot. While the lock is free, a folder that is
// being made was left by a crash.
const (
	makingPrefix = ".making-"
	readyPrefix  = ".ready-"
)

// takeReady moves a namespace that was made ahead into the empty folder dir. It returns the path of the namespace,
// empty where there is none.
func (n *Network) takeReady(ctx context.Context, dir string) (string, error) {
	ready, err := n.ahead(readyPrefix)
	if err != nil {
		return "", err
	}
	for _, from := range ready {
		entries, err := os.ReadDir(from)
		if err != nil || len(entries) != 1 {
			continue
		}
		name := entries[0].Name()
		if !isNamespace(filepath.Join(from, name)) {
			if err := n.clear(ctx, from); err != nil {
				return "", err
			}
			continue
		}
		if err := unix.Rename(from, dir); err != nil {
			return "", fmt.Errorf("take network namespace: %w", err)
		}
		return filepath.Join(dir, name), nil
	}
	return "", nil
}

// makeReady makes a namespace ahead, unless there are enough.
func (n *Network) makeReady(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.clearAhead(ctx, makingPrefix); err != nil {
		return err
	}
	ready, err := n.ahead(readyPrefix)
	if err != nil || len(ready) >= maxAhead {
		return err
	}
	dir, err := os.MkdirTemp(n.namespaceDir(""), makingPrefix)
	if err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	if err := n.openRules(ctx); err != nil {
		return err
	}
	if _, err := n.connect(ctx, dir); err != nil {
		return err
	}
	return os.Rename(dir, n.namespaceDir(readyPrefix+filepath.Base(dir)[len(makingPrefix):]))
}

// clearAhead removes the namespaces made ahead whose folders have a prefix.
func (n *Network) clearAhead(ctx context.Context, prefix string) error {
	dirs, err := n.ahead(prefix)
	for _, dir := range dirs {
		err = errors.Join(err, n.clear(ctx, dir))
	}
	return err
}

// ahead lists the folders of namespaces made ahead that have a prefix.
func (n *Network) ahead(prefix string) (dirs []string, err error) {
	all, err := os.ReadDir(n.namespaceDir(""))
	if err != nil {
		return nil, fmt.Errorf("look for network namespaces: %w", err)
	}
	for _, entry := range all {
		if strings.HasPrefix(entry.Name(), prefix) {
			dirs = append(dirs, n.namespaceDir(entry.Name()))
		}
	}
	return dirs, nil
}

// clear removes the namespace in a folder, frees its address, and removes the folder.
func (n *Network) clear(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		inside := path
		if !isNamespace(path) {
			// Without a path, CNI frees the address, which it has on record.
			inside = ""
		}
		if err := n.cni.Remove(ctx, entry.Name(), inside); err != nil {
			return fmt.Errorf("disconnect network namespace: %w", err)
		}
		if err := netns.LoadNetNS(path).Remove(); err != nil {
			return fmt.Errorf("remove network namespace: %w", err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	return nil
}

// isNamespace reports whether a namespace is mounted at a path. After a boot of the host, or a crash, an empty file is
// there.
func isNamespace(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}
