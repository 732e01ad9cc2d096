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

// maxAhead is how many namespaces wait for somebody at most. Whoever lets one go makes the next, which is off everybody's path.
const maxAhead = 4

// Folders of namespaces that nobody has; no id begins so. Of those that are being made, all are left from a crash, but the one
// of whoever holds the lock.
const (
	makingPrefix = ".making-"
	readyPrefix  = ".ready-"
)

// takeReady moves a namespace that was made ahead into the empty folder, and returns its path; empty where there is none.
func (n *Network) takeReady(ctx context.Context, dir string) (string, error) {
	ready, err := n.nobodys(readyPrefix)
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

// makeReady makes a namespace ahead, unless enough wait. Those who need one now come first.
func (n *Network) makeReady(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.clearNobodys(ctx, makingPrefix); err != nil {
		return err
	}
	ready, err := n.nobodys(readyPrefix)
	if err != nil || len(ready) >= maxAhead {
		return err
	}
	dir, err := os.MkdirTemp(n.namespaceDir(""), makingPrefix)
	if err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	if err := n.applyRules(ctx); err != nil {
		return err
	}
	if _, err := n.connect(ctx, dir); err != nil {
		return err
	}
	return os.Rename(dir, n.namespaceDir(readyPrefix+filepath.Base(dir)[len(makingPrefix):]))
}

// clearNobodys removes what nobody has taken, or will.
func (n *Network) clearNobodys(ctx context.Context, prefix string) error {
	dirs, err := n.nobodys(prefix)
	for _, dir := range dirs {
		err = errors.Join(err, n.clear(ctx, dir))
	}
	return err
}

func (n *Network) nobodys(prefix string) (dirs []string, err error) {
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
			// Without a path, CNI frees what it has on record: the address.
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

// isNamespace is false when the host was started anew since, or a crash came first: then it is an empty file.
func isNamespace(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}
