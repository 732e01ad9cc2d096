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
			r.problem(file.name, 0, "", "is not read: policies are %s/<name>.yaml, and nothing else belongs there",
				policiesDir)
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
	top, ok, err := r.yaml(file, FilePolicy)
	if err != nil || !ok || !top.object() {
		return err
	}
	limits := slices.DeleteFunc(top.rule.fields(), func(name string) bool { return name == "action" })
	if !slices.ContainsFunc(limits, func(name string) bool { return top.at(name).given() }) {
		top.refuse("bounds nothing: give at least one of %s", strings.Join(limits, ", "))
	}
	target := top.at("action")
	if target.node == nil {
		policy := top.policy(nil)
		if top.claimPolicy("") {
			r.manifest.Policy = policy
		}
		return nil
	}
	if !target.given() {
		target.refuse("is empty; name an action, or leave it out for a policy of the whole pack")
	}
	of := target.existingAction()
	policy := top.policy(of)
	if of.ref != "" && target.claimPolicy(of.ref) {
		r.manifest.Actions[of.index].Policy = policy
	}
	return nil
}

// existingAction reads "<pack>.<name>" or "<name>" of an action of this pack; what it returns is empty where there is
// none.
func (v value) existingAction() *definedAction {
	ref, ok := v.text()
	if !ok {
		return &definedAction{}
	}
	r := v.reader
	if !strings.Contains(ref, ".") {
		ref = r.manifest.Ref + "." + ref
	}
	if action := r.actions[ref]; action != nil {
		return action
	}
	v.refuse("is %q, which is no action of this pack%s", ref, didYouMean(ref, slices.Collect(maps.Keys(r.actions))))
	return &definedAction{}
}

// claimPolicy notes that the policy of an action, or with "" of the pack, stands here. It reports whether that is the
// only one.
func (v value) claimPolicy(ref string) bool {
	other, taken := v.reader.policies[ref]
	switch {
	case !taken:
		v.reader.policies[ref] = fmt.Sprintf("%s:%d", v.file, v.line)
	case ref == "":
		v.refuse("is a policy of the whole pack, and %s is one already; make one of them, or name an action", other)
	default:
		v.refuse("has a policy in %s already; make one of them", other)
	}
	return !taken
}
