package main

import "attune/imagebuilder/pack"

type packSchemaCommand struct {
	File string `arg:"" enum:"pack,action,policy" help:"Kind of file: pack (pack.yaml), action or policy (in actions/, policies/)."`
}

// Run does what the command's help says.
func (p *packSchemaCommand) Run(s *session) error {
	writef(s.stdout, "%s", pack.Schema(p.File))
	return nil
}
