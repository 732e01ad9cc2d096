package pack

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"attune"
	"attune/internal/size"
)

// mostResources are the upper bounds where the operator sets none: those of the schema.
func mostResources() attune.Resources {
	most := func(field string) float64 { return rules()["resources"].field(field).Maximum }
	return attune.Resources{
		CPU: most("cpu"), MemoryBytes: int64(most("memory")), Pids: int64(most("pids")),
		TmpBytes: int64(most("tmp")), TmpFiles: int64(most("tmp_files")), OpenFiles: int64(most("open_files")),
		LogBytes: int64(most("log")),
	}
}

// ParseCeilings reads the operator's upper bounds, in the words of an action's file: "memory: 1Gi, pids: 256".
func ParseCeilings(text string) (attune.Resources, error) {
	node, wrong := parseYAML([]byte("{" + text + "}"))
	r := &manifestReader{}
	if wrong != nil {
		r.problems = append(r.problems, *wrong)
	}
	top := value{reader: r, node: node, path: "resources", rule: rules()["resources"]}
	for _, ceiling := range top.members() {
		if !ceiling.given() {
			ceiling.refuse("is required")
		}
	}
	most := mostResources()
	ceilings := top.readResources(most, most)
	if len(r.problems) > 0 {
		wrong := attune.Invalid("they must read as in an action's file: memory: 1Gi, pids: 256", r.problems...)
		return ceilings, fmt.Errorf("ceilings %q: %w", text, wrong)
	}
	return ceilings, nil
}

// resources reads what an action asks for and fills in the defaults, which never are more than the most.
func (v value) resources(most attune.Resources) attune.Resources {
	r := v.readResources(attune.Resources{
		CPU: min(attune.DefaultCPU, most.CPU), MemoryBytes: min(attune.DefaultMemoryBytes, most.MemoryBytes),
		Pids: min(attune.DefaultPids, most.Pids), TmpBytes: min(attune.DefaultTmpBytes, most.TmpBytes),
	}, most)
	if r.TmpFiles == 0 && most.TmpFiles < attune.DefaultTmpFiles {
		r.TmpFiles = most.TmpFiles
	}
	if r.OpenFiles == 0 && most.OpenFiles < attune.DefaultOpenFiles {
		r.OpenFiles = most.OpenFiles
	}
	return r
}

func (v value) readResources(missing, most attune.Resources) attune.Resources {
	if !v.object() {
		return missing
	}
	upTo := func(field string, most float64) value {
		asked := v.at(field)
		bounded := *asked.rule
		bounded.Maximum = most
		asked.rule = &bounded
		return asked
	}
	return attune.Resources{
		CPU:         upTo("cpu", most.CPU).cores(missing.CPU),
		MemoryBytes: upTo("memory", float64(most.MemoryBytes)).bytes(missing.MemoryBytes),
		Pids:        upTo("pids", float64(most.Pids)).integer(missing.Pids),
		TmpBytes:    upTo("tmp", float64(most.TmpBytes)).bytes(missing.TmpBytes),
		TmpFiles:    upTo("tmp_files", float64(most.TmpFiles)).integer(missing.TmpFiles),
		OpenFiles:   upTo("open_files", float64(most.OpenFiles)).integer(missing.OpenFiles),
		LogBytes:    upTo("log", float64(most.LogBytes)).bytes(missing.LogBytes),
	}
}

var units = map[string]float64{
	"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// bytes reads a size: a whole number, or one with a unit.
func (v value) bytes(missing int64) int64 {
	if !v.given() {
		return missing
	}
	var text string
	switch given := v.node.value.(type) {
	case string:
		text = given
	case json.Number:
		text = given.String()
	default:
		v.wrongType("a size such as 256Mi")
		return missing
	}
	parts := v.rule.Pattern.FindStringSubmatch(text)
	if parts == nil {
		v.refuse("%s", v.rule.PatternMessage)
		return missing
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	n *= units[parts[2]]
	switch {
	case err != nil || n < v.rule.Minimum || n > v.rule.Maximum:
		v.refuse("must be from %s to %s", size.Exact(int64(v.rule.Minimum)), size.Exact(int64(v.rule.Maximum)))
	case n != math.Trunc(n):
		v.refuse("must be a whole number of bytes")
	default:
		return int64(n)
	}
	return missing
}

// cores reads a share of the processors: 1, 0.5 or "500m".
func (v value) cores(missing float64) float64 {
	if !v.given() {
		return missing
	}
	text, isText := v.node.value.(string)
	if !isText {
		return v.number(missing)
	}
	least, most := v.rule.Minimum, v.rule.Maximum
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "m"), 10, 32)
	cores := float64(n) / 1000
	if !v.rule.Pattern.MatchString(text) || err != nil || cores < least || cores > most {
		v.refuse(`must be a number from %v to %v, or thousandths such as "500m"`, least, most)
		return missing
	}
	return cores
}
