package pack

import (
	"slices"
	"strings"
)

// reservedVariables belong to the runners and interpreters; an action that set them would fail in odd ways.
var (
	reservedVariables = []string{
		"PATH", "HOME", "IFS", "ENV", "PS4", "SHELLOPTS", "PROMPT_COMMAND", "GLIBC_TUNABLES", "NODE_OPTIONS", "NODE_PATH",
	}
	reservedPrefixes = []string{"ATTUNE_", "LD_", "PYTHON", "BASH", "PARAM_", "SECRET_"}
)

func reserved(name string) bool {
	return slices.Contains(reservedVariables, name) ||
		slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// environment reads an action's variables; nil when it has none.
func (v value) environment() map[string]string {
	if !v.given() {
		return nil
	}
	if _, ok := v.node.value.(yamlMap); !ok {
		v.wrongType("an object")
		return nil
	}
	env := map[string]string{}
	for name, variable := range v.members() {
		variable.rule = rules()["variable"]
		switch {
		case !v.rule.PropertyNames.Pattern.MatchString(name):
			variable.refuse("%s", v.rule.PropertyNames.PatternMessage)
		case reserved(name):
			variable.refuse("is a variable that the runner sets; choose another name")
		case !variable.given():
			variable.refuse("is required")
		default:
			env[name], _ = variable.text()
		}
	}
	if len(env) > v.rule.MaxProperties {
		v.refuse("has more than %d variables", v.rule.MaxProperties)
	}
	if len(env) == 0 {
		return nil
	}
	return env
}
