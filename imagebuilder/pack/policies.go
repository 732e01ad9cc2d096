package pack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxPolicies is one for each action and one for the pack.
const maxPolicies = maxActions + 1

// readPolicies reads the files below policies/. It comes after the actions, which they name.
func (r *manifestReader) readPolicies() error {
	found := 0
	for _, file := range r.names {
		name, below := strings.CutPrefix(file.name, policiesDir+"/")
		switch {
		case !below:
			continue
		case strings.Contains(name, "/") || !isYAML(name):
			r.problem(file.name, 0, "", "is not read: policies are %s/<name>.yaml, and nothing else has a place there", policiesDir)
			continue
		case found == maxPolicies:
			r.problem(file.name, 0, "", "is one policy too many: a pack has at most %d", maxPolicies)
			return nil
		}
		found++
		if err := r.readPolicy(file.name); err != nil {
			return err
		}
	}
	return nil
}

// readPolicy reads one file below policies/: the policy of the action that it names, or of the whole pack.
func (r *manifestReader) readPolicy(file string) error {
	top, ok, err := r.yaml(file)
	if err != nil || !ok {
		return err
	}
	fields, ok := top.members(append([]string{"action"}, policyFields...)...)
	if !ok {
		return nil
	}
	if !slices.ContainsFunc(policyFields, func(name string) bool { return fields.at(name).given() }) {
		top.refuse("bounds nothing: give at least one of %s", strings.Join(policyFields, ", "))
	}
	target := fields.at("action")
	if target.node == nil {
		policy := fields.policy(nil)
		if top.claim("") {
			r.manifest.Policy = policy
		}
		return nil
	}
	if !target.given() {
		target.refuse("is empty; name an action, or leave it out for a policy of the whole pack")
	}
	of := target.existingAction()
	policy := fields.policy(of)
	if of.ref != "" && target.claim(of.ref) {
		r.manifest.Actions[of.index].Policy = policy
	}
	return nil
}

// existingAction reads "<pack>.<name>" or "<name>" of an action of this pack; where there is none, what it returns is empty.
func (p place) existingAction() *definedAction {
	ref, ok := p.text(2*packRefLength + 1)
	if !ok {
		return &definedAction{}
	}
	if !strings.Contains(ref, ".") {
		ref = p.r.manifest.Ref + "." + ref
	}
	if action := p.r.actions[ref]; action != nil {
		return action
	}
	p.refuse("is %q, which is no action of this pack%s", ref, didYouMean(ref, slices.Collect(maps.Keys(p.r.actions))))
	return &definedAction{}
}

// claim notes that the policy of an action, or with "" of the pack, stands here; it is false when it stands elsewhere already.
func (p place) claim(ref string) bool {
	other, taken := p.r.policies[ref]
	switch {
	case !taken:
		p.r.policies[ref] = fmt.Sprintf("%s:%d", p.file, p.line)
	case ref == "":
		p.refuse("is a policy of the whole pack, and %s is one already; make one of them, or name an action", other)
	default:
		p.refuse("has a policy in %s already; make one of them", other)
	}
	return !taken
}
