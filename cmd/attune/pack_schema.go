package main

import "attune/imagebuilder/pack"

type packSchemaCommand struct {
	File string `arg:"" enum:"pack,action,policy" help:"pack for pack.yaml, action or policy for a file in its folder."`
}

// Run does what the command's help says.
func (p *packSchemaCommand) Run(s *session) error {
	writef(s.stdout, "%s", pack.Schema(p.File))
	return nil
}
