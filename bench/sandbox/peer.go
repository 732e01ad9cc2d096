package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// nobody is the user inside a sandbox.
const nobody = 65534

// peer runs what a sandbox of Attune runs, from the same specification and image, by runc alone. The file systems are
// mounted ahead; runc's time is that of its process.
type peer struct {
	runc, dir string
	client    *client.Client
	undo      []func() error
}

func openPeer(runc, dir, containerd string) (*peer, error) {
	c, err := client.New(containerd, client.WithDefaultNamespace("attune"))
	if err != nil {
		return nil, err
	}
	return &peer{runc: runc, dir: dir, client: c, undo: []func() error{c.Close, removeGroups}}, nil
}

// groupParent is the control group that runc's are made below; runc removes its own only.
const groupParent = "attune-bench"

func removeGroups() error {
	version1, err := filepath.Glob(filepath.Join(cgroups, "*", groupParent))
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range append(version1, filepath.Join(cgroups, groupParent)) {
		if err := os.Remove(group); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *peer) close() error {
	var errs []error
	for i := len(p.undo) - 1; i >= 0; i-- {
		errs = append(errs, p.undo[i]())
	}
	return errors.Join(errs...)
}

// waiting finds the sandboxes that wait for an execution of an action's file; there is one at least.
func (p *peer) waiting(ctx context.Context, file string) ([]containers.Container, error) {
	found, err := p.list(ctx, file)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no sandbox waits for %s", file)
	}
	return found, err
}

// list finds the sandboxes that the pool has made for an action's file.
func (p *peer) list(ctx context.Context, file string) (found []containers.Container, err error) {
	all, err := p.client.ContainerService().List(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if !strings.HasPrefix(c.ID, "warm-") {
			continue
		}
		spec, err := specOf(c)
		if err != nil {
			return nil, err
		}
		if spec.Process.Args[len(spec.Process.Args)-1] == "actions/"+file {
			found = append(found, c)
		}
	}
	return found, nil
}

func specOf(c containers.Container) (spec specs.Spec, err error) {
	return spec, json.Unmarshal(c.Spec.GetValue(), &spec)
}
