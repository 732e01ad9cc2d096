package main

import "attune/imagebuilder/pack"

type packSchemaCommand struct {
	File string `arg:"" enum:"pack,action,policy" help:"pack: pack.yaml; action, policy: a file below actions/, policies/."`
}

// Run does what the command's help says.
func (p *packSchemaCommand) Run(s *session) error {
	writef(s.stdout, "%s", pack.Schema(p.File))
	return nil
}
