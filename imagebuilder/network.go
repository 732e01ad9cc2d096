package imagebuilder

import (
	"context"
	"errors"
	"fmt"
)

// Network connects build containers to package indexes; sandbox/containerd/network implements it. It must reach the
// public internet, but neither the host nor private addresses that are not allowed.
type Network interface {
	// Attach makes a network namespace for an id and returns its path.
	Attach(ctx context.Context, id string) (netns string, err error)
	// Detach removes the namespace. It is idempotent.
	Detach(ctx context.Context, id string) error
	// ResolvConf is the path of a resolv.conf that works inside.
	ResolvConf() string
}

// connect makes the network namespace that the online steps of the workspace share.
func (w *workspace) connect(ctx context.Context) error {
	network := w.b.config.Network
	if network == nil {
		return errors.New("the image builder has no network")
	}
	w.opened.Add(func(ctx context.Context) error { return network.Detach(ctx, w.id) })
	netns, err := network.Attach(ctx, w.id)
	if err != nil {
		return fmt.Errorf("connect build container: %w", err)
	}
	w.netns, w.resolvConf = netns, network.ResolvConf()
	return nil
}
