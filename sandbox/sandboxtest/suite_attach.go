package sandboxtest

import (
	"errors"
	"testing"

	"attune/sandbox"
)

func notStarted(t *testing.T, s Subject) {
	if err := s.Runtime.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantAttach(t, "never-was", sandbox.ErrNotStarted)
	s.Runtime.Forget("never-was")
	s.wantAttach(t, "never-was", sandbox.ErrNotStarted)
	made, err := s.Runtime.Create(t.Context(), s.Spec("not-yet", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	s.wantAttach(t, "not-yet", sandbox.ErrNotStarted)
	if err := made.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	s.wantAttach(t, "not-yet", sandbox.ErrNotStarted)
}

// gone is about an execution that has begun: it is never taken for one that has not, whatever becomes of its sandbox.
func gone(t *testing.T, s Subject) {
	if err := s.Runtime.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	made, err := s.Runtime.Create(t.Context(), s.Spec("ends", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	in := s.Input("begun")
	in.Started = func() {
		if _, _, err := s.Runtime.Attach(t.Context(), "begun"); err == nil || errors.Is(err, sandbox.ErrNotStarted) {
			t.Errorf("right before the document: %v", err)
		}
	}
	if exit, err := made.Run(t.Context(), in); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	if err := s.Runtime.Remove(t.Context(), "ends"); err != nil {
		t.Error(err)
	}
	s.wantAttach(t, "begun", sandbox.ErrGone)
	if err := s.Runtime.Reconcile(t.Context()); err != nil {
		t.Error(err)
	}
	s.wantAttach(t, "begun", sandbox.ErrGone)
	s.Runtime.Forget("begun")
	s.wantAttach(t, "begun", sandbox.ErrNotStarted)
}

func (s Subject) wantAttach(t *testing.T, execution string, want error) {
	t.Helper()
	if _, _, err := s.Runtime.Attach(t.Context(), execution); !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", execution, err, want)
	}
}
