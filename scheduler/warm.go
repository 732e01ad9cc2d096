package scheduler

import (
	"context"

	"attune"
	"attune/images"
	"attune/sandbox"
)

// sandboxSpec is the sandbox that an action of an image needs; its ID is not set.
func sandboxSpec(imageDigest string, a attune.Action) sandbox.Spec {
	return sandbox.Spec{
		ImageDigest: imageDigest,
		Args:        images.Command(a.RunnerType, a.EntryPoint, a.Function),
		Env:         a.Env,
		Network:     a.Network,
		Runtime:     a.Runtime,
		Resources:   a.Resources,
	}
}

// Current returns the sandbox that an action needs as it is installed now; false says that it is not.
func (s *Sandboxes) Current(ctx context.Context, action string) (sandbox.Spec, bool, error) {
	a, err := s.DB.Actions.Get(ctx, action)
	if attune.CodeOf(err) == attune.CodeNotFound {
		return sandbox.Spec{}, false, nil
	}
	return sandboxSpec(a.ImageDigest, a.Action), err == nil, err
}

// run goes on with the sandbox that is there, or takes one that waits, or makes one of the name, and uses it. It returns the
// id of the one that it used.
func (s *Sandboxes) run(ctx context.Context, name string, c Claim, r run, in sandbox.Input) (string, sandbox.Exit, error) {
	spec := sandboxSpec(c.ImageDigest, r.action)
	if r.sandbox == nil {
		r.sandbox, r.id = s.Pool.Take(c.Action, spec, r.action.Warm)
	}
	if r.sandbox == nil {
		var err error
		spec.ID, r.id = name, name
		if r.sandbox, err = s.Runtime.Create(ctx, spec); err != nil {
			return r.id, sandbox.Exit{}, err
		}
	}
	exit, err := r.sandbox.Run(ctx, in)
	return r.id, exit, err
}
